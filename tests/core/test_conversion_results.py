"""Results of conversions: made once, kept while in use, forgotten when nobody holds them."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from sqlalchemy import select

from entrepot.blobs import LocalBlobStore
from entrepot.core.catalogue import drop_unused_bytes, hold_bytes
from entrepot.core.catalogue.intake import remember_blob
from entrepot.core.conversions import kept
from entrepot.core.conversions.kept import Keeping, keep_rendition, list_renditions
from entrepot.core.conversions.metadata import AssetDescription, metadata_document
from entrepot.core.conversions.port import ConversionFailed, Converted, never
from entrepot.core.conversions.recipes import (
    Recipe,
    compile_pipeline,
    recipe_from_document,
    with_watermarks,
)
from entrepot.core.conversions.results import (
    Result,
    convert_once,
    find_result,
    note_use,
    purge_results,
    remember_result,
)
from entrepot.core.conversions.rules import METADATA_RECIPE
from entrepot.core.conversions.tables import conversions
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Unavailable
from tests.factories import DAY, NOW, add_asset, add_organisation, digests_of

HOUR = timedelta(hours=1)
SOURCE = b"a picture, so to say"


def recipe_of(*steps: tuple[str, Any]) -> Recipe:
    told = [{"type": kind, "value": value} for kind, value in steps]
    return compile_pipeline(told, media_group="Images", content_type="image/jpeg", field="c")


SMALL = recipe_of(("width", 100))


@dataclass(slots=True)
class Repeating:
    """A converter that writes what it was given, in an order that shows it."""

    done: list[Recipe] = field(default_factory=list)
    meanwhile: Callable[[], object] = never
    fails: Exception | None = None

    def convert(
        self,
        source: BinaryIO,
        recipe: Mapping[str, object],
        target: BinaryIO,
        *,
        watermarks: Sequence[BinaryIO] = (),
        cancelled: Callable[[], bool] = never,
    ) -> Converted:
        """The source, then every watermark."""
        files = [source, *watermarks]
        assert all(file.fileno() > 2 for file in (*files, target))
        size = sum(target.write(b"<" + file.read() + b">") for file in files)
        target.flush()
        self.meanwhile()
        if self.fails is not None:
            raise self.fails
        self.done.append(recipe_from_document(recipe))
        return Converted({"width": 100, "cancelled": cancelled()}, size)

    def probe(self, source: BinaryIO, *, content_type: str) -> Mapping[str, str]:
        """What it was told."""
        return {"content_type": content_type}

    def close(self) -> None:
        """Nothing runs."""


@dataclass(slots=True)
class Hub:
    """A database, a store with one picture in it, and a converter."""

    database: Database
    store: LocalBlobStore
    scratch: Path
    source: str
    converter: Repeating = field(default_factory=Repeating)

    def convert(self, recipe: Recipe = SMALL, *, after: timedelta = timedelta()) -> Result:
        result = convert_once(
            self.database,
            self.store,
            self.converter,
            source_sha256=self.source,
            recipe=recipe,
            scratch=self.scratch,
            now=lambda: NOW + after,
        )
        assert not list(self.scratch.iterdir())
        return result

    def stored(self) -> set[str]:
        return set(self.store.listing())


@pytest.fixture
def hub(database: Database, tmp_path: Path) -> Hub:
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=1)
    store.prepare()
    with database.write() as tx:
        add_asset(tx, data=SOURCE, store=store)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Hub(database, store, scratch, digests_of(SOURCE).sha256)


# --- made once -----------------------------------------------------------------------------------


def test_a_conversion_is_done_once(hub: Hub) -> None:
    expected = digests_of(b"<" + SOURCE + b">")
    first = hub.convert()
    assert first == Result(
        expected.sha256,
        "jpg",
        "image/jpeg",
        {"width": 100, "cancelled": False},
        expected.size,
        expected.crc32,
    )
    assert hub.convert(recipe_of(("resize", {"width": "100"}))) == first
    assert hub.converter.done == [SMALL]
    other = hub.convert(recipe_of(("width", 101)))
    assert len(hub.converter.done) == 2
    # The same bytes by another recipe are stored once.
    assert other.result_sha256 == first.result_sha256
    with hub.store.open(first.result_sha256) as stored:
        assert stored.read() == b"<" + SOURCE + b">"


def test_another_version_of_the_converter_makes_it_anew(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.convert()
    monkeypatch.setattr("entrepot.core.conversions._recipe.converter_version", lambda _: "2")
    hub.convert(replace(SMALL))  # as it is read anew: a recipe keeps its key
    assert len(hub.converter.done) == 2


def test_no_transaction_is_open_while_the_converter_works(hub: Hub) -> None:
    def write() -> None:
        with hub.database.write() as tx:
            add_organisation(tx, "Busy meanwhile")

    hub.converter.meanwhile = write  # on SQLite this would wait for ten seconds, and fail
    assert hub.convert().size


def test_watermarks_are_handed_over_in_their_order(hub: Hub) -> None:
    marks = [hub.store.ingest(io.BytesIO(data)).sha256 for data in (b"one", b"two")]
    recipe = recipe_of(("watermark", {"asset": 8}), ("watermark", {"asset": 7}))
    placed = with_watermarks(recipe, {"8": marks[1], "7": marks[0]})
    result = hub.convert(placed)
    with hub.store.open(result.result_sha256) as stored:
        assert stored.read() == b"<" + SOURCE + b"><two><one>"


def test_a_failure_leaves_nothing(hub: Hub) -> None:
    before = hub.stored()
    hub.converter.fails = ConversionFailed("It is no picture.", code="media-damaged")
    with pytest.raises(ConversionFailed, match="no picture"):
        hub.convert()
    assert not list(hub.scratch.iterdir())
    assert hub.stored() == before
    hub.converter.fails = None
    assert hub.convert().size


def test_bytes_that_cannot_be_kept_are_removed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hub.stored()

    def refuse(*_: object, **__: object) -> None:
        raise Unavailable("The database is gone.")

    monkeypatch.setattr("entrepot.core.conversions.results.remember_result", refuse)
    with pytest.raises(Unavailable):
        hub.convert()
    assert hub.stored() == before


def test_of_two_who_make_it_at_once_the_first_counts(hub: Hub) -> None:
    def faster() -> None:
        digests = hub.store.ingest(io.BytesIO(b"made by another worker"))
        with hub.database.write() as tx:
            hold_bytes(tx, hub.store, [digests], now=NOW)
            remember_result(tx, hub.source, SMALL, digests=digests, facts={"width": 99}, now=NOW)

    hub.converter.meanwhile = faster
    result = hub.convert()
    assert result.facts == {"width": 99}
    assert hub.stored() == {hub.source, result.result_sha256}
    assert hub.convert() == result


def test_a_source_elsewhere_is_copied_first(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        LocalBlobStore, "open", lambda _self, _sha256: io.BytesIO(b"from another machine")
    )
    assert hub.convert().result_sha256 == digests_of(b"<from another machine>").sha256


def test_a_metadata_file_is_no_conversion(hub: Hub) -> None:
    with pytest.raises(ValueError, match="follows from the asset"):
        hub.convert(METADATA_RECIPE)


# --- used and forgotten --------------------------------------------------------------------------


def used_at(database: Database) -> Any:
    with database.read() as tx:
        return tx.execute(select(conversions.c.used_at)).scalar_one()


def test_use_is_noted_to_the_hour(hub: Hub) -> None:
    hub.convert()
    assert used_at(hub.database) == NOW
    hub.convert(after=HOUR / 2)
    assert used_at(hub.database) == NOW
    hub.convert(after=3 * HOUR)
    assert used_at(hub.database) == NOW + 3 * HOUR
    with hub.database.write() as tx:
        note_use(tx, hub.source, SMALL.key, now=NOW + 2 * HOUR)  # a clock that lags behind
    assert used_at(hub.database) == NOW + 3 * HOUR


def remember(tx: Tx, number: int, *, used: timedelta) -> str:
    """A result of its own, used last so long ago; gives its digest."""
    data = f"result {number}".encode()
    digests = digests_of(data)
    remember_blob(tx, digests, now=NOW)
    source = digests_of(f"source {number}".encode()).sha256
    remember_result(tx, source, SMALL, digests=digests, facts={}, now=NOW - used)
    return digests.sha256


def test_what_nobody_used_or_holds_is_forgotten_oldest_first(tx: Tx) -> None:
    held = remember(tx, 0, used=9 * DAY)
    add_asset(tx, data=b"result 0")  # somebody added the same picture
    kept_one = remember(tx, 1, used=8 * DAY)
    old = [remember(tx, number, used=number * DAY) for number in (7, 6, 5)]
    recent = remember(tx, 9, used=HOUR)
    keep(tx, kept_one)
    assert purge_results(tx, unused_since=NOW - DAY, take=2) == sorted(old[:2])
    assert purge_results(tx, unused_since=NOW - DAY, take=2) == [old[2]]
    assert purge_results(tx, unused_since=NOW - DAY) == []
    left = set(tx.execute(select(conversions.c.result_sha256)).scalars())
    assert left == {held, kept_one, recent}


def test_the_bytes_of_what_was_forgotten_can_go(hub: Hub) -> None:
    result = hub.convert()
    with hub.database.write() as tx:
        gone = purge_results(tx, unused_since=NOW + DAY)
    assert gone == [result.result_sha256]
    drop_unused_bytes(hub.database, hub.store, gone)
    assert hub.stored() == {hub.source}
    with hub.database.read() as tx:
        assert find_result(tx, hub.source, SMALL.key) is None
    assert hub.convert() == result
    assert len(hub.converter.done) == 2


def test_one_result_of_two_recipes_is_forgotten_with_both(hub: Hub) -> None:
    hub.convert()
    hub.convert(recipe_of(("width", 101)))
    with hub.database.write() as tx:
        assert len(purge_results(tx, unused_since=NOW + DAY)) == 1
        assert tx.execute(select(conversions)).first() is None


# --- kept by customers ---------------------------------------------------------------------------


def keep(
    tx: Tx,
    sha256: str,
    *,
    asset_id: int | None = None,
    organisation_id: int | None = None,
    label: str = "Poster",
    description: str | None = "For the wall",
) -> int | None:
    return keep_rendition(
        tx,
        Keeping(label, "en-US", description),
        Result(sha256, "jpg", "image/jpeg", {}, 8, 0),
        asset_id=asset_id or add_asset(tx),
        organisation_id=organisation_id or add_organisation(tx),
        recipe_key=SMALL.key,
        source_sha256="0" * 64,
        created_by="user:7",
        now=NOW,
    )


def test_a_rendition_is_kept_once_for_the_organisation(tx: Tx) -> None:
    sha256 = remember(tx, 1, used=DAY)
    asset, mine, yours = add_asset(tx), add_organisation(tx), add_organisation(tx)
    first = keep(tx, sha256, asset_id=asset, organisation_id=mine)
    assert first is not None
    assert keep(tx, sha256, asset_id=asset, organisation_id=mine) is None
    other = keep(tx, sha256, asset_id=asset, organisation_id=mine, label="Card", description=None)
    found = list_renditions(tx, asset, organisation_id=mine)
    assert [(each.id, each.label, each.culture, each.description) for each in found] == [
        (first, "Poster", "en-US", "For the wall"),
        (other, "Card", "en-US", None),
    ]
    assert (found[0].sha256, found[0].size, found[0].extension) == (sha256, 8, "jpg")
    assert (found[0].created_by, found[0].created_at) == ("user:7", NOW)
    assert list_renditions(tx, asset, organisation_id=yours) == []
    told = tx.execute(select(events.c.subject).where(events.c.type == "rendition.kept")).scalars()
    assert list(told) == [f"asset:{asset}"] * 2


def test_an_asset_has_so_many_and_no_more(tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_MAX", 2)
    sha256 = remember(tx, 1, used=DAY)
    asset, organisation = add_asset(tx), add_organisation(tx)
    for label in ("one", "two"):
        assert keep(tx, sha256, asset_id=asset, organisation_id=organisation, label=label)
    with pytest.raises(Conflict) as caught:
        keep(tx, sha256, asset_id=asset, organisation_id=organisation, label="three")
    assert caught.value.code == "renditions-full"
    # A job that comes again must not fail over what it kept the first time.
    assert keep(tx, sha256, asset_id=asset, organisation_id=organisation, label="two") is None
    assert keep(tx, sha256, asset_id=asset, label="two")


# --- the file of facts ---------------------------------------------------------------------------


def test_the_facts_of_an_asset_as_a_file() -> None:
    asset = AssetDescription(
        id=12,
        identifier="a-tree",
        title={"de": "Ein Baum", "en-US": "A tree"},
        folder="trees/old",
        media_group="Images",
        file_name="tree.jpg",
        content_type="image/jpeg",
        size=1234,
        sha256="a" * 64,
        facts={"width": 640, "height": 480},
    )
    content = metadata_document(asset)
    assert content == metadata_document(asset)
    told = json.loads(content)
    assert told["media_group"] == "M.AssetMedia.Images"
    assert told["title"] == {"de": "Ein Baum", "en-US": "A tree"}
    assert (told["facts"], told["size"]) == ({"width": 640, "height": 480}, 1234)
    assert content.endswith(b"}\n")
