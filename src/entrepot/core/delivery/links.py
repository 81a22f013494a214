"""Issuing and redeeming links to artifacts."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select

from entrepot.core.accounts import Keyring, Principal
from entrepot.core.delivery._signing import LEASE_BYTES, invalid_link, sign_link
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements import (
    ArtifactRequest,
    PermittedArtifact,
    Reference,
    permitted_artifact,
    refer,
)
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx
from entrepot.errors import Gone, NotFound
from entrepot.kit.context import request_id
from entrepot.kit.text import check_country

LINK_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A fresh link: its path below the links door, and when it dies."""

    path: str
    lease_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RedeemedLink:
    """What a lease gives now: whose it is, and the bytes."""

    lease_id: str
    principal: str
    organisation_id: int
    entitlement_id: int
    artifact: PermittedArtifact


_INSERT = Prepared(insert(leases).inline(), leases.c.keys())
_LEASE = Prepared(
    select(
        *leases.c[
            "principal",
            "user_id",
            "api_client_id",
            "organisation_id",
            "entitlement_id",
            "child_product_id",
            "release_id",
            "artifact_id",
            "country",
            "declared_country",
        ]
    ).where(leases.c.id == bindparam("lease_id", type_=leases.c.id.type))
)


def issue_artifact_link(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    number: str,
    release_id: str,
    artifact_id: str,
    declared_country: str | None,
    embargoed: Sequence[str] = (),
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> IssuedLink:
    """Decide, write the lease, sign. NotFound or Denied as the predicate says.

    The link is good for `seconds`, at most 600. Invalid: `declared_country` is no country;
    an empty one is none declared.
    """
    reference = refer(number)
    declared = _declared(declared_country)
    request = ArtifactRequest(
        organisation_id=who.organisation_id,
        user_id=who.user_id,
        api_client_id=who.api_client_id,
        reference=reference,
        release_id=release_id,
        artifact_id=artifact_id,
        country=who.country,
        declared_country=declared,
        embargoed=embargoed,
    )
    artifact = permitted_artifact(tx, request, now=now)
    lease_id = secrets.token_hex(LEASE_BYTES)
    expires_at = now + timedelta(seconds=min(seconds, LINK_SECONDS_MAX))
    values: dict[str, Any] = {
        "id": lease_id,
        "principal": who.label,
        "user_id": who.user_id,
        "api_client_id": who.api_client_id,
        "organisation_id": who.organisation_id,
        "entitlement_id": reference.entitlement_id,
        "child_product_id": reference.child_product_id,
        "release_id": artifact.release_id,
        "artifact_id": artifact.artifact_id,
        "country": who.country,
        "declared_country": declared,
        "licence_revision_id": artifact.licence_revision_id,
        "issued_at": now,
        "expires_at": expires_at,
        "request_id": request_id.get(),
    }
    _INSERT.run(tx, values)
    event = Event(
        "link.issued",
        who.label,
        f"artifact:{artifact.artifact_id}",
        who.organisation_id,
        {"entitlement": number, "country": who.country, "declared_country": declared},
    )
    record(tx, event, now=now)
    path = sign_link(
        keyring.signing_link_key(now),
        lease_id=lease_id,
        expires_at=expires_at,
        file_name=artifact.file_name,
    )
    return IssuedLink(path, lease_id, expires_at)


def _declared(country: str | None) -> str | None:
    if country is None or not country.strip():
        return None
    return check_country(country, field="declared_country")


def redeem_link(
    tx: Tx, lease_id: str, *, embargoed: Sequence[str] = (), now: datetime
) -> RedeemedLink:
    """Ask the predicate again for the lease behind a genuine link.

    Denied: a condition fails by now (revoked, withdrawn, ...). Gone: the object is no more.
    """
    lease = _LEASE.one_or_none(tx, {"lease_id": lease_id})
    if lease is None:
        raise invalid_link()
    request = ArtifactRequest(
        organisation_id=lease.organisation_id,
        user_id=lease.user_id,
        api_client_id=lease.api_client_id,
        reference=Reference(lease.entitlement_id, lease.child_product_id),
        release_id=lease.release_id,
        artifact_id=lease.artifact_id,
        country=lease.country,
        declared_country=lease.declared_country,
        embargoed=embargoed,
    )
    try:
        artifact = permitted_artifact(tx, request, now=now)
    except NotFound as error:
        raise Gone(
            "What this link led to is no longer there.",
            code="object-gone",
            remedy="List the releases that your organisation is entitled to.",
        ) from error
    return RedeemedLink(
        lease_id, lease.principal, lease.organisation_id, lease.entitlement_id, artifact
    )
