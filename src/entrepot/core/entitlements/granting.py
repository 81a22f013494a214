"""Granting, changing and revoking entitlements: the publisher's and operator's verbs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, func, insert, or_, select, update

from entrepot.core.accounts import find_organisation
from entrepot.core.accounts.tables import organisations
from entrepot.core.catalogue import check_quality, find_product, find_revision
from entrepot.core.catalogue.tables import licence_revisions, licences, products
from entrepot.core.entitlements.predicate import CHILD_FACTOR, RIGHT_TO_DOWNLOAD
from entrepot.core.entitlements.tables import entitlements
from entrepot.core.events import Event, record
from entrepot.db import Tx, take_turns
from entrepot.errors import Conflict, Invalid, NotFound, Unavailable
from entrepot.kit.text import check_country, check_line

RIGHTS = (RIGHT_TO_DOWNLOAD, "use")
COMPLIANCE = ("approved", "pending", "blocked")
CODES_MAX = 300
QUOTA_MAX = 2**53 - 1  # what every JSON reader keeps exactly


@dataclass(frozen=True, slots=True)
class Grant:
    """What an organisation is given. Empty lists mean every quality, every country.

    Windows include their start and exclude their end; None means open. `pinned_licence`
    ("CODE" with `pinned_revision`) keeps the licence at one revision. `downloads_max`,
    `bytes_max` and `addresses_max` say what may be taken in all (delivery.quotas).
    """

    product: str
    right_to: str = RIGHT_TO_DOWNLOAD
    free: bool = False
    qualities: Sequence[str] = ()
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    maintenance_from: datetime | None = None
    maintenance_to: datetime | None = None
    design_start: Sequence[str] = ()
    allowed_countries: Sequence[str] = ()
    compliance: Literal["approved", "pending", "blocked"] = "approved"
    compliance_reason: str | None = None
    pinned_licence: str | None = None
    pinned_revision: int | None = None
    sales_order_item: str | None = None
    downloads_max: int | None = None
    bytes_max: int | None = None
    addresses_max: int | None = None


def grant(
    tx: Tx,
    organisation: str | int,
    given: Grant,
    *,
    again: bool = False,
    actor: str,
    now: datetime,
) -> int:
    """Give an organisation an entitlement; returns its number.

    Conflict where a live one says the same already, unless `again` says that a further one is
    meant. Live is what is neither revoked nor at its end. Two say the same where nothing that
    is said differs; without a `valid_from`, any that has begun says the same.
    """
    owner = find_organisation(tx, organisation)
    product = find_product(tx, given.product)
    if product.id >= CHILD_FACTOR:
        raise Unavailable(
            "The product's number is too large to be entitled.", code="numbers-used-up"
        )
    of = {"organisation_id": owner.id, "product_id": product.id}
    values = _values(tx, given, now=now) | of
    if not again:
        take_turns(tx, f"grants of {owner.id}")
        _refuse_twin(tx, values, begun=given.valid_from is None, now=now)
    values |= {
        "activated_at": now,
        "created_at": now,
        "changed_at": now,
    }
    number: int = tx.execute(insert(entitlements).returning(entitlements.c.id), values).scalar_one()
    if number >= CHILD_FACTOR:
        raise Unavailable("The numbers for entitlements are used up.", code="numbers-used-up")
    event = Event(
        "entitlement.granted", actor, f"entitlement:{number}", owner.id, {"product": product.code}
    )
    record(tx, event, now=now)
    return number


def _refuse_twin(tx: Tx, values: Mapping[str, Any], *, begun: bool, now: datetime) -> None:
    """Conflict where a live entitlement has these values; `begun`: its start only has to be past.

    Lists are compared as they are stored: in another order they say something else.
    """
    column = entitlements.c
    said = {name: value for name, value in values.items() if name != "valid_from"}
    twin = tx.execute(
        select(column.id)
        .where(
            column.revoked_at.is_(None),
            or_(column.valid_to.is_(None), column.valid_to > now),
            column.valid_from <= now if begun else column.valid_from == values["valid_from"],
            *(
                column[name].is_(None) if value is None else column[name] == value
                for name, value in said.items()
            ),
        )
        .order_by(column.id)
        .limit(1)
    ).scalar_one_or_none()
    if twin is not None:
        raise Conflict(
            f"Entitlement {twin} gives the same already.",
            code="already-granted",
            remedy="Use that one. Where a further one is meant, say so: `--again`, in the API "
            '`"again": true`.',
            details={"entitlement": twin},
        )


def change_entitlement(tx: Tx, number: int, given: Grant, *, actor: str, now: datetime) -> None:
    """Replace what an entitlement gives; its organisation and product stay."""
    row = find_entitlement(tx, number)
    if find_product(tx, given.product).id != row.product_id:
        raise Conflict("The product of an entitlement never changes.", code="product-fixed")
    values = _values(tx, given, now=row.valid_from) | {"changed_at": now}
    tx.execute(update(entitlements).where(entitlements.c.id == number).values(**values))
    event = Event("entitlement.changed", actor, f"entitlement:{number}", row.organisation_id)
    record(tx, event, now=now)


def revoke(tx: Tx, number: int, *, actor: str, now: datetime) -> None:
    """End an entitlement at once; it stays in the owner's list, and its links die in seconds."""
    row = find_entitlement(tx, number)
    if row.revoked_at is not None:
        raise Conflict("The entitlement is revoked already.", code="already-revoked")
    tx.execute(
        update(entitlements)
        .where(entitlements.c.id == number)
        .values(revoked_at=now, changed_at=now)
    )
    event = Event("entitlement.revoked", actor, f"entitlement:{number}", row.organisation_id)
    record(tx, event, now=now)


_STORED = (
    select(
        entitlements,
        organisations.c.name.label("organisation_name"),
        products.c.code.label("product_code"),
        licences.c.code.label("pinned_licence"),
        licence_revisions.c.revision.label("pinned_revision"),
    )
    .join(organisations, organisations.c.id == entitlements.c.organisation_id)
    .join(products, products.c.id == entitlements.c.product_id)
    .outerjoin(licence_revisions, licence_revisions.c.id == entitlements.c.licence_revision_id)
    .outerjoin(licences, licences.c.id == licence_revisions.c.licence_id)
)


def find_entitlement(tx: Tx, number: int) -> Row[Any]:
    """The stored entitlement with this number, of any organisation; NotFound otherwise.

    With `organisation_name`, `product_code`, and `pinned_licence` and `pinned_revision`.
    """
    row = tx.execute(_STORED.where(entitlements.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"There is no entitlement {number}.")
    return row


def list_all_entitlements(
    tx: Tx, *, organisation_id: int | None = None, skip: int = 0, take: int = 100
) -> tuple[list[Row[Any]], int]:
    """Stored entitlements by number, of one organisation or of all: the publisher's view.

    Each as `find_entitlement` gives it; beside the page, how many there are.
    """
    query = _STORED
    count = select(func.count()).select_from(entitlements)
    if organisation_id is not None:
        mine = entitlements.c.organisation_id == organisation_id
        query, count = query.where(mine), count.where(mine)
    total = tx.execute(count).scalar_one()
    return list(tx.execute(query.order_by(entitlements.c.id).offset(skip).limit(take))), total


def _values(tx: Tx, given: Grant, *, now: datetime) -> dict[str, Any]:
    if given.right_to not in RIGHTS:
        raise Invalid(
            f"There is no right {given.right_to!r}.",
            field="right_to",
            remedy=f"Rights: {', '.join(RIGHTS)}.",
        )
    if given.compliance not in COMPLIANCE:
        raise Invalid(
            f"There is no compliance status {given.compliance!r}.",
            field="compliance",
            remedy=f"Statuses: {', '.join(COMPLIANCE)}.",
        )
    valid_from = given.valid_from or now
    _check_window("valid_to", valid_from, given.valid_to)
    _check_window("maintenance_to", given.maintenance_from, given.maintenance_to)
    lists = (given.qualities, given.allowed_countries, given.design_start)
    if any(len(entries) > CODES_MAX for entries in lists):
        raise Invalid(f"A list has more than {CODES_MAX} entries.", field="qualities")
    return {
        "right_to": given.right_to,
        "free": given.free,
        "qualities": [check_quality(quality, field="qualities") for quality in given.qualities],
        "valid_from": valid_from,
        "valid_to": given.valid_to,
        "maintenance_from": given.maintenance_from,
        "maintenance_to": given.maintenance_to,
        "design_start": [check_line(name, field="design_start") for name in given.design_start],
        "allowed_countries": [
            check_country(code, field="allowed_countries") for code in given.allowed_countries
        ],
        "compliance": given.compliance,
        "compliance_reason": given.compliance_reason
        and check_line(given.compliance_reason, field="compliance_reason"),
        "licence_revision_id": _pinned(tx, given),
        "sales_order_item": given.sales_order_item
        and check_line(given.sales_order_item, field="sales_order_item"),
        **_quota(given),
    }


def _quota(given: Grant) -> dict[str, int | None]:
    limits = {
        "downloads_max": given.downloads_max,
        "bytes_max": given.bytes_max,
        "addresses_max": given.addresses_max,
    }
    for field, most in limits.items():
        if most is not None and not 1 <= most <= QUOTA_MAX:
            raise Invalid(f"{field} is a number from 1 to {QUOTA_MAX}.", field=field)
    return limits


def _pinned(tx: Tx, given: Grant) -> int | None:
    if given.pinned_licence is None:
        return None
    return find_revision(tx, given.pinned_licence, given.pinned_revision).id


def _check_window(field: str, start: datetime | None, end: datetime | None) -> None:
    if start is not None and end is not None and end <= start:
        raise Invalid("The period ends before it starts.", field=field)
