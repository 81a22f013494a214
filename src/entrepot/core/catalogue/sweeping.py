"""Giving back the room of bytes that nothing refers to.

Killed processes leave them, and so do deleted assets, purged orders and results of conversions
that are no longer kept. Only what is older than a safe age goes: younger bytes may belong to a
publisher whose row comes next. A file is removed under the lock that a publisher holds
(`intake.hold_bytes`), and only where the database agrees that no row refers to it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from sqlalchemy import ColumnElement, Select, column, exists, func, inspect, select, table

from entrepot.blobs import BlobStore
from entrepot.core.catalogue.assets import BATCH_MAX, purge_assets
from entrepot.core.catalogue.intake import drop_bytes
from entrepot.core.catalogue.tables import assets, blobs
from entrepot.db import Database, Tx
from entrepot.kit.clock import Now

SAFE_AGE_SECONDS = 24 * 3600
_DROPS_TOGETHER = 50  # in one transaction: well under the 50 ms that SQLite's writers have
_LOOKUPS_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed, or would be: `assets` deleted long ago, stored `files` without use and
    the `bytes` they took, `temporary_files` of killed processes."""

    assets: int
    files: int
    bytes: int
    temporary_files: int


def sweep_bytes(
    database: Database,
    store: BlobStore,
    *,
    older_than_seconds: float = SAFE_AGE_SECONDS,
    dry_run: bool = False,
    release: Callable[[], object] | None = None,
    now: Now,
) -> Swept:
    """Remove what nothing refers to, in many short transactions; may run beside everything else.

    `older_than_seconds` must exceed the time from the storing of a file to the writing of its
    row, which for a file converted or uploaded is seconds, for one batch of assets minutes.
    `dry_run` only counts, and counts the files of deleted assets as in use still. `release` lets
    go of files that assets once had and no order needs (`orders.release_former_files`).
    """
    purged = _purge(database, older_than_seconds, dry_run=dry_run, now=now)
    if release is not None and not dry_run:
        release()
    files = size = 0
    for batch in _batches(_unused(database, store, older_than_seconds, now), _DROPS_TOGETHER):
        for found in _drop(database, store, batch, older_than_seconds, dry_run=dry_run):
            files, size = files + 1, size + found
    temporary = store.sweep(older_than_seconds=older_than_seconds, dry_run=dry_run)
    return Swept(purged, files, size, temporary)


def _purge(database: Database, older_than_seconds: float, *, dry_run: bool, now: Now) -> int:
    before = now() - timedelta(seconds=older_than_seconds)
    if dry_run:
        with database.read() as tx:
            query = select(func.count()).select_from(assets).where(assets.c.deleted_at < before)
            return tx.execute(query).scalar_one()
    purged = 0
    while True:
        with database.write() as tx:
            gone = len(purge_assets(tx, deleted_before=before))
        purged += gone
        if gone < BATCH_MAX:
            return purged


def _unused(
    database: Database, store: BlobStore, older_than_seconds: float, now: Now
) -> Iterator[str]:
    """Rows of bytes that nothing refers to, then stored files that have no row."""
    before = now() - timedelta(seconds=older_than_seconds)
    last = ""
    while True:
        with database.read() as tx:
            query = _unreferenced(tx).where(blobs.c.sha256 > last, blobs.c.created_at < before)
            page = list(
                tx.execute(query.order_by(blobs.c.sha256).limit(_LOOKUPS_TOGETHER)).scalars()
            )
        yield from page
        if len(page) < _LOOKUPS_TOGETHER:
            break
        last = page[-1]
    for stored in _batches(store.listing(), _LOOKUPS_TOGETHER):
        with database.read() as tx:
            rows = select(blobs.c.sha256).where(blobs.c.sha256.in_(stored))
            known = set(tx.execute(rows).scalars())
        yield from (sha256 for sha256 in stored if sha256 not in known)


def _unreferenced(tx: Tx) -> Select[str]:
    """What has a foreign key to bytes is asked of the database: it knows every concept."""
    return select(blobs.c.sha256).where(*(~_refers(*each) for each in _referrers(tx)))


def _refers(table_name: str, column_name: str) -> ColumnElement[bool]:
    other = table(table_name, column(column_name))
    return exists().where(other.c[column_name] == blobs.c.sha256)


def _referrers(tx: Tx) -> list[tuple[str, str]]:
    """Each table and column with a foreign key to bytes, but for rows that go with them."""
    found = inspect(tx)
    return [
        (name, key["constrained_columns"][0])
        for name in sorted(found.get_table_names())
        for key in found.get_foreign_keys(name)
        if key["referred_table"] == blobs.name
        and (key.get("options") or {}).get("ondelete") != "CASCADE"
    ]


def _drop(
    database: Database,
    store: BlobStore,
    batch: Sequence[str],
    older_than_seconds: float,
    *,
    dry_run: bool,
) -> list[int]:
    """The sizes of the files that went."""
    sizes = {
        each: store.size(each) or 0 for each in batch if _is_old(store, each, older_than_seconds)
    }
    if dry_run or not sizes:
        return list(sizes.values())
    with database.write() as tx:
        return [size for sha256, size in sizes.items() if drop_bytes(tx, store, sha256)]


def _is_old(store: BlobStore, sha256: str, older_than_seconds: float) -> bool:
    """Also where the file is missing: then its row is of no use."""
    age = store.age_seconds(sha256)
    return age is None or age >= older_than_seconds


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
