"""Links to product downloads, also for those who are not signed in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from entrepot.core.accounts import Contact, Keyring, Principal
from entrepot.core.delivery.links import (
    LINK_SECONDS_MAX,
    IssuedLink,
    begin_lease,
    sign_lease,
)
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements import Taker, permitted_product_download
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx
from entrepot.kit.context import request_id

ANYONE = "anyone"
_COLUMNS = (
    *("id", "principal", "user_id", "api_client_id", "organisation_id", "entitlement_id"),
    *("product_download_id", "sha256", "file_name", "content_type", "country"),
    *("declared_country", "licence_revision_id", "issued_at", "expires_at", "request_id"),
)
_INSERT = Prepared(insert(leases).inline(), _COLUMNS)


def issue_product_download_link(
    tx: Tx,
    keyring: Keyring,
    visitor: Principal | Contact | None,
    download_id: int,
    *,
    country: str = "",
    embargoed: Sequence[str] = (),
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> IssuedLink:
    """Decide, write the lease, sign. Raises as `permitted_product_download` does.

    `visitor` None: nobody is signed in, nor known as a contact. `country` is theirs by address,
    '' where it is not known; a principal has its own.
    """
    taker = taker_of(visitor, country)
    download = permitted_product_download(tx, taker, download_id, embargoed=embargoed, now=now)
    lease_id, expires_at = begin_lease(seconds, now)
    principal = ANYONE if visitor is None else visitor.label
    values: Mapping[str, Any] = {
        "id": lease_id,
        "principal": principal,
        "user_id": taker.user_id,
        "api_client_id": taker.api_client_id,
        "organisation_id": taker.organisation_id,
        "entitlement_id": download.entitlement_id,
        "product_download_id": download.download_id,
        "sha256": download.sha256,
        "file_name": download.file_name,
        "content_type": download.content_type,
        "country": taker.country,
        "declared_country": taker.told_country,
        "licence_revision_id": download.licence_revision_id,
        "issued_at": now,
        "expires_at": expires_at,
        "request_id": request_id.get(),
    }
    _INSERT.run(tx, values)
    event = Event(
        "link.issued",
        principal,
        f"product-download:{download.download_id}",
        taker.organisation_id or None,
        {"product": download.product_id, "country": taker.country},
    )
    record(tx, event, now=now)
    return sign_lease(keyring, lease_id, expires_at, download.file_name, now=now)


def taker_of(visitor: Principal | Contact | None, country: str) -> Taker:
    """Whom the predicate is asked about."""
    if isinstance(visitor, Principal):
        return Taker(
            visitor.organisation_id,
            visitor.user_id,
            visitor.api_client_id,
            country=visitor.country,
        )
    if visitor is None:
        return Taker(country=country)
    return Taker(
        contact_id=visitor.id,
        country=country or visitor.country or "",
        told_country=visitor.country,
    )


def taker_of_lease(lease: Any) -> Taker:
    """Whom a lease was written for."""
    kind, _, number = lease.principal.partition(":")
    return Taker(
        lease.organisation_id,
        lease.user_id,
        lease.api_client_id,
        int(number) if kind == "contact" else None,
        lease.country,
        lease.declared_country,
    )
