"""Releases and artifacts that the predicate grants, and why not where it does not."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, select

from entrepot.core.accounts import Principal
from entrepot.core.catalogue.tables import (
    artifacts,
    blobs,
    licence_revisions,
    licences,
    releases,
)
from entrepot.core.entitlements.owned import bind_reference, entitlement_row, refer
from entrepot.core.entitlements.predicate import (
    GRANTED,
    RELEASE_RULES,
    RIGHT_TO_DOWNLOAD,
    Reference,
    entitlement_source,
    holds,
    of_reference,
    permission,
    release_in_chain,
)
from entrepot.core.entitlements.reasons import day, denial
from entrepot.core.entitlements.views import (
    Artifact,
    ArtifactRequest,
    PermittedArtifact,
    PermittedArtifacts,
    PermittedFile,
    Release,
    ReleaseFilter,
)
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number, listed_texts
from entrepot.errors import Denied, NotFound
from entrepot.kit.ids import parse_uuid
from entrepot.kit.paging import Page


@cache
def _releases(*, child: bool, available_from: bool, paged: bool) -> Prepared:
    query = (
        select(releases, func.count().over().label("total"))
        .select_from(entitlement_source(child=child).join(releases, release_in_chain))
        .where(of_reference(child=child), holds(*RELEASE_RULES))
        .order_by(releases.c.available_at.desc(), releases.c.id)
    )
    if available_from:
        query = query.where(
            releases.c.available_at
            >= bindparam("available_from", type_=releases.c.available_at.type)
        )
    if paged:
        query = query.limit(bindparam("take", type_=Number)).offset(bindparam("skip", type_=Number))
    return Prepared(query)


def list_permitted_releases(
    tx: Tx,
    who: Principal,
    number: str,
    wanted: ReleaseFilter = ReleaseFilter(),  # noqa: B008 - frozen
    page: Page | None = None,
    *,
    now: datetime,
) -> tuple[list[Release], int]:
    """The releases that an entitlement gives, newest first, and how many there are in all.

    NotFound: no such entitlement, or one without the right to download. Denied: the
    entitlement itself does not hold now.
    """
    row = entitlement_row(tx, who, number, now=now)
    if row.right_to != RIGHT_TO_DOWNLOAD:
        raise NotFound
    if row.verdict != GRANTED:
        raise denial(row.verdict, period_details(row))
    reference = refer(number)
    bound = bind_reference(who, reference, now=now)
    if wanted.latest:
        # "The newest" is one release, so paging is over that one.
        found, _ = _find_releases(tx, reference, bound, wanted.available_from, Page(1, 1))
        shown = found if page is None or page.number == 1 else []
        return shown, len(found)
    return _find_releases(tx, reference, bound, wanted.available_from, page)


def _find_releases(
    tx: Tx,
    reference: Reference,
    bound: dict[str, Any],
    available_from: datetime | None,
    page: Page | None,
) -> tuple[list[Release], int]:
    query = _releases(
        child=reference.child_product_id is not None,
        available_from=available_from is not None,
        paged=page is not None,
    )
    if available_from is not None:
        bound = bound | {"available_from": available_from}
    limits = {} if page is None else {"take": page.size, "skip": page.skip}
    rows = query.all(tx, bound | limits)
    if not rows and page is not None and page.number > 1:
        return [], _find_releases(tx, reference, bound, available_from, Page(1, 1))[1]
    held = _artifacts(tx, [row.id for row in rows])
    shown = [_release(row, reference.number, held[row.id]) for row in rows]
    return shown, int(rows[0].total) if rows else 0


_ARTIFACTS = (
    select(artifacts, blobs.c.size, blobs.c.md5)
    .join(blobs)
    .where(artifacts.c.release_id.in_(bindparam("release_ids", expanding=True)))
    .order_by(artifacts.c.release_id, artifacts.c.position)
)
_IN_LIST_MAX = 500  # SQLite takes 32,766 variables a statement; smaller batches cache better


def _artifacts(tx: Tx, release_ids: Sequence[str]) -> Mapping[str, list[Artifact]]:
    held: dict[str, list[Artifact]] = {release_id: [] for release_id in release_ids}
    for start in range(0, len(release_ids), _IN_LIST_MAX):
        batch = release_ids[start : start + _IN_LIST_MAX]
        for row in tx.execute(_ARTIFACTS, {"release_ids": batch}):
            held[row.release_id].append(_artifact(row))
    return held


def _artifact(row: Any) -> Artifact:
    return Artifact(
        row.id,
        row.name,
        row.description,
        row.type,
        row.file_name,
        row.content_type,
        row.size,
        row.md5,
        row.sha256,
        row.repository,
    )


def _release(row: Any, number: int, held: Sequence[Artifact]) -> Release:
    return Release(
        row.id,
        number,
        row.name,
        row.revision,
        row.patch,
        row.major_version,
        row.minor_version,
        row.quality,
        row.type,
        row.available_at,
        held,
    )


_RELEASE = Prepared(
    select(releases).where(releases.c.id == bindparam("release_id", type_=releases.c.id.type))
)


def permitted_release(
    tx: Tx, who: Principal, number: str, release_id: str, *, now: datetime
) -> Release:
    """A release with its artifacts, by the predicate; NotFound or Denied otherwise."""
    reference = refer(number)
    row = _permission_row(tx, who, reference, release_id, now=now)
    release = _RELEASE.one_or_none(tx, {"release_id": row.release_id})
    return _release(release, reference.number, _artifacts(tx, [release.id])[release.id])


def describe_artifact(
    tx: Tx, who: Principal, number: str, release_id: str, artifact_id: str, *, now: datetime
) -> Artifact:
    """What there is to know of an artifact, for those who may have its release."""
    release = permitted_release(tx, who, number, release_id, now=now)
    wanted = parse_uuid(artifact_id)
    for artifact in release.artifacts:
        if artifact.id == wanted:
            return artifact
    raise NotFound


def _permission_row(
    tx: Tx, who: Principal, reference: Reference, release_id: str, *, now: datetime
) -> Any:
    bound = bind_reference(who, reference, now=now) | {"release_id": parse_uuid(release_id)}
    child = reference.child_product_id is not None
    row = permission("release", child=child).one_or_none(tx, bound)
    if row is None:
        raise NotFound
    if row.verdict != GRANTED:
        raise denial(
            row.verdict, period_details(row) | _newest_owned(tx, reference, bound, row.verdict)
        )
    return row


def permitted_artifact(tx: Tx, request: ArtifactRequest, *, now: datetime) -> PermittedArtifact:
    """Ask the predicate for one artifact; NotFound, or Denied with reason and remedy."""
    bound = bind_request(request, now) | {"artifact_id": parse_uuid(request.artifact_id)}
    child = request.reference.child_product_id is not None
    row = permission("artifact", child=child).one_or_none(tx, bound)
    if row is None:
        raise NotFound
    if row.verdict != GRANTED:
        raise refusal(tx, request, row, bound, row.verdict)
    return _permitted(row)


def permitted_among(
    tx: Tx, request: ArtifactRequest, artifact_ids: Collection[str], *, now: datetime
) -> list[PermittedArtifact]:
    """Ask the predicate for several artifacts of a release; those that are granted, in order."""
    rows = _ask_of_release(tx, request, bind_request(request, now), artifact_ids)
    return [_permitted(row) for row in rows if row.verdict == GRANTED]


def _ask_of_release(
    tx: Tx, request: ArtifactRequest, bound: Mapping[str, Any], only: Collection[str] | None
) -> Sequence[Any]:
    """The predicate's rows for these artifacts of a release; None for all of them."""
    child = request.reference.child_product_id is not None
    if only is None:
        return permission("artifacts", child=child).all(tx, bound)
    chosen = {**bound, "artifact_ids": listed_texts(only)}
    return permission("chosen", child=child).all(tx, chosen)


def _permitted(row: Any) -> PermittedArtifact:
    return PermittedArtifact(
        row.entitlement_id,
        row.product_id,
        row.release_id,
        row.artifact_id,
        row.file_name,
        row.content_type,
        row.sha256,
        row.size,
        row.available_at,
        row.licence_revision_id,
        row.limited,
    )


def permitted_artifacts(
    tx: Tx, request: ArtifactRequest, *, only: Collection[str] = (), now: datetime
) -> PermittedArtifacts:
    """Ask the predicate for every artifact of a release (`artifact_id` does not count).

    `only`: these of them, by UUID; none given means all. NotFound, also where one of them is
    not in the release, or Denied with reason and remedy of the first that the caller may not
    have now.
    """
    named = {parse_uuid(artifact_id) for artifact_id in only}
    wanted = {artifact_id for artifact_id in named if artifact_id is not None}
    if len(wanted) != len(named):
        raise NotFound
    bound = bind_request(request, now)
    rows = _ask_of_release(tx, request, bound, wanted or None)
    if not rows or (wanted and len(rows) != len(wanted)):
        raise NotFound
    for row in rows:
        if row.verdict != GRANTED:
            raise refusal(tx, request, row, bound, row.verdict)
    first = rows[0]
    files = [
        PermittedFile(row.file_name, row.size, row.crc32, row.sha256, row.md5, row.artifact_id)
        for row in rows
    ]
    return PermittedArtifacts(
        first.entitlement_id,
        first.product_code,
        first.release_id,
        first.release_name,
        first.available_at,
        first.licence_revision_id,
        files,
        first.limited,
    )


def bind_request(request: ArtifactRequest, now: datetime) -> dict[str, Any]:
    """What every level of the predicate but that of a release needs."""
    reference = request.reference
    bound: dict[str, Any] = {
        "now": now,
        "organisation_id": request.organisation_id,
        "entitlement_id": reference.entitlement_id,
        "release_id": parse_uuid(request.release_id),
        "user_id": request.user_id,
        "api_client_id": request.api_client_id,
        "country": plain_code(request.country),
        "declared_country": plain_code(request.declared_country),
        "embargoed": bound_codes(request.embargoed),
    }
    if reference.child_product_id is not None:
        bound["child_product_id"] = reference.child_product_id
    return bound


def refusal(
    tx: Tx, request: ArtifactRequest, row: Any, bound: Mapping[str, Any], verdict: str
) -> Denied:
    """The error for a verdict on an artifact, with everything that its text names."""
    details = period_details(row) | {
        "country": request.country,
        "declared_country": request.declared_country or "",
    }
    if verdict == "licence-required":
        details |= licence_details(tx, row.licence_revision_id)
    return denial(verdict, details | _newest_owned(tx, request.reference, bound, verdict))


def bound_codes(codes: Sequence[str]) -> str:
    """A list of codes as the predicate takes it: `,AA,BB,`."""
    return "".join(f",{code}" for code in codes) + ","


def plain_code(country: str | None) -> str | None:
    """The code as the lists of codes hold it: one that has a comma could pass for two of them."""
    return None if country is None else country.replace(",", "")


def period_details(row: Any) -> dict[str, str | int | bool]:
    """The periods of an entitlement, as its denials name them."""
    return {
        "valid_from": day(row.valid_from),
        "valid_to": day(row.valid_to),
        "maintenance_from": day(row.maintenance_from),
        "maintenance_to": day(row.maintenance_to),
    }


_OTHER_RELEASES = {
    "maintenance-ended": "renew the maintenance with the publisher to get later ones",
    "before-maintenance": "ask the publisher for an entitlement to earlier ones",
}


def _newest_owned(
    tx: Tx, reference: Reference, bound: Mapping[str, Any], verdict: str
) -> dict[str, str]:
    """For the remedy: the newest release that the entitlement does give."""
    if verdict not in _OTHER_RELEASES:
        return {}
    query = _releases(
        child=reference.child_product_id is not None, available_from=False, paged=True
    )
    newest = query.one_or_none(tx, {**bound, "take": 1, "skip": 0})
    remedy = _OTHER_RELEASES[verdict]
    if newest is None:
        return {"owned": f"The maintenance period includes no release; {remedy}."}
    return {
        "owned": f"The newest release you still own is {newest.name} ({newest.id}); {remedy}.",
        "newest_release_id": newest.id,
        "newest_release_name": newest.name,
    }


def licence_details(tx: Tx, revision_id: int) -> dict[str, str | int | bool]:
    """The licence that has to be accepted, as the denial names it."""
    row = tx.execute(
        select(licences.c.code, licence_revisions.c.revision)
        .join(licence_revisions)
        .where(licence_revisions.c.id == revision_id)
    ).one()
    return {"licence": row.code, "revision": row.revision}
