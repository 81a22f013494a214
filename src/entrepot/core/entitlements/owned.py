"""The entitlements of the caller's organisation, stored ones and the children of groups."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from operator import add
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    case,
    func,
    literal_column,
    not_,
    select,
    union_all,
)

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
    bought,
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
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
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

_NO, _YES, _LAST = (literal_column(digit, Integer()) for digit in "012")
_lapsed = case((entitlements.c.maintenance_to <= NOW, _YES), else_=_NO)


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
            "licence_revision_id",
            "sales_order_item",
            "created_at",
            "changed_at",
        ],
        organisations.c.id.label("organisation_id"),
        organisations.c.name.label("organisation_name"),
        organisations.c.blocked.label("organisation_blocked"),
        *_product_columns(),
        licence_code.label("licence_code"),
        (_YES if child else _NO).label("virtual"),
        verdict_of(*ENTITLEMENT_RULES).label("verdict"),
        _lapsed.label("lapsed"),
    ]


def _product_columns() -> list[Any]:
    names = ("code", "name", "grouped", "delivery_method", "us_eccn", "eccn_restricted")
    return [
        entitled.c.id.label("product_id"),
        *(entitled.c[name] for name in (*names, "foundries", "process")),
    ]


class _Wanted(NamedTuple):
    """Which conditions a listing has; each combination is a statement of its own."""

    product: Literal["code", "number"] | None
    right: bool
    activated: bool

    def conditions(self, *, child: bool) -> list[ColumnElement[bool]]:
        """What holds for the rows wanted. Children come with the right to download only."""
        found = [entitlements.c.organisation_id == ORGANISATION]
        if child:
            found.append(entitlements.c.right_to == RIGHT_TO_DOWNLOAD)
        if self.product == "code":
            found.append(entitled.c.code == bindparam("product", type_=Text()))
        if self.product == "number":
            found.append(entitled.c.id == bindparam("product", type_=Number))
        if self.right:
            found.append(entitlements.c.right_to == bindparam("right_to", type_=Text()))
        if self.activated:
            moment = bindparam("activated_from", type_=entitlements.c.activated_at.type)
            found.append(entitlements.c.activated_at >= moment)
        return found

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Children are found by product only; otherwise their group stands for them."""
        return (False,) if self.product is None else (False, True)


def _ranked(wanted: _Wanted, *, child: bool) -> Select[Any]:
    """Just enough of each entitlement to order them: active, lapsed, ended."""
    rank = case((not_(holds(*ENTITLEMENT_RULES)), _LAST), else_=_lapsed)
    return (
        select(
            entitlements.c.id.label("entitlement_id"),
            entitled.c.id.label("product_id"),
            (_YES if child else _NO).label("virtual"),
            rank.label("rank"),
        )
        .select_from(entitlement_source(child=child))
        .where(*wanted.conditions(child=child))
    )


def _count(wanted: _Wanted, *, child: bool) -> ScalarSelect[int]:
    plain = wanted.product is None and not child
    source = entitlements if plain else entitlement_source(child=child)
    return (
        select(func.count())
        .select_from(source)
        .where(*wanted.conditions(child=child))
        .scalar_subquery()
    )


@cache
def _listing(wanted: _Wanted, *, paged: bool) -> Prepared:
    """Active before lapsed before ended, then by number; the wide rows of one page only."""
    parts = [_ranked(wanted, child=child) for child in wanted.kinds]
    ranked = (parts[0] if len(parts) == 1 else union_all(*parts)).subquery()
    order = (ranked.c.rank, ranked.c.virtual, ranked.c.entitlement_id, ranked.c.product_id)
    page: Any = select(ranked)
    if paged:
        total = functools.reduce(add, [_count(wanted, child=child) for child in wanted.kinds])
        page = (
            select(ranked, total.label("total"))
            .order_by(*order)
            .limit(bindparam("take", type_=Number))
            .offset(bindparam("skip", type_=Number))
        )
    page = page.cte("page")
    columns = [column for column in _columns(child=False) if column.key != "virtual"]
    extra = [page.c.virtual, page.c.total if paged else _NO.label("total")]
    source = (
        page.join(entitlements, entitlements.c.id == page.c.entitlement_id)
        .join(organisations, organisations.c.id == entitlements.c.organisation_id)
        .join(entitled, entitled.c.id == page.c.product_id)
    )
    order = (page.c.rank, page.c.virtual, page.c.entitlement_id, page.c.product_id)
    return Prepared(select(*columns, *extra).select_from(source).order_by(*order))


def list_entitlements(
    tx: Tx,
    who: Principal,
    wanted: EntitlementFilter = EntitlementFilter(),  # noqa: B008 - frozen
    page: Page | None = None,
    *,
    now: datetime,
) -> tuple[list[Entitlement], int]:
    """The entitlements of the caller's organisation and how many there are in all.

    Active ones come first, then lapsed, then ended, each by number. A filter by product
    also finds the children of grouped entitlements.
    """
    product: str | int | None = wanted.product_code
    if product is not None:
        product = parse_number(wanted.product_code or "") or product
    query = _listing(
        _Wanted(
            product=None if product is None else "number" if isinstance(product, int) else "code",
            right=wanted.right_to is not None,
            activated=wanted.activated_from is not None,
        ),
        paged=page is not None,
    )
    bound = {
        "now": now,
        "organisation_id": who.organisation_id,
        "product": product,
        "right_to": wanted.right_to,
        "activated_from": wanted.activated_from,
    }
    if page is None:
        found = query.made(tx, bound, _owned)
        return _with_children(tx, found), len(found)
    found = query.made(tx, bound | {"take": page.size, "skip": page.skip}, _owned)
    if found:
        return _with_children(tx, found), found[0].total
    if page.number == 1:
        return [], 0
    return [], list_entitlements(tx, who, wanted, Page(1, 1), now=now)[1]


class _Owned(NamedTuple):
    """A row of a listing: an entitlement, for now without children; how many there are in all."""

    entitlement: Entitlement
    pinned: bool  # to a revision of a licence, for all that it gives
    total: int


def _with_children(tx: Tx, found: Sequence[_Owned]) -> list[Entitlement]:
    """The entitlements; groups with their members where the right is to download."""
    groups = {each.entitlement.product.id for each in found if _is_group(each.entitlement)}
    members = _members(tx, groups) if groups else {}
    return [
        _with_members(each, members[each.entitlement.product.id])
        if _is_group(each.entitlement)
        else each.entitlement
        for each in found
    ]


def _is_group(given: Entitlement) -> bool:
    return given.grouped and given.right_to == RIGHT_TO_DOWNLOAD


def _with_members(owned: _Owned, members: Sequence[ProductFacts]) -> Entitlement:
    """Each member as the child shows itself when asked for by its own number."""
    given = owned.entitlement
    if owned.pinned:
        members = [replace(each, licence_code=given.product.licence_code) for each in members]
    children = [(child_number(given.number, each.id), each) for each in members]
    return replace(given, children=children)


_OWN_LICENCE, _GROUP_LICENCE = licences.alias("own_licence"), licences.alias("group_licence")
_MEMBERS = (
    select(
        product_members.c.group_id,
        *_product_columns(),
        func.coalesce(_OWN_LICENCE.c.code, _GROUP_LICENCE.c.code).label("licence_code"),
    )
    .select_from(
        product_members.join(entitled, entitled.c.id == product_members.c.product_id)
        .join(bought, bought.c.id == product_members.c.group_id)
        .outerjoin(_OWN_LICENCE, _OWN_LICENCE.c.id == entitled.c.licence_id)
        .outerjoin(_GROUP_LICENCE, _GROUP_LICENCE.c.id == bought.c.licence_id)
    )
    .where(product_members.c.group_id.in_(bindparam("groups", expanding=True)))
    .order_by(product_members.c.group_id, product_members.c.position)
)


def _members(tx: Tx, groups: set[int]) -> Mapping[int, list[ProductFacts]]:
    members: dict[int, list[ProductFacts]] = {group: [] for group in groups}
    for row in tx.execute(_MEMBERS, {"groups": sorted(groups)}):
        members[row.group_id].append(_facts(row))
    return members


def _facts(row: Any) -> ProductFacts:
    return ProductFacts(
        row.product_id,
        row.code,
        row.name,
        row.delivery_method,
        row.us_eccn,
        row.eccn_restricted,
        row.foundries,
        row.process,
        row.licence_code,
    )


def _owned(row: Any) -> _Owned:
    return _Owned(_entitlement(row), row.licence_revision_id is not None, row.total)


def _entitlement(row: Any) -> Entitlement:
    virtual = bool(row.virtual)
    lapsed = "Lapsed" if row.lapsed else "Active"
    return Entitlement(
        number=child_number(row.id, row.product_id) if virtual else row.id,
        organisation_id=row.organisation_id,
        organisation_name=row.organisation_name,
        organisation_blocked=row.organisation_blocked,
        product=_facts(row),
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
        children=(),
    )


@cache
def _one(*, child: bool) -> Prepared:
    return Prepared(
        select(*_columns(child=child), _YES.label("total"))
        .select_from(entitlement_source(child=child))
        .where(of_reference(child=child))
    )


def permitted_entitlement(tx: Tx, who: Principal, number: str, *, now: datetime) -> Entitlement:
    """The caller's entitlement with this number, whatever its status; else NotFound."""
    found = _owned(entitlement_row(tx, who, number, now=now))
    return _with_children(tx, [found])[0]


def entitlement_row(tx: Tx, who: Principal, number: str, *, now: datetime) -> Any:
    """The caller's entitlement with its verdict, stored or child; NotFound otherwise."""
    reference = refer(number)
    child = reference.child_product_id is not None
    row = _one(child=child).one_or_none(tx, bind_reference(who, reference, now=now))
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
