"""Releases and their artifacts.

A release is a draft while its files come in, then available, perhaps from a later moment
on, then perhaps withdrawn. `publish` does the whole in one go: the bytes are stored first,
with no transaction open, and one transaction then shows the release complete. A process
killed on the way leaves nothing that anyone can see.
"""

import mimetypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue.products import find_product
from entrepot.core.catalogue.tables import artifacts, blobs, products, releases
from entrepot.core.events import Event, record
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.clock import Now
from entrepot.kit.file_names import check_file_name
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
    customers declare their country before they get it."""

    file_name: str
    name: str = ""
    description: str = ""
    type: str = "File"
    content_type: str | None = None
    repository: str = "general"


@dataclass(frozen=True, slots=True)
class Source:
    """A file to publish: what is said of it, and how to open its bytes."""

    spec: ArtifactSpec
    open: Callable[[], BinaryIO]


def check_quality(quality: str, *, field: str) -> str:
    """A quality such as EAC or BETA; Invalid names `field`."""
    upper = quality.strip().upper()
    if not _QUALITY.fullmatch(upper):
        raise Invalid(f"{quality!r} is not a quality: 1 to 16 of A-Z, 0-9, '-'.", field=field)
    return upper


def create_release(tx: Tx, product_id: int, spec: ReleaseSpec, *, actor: str, now: datetime) -> str:
    """Start a draft, which only publishers see; returns its UUID."""
    product = tx.execute(select(products).where(products.c.id == product_id)).one_or_none()
    if product is None:
        raise NotFound(f"There is no product {product_id}.")
    if product.grouped:
        raise Invalid(
            "A group has no releases of its own: publish to its members.", field="product"
        )
    values = {
        "id": new_uuid(),
        "product_id": product_id,
        "name": check_line(spec.name, field="name"),
        "revision": _part(spec.revision, "revision"),
        "patch": _part(spec.patch, "patch"),
        "major_version": _part(spec.major_version, "major_version"),
        "minor_version": _part(spec.minor_version, "minor_version"),
        "quality": check_quality(spec.quality, field="quality"),
        "type": check_line(spec.type, field="type"),
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


def _part(text: str | None, field: str) -> str | None:
    return None if text is None else check_line(text, field=field, length_max=64)


def find_release(tx: Tx, release_id: str) -> Row[Any]:
    """The release with this UUID in any state; NotFound where there is none."""
    canonical = parse_uuid(release_id)
    row = tx.execute(select(releases).where(releases.c.id == canonical)).one_or_none()
    if row is None:
        raise NotFound(f"There is no release {release_id!r}.")
    return row


def add_artifact(
    tx: Tx, release_id: str, spec: ArtifactSpec, digests: Digests, *, actor: str, now: datetime
) -> str:
    """Add a file, whose bytes are stored already, to a draft; returns the artifact's UUID."""
    release = find_release(tx, release_id)
    if release.state != DRAFT:
        raise Conflict(
            "Files are added to drafts only.",
            code="release-not-draft",
            remedy="Publish the changed files as a new release.",
        )
    count = tx.execute(
        select(func.coalesce(func.max(artifacts.c.position), 0)).where(
            artifacts.c.release_id == release.id
        )
    ).scalar_one()
    if count >= ARTIFACTS_MAX:
        raise Conflict(f"A release has at most {ARTIFACTS_MAX} artifacts.", code="release-full")
    _remember_blob(tx, digests, now=now)
    file_name = check_file_name(spec.file_name, field="file_name")
    repository = check_line(spec.repository, field="repository")
    values = {
        "id": new_uuid(),
        "release_id": release.id,
        "position": count + 1,
        "name": check_line(spec.name or file_name, field="name", length_max=255),
        "description": check_line(
            spec.description, field="description", empty=True, length_max=2000
        ),
        "type": check_line(spec.type, field="type"),
        "file_name": file_name,
        "content_type": _content_type(spec),
        "repository": repository,
        "controlled": "controlled" in repository,
        "sha256": digests.sha256,
        "created_at": now,
    }
    try:
        with tx.begin_nested():
            tx.execute(insert(artifacts), values)
    except IntegrityError as error:
        raise Conflict(
            f"The release has a file {file_name!r} already.", code="file-name-taken"
        ) from error
    event = Event(
        "artifact.added", actor, f"artifact:{values['id']}", data={"sha256": digests.sha256}
    )
    record(tx, event, now=now)
    return str(values["id"])


def _content_type(spec: ArtifactSpec) -> str:
    if spec.content_type is not None:
        line = check_line(spec.content_type, field="content_type")
        if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", line, re.ASCII):
            raise Invalid(f"{line!r} is not a content type.", field="content_type")
        return line
    guessed, encoding = mimetypes.guess_type(spec.file_name, strict=True)
    # A .tar.gz is sent as it is: nothing must unpack it on the way.
    return guessed if guessed and not encoding else "application/octet-stream"


def _remember_blob(tx: Tx, digests: Digests, *, now: datetime) -> None:
    known = tx.execute(select(blobs.c.sha256).where(blobs.c.sha256 == digests.sha256)).first()
    if known is not None:
        return
    values = {
        "sha256": digests.sha256,
        "size": digests.size,
        "md5": digests.md5,
        "crc32": digests.crc32,
        "created_at": now,
    }
    try:
        with tx.begin_nested():
            tx.execute(insert(blobs), values)
    except IntegrityError:
        return  # another publisher stored the same bytes at the same moment


def make_available(
    tx: Tx, release_id: str, *, available_at: datetime | None = None, actor: str, now: datetime
) -> None:
    """Show a draft (or a withdrawn release again) to those entitled, from `available_at` on."""
    release = find_release(tx, release_id)
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
    release = find_release(tx, release_id)
    if release.state != AVAILABLE:
        raise Conflict("Only an available release can be withdrawn.", code="release-not-available")
    tx.execute(
        update(releases).where(releases.c.id == release.id).values(state=WITHDRAWN, changed_at=now)
    )
    record(tx, Event("release.withdrawn", actor, f"release:{release.id}"), now=now)


def publish(
    database: Database,
    store: BlobStore,
    *,
    product: str,
    release: ReleaseSpec,
    sources: Sequence[Source],
    available_at: datetime | None = None,
    actor: str,
    now: Now,
) -> str:
    """Store the files, then show the release complete in one transaction; returns its UUID.

    Checks all that can be checked before the first byte is read.
    """
    with database.read() as tx:
        found = find_product(tx, product)
        taken = select(releases.c.id).where(
            releases.c.product_id == found.id, releases.c.name == release.name
        )
        if tx.execute(taken).first() is not None:
            raise Conflict(
                f"{found.code} has a release {release.name!r} already.", code="name-taken"
            )
    _check_sources(sources)
    stored = []
    for source in sources:
        with source.open() as stream:
            stored.append((source.spec, store.ingest(stream)))
    with database.write() as tx:
        moment = now()
        release_id = create_release(tx, found.id, release, actor=actor, now=moment)
        for spec, digests in stored:
            add_artifact(tx, release_id, spec, digests, actor=actor, now=moment)
        make_available(tx, release_id, available_at=available_at, actor=actor, now=moment)
    return release_id


def _check_sources(sources: Sequence[Source]) -> None:
    if not 1 <= len(sources) <= ARTIFACTS_MAX:
        raise Invalid(f"A release has 1 to {ARTIFACTS_MAX} files.", field="files")
    names = [check_file_name(source.spec.file_name, field="file_name") for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"Two of the files are called {name!r}.", field="file_name")


def list_releases(tx: Tx, product_id: int) -> list[Row[Any]]:
    """Every release of a product in any state, newest first: the publisher's view."""
    return list(
        tx.execute(
            select(releases)
            .where(releases.c.product_id == product_id)
            .order_by(releases.c.available_at.desc(), releases.c.created_at.desc(), releases.c.id)
        )
    )


def list_artifacts(tx: Tx, release_id: str) -> list[Row[Any]]:
    """Every artifact of a release with its size and digests, in the publisher's order."""
    query = (
        select(artifacts, blobs.c.size, blobs.c.md5, blobs.c.crc32)
        .join(blobs)
        .where(artifacts.c.release_id == release_id)
        .order_by(artifacts.c.position)
    )
    return list(tx.execute(query))
