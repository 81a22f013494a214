"""Product downloads that the predicate grants, to people, machines, contacts and anybody.

What is `public` or for a `contact` is known to everyone: its publisher said so. What is for a
`purchase` is known to those who can know of the product, since it is listed or since they have,
or had, an entitlement to it; to everyone else it is not there. It is granted by the same rules
as an asset of the product (predicate.ASSET_RULES).

Whoever is signed in is kept from everything by a disabled account, a blocked organisation or an
embargo (predicate.CALLER_RULES), and whoever is not by an embargo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select

from entrepot.core.accounts import OPERATOR, PUBLISHER, Principal
from entrepot.core.accounts.grant_tables import contacts
from entrepot.core.catalogue import (
    CONTACT,
    PUBLIC,
    DownloadFilter,
    ShownDownload,
    find_product_download,
    find_shelf,
    list_product_downloads,
)
from entrepot.core.catalogue.tables import products
from entrepot.core.entitlements.asset_permission import (
    best_right,
    bind_caller,
    products_with_any_right,
    require_caller,
)
from entrepot.core.entitlements.reasons import denial
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Instant, Number
from entrepot.errors import Denied, NotFound, Unauthenticated
from entrepot.kit.ids import parse_number
from entrepot.kit.paging import Page
from entrepot.kit.text import is_storable


@dataclass(frozen=True, slots=True)
class Taker:
    """Who wants a product download. Nobody signed in: `organisation_id` is 0.

    `country` is by address, else the organisation's or what the contact said; `told_country` is
    what the contact said in any case.
    """

    organisation_id: int = 0
    user_id: int | None = None
    api_client_id: int | None = None
    contact_id: int | None = None
    country: str = ""
    told_country: str | None = None


@dataclass(frozen=True, slots=True)
class PermittedDownload:
    """A product download that may be had, and the entitlement that gives it where one does."""

    download_id: int
    product_id: int
    file_name: str
    content_type: str
    sha256: str
    size: int
    stored_at: datetime
    entitlement_id: int | None = None
    licence_revision_id: int | None = None


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """A product that the caller can know of."""

    id: int
    code: str


_PRODUCT = Prepared(
    select(*products.c["id", "code", "listed"]).where(
        or_(
            products.c.id == bindparam("number", type_=products.c.id.type),
            products.c.code == bindparam("code", type_=products.c.code.type),
        )
    )
)


def permitted_product(tx: Tx, who: Principal, reference: str) -> KnownProduct:
    """The product of this number or code whose downloads the caller may list; NotFound otherwise.

    Publishers see every product; others those that are listed, and those that their
    organisation has, or had, an entitlement to.
    """
    number = parse_number(reference)
    if not is_storable(reference):
        raise NotFound
    row = _PRODUCT.one_or_none(tx, {"number": number, "code": reference})
    _require_known(tx, who, row)
    return KnownProduct(row.id, row.code)


def list_permitted_downloads(
    tx: Tx, who: Principal, reference: str, wanted: DownloadFilter, page: Page
) -> tuple[Sequence[ShownDownload], int]:
    """`list_product_downloads` of the product that `permitted_product` gives, at half the price."""
    number = parse_number(reference)
    if not is_storable(reference):
        raise NotFound
    shelf = find_shelf(tx, number, reference, wanted, page)
    _require_known(tx, who, shelf)
    assert shelf is not None
    return shelf.page or list_product_downloads(tx, shelf.id, wanted, page)


def _require_known(tx: Tx, who: Principal, product: Any) -> None:
    if product is not None and (product.listed or who.roles.intersection((PUBLISHER, OPERATOR))):
        return
    # Asked in any case: what is not there must not be answered sooner than what is not theirs.
    rights = products_with_any_right(tx, who.organisation_id)
    if product is None or product.id not in rights:
        raise NotFound


def permitted_product_download(
    tx: Tx, taker: Taker, download_id: int, *, embargoed: Sequence[str] = (), now: datetime
) -> PermittedDownload:
    """Ask the predicate for one product download.

    NotFound where there is none, or none that the taker can know of. Unauthenticated where
    signing in, or leaving name and address, would help (`unauthenticated`, `contact-required`).
    Denied with reason and remedy where a condition fails now.
    """
    row = find_product_download(tx, download_id)
    if not taker.organisation_id:
        return _permitted_to_visitor(tx, taker, row, embargoed, now)
    bound = bind_caller(
        taker.organisation_id,
        taker.user_id,
        taker.api_client_id,
        taker.country,
        embargoed,
        now,
    )
    if row.visibility in (PUBLIC, CONTACT):
        require_caller(tx, bound)
        return _permitted(row)
    if row.product_id in products_with_any_right(tx, taker.organisation_id):
        bound["product_id"] = row.product_id
        return _permitted(row, best_right(tx, bound, taker.country))
    if not row.product_listed:
        raise NotFound
    require_caller(tx, bound)
    raise Denied(
        f"This file is for those who bought {row.product_code}.",
        code="purchase-required",
        remedy="Buy it from the publisher, or sign in as somebody of the organisation that did.",
        details={"product": row.product_code},
    )


def _permitted_to_visitor(
    tx: Tx, taker: Taker, row: Any, embargoed: Sequence[str], now: datetime
) -> PermittedDownload:
    contact = taker.contact_id is not None and _is_contact(tx, taker.contact_id, now)
    if row.visibility not in (PUBLIC, CONTACT) and not row.product_listed:
        raise NotFound
    for country in (taker.country, taker.told_country):
        if country and country in embargoed:
            raise denial("country-embargoed", {"country": country})
    if row.visibility == PUBLIC or (row.visibility == CONTACT and contact):
        return _permitted(row)
    if row.visibility == CONTACT:
        raise Unauthenticated(
            "This file is for those who sign in or say who they are.",
            code="contact-required",
            remedy="Sign in, send an access token, or open the address in a browser and leave "
            "your name, company and mail address once.",
        )
    raise Unauthenticated(
        f"This file is for those who bought {row.product_code}.",
        remedy="Sign in, or send an access token, of an organisation that is entitled to it.",
    )


_CONTACT = Prepared(
    select(contacts.c.id).where(
        contacts.c.id == bindparam("contact_id", type_=Number),
        contacts.c.expires_at > bindparam("now", type_=Instant()),
    )
)


def _is_contact(tx: Tx, contact_id: int, now: datetime) -> bool:
    return _CONTACT.one_or_none(tx, {"contact_id": contact_id, "now": now}) is not None


def _permitted(row: Any, given: Any = None) -> PermittedDownload:
    return PermittedDownload(
        row.id,
        row.product_id,
        row.file_name,
        row.content_type,
        row.sha256,
        row.size,
        row.stored_at,
        None if given is None else given.entitlement_id,
        None if given is None else given.licence_revision_id,
    )
