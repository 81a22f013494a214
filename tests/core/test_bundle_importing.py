"""Importing bundles: whole releases with their ids, once, or nothing that anybody could see."""

from pathlib import Path

import pytest
from sqlalchemy import select

from entrepot.blobs import LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.catalogue.tables import releases
from entrepot.core.events.tables import events
from entrepot.db import Database
from entrepot.errors import Conflict, Invalid
from tests import factories
from tests.core.bundling_world import TEXT, Made, licence, open_store, take_in
from tests.factories import NOW, OPERATOR


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobStore:
    return open_store(tmp_path / "blobs")


def test_a_release_comes_with_its_ids_product_licence_and_bytes(
    database: Database, store: LocalBlobStore
) -> None:
    made = Made(licence=licence())
    [row] = take_in(database, store, made.bytes())
    assert (row.product, row.name, row.release_id, row.outcome) == (
        "AIR1",
        "1.0",
        made.release_id,
        "imported",
    )
    with database.read() as tx:
        release = catalogue.find_release(tx, made.release_id)
        rows = catalogue.list_artifacts(tx, made.release_id)
        product = catalogue.find_product(tx, "AIR1")
        terms = catalogue.find_revision(tx, "AIR-TERMS")
        said = tx.execute(select(events).where(events.c.type == "release.imported")).one()
    assert (release.state, release.available_at.isoformat()) == (
        "available",
        "2026-01-31T12:00:00+00:00",
    )
    assert [(one.id, one.file_name) for one in rows] == [
        (made.ids[1], "a ü.bin"),
        (made.ids[2], "b.bin"),
    ]
    for one, (_, data) in zip(rows, made.files, strict=True):
        with store.open(one.sha256) as stream:
            assert stream.read() == data
    assert (product.licence_code, product.listed, product.us_eccn) == (
        "AIR-TERMS",
        False,
        ["5D992"],
    )
    assert (terms.revision, terms.text) == (3, TEXT)
    assert said.data["source"] == "https://a.example"


def test_a_bundle_can_be_imported_again(database: Database, store: LocalBlobStore) -> None:
    made = Made(licence=licence())
    outcomes = [
        take_in(database, store, made.bytes(), publish=publish)[0].outcome
        for publish in (False, False, True, True)
    ]
    assert outcomes == [
        "imported as a draft",
        "already here, draft",
        "made available",
        "already here",
    ]
    with database.write() as tx:
        catalogue.withdraw_release(tx, made.release_id, actor=OPERATOR, now=NOW)
    [row] = take_in(database, store, made.bytes())
    assert row.outcome == "already here, withdrawn"
    with database.read() as tx:
        assert catalogue.find_revision(tx, "AIR-TERMS").revision == 3
        assert len(catalogue.list_artifacts(tx, made.release_id)) == 2


def test_what_is_here_and_is_another_thing_is_refused(
    database: Database, store: LocalBlobStore
) -> None:
    made = Made()
    take_in(database, store, made.bytes())
    kept = set(store.listing())
    others = [
        Made(ids=made.ids, files=[("a ü.bin", b"other")]),  # another release with its id
        Made(files=[("x.bin", b"other")]),  # another one of that name
        Made(code="AIR2", ids=["0" * 8 + made.ids[0][8:], *made.ids[1:]]),  # with ids of its files
        Made(code="AIR2", ids=made.ids),  # under another product
    ]
    for other in others:
        with pytest.raises(Conflict) as caught:
            take_in(database, store, other.bytes())
        assert caught.value.code == "release-differs"
    assert set(store.listing()) == kept
    # The same files under the same name, published here by somebody else: it is here.
    [row] = take_in(database, store, Made().bytes())
    assert (row.release_id, row.outcome) == (made.release_id, "already here")


def test_a_product_goes_under_another_code(database: Database, store: LocalBlobStore) -> None:
    with database.write() as tx:
        code = factories.add_product(tx, name="Ours")
    made = Made(licence=licence())
    [row] = take_in(database, store, made.bytes(), codes={"AIR1": code})
    assert row.product == code
    with database.read() as tx:
        product = catalogue.find_product(tx, code)
        assert (product.name, product.licence_code) == ("Ours", None)
        assert catalogue.list_licences(tx) == []  # its product is not of this licence
    with pytest.raises(Invalid, match="no product 'OTHER'"):
        take_in(database, store, made.bytes(), codes={"OTHER": code})


def test_licences_keep_their_numbers_and_are_never_changed(
    database: Database, store: LocalBlobStore
) -> None:
    with database.write() as tx:
        catalogue.add_licence(tx, code="AIR-TERMS", name="T", text="first", actor=OPERATOR, now=NOW)
        factories.add_product(tx, code="AIR1", licence_code="AIR-TERMS")
    with pytest.raises(Conflict) as caught:
        take_in(database, store, Made(licence=licence(revision=1)).bytes())
    assert caught.value.code == "licence-differs"
    with database.read() as tx:
        assert tx.execute(select(releases)).all() == []
    assert list(store.listing()) == []
    take_in(database, store, Made(licence=licence(revision=5)).bytes())
    with database.read() as tx:
        assert catalogue.find_revision(tx, "AIR-TERMS").revision == 5
    older = Made(licence=licence(revision=2), release={"name": "1.1"})
    take_in(database, store, older.bytes())
    with database.read() as tx:
        assert catalogue.find_revision(tx, "AIR-TERMS").revision == 5


def test_releases_share_bytes_and_come_one_by_one(
    database: Database, store: LocalBlobStore
) -> None:
    first, second = Made(), Made(release={"name": "1.1"})
    both = Made(ids=first.ids, more=[second]).bytes()
    assert {row.name for row in take_in(database, store, both)} == {"1.0", "1.1"}
    assert len(list(store.listing())) == 2
