"""Media assets: adding, finding, changing, deleting, and taking in whole folders."""

import io
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from sqlalchemy import func, select

from entrepot.blobs import LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.catalogue import (
    AssetFilter,
    AssetSource,
    AssetSpec,
    StoredFile,
    TakenIn,
    title_in,
)
from entrepot.core.catalogue.assets import BATCH_MAX
from entrepot.core.catalogue.tables import assets, blobs
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Invalid, NotFound, StorageFull
from tests import factories
from tests.factories import NOW, OPERATOR

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobStore:
    """An empty store on this disk."""
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=1)
    store.prepare()
    return store


def public(file_name: str = "picture.png", **values: Any) -> AssetSpec:
    return replace(AssetSpec(file_name, visibility="public"), **values)


def stored(data: bytes = PNG) -> StoredFile:
    return StoredFile(factories.digests_of(data), "image/png", {"width": 3})


def add(tx: Tx, spec: AssetSpec, data: bytes = PNG) -> int:
    return catalogue.add_asset(tx, spec, stored(data), actor=OPERATOR, now=NOW)


def kinds(tx: Tx, number: int) -> list[str]:
    query = select(events.c.type).where(events.c.subject == f"asset:{number}")
    return list(tx.execute(query.order_by(events.c.id)).scalars())


# --- One asset


def test_an_asset_is_found_by_number_and_identifier(tx: Tx) -> None:
    number = add(tx, public("Morning_Light.png", folder="/a/b/"))
    row = catalogue.find_asset(tx, number)
    assert catalogue.find_asset(tx, str(number)) == row
    assert catalogue.find_asset(tx, row.identifier) == row
    assert (row.title, row.folder, row.media_group) == (
        {"en-US": "Morning_Light"},
        "a/b",
        "Images",
    )
    assert (row.size, row.facts, row.product_id) == (len(PNG), {"width": 3}, None)
    assert row.identifier.isalnum()
    assert not row.identifier.isdigit()
    assert kinds(tx, number) == ["asset.added"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"visibility": "entitled"}, "product"),
        ({"visibility": "secret"}, "visibility"),
        ({"product": "NOPE"}, "product"),
        ({"file_name": "../x"}, "file_name"),
        ({"file_name": "nul.txt"}, "file_name"),
        ({"folder": "a/../b"}, "folder"),
        ({"folder": "a//b"}, "folder"),
        ({"folder": "/".join("a" * 40)}, "folder"),
        ({"folder": "/".join(["\u00fc" * 100] * 6)}, "folder"),
        ({"identifier": "123"}, "identifier"),
        ({"identifier": ""}, "identifier"),
        ({"identifier": "a b"}, "identifier"),
        ({"identifier": "a" * 129}, "identifier"),
        ({"titles": {"english!": "a"}}, "title"),
        ({"titles": {"en": ""}}, "title"),
        ({"titles": {"en": "a\u202eb"}}, "title"),
        ({"titles": {f"x{chr(97 + n % 26)}{chr(97 + n // 26)}": "a" for n in range(51)}}, "title"),
    ],
)
def test_what_is_wrong_is_named(tx: Tx, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, public(**changes))
    assert caught.value.field == field
    assert tx.execute(select(func.count()).select_from(assets)).scalar_one() == 0


def test_a_group_has_no_assets_of_its_own(tx: Tx) -> None:
    group = factories.add_product(tx, members=(factories.add_product(tx),))
    with pytest.raises(Invalid):
        add(tx, AssetSpec("a.png", product=group))


def test_identifiers_stay_taken_even_by_what_is_deleted(tx: Tx) -> None:
    number = add(tx, public(identifier="one"))
    catalogue.delete_asset(tx, number, actor=OPERATOR, now=NOW)
    with pytest.raises(Conflict) as caught:
        add(tx, public(identifier="one"))
    assert caught.value.code == "identifier-taken"
    pair = [(public(identifier="two"), stored()), (public(identifier="two"), stored())]
    with pytest.raises(Conflict):
        catalogue.add_assets(tx, pair, actor=OPERATOR, now=NOW)


def test_titles_by_culture(tx: Tx) -> None:
    number = add(tx, public(titles={"DE-at": "Licht", "zh-hans": "\u5149", "en-us": "Light"}))
    title = catalogue.find_asset(tx, number).title
    assert title == {"de-AT": "Licht", "en-US": "Light", "zh-Hans": "\u5149"}
    assert title_in(title, "de-AT") == "Licht"
    assert title_in(title, "de-DE") == "Licht"
    assert title_in(title, "fr") == title_in(title, None) == "Light"
    assert title_in({"fr": "Lumi\u00e8re"}, "ja") == "Lumi\u00e8re"
    assert title_in({}, "ja") == ""


def test_a_change_keeps_number_identifier_and_bytes(tx: Tx) -> None:
    product = factories.add_product(tx)
    number = add(tx, public(titles={"en": "One"}))
    before = catalogue.find_asset(tx, number)
    spec = replace(catalogue.describe_asset(tx, number), folder="new", titles={"en": "Two"})
    spec = replace(spec, visibility="entitled", product=product)
    later = NOW + factories.DAY
    assert catalogue.change_asset(tx, before.identifier, spec, actor=OPERATOR, now=later) == number
    after = catalogue.find_asset(tx, number)
    assert (after.title, after.folder, after.visibility) == ({"en": "Two"}, "new", "entitled")
    assert (after.product_code, after.changed_at) == (product, later)
    assert (after.identifier, after.sha256) == (before.identifier, before.sha256)
    with pytest.raises(Conflict):
        catalogue.change_asset(
            tx, number, replace(spec, identifier="other"), actor=OPERATOR, now=later
        )
    assert kinds(tx, number) == ["asset.added", "asset.changed"]


def test_another_file_changes_what_follows_from_it(tx: Tx) -> None:
    number = add(tx, public())
    other = StoredFile(factories.digests_of(b"text"), "text/plain", {}, "why")
    old = catalogue.replace_asset_file(
        tx, number, other, file_name="a.txt", actor=OPERATOR, now=NOW
    )
    assert old == factories.digests_of(PNG).sha256
    row = catalogue.find_asset(tx, number)
    assert (row.media_group, row.content_type, row.facts) == ("Documents", "text/plain", {})
    assert (row.file_name, row.size) == ("a.txt", 4)
    assert kinds(tx, number) == ["asset.added", "asset.replaced"]


def test_a_deleted_asset_is_nowhere(tx: Tx) -> None:
    number = add(tx, public(identifier="one"))
    catalogue.delete_asset(tx, "one", actor=OPERATOR, now=NOW)
    for reference in (number, "one"):
        with pytest.raises(NotFound):
            catalogue.find_asset(tx, reference)
        with pytest.raises(NotFound):
            catalogue.delete_asset(tx, reference, actor=OPERATOR, now=NOW)
    assert catalogue.list_assets(tx) == []
    assert [row.id for row in catalogue.list_assets(tx, AssetFilter(deleted=True))] == [number]
    assert kinds(tx, number) == ["asset.added", "asset.deleted"]


def test_lists_are_filtered_and_paged(tx: Tx) -> None:
    product = factories.add_product(tx)
    first = add(tx, public(folder="a"))
    second = add(tx, AssetSpec("b.png", folder="a/b", product=product), b"b")
    third = factories.add_asset(tx, folder="a0")
    every = [first, second, third]

    def found(**wanted: Any) -> list[int]:
        rows = catalogue.list_assets(tx, AssetFilter(**wanted))
        assert catalogue.count_assets(tx, AssetFilter(**wanted)) == len(rows)
        return [row.id for row in rows]

    assert found() == every
    assert found(folder="a") == [first, second]
    assert found(folder="a/b") == [second]
    assert found(product=product) == [second]
    assert found(visibility="public") == [first, third]
    assert found(media_group="images") == [first, second]
    assert [row.id for row in catalogue.list_assets(tx, skip=1, take=1)] == [second]
    with pytest.raises(Invalid):
        found(media_group="Sculptures")


# --- Many files


def source(spec: AssetSpec, data: bytes = PNG) -> AssetSource:
    return AssetSource(spec, lambda: io.BytesIO(data))


def take_in(
    database: Database, store: LocalBlobStore, *sources: AssetSource, **more: Any
) -> list[TakenIn]:
    found = catalogue.take_in_assets(
        database, store, sources, actor=OPERATOR, now=lambda: NOW, **more
    )
    return list(found)


def count(database: Database, table: Any) -> int:
    with database.read() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()


def test_files_are_taken_in_in_order_and_the_same_bytes_once(
    database: Database, store: LocalBlobStore
) -> None:
    done = take_in(
        database,
        store,
        source(public("a.png", folder="x")),
        source(public("b.png", folder="x")),
        source(public("c.csv"), b"1,2\n"),
    )
    assert [(each.outcome, each.source.spec.file_name) for each in done] == [
        ("added", "a.png"),
        ("added", "b.png"),
        ("added", "c.csv"),
    ]
    assert len(list(store.listing())) == count(database, blobs) == 2
    with database.read() as tx:
        assert catalogue.find_asset(tx, done[2].asset_id or 0).content_type == "text/csv"


def test_a_second_run_adds_nothing(database: Database, store: LocalBlobStore) -> None:
    sources = [source(public("a.png", folder="x")), source(public("a.png", folder="y"))]
    first = take_in(database, store, *sources)
    again = take_in(database, store, *sources, source(public("a.png", folder="x"), b"changed"))
    assert [each.outcome for each in again] == ["there", "there", "added"]
    assert [each.asset_id for each in again[:2]] == [each.asset_id for each in first]
    twice = take_in(database, store, source(public("z.png")), source(public("z.png")))
    assert [each.outcome for each in twice] == ["added", "there"]
    assert twice[0].asset_id == twice[1].asset_id


def test_a_file_that_cannot_be_had_is_left_out_and_the_rest_added(
    database: Database, store: LocalBlobStore, tmp_path: Path
) -> None:
    missing = AssetSource(public("m.png"), lambda: (tmp_path / "missing").open("rb"))
    done = take_in(database, store, missing, source(public("a:b.png")), source(public("c.png")))
    assert [each.outcome for each in done] == ["skipped", "skipped", "added"]
    assert done[0].note == "No such file or directory"
    assert "safe file name" in (done[1].note or "")


def test_facts_come_from_the_probe_and_a_damaged_file_is_added_without(
    database: Database, store: LocalBlobStore
) -> None:
    asked: list[str] = []

    def probe(source: BinaryIO, *, content_type: str) -> Mapping[str, Any]:
        asked.append(content_type)
        assert source.tell() == 0
        if source.read().endswith(b"damaged"):
            raise Invalid("The picture ends too early.", code="media-damaged")
        return {"width": 640}

    good, bad, text = take_in(
        database,
        store,
        source(public("a.png")),
        source(public("b.png"), PNG + b"damaged"),
        source(public("c.txt"), b"a text, which nobody measures"),
        probe=probe,
    )
    assert asked == ["image/png", "image/png"]
    with database.read() as tx:
        facts = [catalogue.find_asset(tx, each.asset_id or 0).facts for each in (good, bad, text)]
        assert facts == [{"width": 640}, {}, {}]
        noted = select(events.c.data).where(events.c.subject == f"asset:{bad.asset_id}")
        assert tx.execute(noted).scalar_one()["note"] == "The picture ends too early."
    assert (good.note, bad.note) == (None, "The picture ends too early.")


def test_a_full_disk_stops_and_leaves_nothing_of_the_batch(
    database: Database, store: LocalBlobStore
) -> None:
    def full() -> BinaryIO:
        raise StorageFull("There is no room.")

    with pytest.raises(StorageFull):
        take_in(database, store, source(public("a.png")), AssetSource(public("b.png"), full))
    assert list(store.listing()) == []
    assert count(database, assets) == count(database, blobs) == 0


def test_an_error_takes_back_nothing_that_is_in_use(
    database: Database, store: LocalBlobStore
) -> None:
    take_in(database, store, source(public("a.png")))
    clash = source(public("b.png", identifier="one"))
    with pytest.raises(Conflict):
        take_in(database, store, clash, source(public("c.png", identifier="one"), b"other"))
    assert list(store.listing()) == [factories.digests_of(PNG).sha256]


def test_thousands_are_added_in_short_transactions(
    database: Database, timed: Callable[[], list[float]]
) -> None:
    serial = itertools.count()
    for _ in range(10):
        batch = [
            (public(f"{next(serial)}.png", folder="bulk"), stored(b"%d" % next(serial)))
            for _ in range(BATCH_MAX)
        ]
        with database.write() as tx:
            catalogue.add_assets(tx, batch, actor=OPERATOR, now=NOW)
    assert count(database, assets) == 10 * BATCH_MAX
    # Bounds what a machine under load may take; see the benchmarks for what it takes.
    assert sorted(timed())[5] < 0.5


@pytest.fixture
def timed(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[float]]:
    """The CPU seconds of each write transaction."""
    spent: list[float] = []
    write = database.write

    class Timed:
        def __enter__(self) -> Tx:
            self.began = time.process_time()
            self.inner = write()
            return self.inner.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.inner.__exit__(*error)
            spent.append(time.process_time() - self.began)

    monkeypatch.setattr(database, "write", Timed)
    return lambda: spent
