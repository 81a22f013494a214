"""The package: its entries, its papers, what is said of what is missing, and only once."""

import hashlib
import io
import zlib
from typing import Any

import pytest
from sqlalchemy import func, select

from entrepot.core import catalogue, entitlements, orders
from entrepot.core.catalogue import StoredFile, drop_unused_bytes, sweep_bytes
from entrepot.core.catalogue.tables import blobs, former_files, user_renditions
from entrepot.core.conversions.kept import list_permitted_renditions
from entrepot.core.events.tables import events
from entrepot.core.orders import packaging
from entrepot.core.orders import tables as t
from entrepot.core.orders.former import release_former_files
from entrepot.errors import Denied, Gone, NotFound, StorageFull, Unavailable
from tests import factories
from tests.core.orders_world import IMAGES, PNG, World
from tests.factories import NOW, OPERATOR


def test_a_package_has_the_files_and_the_papers(world: World) -> None:
    one = world.add_asset(b"first", file_name="a.jpg", identifier="one")
    two = world.add_asset(b"second", file_name="A.JPG", identifier="two")
    world.select(one, two)
    placed = world.order({"zip_filename": "photos"}, name="Spring", culture="de-DE")
    assert world.complete(placed.order_id) == "Completed"
    entries = world.entries(placed.order_id)
    assert list(entries) == [
        "order.json",
        "manifest.json",
        "a_downloadOriginal.jpg",
        "A_downloadOriginal (2).JPG",
    ]
    for entry in entries.values():
        data = world.read(entry.sha256)
        assert (entry.size, entry.crc32) == (len(data), zlib.crc32(data))
        assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert world.paper(placed.order_id, "order.json") == {
        "order_id": placed.order_id,
        "name": "Spring",
        "download_order_type": "Standard",
        "culture": "de-DE",
        "item_name_resolver_id": "standard",
        "created_on": "2026-06-15T12:00:00.000Z",
        "target_count": 2,
        "order": {"zip_filename": "photos"},
    }
    told = world.paper(placed.order_id, "manifest.json")
    assert told["missing"] == []
    assert told["files"][1] == {
        "name": "A_downloadOriginal (2).JPG",
        "size": 6,
        "sha256": hashlib.sha256(b"second").hexdigest(),
        "asset_id": two,
        "identifier": "two",
        "rendition": "downloadOriginal",
    }
    package = world.package(placed.order_id)
    assert (package.file_name, package.completed_at) == ("photos.zip", NOW)
    view = world.view(placed.order_id)
    assert (view.status, view.files_completed, view.files_failed) == ("Completed", 2, 0)
    assert view.bytes_total == sum(entry.size for entry in entries.values())
    assert view.additional_info is None
    assert view.expires_at is not None
    assert (view.expires_at - NOW).days == 30
    assert world.told(placed.order_id) == ["order.placed", "order.completed"]


def test_who_completes_it_again_finds_it_done(world: World) -> None:
    world.select(world.add_asset())
    placed = world.order()
    assert world.complete(placed.order_id) == "Completed"
    assert world.complete(placed.order_id) is None
    assert world.complete(placed.order_id + 1) is None
    assert world.told(placed.order_id) == ["order.placed", "order.completed"]


def test_of_two_who_complete_at_once_one_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reads before and publishes after the first: it changes nothing."""
    world.select(world.add_asset())
    placed = world.order()
    store = packaging._store

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(packaging, "_store", store)
        assert world.complete(placed.order_id) == "Completed"
        return store(*given)

    monkeypatch.setattr(packaging, "_store", meanwhile)
    assert world.complete(placed.order_id) is None
    assert world.told(placed.order_id) == ["order.placed", "order.completed"]


def test_the_same_order_gives_the_same_bytes_whenever_it_is_packed(world: World) -> None:
    world.select(*(world.add_asset(file_name="same.jpg") for _ in range(4)))
    placed = world.order()
    world.complete(placed.order_id)
    first = world.package(placed.order_id).package_sha256
    with world.database.write() as tx:
        tx.execute(t.orders.update().values(status="Pending", package_sha256=None))
    world.later(days=3)
    world.complete(placed.order_id)
    assert world.package(placed.order_id).package_sha256 == first


def test_what_failed_is_told_and_the_rest_delivered(world: World) -> None:
    good = world.add_asset(b"good")
    bad = world.add_asset(b"bad", file_name="bad.jpg", identifier="bad-one")
    world.select(good, bad)
    placed = world.order({"global": {IMAGES: PNG}})
    digest = factories.digests_of(b"bad").sha256
    for one in world.pending(placed.order_id):
        (world.fail if one.source_sha256 == digest else world.settle)(placed.order_id, one)
    assert world.complete(placed.order_id) == "CompletedWithErrors"
    view = world.view(placed.order_id)
    assert (view.files_completed, view.files_failed) == (1, 1)
    assert view.additional_info == "1 of 2 files could not be made: see report.txt."
    assert world.paper(placed.order_id, "manifest.json")["missing"] == [
        {
            "asset_id": bad,
            "identifier": "bad-one",
            "rendition": "conversion",
            "file_name": "bad.jpg",
            "code": "media-damaged",
            "reason": "The file ends in its middle.",
        }
    ]
    report = world.paper(placed.order_id, "report.txt")
    assert f"bad.jpg (asset {bad}, bad-one): conversion\r\n" in report
    assert "why: The file ends in its middle. [media-damaged]" in report
    assert "what to do: Replace the file by an undamaged one" in report
    assert world.told(placed.order_id)[-1] == "order.completed"


def test_where_nothing_could_be_made_the_order_failed(world: World) -> None:
    world.select(world.add_asset())
    placed = world.order({"global": {IMAGES: PNG}})
    world.fail(placed.order_id, world.pending(placed.order_id)[0])
    assert world.complete(placed.order_id) == "Failed"
    assert world.view(placed.order_id).expires_at is None  # purged a week after its end
    assert world.view(placed.order_id).additional_info == (
        "1 of 1 file could not be made: nothing could be delivered. "
        "The first reason: The file ends in its middle."
    )
    with pytest.raises(Gone):
        world.package(placed.order_id)
    assert world.told(placed.order_id) == ["order.placed", "order.failed"]


def test_bytes_that_are_missing_fail_their_file_only(world: World) -> None:
    kept, lost = world.add_asset(b"kept"), world.add_asset(b"lost")
    world.select(kept, lost)
    placed = world.order()
    with world.database.write() as tx:
        digest = factories.digests_of(b"lost").sha256
        tx.execute(
            t.order_items.update()
            .values(source_sha256="0" * 64)
            .where(t.order_items.c.source_sha256 == digest)
        )
    assert world.complete(placed.order_id) == "CompletedWithErrors"
    (missing,) = world.paper(placed.order_id, "manifest.json")["missing"]
    assert (missing["asset_id"], missing["code"]) == (lost, "bytes-missing")


def test_metadata_files_are_written_of_each_asset(world: World) -> None:
    """They follow from the asset, not from its bytes: equal files have different ones."""
    one = world.add_asset(b"same", facts={"width": 7}, identifier="one")
    two = world.add_asset(b"same", facts={"width": 7}, identifier="two")
    world.select(one, two)
    placed = world.order({"global": {IMAGES: {"renditions": ["metadata"]}}})
    assert placed.job is not None
    assert world.pending(placed.order_id) == []
    assert world.complete(placed.order_id) == "Completed"
    papers = [world.paper(placed.order_id, name) for name in world.files(placed.order_id)]
    assert [paper["identifier"] for paper in papers] == ["one", "two"]
    assert papers[0]["facts"] == {"width": 7}
    assert world.files(placed.order_id)[0].endswith("_metadata.json")


def test_results_are_kept_as_renditions_once(world: World) -> None:
    asset = world.add_asset()
    world.select(asset)
    keep = {"label": "print", "culture": "en-US", "description": "for print"}
    config = {**PNG, "renditions": ["Original"], "user_rendition_configuration": keep}
    for _ in range(2):
        placed = world.order({"global": {IMAGES: config}})
        for one in world.pending(placed.order_id):
            world.settle(placed.order_id, one)
        assert world.complete(placed.order_id) == "Completed"
    with world.database.read() as tx:
        (row,) = tx.execute(select(user_renditions)).all()
    assert (row.asset_id, row.organisation_id) == (asset, world.who.organisation_id)
    assert (row.label, row.culture, row.description) == ("print", "en-US", "for print")
    assert (row.extension, row.content_type) == ("png", "image/png")
    assert row.created_by == world.who.label


def test_a_kept_rendition_follows_the_asset_s_file(world: World) -> None:
    """Kept again by the same order after the file was replaced: the new picture, and it alone."""
    asset = world.add_asset(b"old")
    world.select(asset)
    keep = {"label": "print", "culture": None, "description": None}
    config = {"global": {IMAGES: {**PNG, "user_rendition_configuration": keep}}}

    def settled() -> int:
        order_id = world.order(config).order_id
        for one in world.pending(order_id):
            world.settle(order_id, one)
        return order_id

    def held() -> tuple[int, bytes]:
        with world.database.read() as tx:
            (one,) = list_permitted_renditions(tx, world.who, asset, now=world.now)
        return one.id, world.read(one.sha256)

    first, late = settled(), settled()
    assert world.complete(first) == "Completed"
    number, old = held()
    new = world.store.ingest(io.BytesIO(b"new"))
    with world.database.write() as tx:
        stored = StoredFile(new, "image/jpeg")
        catalogue.replace_asset_file(tx, asset, stored, actor=OPERATOR, now=world.now)
    second, again = settled(), settled()
    assert world.complete(second) == world.complete(again) == "Completed"
    assert held() != (number, old)
    assert held()[1].startswith(new.sha256.encode())
    # Placed before, ended after: it delivers the old file, and does not bring it back here.
    assert world.complete(late) == "Completed"
    assert held()[0] == number
    assert held()[1].startswith(new.sha256.encode())
    with world.database.read() as tx:
        kept = select(func.count()).where(events.c.type == "rendition.kept")
        assert tx.execute(kept).scalar_one() == 2


def test_a_kept_rendition_with_a_lent_watermark_is_had_as_long_as_the_watermark(
    world: World,
) -> None:
    with world.database.write() as tx:
        lent = factories.add_product(tx)
        entitlement = factories.grant(tx, world.who.organisation_id, lent)
    asset = world.add_asset(file_name="sea.jpg")
    mark = world.add_asset(b"mark", content_type="image/png", product=lent)
    world.select(asset)
    plain = PNG["conversions"][0]
    marked = [{"type": "watermark", "value": {"asset": mark}}, *plain]
    keep = {"label": "print", "culture": None, "description": None}
    configured = {"conversions": [plain, marked], "user_rendition_configuration": keep}
    placed = world.order({"global": {IMAGES: configured}})
    for one in world.pending(placed.order_id):
        world.settle(placed.order_id, one)
    assert world.complete(placed.order_id) == "Completed"
    # One label, two files: told apart by number, as all that have one name.
    assert world.files(placed.order_id) == ["sea_conversion.png", "sea_conversion (2).png"]

    def kept() -> list[list[int]]:
        with world.database.read() as tx:
            found = list_permitted_renditions(tx, world.who, asset, now=world.now)
        return [list(each.product_ids) for each in found]

    with world.database.read() as tx:
        number = catalogue.find_product(tx, lent).id
    assert kept() == [[], [number]]
    with world.database.write() as tx:
        entitlements.revoke(tx, entitlement, actor=OPERATOR, now=world.now)
    assert kept() == [[]]


def test_no_room_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.select(world.add_asset())
    placed = world.order()

    def full(*_: Any, **__: Any) -> Any:
        raise StorageFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.store), "ingest", full)
        with pytest.raises(StorageFull):
            world.complete(placed.order_id)
    assert world.view(placed.order_id).status == "Pending"
    assert world.complete(placed.order_id) == "Completed"


def test_bytes_swept_before_their_rows_are_stored_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.select(world.add_asset())
    placed = world.order()
    store = packaging._store

    def swept(*given: Any) -> Any:
        monkeypatch.setattr(packaging, "_store", store)
        package = store(*given)
        world.store.delete(package.listed.sha256)
        return package

    monkeypatch.setattr(packaging, "_store", swept)
    assert world.complete(placed.order_id) == "Completed"
    assert len(world.files(placed.order_id)) == 1


def test_an_unsettled_order_is_not_completed(world: World) -> None:
    world.select(world.add_asset())
    placed = world.order({"global": {IMAGES: PNG}})
    with pytest.raises(Unavailable) as caught:
        world.complete(placed.order_id)
    assert caught.value.code == "order-not-settled"
    with pytest.raises(Unavailable) as caught:
        world.package(placed.order_id)
    assert caught.value.code == "order-not-ready"


def test_another_generation_is_not_completed(world: World) -> None:
    world.select(world.add_asset())
    placed = world.order()
    done = orders.complete_order(
        world.database,
        world.store,
        placed.order_id,
        rules=world.rules,
        generation=2,
        now=world.clock,
    )
    assert done is None
    assert world.view(placed.order_id).status == "Pending"


def test_a_package_is_its_owner_s_while_the_right_holds(world: World) -> None:
    world.select(world.add_asset(), world.add_asset(product=None))
    placed = world.order()
    world.complete(placed.order_id)
    with pytest.raises(NotFound):
        world.package(placed.order_id, world.colleague())
    with pytest.raises(NotFound):
        world.package(placed.order_id + 1)
    assert world.package(placed.order_id).order_id == placed.order_id
    with world.database.write() as tx:
        entitlements.revoke(tx, world.entitlement, actor=OPERATOR, now=NOW)
    with pytest.raises(Denied) as caught:
        world.package(placed.order_id)
    assert caught.value.code == "order-right-ended"


def test_a_package_ends_with_its_days(world: World) -> None:
    world.select(world.add_asset())
    placed = world.order()
    world.complete(placed.order_id)
    world.later(days=29.9)
    world.package(placed.order_id)
    world.later(days=0.1)
    with pytest.raises(Gone):
        world.package(placed.order_id)


def test_what_an_order_needs_is_held_until_it_is_purged(world: World) -> None:
    """Replaced, deleted, purged assets and all sweeping in between take nothing from it."""
    replaced, purged = world.add_asset(b"replaced"), world.add_asset(b"purged")
    world.select(replaced, purged)
    placed = world.order()
    after = StoredFile(world.store.ingest(io.BytesIO(b"after")), "image/jpeg")
    with world.database.write() as tx:
        before = catalogue.replace_asset_file(tx, replaced, after, actor=OPERATOR, now=NOW)
    drop_unused_bytes(world.database, world.store, [before])
    world.delete_asset(purged)
    world.later(days=1)

    def sweep() -> int:
        return sweep_bytes(
            world.database,
            world.store,
            older_than_seconds=0,
            release=lambda: release_former_files(world.database, now=world.clock),
            now=world.clock,
        ).files

    sweep()
    assert world.complete(placed.order_id) == "Completed"
    sweep()
    files = {
        world.read(world.entries(placed.order_id)[n].sha256) for n in world.files(placed.order_id)
    }
    assert files == {b"replaced", b"purged"}
    with world.database.write() as tx:
        orders.cancel_order(tx, world.who, placed.order_id, now=world.now)
    world.later(days=8)
    with world.database.write() as tx:
        assert orders.purge_orders(tx, now=world.now) > 0
    assert sweep() == 5  # two files, two papers and the list
    with world.database.read() as tx:
        assert tx.execute(select(former_files)).all() == []
        assert tx.execute(select(blobs.c.sha256)).scalars().all() == [after.digests.sha256]


def test_a_resolver_that_was_removed_gives_way_to_the_default(world: World) -> None:
    world.select(world.add_asset(file_name="a.jpg"))
    placed = world.order(item_name_resolver_id="by-group")
    with world.database.write() as tx:
        tx.execute(t.orders.update().values(resolver_id="removed"))
    world.complete(placed.order_id)
    assert world.files(placed.order_id) == ["a_downloadOriginal.jpg"]


@pytest.mark.parametrize(
    ("resolver", "names"),
    [
        ("standard", ["a_downloadOriginal.jpg", "b_downloadOriginal"]),
        ("file-name", ["a.jpg", "b"]),
        ("by-group", ["Images/a_downloadOriginal.jpg", "Images/b_downloadOriginal"]),
        ("by-folder", ["x/y/a_downloadOriginal.jpg", "b_downloadOriginal"]),
        ("id-and-title", ["20001_Hafen_downloadOriginal.jpg", "20002_b_downloadOriginal"]),
    ],
)
def test_names_are_made_by_the_resolver(world: World, resolver: str, names: list[str]) -> None:
    titles = {"en-US": "Harbour", "de-DE": "Hafen"}
    one = world.add_asset(file_name="a.jpg", folder="x/y", titles=titles)
    world.select(one, world.add_asset(file_name="b"))
    placed = world.order(item_name_resolver_id=resolver, culture="de-AT")
    world.complete(placed.order_id)
    assert world.files(placed.order_id) == names
