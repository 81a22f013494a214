"""Giving back room: what nothing refers to and is old, and never from under a publisher."""

import io
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from entrepot.blobs import Digests, LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.catalogue import Swept, hold_bytes, sweep_bytes, sweeping
from entrepot.core.catalogue.sweeping import SAFE_AGE_SECONDS
from entrepot.core.catalogue.tables import blobs, user_renditions
from entrepot.core.conversions.tables import conversions
from entrepot.core.orders import release_former_files
from entrepot.db import Database
from entrepot.errors import Unavailable
from tests import factories
from tests.factories import OPERATOR

HOUR = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobStore:
    """An empty store on this disk."""
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=1)
    store.prepare()
    return store


def now() -> datetime:
    """The moment of a hub that has been there for long: every row of the tests is old."""
    return factories.NOW + timedelta(days=10)


def grow_old(store: LocalBlobStore, tmp_path: Path, hours: float = 48) -> None:
    """Make everything stored so old."""
    moment = time.time() - hours * HOUR
    for path in (tmp_path / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (moment, moment))


def orphan(store: LocalBlobStore, data: bytes) -> Digests:
    """A stored file without a row: its publisher was killed."""
    return store.ingest(io.BytesIO(data))


def unused_row(database: Database, store: LocalBlobStore, data: bytes) -> Digests:
    """A stored file with a row that nothing refers to: what had it was removed."""
    digests = orphan(store, data)
    with database.write() as tx:
        hold_bytes(tx, store, [digests], now=factories.NOW)
    return digests


def sweep(database: Database, store: LocalBlobStore, **more: bool) -> Swept:
    return sweep_bytes(
        database,
        store,
        older_than_seconds=SAFE_AGE_SECONDS,
        release=partial(release_former_files, database, now=now),
        now=now,
        **more,
    )


def rows(database: Database) -> set[str]:
    with database.read() as tx:
        return set(tx.execute(select(blobs.c.sha256)).scalars())


def test_what_nothing_refers_to_goes_and_the_rest_stays(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    with database.write() as tx:
        product = factories.add_product(tx)
        factories.add_release(tx, product, files=(("a", b"artifact"),), store=store)
        asset = factories.add_asset(tx, data=b"asset", store=store)
        organisation = factories.add_organisation(tx)
    kept = {factories.digests_of(data).sha256 for data in (b"artifact", b"asset")}
    rendition, result = (unused_row(database, store, data) for data in (b"kept one", b"result"))
    with database.write() as tx:
        common = {"extension": "jpg", "content_type": "image/jpeg", "created_at": now()}
        used = {"source_sha256": "0" * 64, "recipe_key": "k", "facts": {}, "used_at": now()}
        tx.execute(insert(conversions), common | used | {"result_sha256": result.sha256})
        owner = {
            "asset_id": asset,
            "organisation_id": organisation,
            "created_by": "user:1",
            "product_ids": [],
        }
        named = {"label": "l", "recipe_key": "k", "sha256": rendition.sha256}
        tx.execute(insert(user_renditions), common | owner | named)
    kept |= {rendition.sha256, result.sha256}
    lost = [orphan(store, b"orphan"), unused_row(database, store, b"unused row")]
    grow_old(store, tmp_path)
    expected = Swept(0, 2, sum(each.size for each in lost), 0)
    assert sweep(database, store, dry_run=True) == expected
    assert len(list(store.listing())) == 6
    assert sweep(database, store) == expected
    assert set(store.listing()) == rows(database) == kept
    assert sweep(database, store) == Swept(0, 0, 0, 0)


def test_what_is_young_stays(database: Database, store: LocalBlobStore, tmp_path: Path) -> None:
    orphan(store, b"orphan")
    unused_row(database, store, b"unused row")
    grow_old(store, tmp_path, hours=23)
    assert sweep(database, store) == Swept(0, 0, 0, 0)
    # Stored again: whoever did so writes its row next.
    grow_old(store, tmp_path)
    store.ingest(io.BytesIO(b"orphan"))
    assert sweep(database, store).files == 1
    assert list(store.listing()) == [factories.digests_of(b"orphan").sha256]


def test_temporary_files_of_the_dead_go(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    part = tmp_path / "blobs" / "incoming" / "killed.part"
    part.write_bytes(b"half")
    assert sweep(database, store).temporary_files == 0
    grow_old(store, tmp_path)
    assert sweep(database, store, dry_run=True).temporary_files == 1
    assert part.exists()
    assert sweep(database, store).temporary_files == 1
    assert not part.exists()


def test_deleted_assets_are_purged_and_free_their_room(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    with database.write() as tx:
        old, shared, young = (
            factories.add_asset(tx, data=data, store=store)
            for data in (b"old", b"shared", b"young")
        )
        factories.add_asset(tx, data=b"shared", store=store)
        for asset in (old, shared):
            catalogue.delete_asset(tx, asset, actor=OPERATOR, now=factories.NOW)
        catalogue.delete_asset(tx, young, actor=OPERATOR, now=now())
    grow_old(store, tmp_path)
    assert sweep(database, store, dry_run=True) == Swept(2, 0, 0, 0)
    assert sweep(database, store) == Swept(2, 1, len(b"old"), 0)
    kept = {factories.digests_of(data).sha256 for data in (b"shared", b"young")}
    assert set(store.listing()) == kept


def test_an_order_keeps_the_bytes_of_an_asset_that_is_gone(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    """By whatever table: the database says what refers to bytes, no list in the code does."""
    with database.write() as tx:
        tx.execute(text("CREATE TABLE late (sha256 TEXT REFERENCES blobs (sha256))"))
    digests = unused_row(database, store, b"promised")
    with database.write() as tx:
        tx.execute(text("INSERT INTO late VALUES (:sha256)"), {"sha256": digests.sha256})
    grow_old(store, tmp_path)
    assert sweep(database, store, dry_run=True).files == 0
    assert sweep(database, store).files == 0
    catalogue.drop_unused_bytes(database, store, [digests.sha256])
    assert list(store.listing()) == [digests.sha256]
    with database.write() as tx:
        tx.execute(text("DELETE FROM late"))
    assert sweep(database, store).files == 1


def test_a_row_whose_bytes_are_missing_goes(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    digests = unused_row(database, store, b"lost")
    store.delete(digests.sha256)
    assert sweep(database, store) == Swept(0, 1, 0, 0)
    assert rows(database) == set()


def test_a_publisher_whose_bytes_went_is_told_to_come_again(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    digests = orphan(store, b"slow publisher")
    grow_old(store, tmp_path)
    sweep(database, store)
    with pytest.raises(Unavailable), database.write() as tx:
        hold_bytes(tx, store, [digests], now=now())
    assert rows(database) == set()


def test_hundreds_in_many_short_transactions(
    database: Database, store: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of a listing and of rows, with others in between that stay."""
    monkeypatch.setattr(sweeping, "_LOOKUPS_TOGETHER", 16)
    monkeypatch.setattr(sweeping, "_DROPS_TOGETHER", 7)
    monkeypatch.setattr(LocalBlobStore, "_fsync_folders", lambda *_: None)
    kept = set(_mixed(database, store))
    grow_old(store, tmp_path)
    assert sweep(database, store).files == 100
    assert set(store.listing()) == rows(database) == kept


def _mixed(database: Database, store: LocalBlobStore) -> Iterator[str]:
    for number in range(50):
        orphan(store, b"orphan %d" % number)
        unused_row(database, store, b"row %d" % number)
        with database.write() as tx:
            data = b"asset %d" % number
            factories.add_asset(tx, data=data, store=store)
            yield factories.digests_of(data).sha256
