"""Media assets that the predicate grants, one by one and as a condition for many.

A public asset is for every account that is enabled, in an organisation that is not blocked,
from a country that is not under embargo. Any other is for those whom an entitlement to its
product, by itself or as a member of a group, gives the right to download, by the same rules as
an artifact without those on releases (predicate.ASSET_RULES).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select

from entrepot.core.accounts import Principal
from entrepot.core.accounts.tables import organisations
from entrepot.core.catalogue import PUBLIC, find_asset
from entrepot.core.catalogue.tables import assets, blobs
from entrepot.core.entitlements.permitting import (
    bound_codes,
    licence_details,
    period_details,
    plain_code,
)
from entrepot.core.entitlements.predicate import (
    ASSET_RULES,
    CALLER_RULES,
    GRANTED,
    ORGANISATION,
    RIGHT_TO_DOWNLOAD,
    entitled,
    entitlement_source,
    holds,
    required_revision,
    verdict_of,
)
from entrepot.core.entitlements.reasons import denial
from entrepot.core.entitlements.tables import entitlements
from entrepot.core.entitlements.views import PermittedAsset
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.errors import NotFound

_DOWNLOADS = and_(
    entitlements.c.organisation_id == ORGANISATION,
    entitlements.c.right_to == RIGHT_TO_DOWNLOAD,
)
_KINDS = (False, True)  # entitlements themselves, and the children of groups

_CALLER = Prepared(
    select(verdict_of(*CALLER_RULES).label("verdict"))
    .select_from(organisations)
    .where(organisations.c.id == ORGANISATION)
)


@cache
def _granted(*, child: bool) -> Prepared:
    return Prepared(
        select(entitled.c.id)
        .distinct()
        .select_from(entitlement_source(child=child))
        .where(_DOWNLOADS, holds(*ASSET_RULES))
    )


@cache
def _any_right(*, child: bool) -> Prepared:
    return Prepared(
        select(entitled.c.id)
        .distinct()
        .select_from(entitlement_source(child=child))
        .where(_DOWNLOADS)
    )


@cache
def _verdicts(*, child: bool) -> Prepared:
    """Each entitlement to one product, with its verdict."""
    return Prepared(
        select(
            entitlements.c.id.label("entitlement_id"),
            *entitlements.c["valid_from", "valid_to", "maintenance_from", "maintenance_to"],
            required_revision.label("licence_revision_id"),
            verdict_of(*ASSET_RULES).label("verdict"),
        )
        .select_from(entitlement_source(child=child))
        .where(_DOWNLOADS, entitled.c.id == bindparam("product_id", type_=Number))
        .order_by(entitlements.c.id)
    )


def granted_products(
    tx: Tx,
    *,
    organisation_id: int,
    user_id: int | None,
    api_client_id: int | None,
    country: str,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> frozenset[int]:
    """The products whose assets the caller may have now, for `asset_condition`.

    Denied where the caller may have nothing at all now, public assets included: the account
    is disabled, the organisation blocked, or the country under embargo.
    """
    bound = bind_caller(organisation_id, user_id, api_client_id, country, embargoed, now)
    require_caller(tx, bound)
    return frozenset(row.id for child in _KINDS for row in _granted(child=child).all(tx, bound))


def granted_to(
    tx: Tx, who: Principal, *, embargoed: Sequence[str] = (), now: datetime
) -> frozenset[int]:
    """As `granted_products`, for somebody who asks."""
    return granted_products(
        tx,
        organisation_id=who.organisation_id,
        user_id=who.user_id,
        api_client_id=who.api_client_id,
        country=who.country,
        embargoed=embargoed,
        now=now,
    )


def products_with_any_right(tx: Tx, organisation_id: int) -> frozenset[int]:
    """The products that the organisation has, or had, an entitlement to download.

    An asset of one of these is a 403 where it is not granted; one of any other is a 404.
    """
    bound = {"organisation_id": organisation_id}
    return frozenset(row.id for child in _KINDS for row in _any_right(child=child).all(tx, bound))


def asset_condition(granted: Collection[int]) -> ColumnElement[bool]:
    """For a SELECT over `assets`: those there that are public or of a product in `granted`."""
    # Numbers spelt out: a statement takes a limited number of bound values.
    products = bindparam("granted", sorted(granted), Number, expanding=True, literal_execute=True)
    return and_(
        assets.c.deleted_at.is_(None),
        or_(assets.c.visibility == PUBLIC, assets.c.product_id.in_(products)),
    )


def permitted_asset(
    tx: Tx,
    who: Principal,
    reference: str | int,
    *,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> PermittedAsset:
    """Ask the predicate for one asset, by number or identifier.

    NotFound where there is none, or it is deleted, or the organisation never had a right to its
    product; Denied with reason and remedy where a condition fails now.
    """
    return permitted_asset_for(
        tx,
        reference,
        organisation_id=who.organisation_id,
        user_id=who.user_id,
        api_client_id=who.api_client_id,
        country=who.country,
        embargoed=embargoed,
        now=now,
    )


def permitted_asset_for(
    tx: Tx,
    reference: str | int,
    *,
    organisation_id: int,
    user_id: int | None,
    api_client_id: int | None,
    country: str,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> PermittedAsset:
    """As `permitted_asset`, for whoever a lease was written for."""
    try:
        row = find_asset(tx, reference)
    except NotFound:
        raise NotFound from None  # the same words as for what is not yours
    bound = bind_caller(organisation_id, user_id, api_client_id, country, embargoed, now)
    if row.visibility == PUBLIC:
        require_caller(tx, bound)
        return _permitted(row)
    return _permitted(row, best_right(tx, bound | {"product_id": row.product_id}, country))


def list_permitted_assets(
    tx: Tx,
    who: Principal,
    *,
    media_group: str | None = None,
    skip: int = 0,
    take: int = 100,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> tuple[list[PermittedAsset], int]:
    """The assets that the caller may have now, by number, and how many there are in all.

    Denied where the caller may have nothing at all now. The entitlement that gives an asset is
    not looked for here.
    """
    granted = granted_to(tx, who, embargoed=embargoed, now=now)
    conditions = [asset_condition(granted)]
    if media_group is not None:
        conditions.append(assets.c.media_group == media_group)
    total = tx.execute(select(func.count()).select_from(assets).where(*conditions)).scalar_one()
    page = select(assets.c.id).where(*conditions).order_by(assets.c.id).offset(skip).limit(take)
    chosen = page.subquery()
    query = (
        select(assets, blobs.c.size, blobs.c.crc32)
        .join(chosen, chosen.c.id == assets.c.id)
        .join(blobs, blobs.c.sha256 == assets.c.sha256)
        .order_by(assets.c.id)
    )
    return [_permitted(row) for row in tx.execute(query)], int(total)


def bind_caller(
    organisation_id: int,
    user_id: int | None,
    api_client_id: int | None,
    country: str,
    embargoed: Sequence[str],
    now: datetime,
) -> dict[str, Any]:
    """The values that the predicate's statements on products bind."""
    return {
        "now": now,
        "organisation_id": organisation_id,
        "user_id": user_id,
        "api_client_id": api_client_id,
        "country": plain_code(country),
        "embargoed": bound_codes(embargoed),
    }


def require_caller(tx: Tx, bound: dict[str, Any]) -> None:
    """Denied where the caller, as in `bind_caller`, may have nothing at all now."""
    row = _CALLER.one_or_none(tx, bound)
    if row is None:
        raise NotFound
    if row.verdict != GRANTED:
        raise denial(row.verdict, {"country": bound["country"]})


_PASSED = {rule.verdict: at for at, rule in enumerate(ASSET_RULES)} | {GRANTED: len(ASSET_RULES)}


def best_right(tx: Tx, bound: dict[str, Any], country: str) -> Any:
    """The entitlement that grants `product_id`; Denied as to the one that came furthest.

    NotFound where the organisation never had one.
    """
    rows = [row for child in _KINDS for row in _verdicts(child=child).all(tx, bound)]
    best = max(rows, key=lambda row: _PASSED[row.verdict], default=None)
    if best is None:
        raise NotFound
    if best.verdict != GRANTED:
        details = period_details(best) | {"country": country}
        if best.verdict == "licence-required":
            details |= licence_details(tx, best.licence_revision_id)
        raise denial(best.verdict, details)
    return best


def _permitted(row: Any, given: Any = None) -> PermittedAsset:
    return PermittedAsset(
        row.id,
        row.identifier,
        row.title,
        row.folder,
        row.media_group,
        row.file_name,
        row.content_type,
        row.facts,
        row.sha256,
        row.size,
        row.crc32,
        row.changed_at,
        None if given is None else row.product_id,
        None if given is None else given.entitlement_id,
        None if given is None else given.licence_revision_id,
    )
