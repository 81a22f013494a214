"""Digests of chunks: kept with the bytes, filled in where they lack, gone with the bytes."""

import hashlib
import io
import random
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from entrepot.blobs import CHUNK_BYTES, BlobStore, LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.catalogue import chunk_digests, fill_in_chunks, list_unchunked
from entrepot.core.catalogue.intake import drop_bytes
from entrepot.core.catalogue.tables import artifacts, blob_chunks
from entrepot.db import Database
from tests import factories
from tests.factories import NOW, OPERATOR

BIG = random.Random(5).randbytes(2 * CHUNK_BYTES + 77)
SMALL = b"of one chunk"


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=0)
    store.prepare()
    return store


def _publish(database: Database, store: BlobStore) -> str:
    with database.write() as tx:
        factories.add_product(tx, "CHUNKY")
    return catalogue.publish(
        database,
        store,
        product="CHUNKY",
        release=catalogue.ReleaseSpec("1"),
        sources=[
            catalogue.Source(catalogue.ArtifactSpec(name), partial(io.BytesIO, data))
            for name, data in (("big", BIG), ("small", SMALL), ("empty", b""))
        ],
        actor=OPERATOR,
        now=lambda: NOW,
    )


def test_chunks_come_with_the_bytes_and_go_with_them(database: Database, store: BlobStore) -> None:
    release_id = _publish(database, store)
    big, small, empty = (hashlib.sha256(data).hexdigest() for data in (BIG, SMALL, b""))
    expected = tuple(
        hashlib.sha256(BIG[start : start + CHUNK_BYTES]).digest()
        for start in range(0, len(BIG), CHUNK_BYTES)
    )
    with database.read() as tx:
        assert chunk_digests(tx, big) == expected
        assert chunk_digests(tx, small) == (bytes.fromhex(small),)
        assert chunk_digests(tx, empty) == chunk_digests(tx, "0" * 64) == ()
        assert list_unchunked(tx) == []
        assert len(tx.execute(select(blob_chunks)).all()) == 1

    with database.write() as tx:
        tx.execute(delete(blob_chunks))
    with database.read() as tx:
        assert chunk_digests(tx, big) == ()
        assert list_unchunked(tx) == list_unchunked(tx, release_ids=[release_id]) == [big]
        assert list_unchunked(tx, release_ids=[]) == list_unchunked(tx, after=big) == []
    assert fill_in_chunks(database, store, [big]) == 1
    assert fill_in_chunks(database, store, [big]) == 0
    with database.read() as tx:
        assert chunk_digests(tx, big) == expected
        assert list_unchunked(tx) == []

    with database.write() as tx:
        assert not drop_bytes(tx, store, big)
        tx.execute(delete(artifacts).where(artifacts.c.sha256 == big))
        assert drop_bytes(tx, store, big)
    with database.read() as tx:
        assert tx.execute(select(blob_chunks)).all() == []


def test_what_has_chunks_is_swept_as_well(database: Database, store: BlobStore) -> None:
    _publish(database, store)
    big = hashlib.sha256(BIG).hexdigest()
    with database.write() as tx:
        tx.execute(delete(artifacts).where(artifacts.c.sha256 == big))
    later = NOW + factories.DAY
    catalogue.sweep_bytes(database, store, older_than_seconds=0, now=lambda: later)
    assert store.size(big) is None
    assert store.size(hashlib.sha256(SMALL).hexdigest()) == len(SMALL)
