"""The entitlements of the caller's organisation, stored ones and the children of groups."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, literal_column, not_, select, union_all

from entrepot.core.accounts import Principal
from entrepot.core.accounts.tables import organisations
from entrepot.core.catalogue.tables import licences, product_members
from entrepot.core.entitlements.predicate import (
    ENTITLEMENT_RULES,
    GRANTED,
    NOW,
    ORGANISATION,
    RIGHT_TO_DOWNLOAD,
    Reference,
    child_number,
    entitled,
    entitlement_source,
    holds,
    licence_code,
    of_reference,
    take_apart,
    verdict_of,
)
from entrepot.core.entitlements.tables import entitlements
from entrepot.core.entitlements.views import Entitlement, EntitlementFilter, ProductFacts
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.ids import parse_number
from entrepot.kit.paging import Page

# verdict on the entitlement alone -> status shown
_STATUS = {
    "organisation-blocked": "Blocked",
    "entitlement-revoked": "Revoked",
    "entitlement-not-started": "Pending",
    "entitlement-expired": "Expired",
    "compliance-blocked": "Suspended",
    "compliance-pending": "Suspended",
}
STATUSES = ("Active", "Lapsed", *sorted(set(_STATUS.values())))

_verdict = verdict_of(*ENTITLEMENT_RULES)
_lapsed = case(
    (entitlements.c.maintenance_to <= NOW, literal_column("1")), else_=literal_column("0")
)


def _columns(*, child: bool) -> list[Any]:
    return [
        *entitlements.c[
            "id",
            "right_to",
            "free",
            "qualities",
            "valid_from",
            "valid_to",
            "maintenance_from",
            "maintenance_to",
            "design_start",
            "allowed_countries",
            "compliance",
            "compliance_reason",
            "sales_order_item",
            "created_at",
            "changed_at",
        ],
        organisations.c.id.label("organisation_id"),
        organisations.c.name.label("organisation_name"),
        organisations.c.blocked.label("organisation_blocked"),
        entitled.c.id.label("product_id"),
        *entitled.c[
            "code",
            "name",
            "grouped",
            "delivery_method",
            "us_eccn",
            "eccn_restricted",
            "foundries",
            "process",
        ],
        licence_code.label("licence_code"),
        literal_column("1" if child else "0").label("virtual"),
        _verdict.label("verdict"),
        _lapsed.label("lapsed"),
        case((not_(holds(*ENTITLEMENT_RULES)), literal_column("2")), else_=_lapsed).label("rank"),
    ]


def _filtered(*, child: bool, product: bool, right: bool, activated: bool) -> Select[Any]:
    query = (
        select(*_columns(child=child))
        .select_from(entitlement_source(child=child))
        .where(entitlements.c.organisation_id == ORGANISATION)
    )
    if child:
        query = query.where(entitlements.c.right_to == RIGHT_TO_DOWNLOAD)
    if product:
        query = query.where(entitled.c.code == bindparam("product_code"))
    if right:
        query = query.where(entitlements.c.right_to == bindparam("right_to"))
    if activated:
        query = query.where(
            entitlements.c.activated_at
            >= bindparam("activated_from", type_=entitlements.c.activated_at.type)
        )
    return query


@cache
def _listing(*, product: bool, right: bool, activated: bool, paged: bool) -> Select[Any]:
    """Active before lapsed before ended, then by number. Children are only found by product."""
    direct = _filtered(child=False, product=product, right=right, activated=activated)
    if product:
        child = _filtered(child=True, product=product, right=right, activated=activated)
        found = union_all(direct, child).subquery()
    else:
        found = direct.subquery()
    query = select(found, func.count().over().label("total")).order_by(
        found.c.rank, found.c.id, found.c.product_id
    )
    if paged:
        query = query.limit(bindparam("take")).offset(bindparam("skip"))
    return query


def list_entitlements(
    tx: Tx,
    who: Principal,
    wanted: EntitlementFilter = EntitlementFilter(),  # noqa: B008 - frozen
    page: Page | None = None,
    *,
    now: datetime,
) -> tuple[list[Entitlement], int]:
    """The entitlements of the caller's organisation and how many there are in all.

    A filter by product also finds the children of grouped entitlements.
    """
    query = _listing(
        product=wanted.product_code is not None,
        right=wanted.right_to is not None,
        activated=wanted.activated_from is not None,
        paged=page is not None,
    )
    bound: dict[str, Any] = {"now": now, "organisation_id": who.organisation_id}
    bound |= {
        "product_code": wanted.product_code,
        "right_to": wanted.right_to,
        "activated_from": wanted.activated_from,
    }
    if page is not None:
        bound |= {"take": page.size, "skip": page.skip}
    rows = tx.execute(query, {key: bound[key] for key in _names(query) if key in bound}).all()
    if rows:
        total = int(rows[0].total)
    elif page is None or page.number == 1:
        total = 0
    else:
        return [], list_entitlements(tx, who, wanted, Page(1, 1), now=now)[1]
    return _entitlements(tx, rows), total


@cache
def _names(query: Select[Any]) -> frozenset[str]:
    return frozenset(query.compile().params)


def _entitlements(tx: Tx, rows: Sequence[Row[Any]]) -> list[Entitlement]:
    groups = {row.product_id for row in rows if row.grouped and row.right_to == RIGHT_TO_DOWNLOAD}
    members = _members(tx, groups) if groups else {}
    return [_entitlement(row, members) for row in rows]


_MEMBERS = (
    select(
        product_members.c.group_id,
        entitled.c["id"],
        entitled,
        licences.c.code.label("licence_code"),
    )
    .select_from(
        product_members.join(entitled, entitled.c.id == product_members.c.product_id).outerjoin(
            licences, licences.c.id == entitled.c.licence_id
        )
    )
    .where(product_members.c.group_id.in_(bindparam("groups", expanding=True)))
    .order_by(product_members.c.group_id, product_members.c.position)
)


def _members(tx: Tx, groups: set[int]) -> Mapping[int, list[Row[Any]]]:
    members: dict[int, list[Row[Any]]] = {group: [] for group in groups}
    for row in tx.execute(_MEMBERS, {"groups": sorted(groups)}):
        members[row.group_id].append(row)
    return members


def _facts(row: Row[Any], product_id: int) -> ProductFacts:
    return ProductFacts(
        product_id,
        row.code,
        row.name,
        row.delivery_method,
        row.us_eccn,
        row.eccn_restricted,
        row.foundries,
        row.process,
        row.licence_code,
    )


def _entitlement(row: Row[Any], members: Mapping[int, list[Row[Any]]]) -> Entitlement:
    virtual = bool(row.virtual)
    lapsed = "Lapsed" if row.lapsed else "Active"
    children = members.get(row.product_id, ()) if row.right_to == RIGHT_TO_DOWNLOAD else ()
    return Entitlement(
        number=child_number(row.id, row.product_id) if virtual else row.id,
        organisation_id=row.organisation_id,
        organisation_name=row.organisation_name,
        organisation_blocked=row.organisation_blocked,
        product=_facts(row, row.product_id),
        status=lapsed if row.verdict == GRANTED else _STATUS[row.verdict],
        right_to=row.right_to,
        free=row.free,
        grouped=row.grouped,
        virtual=virtual,
        qualities=row.qualities,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        maintenance_from=row.maintenance_from,
        maintenance_to=row.maintenance_to,
        design_start=row.design_start,
        allowed_countries=row.allowed_countries,
        compliance=row.compliance,
        compliance_reason=row.compliance_reason,
        sales_order_item=row.sales_order_item,
        created_at=row.created_at,
        changed_at=row.changed_at,
        children=[(child_number(row.id, m.id), _facts(m, m.id)) for m in children],
    )


@cache
def _one(*, child: bool) -> Select[Any]:
    return (
        select(*_columns(child=child))
        .select_from(entitlement_source(child=child))
        .where(of_reference(child=child))
    )


def permitted_entitlement(tx: Tx, who: Principal, number: str, *, now: datetime) -> Entitlement:
    """The caller's entitlement with this number, whatever its status; else NotFound."""
    return _entitlements(tx, [entitlement_row(tx, who, number, now=now)])[0]


def entitlement_row(tx: Tx, who: Principal, number: str, *, now: datetime) -> Row[Any]:
    """The caller's entitlement with its verdict, stored or child; NotFound otherwise."""
    reference = refer(number)
    row = tx.execute(
        _one(child=reference.child_product_id is not None), bind_reference(who, reference, now=now)
    ).one_or_none()
    if row is None:
        raise NotFound
    return row


def refer(number: str) -> Reference:
    """Take a public entitlement number apart; NotFound where it is no number."""
    parsed = parse_number(number)
    if parsed is None:
        raise NotFound
    return take_apart(parsed)


def bind_reference(who: Principal, reference: Reference, *, now: datetime) -> dict[str, Any]:
    """What `of_reference` and the rules on the entitlement need."""
    bound: dict[str, Any] = {
        "now": now,
        "organisation_id": who.organisation_id,
        "entitlement_id": reference.entitlement_id,
    }
    if reference.child_product_id is not None:
        bound["child_product_id"] = reference.child_product_id
    return bound
