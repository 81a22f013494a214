"""Releases and their artifacts.

A release is a draft while its files come in, then available, perhaps from a later moment
on, then perhaps withdrawn. `publishing.publish` does the whole in one go.
"""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.blobs import Digests
from entrepot.core.catalogue.intake import remember_blobs
from entrepot.core.catalogue.repositories import check_repository, is_controlled
from entrepot.core.catalogue.tables import artifacts, blobs, products, releases
from entrepot.core.events import Event, record, record_all
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.file_names import check_file_name, fold_file_name
from entrepot.kit.ids import new_uuid, parse_uuid
from entrepot.kit.text import check_line

DRAFT, AVAILABLE, WITHDRAWN = "draft", "available", "withdrawn"
ARTIFACTS_MAX = 1000
_QUALITY = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What a publisher says of a release; the name is unique within the product."""

    name: str
    revision: str | None = None
    patch: str | None = None
    major_version: str | None = None
    minor_version: str | None = None
    quality: str = "EAC"
    type: str = "Release"


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """What a publisher says of a file. A `repository` that contains `controlled` makes
    customers declare their country before they get it; one that nearly does is refused unless
    `uncontrolled` says that it is meant."""

    file_name: str
    name: str = ""
    description: str = ""
    type: str = "File"
    content_type: str | None = None
    repository: str = "general"
    uncontrolled: bool = False


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A file whose bytes are stored already: `values` as `artifact_values` gives them."""

    values: Mapping[str, Any]
    digests: Digests
    artifact_id: str | None = None  # a new one unless given


def check_quality(quality: str, *, field: str) -> str:
    """A quality such as EAC or BETA; Invalid names `field`."""
    upper = quality.strip().upper()
    if not _QUALITY.fullmatch(upper):
        raise Invalid(f"{quality!r} is not a quality: 1 to 16 of A-Z, 0-9, '-'.", field=field)
    return upper


def create_release(
    tx: Tx,
    product_id: int,
    spec: ReleaseSpec,
    *,
    release_id: str | None = None,
    actor: str,
    now: datetime,
) -> str:
    """Start a draft, which only publishers see; returns its UUID, a new one unless given."""
    product = tx.execute(select(products).where(products.c.id == product_id)).one_or_none()
    if product is None:
        raise NotFound(f"There is no product {product_id}.")
    refuse_group(product)
    values = release_values(spec) | {
        "id": release_id or new_uuid(),
        "product_id": product_id,
        "state": DRAFT,
        "created_at": now,
        "changed_at": now,
    }
    try:
        with tx.begin_nested():
            tx.execute(insert(releases), values)
    except IntegrityError as error:
        raise Conflict(
            f"The product has a release {spec.name!r} already.", code="name-taken"
        ) from error
    record(tx, Event("release.created", actor, f"release:{values['id']}"), now=now)
    return str(values["id"])


def refuse_group(product: Row[Any]) -> None:
    """Invalid where the product is a group."""
    if product.grouped:
        raise Invalid(
            "A group has no releases of its own: publish to its members.", field="product"
        )


def release_values(spec: ReleaseSpec) -> dict[str, Any]:
    """What is said of a release, checked, by column; Invalid names the field."""
    return {
        "name": check_line(spec.name, field="name"),
        "revision": _part(spec.revision, "revision"),
        "patch": _part(spec.patch, "patch"),
        "major_version": _part(spec.major_version, "major_version"),
        "minor_version": _part(spec.minor_version, "minor_version"),
        "quality": check_quality(spec.quality, field="quality"),
        "type": check_line(spec.type, field="type"),
    }


def _part(text: str | None, field: str) -> str | None:
    return None if text is None else check_line(text, field=field, length_max=64)


def find_release(tx: Tx, release_id: str, *, lock: bool = False) -> Row[Any]:
    """The release with this UUID in any state; NotFound where there is none.

    `lock`: nobody else changes it, or adds files to it, until the transaction ends.
    """
    query = select(releases).where(releases.c.id == parse_uuid(release_id))
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no release {release_id!r}.")
    return row


def require_draft(release: Row[Any]) -> None:
    """Conflict unless files may still be added and removed."""
    if release.state != DRAFT:
        raise Conflict(
            "Files are added to and removed from drafts only.",
            code="release-not-draft",
            remedy="Publish the changed files as a new release.",
        )


def add_artifact(
    tx: Tx,
    release_id: str,
    spec: ArtifactSpec,
    digests: Digests,
    *,
    artifact_id: str | None = None,
    actor: str,
    now: datetime,
) -> str:
    """Add a file, whose bytes are stored already, to a draft.

    Returns the artifact's UUID, a new one unless given.
    """
    new = NewArtifact(artifact_values(spec), digests, artifact_id)
    return add_artifacts(tx, release_id, [new], actor=actor, now=now)[0]


def add_artifacts(
    tx: Tx, release_id: str, files: Sequence[NewArtifact], *, actor: str, now: datetime
) -> list[str]:
    """As `add_artifact`, of several in their order, a few statements for all of them."""
    release = find_release(tx, release_id, lock=True)
    require_draft(release)
    held = tx.execute(
        select(artifacts.c.position, artifacts.c.file_name).where(
            artifacts.c.release_id == release.id
        )
    ).all()
    if len(held) + len(files) > ARTIFACTS_MAX:
        raise Conflict(f"A release has at most {ARTIFACTS_MAX} artifacts.", code="release-full")
    # Names that differ in case only are one file on many customers' machines.
    names = {fold_file_name(row.file_name): row.file_name for row in held}
    last = max((row.position for row in held), default=0)
    rows = []
    for position, file in enumerate(files, start=last + 1):
        name = file.values["file_name"]
        folded = fold_file_name(name)
        if folded in names:
            raise Conflict(
                f"The release has a file {names[folded]!r} already.", code="file-name-taken"
            )
        names[folded] = name
        of_row = {
            "id": file.artifact_id or new_uuid(),
            "release_id": release.id,
            "position": position,
            "sha256": file.digests.sha256,
            "created_at": now,
        }
        rows.append(dict(file.values) | of_row)
    remember_blobs(tx, [file.digests for file in files], now=now)
    tx.execute(insert(artifacts), rows)
    told = (
        Event("artifact.added", actor, f"artifact:{row['id']}", data={"sha256": row["sha256"]})
        for row in rows
    )
    record_all(tx, told, now=now)
    return [row["id"] for row in rows]


def artifact_values(spec: ArtifactSpec) -> dict[str, Any]:
    """What is said of a file, checked, by column; Invalid names the field."""
    file_name = check_file_name(spec.file_name, field="file_name")
    repository = check_repository(spec.repository, uncontrolled=spec.uncontrolled)
    return {
        "name": check_line(spec.name or file_name, field="name", length_max=255),
        "description": check_line(
            spec.description, field="description", empty=True, length_max=2000
        ),
        "type": check_line(spec.type, field="type"),
        "file_name": file_name,
        "content_type": _content_type(spec),
        "repository": repository,
        "controlled": is_controlled(repository),
    }


def _content_type(spec: ArtifactSpec) -> str:
    if spec.content_type is not None:
        line = check_line(spec.content_type, field="content_type")
        if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", line, re.ASCII):
            raise Invalid(f"{line!r} is not a content type.", field="content_type")
        return line
    guessed, encoding = mimetypes.guess_type(spec.file_name, strict=True)
    # A .tar.gz is sent as it is: nothing must unpack it on the way.
    return guessed if guessed and not encoding else "application/octet-stream"


def remove_artifact(tx: Tx, release_id: str, artifact_id: str, *, actor: str, now: datetime) -> str:
    """Take a file out of a draft; returns the identity of its bytes, for `drop_unused_bytes`."""
    release = find_release(tx, release_id, lock=True)
    row = find_artifact(tx, release.id, artifact_id)
    require_draft(release)
    tx.execute(delete(artifacts).where(artifacts.c.id == row.id))
    record(tx, Event("artifact.removed", actor, f"artifact:{row.id}"), now=now)
    return str(row.sha256)


def discard_release(tx: Tx, release_id: str, *, actor: str, now: datetime) -> list[str]:
    """Take back a draft; returns the identities of its files' bytes, for `drop_unused_bytes`."""
    release = find_release(tx, release_id, lock=True)
    if release.state != DRAFT:
        raise Conflict(
            "Only a draft can be discarded.",
            code="release-not-draft",
            remedy="Withdraw the release instead.",
        )
    identities = [row.sha256 for row in list_artifacts(tx, release.id)]
    tx.execute(delete(artifacts).where(artifacts.c.release_id == release.id))
    tx.execute(delete(releases).where(releases.c.id == release.id))
    record(tx, Event("release.discarded", actor, f"release:{release.id}"), now=now)
    return identities


def make_available(
    tx: Tx, release_id: str, *, available_at: datetime | None = None, actor: str, now: datetime
) -> None:
    """Show a draft (or a withdrawn release again) to those entitled, from `available_at` on."""
    release = find_release(tx, release_id, lock=True)
    if release.state == AVAILABLE:
        raise Conflict("The release is available already.", code="release-available")
    held = tx.execute(
        select(func.count()).select_from(artifacts).where(artifacts.c.release_id == release.id)
    ).scalar_one()
    if not held:
        raise Conflict("A release needs at least one file.", code="release-empty")
    moment = available_at or release.available_at or now
    tx.execute(
        update(releases)
        .where(releases.c.id == release.id)
        .values(state=AVAILABLE, available_at=moment, changed_at=now)
    )
    record(tx, Event("release.available", actor, f"release:{release.id}"), now=now)


def withdraw_release(tx: Tx, release_id: str, *, actor: str, now: datetime) -> None:
    """Stop every download of a release; links already out die within seconds."""
    release = find_release(tx, release_id, lock=True)
    if release.state != AVAILABLE:
        raise Conflict("Only an available release can be withdrawn.", code="release-not-available")
    tx.execute(
        update(releases).where(releases.c.id == release.id).values(state=WITHDRAWN, changed_at=now)
    )
    record(tx, Event("release.withdrawn", actor, f"release:{release.id}"), now=now)


def list_releases(tx: Tx, product_id: int, *, skip: int = 0, take: int = 1000) -> list[Row[Any]]:
    """Releases of a product in any state, newest first: the publisher's view."""
    moment = func.coalesce(releases.c.available_at, releases.c.created_at)
    return list(
        tx.execute(
            select(releases)
            .where(releases.c.product_id == product_id)
            .order_by(moment.desc(), releases.c.created_at.desc(), releases.c.id)
            .offset(skip)
            .limit(take)
        )
    )


def count_releases(tx: Tx, product_id: int) -> int:
    """How many `list_releases` would give without a limit."""
    query = select(func.count()).select_from(releases).where(releases.c.product_id == product_id)
    return tx.execute(query).scalar_one()


_ARTIFACTS = select(artifacts, blobs.c.size, blobs.c.md5, blobs.c.crc32).join(blobs)


def list_artifacts(tx: Tx, release_id: str) -> list[Row[Any]]:
    """Every artifact of a release with its size and digests, in the publisher's order."""
    query = _ARTIFACTS.where(artifacts.c.release_id == release_id)
    return list(tx.execute(query.order_by(artifacts.c.position)))


def find_artifact(tx: Tx, release_id: str, artifact_id: str) -> Row[Any]:
    """An artifact of this release with its size and digests; NotFound where there is none."""
    query = _ARTIFACTS.where(
        artifacts.c.release_id == parse_uuid(release_id), artifacts.c.id == parse_uuid(artifact_id)
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"The release has no artifact {artifact_id!r}.")
    return row
