"""Results of conversions: kept by source, recipe and converter version, over all orders.

A conversion gives the same bytes whenever it is done, so what was done once is not done again.
Nothing refers to a row of `conversions` but the next who asks; bytes that nobody has used for
long, and that no order or rendition holds, can go.
"""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from sqlalchemy import ColumnElement, Select, delete, exists, not_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue import drop_unused_bytes, hold_bytes
from entrepot.core.catalogue.tables import blobs
from entrepot.core.conversions.port import Converter, never
from entrepot.core.conversions.recipes import Recipe, recipe_to_document
from entrepot.core.conversions.tables import conversions
from entrepot.db import Database, Tx, metadata
from entrepot.kit.clock import Now

USED_AGAIN = timedelta(hours=1)  # how exactly the last use of a result is noted
PURGE_MAX = 500  # results purged in one transaction


@dataclass(frozen=True, slots=True)
class Result:
    """A converted file in the store; `crc32` is unsigned, the extension has no dot."""

    result_sha256: str
    extension: str
    content_type: str
    facts: Mapping[str, Any]
    size: int
    crc32: int


def find_result(tx: Tx, source_sha256: str, recipe_key: str) -> Result | None:
    """What was made of this file by this recipe before; None where nothing was."""
    row = tx.execute(_one(source_sha256, recipe_key)).one_or_none()
    return None if row is None else Result(*row)


def find_results(tx: Tx, source_sha256: str, recipe_keys: Collection[str]) -> Mapping[str, Result]:
    """What was made of this file by any of these recipes before, by the recipe's key."""
    query = _RESULTS.add_columns(conversions.c.recipe_key).where(
        conversions.c.source_sha256 == source_sha256,
        conversions.c.recipe_key.in_(sorted(recipe_keys)),
    )
    return {row[-1]: Result(*row[:-1]) for row in tx.execute(query)}


_RESULTS: Select[Any] = select(
    conversions.c.result_sha256,
    conversions.c.extension,
    conversions.c.content_type,
    conversions.c.facts,
    blobs.c.size,
    blobs.c.crc32,
).join_from(conversions, blobs, blobs.c.sha256 == conversions.c.result_sha256)


def _one(source_sha256: str, recipe_key: str) -> Select[Any]:
    return _RESULTS.where(_is(source_sha256, recipe_key))


def _is(source_sha256: str, recipe_key: str) -> ColumnElement[bool]:
    return (conversions.c.source_sha256 == source_sha256) & (conversions.c.recipe_key == recipe_key)


def note_use(tx: Tx, source_sha256: str, recipe_key: str, *, now: datetime) -> None:
    """Remember that the result is in use, to the hour: it is not the one to purge first."""
    tx.execute(
        update(conversions)
        .where(_is(source_sha256, recipe_key), conversions.c.used_at < now - USED_AGAIN)
        .values(used_at=now)
    )


def remember_result(
    tx: Tx,
    source_sha256: str,
    recipe: Recipe,
    *,
    digests: Digests,
    facts: Mapping[str, Any],
    now: datetime,
) -> Result:
    """Keep a result whose bytes are held; gives the one that counts from now on.

    Where two made it at once, the first stays. Repeating it changes nothing.
    """
    make = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(
        make(conversions).on_conflict_do_nothing(),
        {
            "source_sha256": source_sha256,
            "recipe_key": recipe.key,
            "result_sha256": digests.sha256,
            "extension": recipe.extension,
            "content_type": recipe.content_type,
            "facts": dict(facts),
            "created_at": now,
            "used_at": now,
        },
    )
    return Result(*tx.execute(_one(source_sha256, recipe.key)).one())


def convert_once(
    database: Database,
    store: BlobStore,
    converter: Converter,
    *,
    source_sha256: str,
    recipe: Recipe,
    cancelled: Callable[[], bool] = never,
    scratch: Path | None = None,
    now: Now,
) -> Result:
    """The result for a stored file: the one that is kept, or a new one.

    No transaction is open while the converter works. What it writes lies in a file without a
    name, in `scratch` or where the system keeps such files, so that not even a kill leaves one.
    Raises ConversionFailed, ConversionCancelled, StorageFull, Unavailable; then nothing is kept.
    """
    if recipe.runner == "metadata":
        raise ValueError("a metadata file follows from the asset, not from its bytes")
    key = recipe.key
    with database.read() as tx:
        found = find_result(tx, source_sha256, key)
    if found is not None:
        with database.write() as tx:
            note_use(tx, source_sha256, key, now=now())
            kept = find_result(tx, source_sha256, key)
        if kept is not None:
            return kept
    with TemporaryFile(dir=scratch) as target:
        facts = _convert(store, converter, source_sha256, recipe, target, cancelled, scratch)
        target.seek(0)
        digests = store.ingest(target)
    return _keep(database, store, source_sha256, recipe, digests, facts, now)


def _convert(
    store: BlobStore,
    converter: Converter,
    source_sha256: str,
    recipe: Recipe,
    target: BinaryIO,
    cancelled: Callable[[], bool],
    scratch: Path | None,
) -> Mapping[str, Any]:
    with ExitStack() as opened:
        source = opened.enter_context(opened_as_file(store, source_sha256, scratch))
        watermarks = [
            opened.enter_context(opened_as_file(store, sha256, scratch))
            for sha256 in recipe.watermark_sha256s
        ]
        document = recipe_to_document(recipe)
        return converter.convert(
            source, document, target, watermarks=watermarks, cancelled=cancelled
        ).facts


@contextmanager
def opened_as_file(store: BlobStore, sha256: str, scratch: Path | None) -> Iterator[BinaryIO]:
    """The stored bytes as a file of the system, copied where the store is not on this disk."""
    with store.open(sha256) as stored:
        try:
            stored.fileno()
        except OSError:
            with TemporaryFile(dir=scratch) as copy:
                shutil.copyfileobj(stored, copy, 2**20)
                copy.seek(0)
                yield copy
        else:
            yield stored


def _keep(
    database: Database,
    store: BlobStore,
    source_sha256: str,
    recipe: Recipe,
    digests: Digests,
    facts: Mapping[str, Any],
    now: Now,
) -> Result:
    try:
        with database.write() as tx:
            moment = now()
            hold_bytes(tx, store, [digests], now=moment)
            kept = remember_result(
                tx, source_sha256, recipe, digests=digests, facts=facts, now=moment
            )
    except BaseException:
        drop_unused_bytes(database, store, [digests.sha256])
        raise
    if kept.result_sha256 != digests.sha256:
        drop_unused_bytes(database, store, [digests.sha256])
    return kept


def purge_results(tx: Tx, *, unused_since: datetime, take: int = PURGE_MAX) -> list[str]:
    """Forget up to `take` results not used since then, oldest first; gives their bytes' digests.

    Left alone is what an order, a kept rendition or anything else still holds: forgetting that
    would free nothing. The caller removes the bytes once the transaction has ended
    (`drop_unused_bytes`).
    """
    oldest = tx.execute(
        select(conversions.c.source_sha256, conversions.c.recipe_key, conversions.c.result_sha256)
        .where(conversions.c.used_at < unused_since)
        .where(*(not_(held) for held in _holders()))
        .order_by(conversions.c.used_at)
        .limit(take)
    ).all()
    if not oldest:
        return []
    keys = [(row.source_sha256, row.recipe_key) for row in oldest]
    pair = tuple_(conversions.c.source_sha256, conversions.c.recipe_key)
    tx.execute(delete(conversions).where(pair.in_(keys)))
    return sorted({row.result_sha256 for row in oldest})


def _holders() -> Sequence[ColumnElement[bool]]:
    """Whether a row elsewhere has the result's bytes: the foreign keys say where to look."""
    return [
        exists().where(key.parent == conversions.c.result_sha256)
        for table in metadata.sorted_tables
        if table is not conversions
        for key in sorted(table.foreign_keys, key=lambda each: each.parent.name)
        if key.column is blobs.c.sha256
    ]
