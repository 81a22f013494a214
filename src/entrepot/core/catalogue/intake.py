"""Bytes on their way into the catalogue and out of it.

A file's bytes are stored before its row, with no transaction open. When the row then cannot
be written, `drop_unused_bytes` takes the bytes back. A lock (SQLite: its one writer) keeps
that from taking them from under another publisher of the same bytes, who calls `hold_bytes`
in the transaction of the row.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from entrepot.blobs import CHUNK_BYTES, BlobStore, Digests
from entrepot.core.catalogue.tables import blob_chunks, blobs
from entrepot.db import Database, Tx
from entrepot.errors import EntrepotError, Unavailable

# Any number that nothing else in the database locks by.
_LOCK = 0x62797465
_log = logging.getLogger(__name__)


def remember_blob(tx: Tx, digests: Digests, *, now: datetime) -> None:
    """Write the row of stored bytes where there is none yet."""
    remember_blobs(tx, [digests], now=now)


def remember_blobs(tx: Tx, stored: Iterable[Digests], *, now: datetime) -> None:
    """Write the rows of stored bytes where there are none yet."""
    wanted = {each.sha256: each for each in stored}
    query = select(blobs.c.sha256).where(blobs.c.sha256.in_(wanted))
    for known in tx.execute(query).scalars():
        del wanted[known]
    if not wanted:
        return
    rows = [
        {
            "sha256": each.sha256,
            "size": each.size,
            "md5": each.md5,
            "crc32": each.crc32,
            "created_at": now,
        }
        for each in wanted.values()
    ]
    chunks = [
        {"sha256": each.sha256, "digests": each.chunks}
        for each in wanted.values()
        if each.size > CHUNK_BYTES and each.chunks
    ]
    try:
        with tx.begin_nested():
            tx.execute(insert(blobs), rows)
            if chunks:
                tx.execute(insert(blob_chunks), chunks)
    except IntegrityError:
        # Another publisher stored some of them at the same moment, and has committed by now.
        if len(rows) > 1:
            for each in wanted.values():
                remember_blobs(tx, [each], now=now)


def hold_bytes(tx: Tx, store: BlobStore, stored: Iterable[Digests], *, now: datetime) -> None:
    """Make sure that bytes just ingested stay until the transaction ends, and write their rows.

    Unavailable where somebody dropped them since: ingest them again.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))
    # In one order for all, so that two publishers of the same files wait instead of blocking
    # each other.
    held = sorted(stored, key=lambda each: each.sha256)
    for digests in held:
        if store.size(digests.sha256) != digests.size:
            raise Unavailable(
                "The bytes were removed while they were being published.",
                remedy="Publish them again.",
            )
    remember_blobs(tx, held, now=now)


def drop_unused_bytes(database: Database, store: BlobStore, identities: Iterable[str]) -> None:
    """Remove stored bytes that nothing refers to. What cannot be removed now is logged and stays.

    Meant for the way out of an error, so that it raises none of its own.
    """
    try:
        for sha256 in sorted(set(identities)):
            with database.write() as tx:
                drop_bytes(tx, store, sha256)
    except EntrepotError as error:
        _log.warning("unused bytes stay", extra={"reason": error.message})


def drop_bytes(tx: Tx, store: BlobStore, sha256: str) -> bool:
    """Remove stored bytes and their row unless a row refers to them; whether they went.

    What refers to bytes has a foreign key to them, so the database knows, and this module
    need not: artifacts, assets, results of conversions, packages, and what comes later.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    try:
        with tx.begin_nested():
            tx.execute(delete(blobs).where(blobs.c.sha256 == sha256))
    except IntegrityError:
        return False
    # Under the lock. Should the commit fail now, a row without bytes stays, which the next
    # ingest of the same bytes makes good.
    store.delete(sha256)
    return True
