"""Issuing links to artifacts: to one, to each of a release, or to all of them in one ZIP."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from entrepot.core.accounts import Keyring, Principal
from entrepot.core.delivery._signing import BATCH_DIGITS, LEASE_BYTES, batch_of, sign_link
from entrepot.core.delivery.quotas import require_room, require_room_for_each
from entrepot.core.delivery.releases import release_file_name
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements import (
    ArtifactRequest,
    Explanation,
    PermittedArtifact,
    PermittedArtifacts,
    Reference,
    permitted_artifact,
    permitted_artifacts,
    refer,
)
from entrepot.core.events import Event, record_all
from entrepot.db import Prepared, Tx
from entrepot.kit.context import request_id
from entrepot.kit.ids import parse_uuid
from entrepot.kit.text import check_country

LINK_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A fresh link: its path below the links door, and when it dies."""

    path: str
    lease_id: str
    expires_at: datetime


def begin_lease(seconds: int, now: datetime) -> tuple[str, datetime]:
    """The id of a new lease, and when it ends: in `seconds`, at most 600."""
    ends_at = now + timedelta(seconds=min(seconds, LINK_SECONDS_MAX))
    return secrets.token_hex(LEASE_BYTES), ends_at


def begin_leases(count: int, seconds: int, now: datetime) -> list[tuple[str, datetime]]:
    """As `begin_lease` for leases that are issued together: their ids differ in the last digits.

    So those that will be redeemed next are found by the one that is redeemed now. An id is no
    secret: the signature of a link is.
    """
    first, ends_at = begin_lease(seconds, now)
    if count == 1:
        return [(first, ends_at)]
    return [(f"{batch_of(first)}{number:0{BATCH_DIGITS}x}", ends_at) for number in range(count)]


def sign_lease(
    keyring: Keyring, lease_id: str, expires_at: datetime, file_name: str, *, now: datetime
) -> IssuedLink:
    """The link of a lease that was written."""
    path = sign_link(
        keyring.signing_link_key(now),
        lease_id=lease_id,
        expires_at=expires_at,
        file_name=file_name,
    )
    return IssuedLink(path, lease_id, expires_at)


_OF_OTHERS = (
    "order_id",
    "asset_id",
    "product_download_id",
    "sha256",
    "file_name",
    "content_type",
)
_INSERT = Prepared(
    insert(leases).inline(), [each.name for each in leases.c if each.name not in _OF_OTHERS]
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
    request = link_request(who, refer(number), release_id, artifact_id, declared_country, embargoed)
    artifact = permitted_artifact(tx, request, now=now)
    require_room_for(tx, who, artifact, now=now)
    [link] = _issue(
        tx,
        keyring,
        who,
        request,
        {artifact.artifact_id: artifact.file_name},
        licence_revision_id=artifact.licence_revision_id,
        seconds=seconds,
        now=now,
    )
    return link


def issue_artifact_links(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    number: str,
    release_id: str,
    only: Collection[str] = (),
    declared_country: str | None,
    embargoed: Sequence[str] = (),
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> tuple[list[IssuedLink], PermittedArtifacts]:
    """A link to each artifact of a release, or to those in `only`; they come along, in order.

    As `issue_artifact_link` for one after the other, but all or none: where one may not be had,
    its refusal is the answer, and nothing is written.
    """
    request = link_request(who, refer(number), release_id, "", declared_country, embargoed)
    granted = permitted_artifacts(tx, request, only=only, now=now)
    if granted.limited:
        wanted = {f"artifact:{file.artifact_id}": file.size for file in granted.files}
        require_room_for_each(tx, granted.entitlement_id, who.label, wanted, now=now)
    links = _issue(
        tx,
        keyring,
        who,
        request,
        {file.artifact_id: file.file_name for file in granted.files},
        licence_revision_id=granted.licence_revision_id,
        seconds=seconds,
        now=now,
    )
    return links, granted


def issue_release_link(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    number: str,
    release_id: str,
    declared_country: str | None,
    embargoed: Sequence[str] = (),
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> tuple[IssuedLink, PermittedArtifacts]:
    """A link to the ZIP of all artifacts of a release; they come along.

    As `issue_artifact_link`, where every artifact must be granted: an archive that lacks a
    file would pass for the whole release.
    """
    request = link_request(who, refer(number), release_id, "", declared_country, embargoed)
    granted = permitted_artifacts(tx, request, now=now)
    if granted.limited:
        named = f"release:{granted.release_id}"
        require_room(tx, granted.entitlement_id, who.label, named, now=now)
    [link] = _issue(
        tx,
        keyring,
        who,
        request,
        {None: release_file_name(granted)},
        licence_revision_id=granted.licence_revision_id,
        seconds=seconds,
        now=now,
    )
    return link, granted


def require_room_for(
    tx: Tx, who: Principal, artifact: PermittedArtifact | Explanation, *, now: datetime
) -> None:
    """Denied where the entitlement's quota has no room for the artifact now; reserves nothing."""
    if artifact.limited:
        named = f"artifact:{artifact.artifact_id}"
        require_room(tx, artifact.entitlement_id, who.label, named, artifact.size, now=now)


def link_request(
    who: Principal,
    reference: Reference,
    release_id: str,
    artifact_id: str,
    declared_country: str | None,
    embargoed: Sequence[str],
) -> ArtifactRequest:
    """What the predicate is asked for a link. Invalid: `declared_country` is no country."""
    return ArtifactRequest(
        organisation_id=who.organisation_id,
        user_id=who.user_id,
        api_client_id=who.api_client_id,
        reference=reference,
        release_id=release_id,
        artifact_id=artifact_id,
        country=who.country,
        declared_country=_declared(declared_country),
        embargoed=embargoed,
    )


def _issue(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    request: ArtifactRequest,
    files: Mapping[str | None, str],
    *,
    licence_revision_id: int | None,
    seconds: int,
    now: datetime,
) -> list[IssuedLink]:
    """A lease and an event for each artifact in `files`, by its file's name; None: the ZIP."""
    release_id = parse_uuid(request.release_id)
    begun = begin_leases(len(files), seconds, now)
    shared: dict[str, Any] = {
        "principal": who.label,
        "user_id": who.user_id,
        "api_client_id": who.api_client_id,
        "organisation_id": who.organisation_id,
        "entitlement_id": request.reference.entitlement_id,
        "child_product_id": request.reference.child_product_id,
        "release_id": release_id,
        "country": who.country,
        "declared_country": request.declared_country,
        "licence_revision_id": licence_revision_id,
        "issued_at": now,
        "request_id": request_id.get(),
    }
    data = {
        "entitlement": str(request.reference.number),
        "country": who.country,
        "declared_country": request.declared_country,
    }
    rows, told = [], []
    for (lease_id, ends_at), artifact_id in zip(begun, files, strict=True):
        own = {"id": lease_id, "artifact_id": artifact_id, "expires_at": ends_at}
        rows.append(shared | own)
        subject = f"release:{release_id}" if artifact_id is None else f"artifact:{artifact_id}"
        told.append(Event("link.issued", who.label, subject, who.organisation_id, data))
    _INSERT.run_many(tx, rows)
    record_all(tx, told, now=now)
    return [
        sign_lease(keyring, lease_id, ends_at, file_name, now=now)
        for (lease_id, ends_at), file_name in zip(begun, files.values(), strict=True)
    ]


def _declared(country: str | None) -> str | None:
    if country is None or not country.strip():
        return None
    return check_country(country, field="declared_country")
