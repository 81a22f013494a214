"""Files on their way into assets: stored and measured first, added in batches.

A file's bytes are stored with no transaction open, and a batch of rows follows in one short
transaction. A file that cannot be read, or whose name is not safe, is left out with the reason;
a file that cannot be measured is added all the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Literal, Protocol

from sqlalchemy import ColumnElement, and_, select, update

from entrepot.blobs import BlobStore
from entrepot.core.catalogue.assets import (
    BATCH_MAX,
    AssetSpec,
    StoredFile,
    add_assets,
    asset_values,
    find_same,
)
from entrepot.core.catalogue.intake import drop_unused_bytes, hold_bytes
from entrepot.core.catalogue.media_types import HEAD_BYTES, media_group_of, sniff
from entrepot.core.catalogue.tables import assets
from entrepot.db import Database, Tx
from entrepot.errors import EntrepotError, Invalid
from entrepot.kit.clock import Now

MEASURE_ASSET = "measure_asset"  # the job for a file that came without facts: (asset, SHA-256)
_MEASURED_GROUPS = frozenset({"Images", "Vectors", "Videos", "Audio"})


class Probe(Protocol):
    """Measures a stored file, as a converter does; raises EntrepotError where it cannot."""

    def __call__(self, source: BinaryIO, *, content_type: str) -> Mapping[str, Any]:
        """The facts of the file: only what was found."""
        ...


@dataclass(frozen=True, slots=True)
class AssetSource:
    """A file to add: what is said of it, and how to open its bytes."""

    spec: AssetSpec
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of a source: `added`, `there` already, or `skipped` with the reason in `note`.

    `note` of an added one says why it could not be measured.
    """

    source: AssetSource
    outcome: Literal["added", "there", "skipped"]
    asset_id: int | None = None
    note: str | None = None


def store_file(
    store: BlobStore,
    source: BinaryIO,
    file_name: str,
    *,
    probe: Probe | None = None,
    size_max: int | None = None,
) -> StoredFile:
    """Store the bytes, tell their type and measure them; with no transaction open."""
    digests = store.ingest(source, size_max=size_max)
    with store.open(digests.sha256) as stored:
        content_type = sniff(stored.read(HEAD_BYTES), file_name)
        if probe is None or not is_measured(content_type):
            return StoredFile(digests, content_type)
        stored.seek(0)
        try:
            return StoredFile(digests, content_type, probe(stored, content_type=content_type))
        except EntrepotError as error:
            return StoredFile(digests, content_type, note=error.message)


def is_measured(content_type: str) -> bool:
    """Whether facts are looked for in files of this type."""
    return content_type == "application/pdf" or media_group_of(content_type) in _MEASURED_GROUPS


def find_unmeasured(tx: Tx, asset_id: int, sha256: str) -> str | None:
    """The content type of an asset's file that has no facts; None where nothing is to be done.

    That is so where the asset is gone, has another file by now, or was measured.
    """
    row = tx.execute(
        select(assets.c.content_type, assets.c.facts).where(_has_file(asset_id, sha256))
    ).one_or_none()
    if row is None or row.facts or not is_measured(row.content_type):
        return None
    return str(row.content_type)


def note_facts(
    tx: Tx, asset_id: int, sha256: str, facts: Mapping[str, Any], *, now: datetime
) -> bool:
    """Write what was found in the asset's file; False where it has another file by now."""
    changed = tx.execute(
        update(assets)
        .where(_has_file(asset_id, sha256))
        .values(facts=dict(facts), changed_at=now)
        .returning(assets.c.id)
    )
    return changed.scalar_one_or_none() is not None


def _has_file(asset_id: int, sha256: str) -> ColumnElement[bool]:
    return and_(assets.c.id == asset_id, assets.c.sha256 == sha256, assets.c.deleted_at.is_(None))


def take_in_assets(
    database: Database,
    store: BlobStore,
    sources: Iterable[AssetSource],
    *,
    probe: Probe | None = None,
    actor: str,
    now: Now,
) -> Iterator[TakenIn]:
    """Add the sources, BATCH_MAX at a time, and say what became of each, in their order.

    A file with the same bytes, folder and name is not added again. On an error of the store or
    the database nothing is kept of the batch at hand; the batches before it stay.
    """
    batch: list[AssetSource] = []
    for source in sources:
        batch.append(source)
        if len(batch) == BATCH_MAX:
            yield from _take_in(database, store, batch, probe, actor, now)
            batch = []
    if batch:
        yield from _take_in(database, store, batch, probe, actor, now)


def _take_in(
    database: Database,
    store: BlobStore,
    batch: list[AssetSource],
    probe: Probe | None,
    actor: str,
    now: Now,
) -> list[TakenIn]:
    stored: dict[int, StoredFile] = {}
    taken: dict[int, TakenIn] = {}
    try:
        for at, source in enumerate(batch):
            try:
                stored[at] = _store_source(store, source, probe)
            except (Invalid, OSError) as error:
                taken[at] = TakenIn(source, "skipped", note=_reason(error))
        taken |= _add(database, store, batch, stored, actor, now)
    except BaseException:
        drop_unused_bytes(database, store, [each.digests.sha256 for each in stored.values()])
        raise
    return [taken[at] for at in range(len(batch))]


def _store_source(store: BlobStore, source: AssetSource, probe: Probe | None) -> StoredFile:
    asset_values(source.spec)
    with source.open() as stream:
        return store_file(store, stream, source.spec.file_name, probe=probe)


def _reason(error: Invalid | OSError) -> str:
    return error.message if isinstance(error, Invalid) else error.strerror or str(error)


def _add(
    database: Database,
    store: BlobStore,
    batch: list[AssetSource],
    stored: Mapping[int, StoredFile],
    actor: str,
    now: Now,
) -> dict[int, TakenIn]:
    keys = {at: _key(batch[at].spec, each) for at, each in stored.items()}
    with database.write() as tx:
        moment = now()
        hold_bytes(tx, store, _distinct(stored), now=moment)
        same = find_same(tx, list(keys.values()))
        first = {key: at for at, key in reversed(keys.items())}  # a file named twice is one
        fresh = [at for at, key in keys.items() if key not in same and first[key] == at]
        numbers = add_assets(
            tx, [(batch[at].spec, stored[at]) for at in fresh], actor=actor, now=moment
        )
    added = dict(zip(fresh, numbers, strict=True))
    return {
        at: TakenIn(batch[at], "added", added[at], stored[at].note)
        if at in added
        else TakenIn(batch[at], "there", same.get(key) or added[first[key]])
        for at, key in keys.items()
    }


def _key(spec: AssetSpec, stored: StoredFile) -> tuple[str, str, str]:
    values = asset_values(spec)
    return stored.digests.sha256, values["folder"], values["file_name"]


def _distinct(stored: Mapping[int, StoredFile]) -> list[Any]:
    return list({each.digests.sha256: each.digests for each in stored.values()}.values())
