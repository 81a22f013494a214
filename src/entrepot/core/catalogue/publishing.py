"""Publishing a release in one go.

The bytes are stored first, with no transaction open, and one transaction then shows the
release complete. A process killed on the way leaves nothing that anyone can see; one that
fails takes back what it stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy import Row, select

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue.intake import drop_unused_bytes, hold_bytes
from entrepot.core.catalogue.products import find_product
from entrepot.core.catalogue.releases import (
    ARTIFACTS_MAX,
    ArtifactSpec,
    NewArtifact,
    ReleaseSpec,
    add_artifacts,
    artifact_values,
    create_release,
    make_available,
    refuse_group,
    release_values,
)
from entrepot.core.catalogue.tables import releases
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Invalid
from entrepot.kit.clock import Now
from entrepot.kit.file_names import fold_file_name


@dataclass(frozen=True, slots=True)
class Source:
    """A file to publish: what is said of it, and how to open its bytes."""

    spec: ArtifactSpec
    open: Callable[[], BinaryIO]


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
        found = _check(tx, product, release)
    values = _check_sources(sources)
    stored: list[Digests] = []
    try:
        for source in sources:
            with source.open() as stream:
                stored.append(store.ingest(stream))
        with database.write() as tx:
            moment = now()
            hold_bytes(tx, store, stored, now=moment)
            release_id = create_release(tx, found.id, release, actor=actor, now=moment)
            files = [NewArtifact(*each) for each in zip(values, stored, strict=True)]
            add_artifacts(tx, release_id, files, actor=actor, now=moment)
            make_available(tx, release_id, available_at=available_at, actor=actor, now=moment)
    except BaseException:
        drop_unused_bytes(database, store, [digests.sha256 for digests in stored])
        raise
    return release_id


def _check(tx: Tx, product: str, release: ReleaseSpec) -> Row[Any]:
    found = find_product(tx, product)
    refuse_group(found)
    name = release_values(release)["name"]
    taken = select(releases.c.id).where(releases.c.product_id == found.id, releases.c.name == name)
    if tx.execute(taken).first() is not None:
        raise Conflict(
            f"{found.code} has a release {name!r} already.",
            code="name-taken",
            remedy="Choose another name: what is published never changes.",
        )
    return found


def _check_sources(sources: Sequence[Source]) -> list[dict[str, Any]]:
    if not 1 <= len(sources) <= ARTIFACTS_MAX:
        raise Invalid(f"A release has 1 to {ARTIFACTS_MAX} files.", field="files")
    values = [artifact_values(source.spec) for source in sources]
    seen: set[str] = set()
    for each in values:
        folded = fold_file_name(each["file_name"])
        if folded in seen:
            raise Invalid(f"Two of the files are called {each['file_name']!r}.", field="file_name")
        seen.add(folded)
    return values
