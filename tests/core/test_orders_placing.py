"""Placing: what is frozen, what is planned of it, and what is refused by which path."""

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from entrepot.core import catalogue, orders
from entrepot.core.catalogue import StoredFile
from entrepot.core.orders import SeveralFaults, outputs, placing
from entrepot.core.orders import tables as t
from entrepot.core.orders.freezing import Kind
from entrepot.errors import Denied, Invalid, TooMany, Unavailable
from tests import factories
from tests.core.orders_world import IMAGES, PNG, POOL, World, body
from tests.factories import DAY, NOW, OPERATOR


def test_stored_files_need_no_job(world: World) -> None:
    one, two = world.add_asset(), world.add_asset()
    world.select(two, one)
    placed = world.order(name="Spring", culture="en-US")
    assert placed.job is None
    view = world.view(placed.order_id)
    assert (view.status, view.target_count, view.files_total) == ("Pending", 2, 2)
    assert (view.name, view.culture, view.type) == ("Spring", "en-US", "Standard")
    assert view.zip_file_name == f"order-{placed.order_id}.zip"
    assert not view.has_conversions
    assert [
        (item.asset_id, item.position, item.rendition, item.recipe_key, item.state)
        for item in world.items(placed.order_id)
    ] == [(one, 1, "downloadOriginal", None, "done"), (two, 1, "downloadOriginal", None, "done")]
    assert world.told(placed.order_id) == ["order.placed"]


def test_what_was_ordered_stays_as_it_was(world: World) -> None:
    """Titles, files and places are those of the moment, whatever a publisher does later."""
    asset = world.add_asset(b"before", file_name="before.jpg", folder="a")
    world.select(asset)
    placed = world.order({}, item_name_resolver_id="by-folder")
    after = StoredFile(world.store.ingest(io.BytesIO(b"after")), "image/jpeg")
    with world.database.write() as tx:
        before = catalogue.replace_asset_file(
            tx, asset, after, file_name="after.jpg", actor=OPERATOR, now=NOW
        )
    catalogue.drop_unused_bytes(world.database, world.store, [before])
    world.change_asset(asset, title={"en-US": "After"}, folder="b")
    world.delete_asset(asset)
    assert world.complete(placed.order_id) == "Completed"
    (name,) = world.files(placed.order_id)
    assert name == "a/before_downloadOriginal.jpg"
    assert world.read(world.entries(placed.order_id)[name].sha256) == b"before"


def test_a_selection_is_frozen_not_watched(world: World) -> None:
    one, two = world.add_asset(), world.add_asset()
    world.select(one)
    placed = world.order()
    world.select(two)
    orders.clear_selection(world.database, world.who, POOL, now=world.clock)
    assert world.view(placed.order_id).target_count == 1
    assert [item.asset_id for item in world.items(placed.order_id)] == [one]


def test_what_is_gone_by_now_is_left_out_and_counted(world: World) -> None:
    kept, deleted, withdrawn = (world.add_asset() for _ in range(3))
    world.select(kept, deleted, withdrawn)
    world.delete_asset(deleted)
    with world.database.write() as tx:
        foreign = factories.add_product(tx)
        number = catalogue.find_product(tx, foreign).id
    world.change_asset(withdrawn, product_id=number)
    placed = world.order()
    world.complete(placed.order_id)
    view = world.view(placed.order_id)
    assert (view.status, view.target_count) == ("Completed", 1)
    assert view.additional_info == "2 selected assets left out: deleted, or not yours."
    world.delete_asset(kept)
    with pytest.raises(Invalid) as caught:
        world.order()
    assert (caught.value.field, caught.value.code) == ("target_selection", "order-empty")


def test_an_empty_selection_is_refused(world: World) -> None:
    with pytest.raises(Invalid, match="The selection is empty") as caught:
        world.order()
    assert caught.value.field == "target_selection"
    with world.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(t.orders)).scalar_one() == 0


def test_individual_replaces_global(world: World) -> None:
    one, two = world.add_asset(), world.add_asset(identifier="harbour")
    world.select(one, two)
    config = {
        "global": {IMAGES: {"renditions": ["Original", "downloadOriginal", "thumbnail"]}},
        "individual": {"harbour": {"renditions": ["preview"]}},
    }
    placed = world.order(config)
    assert placed.job is not None
    assert [
        (item.asset_id, item.position, item.rendition, item.state)
        for item in world.items(placed.order_id)
    ] == [
        (one, 1, "downloadOriginal", "done"),
        (one, 2, "thumbnail", "pending"),
        (two, 1, "preview", "pending"),
    ]
    assert world.view(placed.order_id).files_total == 3


def test_global_is_not_held_against_assets_that_it_is_not_for(world: World) -> None:
    """Not its faults, nor the owner of its watermark, nor that it would have to be converted."""
    drawing = world.add_asset(identifier="drawing", content_type="image/svg+xml")
    picture = world.add_asset(identifier="picture")
    paper = world.add_asset(content_type="application/pdf")
    with world.database.write() as tx:
        lender = factories.add_product(tx)
        factories.grant(tx, world.who.organisation_id, lender)
        mark = factories.add_asset(tx, lender, content_type="image/png")
    original = {"renditions": ["downloadOriginal"]}
    marked = [{"type": "watermark", "value": {"asset": str(mark)}}, *PNG["conversions"][0]]
    config: dict[str, Any] = {
        "global": {
            IMAGES: {"conversions": [marked]},
            "M.AssetMedia.Vectors": {"renditions": ["mp4"]},
        },
        "individual": {"drawing": original, "picture": original},
    }

    def placed(**how: Any) -> tuple[Any, list[tuple[int, str]]]:
        order_id = world.place(body(config), **how).order_id
        with world.database.read() as tx:
            row = tx.execute(select(t.orders).where(t.orders.c.id == order_id)).one()
        return row, [(item.asset_id, item.rendition) for item in world.items(order_id)]

    stored = [(each, "downloadOriginal") for each in (drawing, picture)]
    world.select(drawing, picture)  # no kind is left to `global`
    row, items = placed(on=False)
    assert (row.plan["kinds"], row.files_total, items) == ([], 2, stored)
    assert len(row.product_ids) == 1
    world.select(paper)  # one kind is left
    row, items = placed(on=False)
    assert row.plan["kinds"][0]["types"] is None
    assert (row.files_total, items) == (3, [*stored, (paper, "downloadOriginal")])
    other = world.add_asset()
    world.select(other)  # two, and `global` is for one of them
    row, items = placed()
    assert (row.files_total, items[3:]) == (4, [(other, "conversion")])
    assert len(row.product_ids) == 2
    world.select(world.add_asset(content_type="image/svg+xml"))
    with pytest.raises(Invalid) as caught:
        placed()
    assert caught.value.field == "order.global.M.AssetMedia.Vectors.renditions[0]"


def test_equal_configurations_that_cannot_work_are_all_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three", "four"):
        world.add_asset(identifier=name)
    bad = {
        "renditions": ["downloadOriginal", "mp4"],
        "conversions": [[{"type": "fileExtension", "value": "mp4"}]],
    }
    fine = {"renditions": ["downloadOriginal"]}
    told = {"order": {"individual": {"one": bad, "two": fine, "three": bad, "four": bad}}}
    ends = ("renditions[1]", "conversions[0][0].value")
    paths = [f"order.individual.{name}.{end}" for name in ("one", "three", "four") for end in ends]
    with pytest.raises(SeveralFaults) as several:
        world.place(told)
    assert list(several.value.details) == paths
    said = list(several.value.details.values())
    assert said[0:2] == said[2:4] == said[4:6]
    assert "mp4" in str(said[1])
    monkeypatch.setattr(outputs, "FAULTS_MAX", 3)  # repeated faults, beside the first ones
    with pytest.raises(SeveralFaults) as several:
        world.place(told)
    assert list(several.value.details) == paths[:5]


def test_without_a_selection_the_individual_ones_are_the_targets(world: World) -> None:
    one, two = world.add_asset(), world.add_asset(identifier="harbour")
    placed = world.place({"order": {"individual": {str(one): {}, "harbour": None}}})
    assert [item.asset_id for item in world.items(placed.order_id)] == [one, two]


def test_standard_adds_defaults_and_custom_nothing(world: World) -> None:
    picture = world.add_asset()
    video = world.add_asset(content_type="video/mp4")
    world.select(picture, video)
    config = {"global": {IMAGES: PNG}}
    standard, custom = world.order(config), world.order(config, download_order_type="Custom")
    assert [(i.asset_id, i.rendition) for i in world.items(standard.order_id)] == [
        (picture, "conversion"),
        (video, "downloadOriginal"),
    ]
    assert [(i.asset_id, i.rendition) for i in world.items(custom.order_id)] == [
        (picture, "conversion")
    ]
    assert world.view(custom.order_id).has_conversions
    for one in world.pending(custom.order_id):
        world.settle(custom.order_id, one)
    assert world.complete(custom.order_id) == "Completed"
    info = world.view(custom.order_id).additional_info
    assert info == "1 asset without files: nothing was configured."


def test_a_custom_order_of_nothing_is_refused(world: World) -> None:
    world.select(world.add_asset())
    with pytest.raises(Invalid) as caught:
        world.order(download_order_type="Custom")
    assert (caught.value.field, caught.value.code) == ("order.global", "order-empty")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"renditions": ["nonsense"]}, "renditions[0]"),
        ({"renditions": ["downloadOriginal", "mp4"]}, "renditions[1]"),
        ({"presets": ["nonsense"]}, "presets[0]"),
        ({"conversions": [[{"type": "fileExtension", "value": "mp4"}]]}, "conversions[0][0].value"),
        ({"conversions": [[{"type": "fileExtension", "value": {}}]]}, "conversions[0][0].value"),
        ({"conversions": [[{"type": "twirl", "value": 1}]]}, "conversions[0][0].type"),
    ],
)
def test_what_cannot_be_made_is_named_by_its_path(
    world: World, config: dict[str, Any], field: str
) -> None:
    asset = world.add_asset()
    world.select(asset)
    for path, order in (
        (f"order.global.{IMAGES}", {"global": {IMAGES: config}}),
        (f"order.individual.{asset}", {"individual": {str(asset): config}}),
    ):
        with pytest.raises(Invalid) as caught:
            world.order(order)
        assert caught.value.field == f"{path}.{field}"


def test_a_resolver_must_be_one_of_the_hub_s(world: World) -> None:
    world.select(world.add_asset())
    with pytest.raises(Invalid) as caught:
        world.order(item_name_resolver_id="nonsense")
    assert caught.value.field == "item_name_resolver_id"


def test_named_assets_that_are_not_there_and_not_yours_are_one_error(world: World) -> None:
    with world.database.write() as tx:
        foreign = factories.add_asset(tx, factories.add_product(tx), identifier="foreign")
    deleted = world.add_asset()
    world.delete_asset(deleted)
    told = set()
    for key in (str(foreign), "foreign", str(deleted), "999999", "nowhere"):
        with pytest.raises(Invalid) as caught:
            world.place({"order": {"individual": {key: {}}}})
        assert caught.value.field == f"order.individual.{key}"
        told.add((caught.value.message.replace(key, "KEY"), caught.value.code))
    assert told == {("There is no asset 'KEY', or it is not yours.", "assets-unknown")}
    here = world.add_asset()
    with pytest.raises(SeveralFaults) as several:
        world.place({"order": {"individual": {key: {} for key in ("no", "999999", str(here))}}})
    assert several.value.code == "assets-unknown"
    assert list(several.value.details) == ["order.individual.no", "order.individual.999999"]
    assert "'999999'" in str(several.value.details["order.individual.999999"])


def test_a_named_asset_whose_right_has_ended_says_so(world: World) -> None:
    with world.database.write() as tx:
        product = factories.add_product(tx)
        factories.grant(tx, world.who.organisation_id, product, valid_to=NOW - DAY)
        lapsed = factories.add_asset(tx, product)
    with pytest.raises(Denied) as caught:
        world.place({"order": {"individual": {str(lapsed): {}}}})
    assert caught.value.code == "entitlement-expired"


def test_a_named_asset_must_be_in_the_selection(world: World) -> None:
    one, two = world.add_asset(), world.add_asset(identifier="two")
    world.select(one)
    with pytest.raises(Invalid, match="not in the selection"):
        world.order({"individual": {str(two): {}}})
    world.select(two)
    with pytest.raises(Invalid, match="configured twice"):
        world.order({"individual": {str(two): {}, "two": {}}})


def test_results_that_are_there_are_settled_at_once(world: World) -> None:
    """A second identical order has nothing to convert, and needs no job."""
    asset = world.add_asset()
    world.select(asset)
    first = world.order({"global": {IMAGES: PNG}})
    (pending,) = world.pending(first.order_id)
    assert first.job is not None
    assert first.job.job_id == f"order-{first.order_id}-1"
    assert first.job.partition == str(world.who.organisation_id)
    world.settle(first.order_id, pending)
    world.later(hours=2)
    second = world.order({"global": {IMAGES: PNG}}, name="again")
    assert second.job is None
    assert world.pending(second.order_id) == []
    assert world.complete(second.order_id) == "Completed"
    made = world.entries(second.order_id)[world.files(second.order_id)[0]]
    assert world.read(made.sha256).endswith(b" as png")


def test_equal_files_are_converted_once(world: World) -> None:
    same = [world.add_asset(b"the same") for _ in range(3)]
    world.select(*same)
    placed = world.order({"global": {IMAGES: PNG}})
    (pending,) = world.pending(placed.order_id)
    world.settle(placed.order_id, pending)
    assert {item.state for item in world.items(placed.order_id)} == {"done"}


def test_with_conversions_off_stored_and_ready_files_can_be_had(world: World) -> None:
    asset = world.add_asset()
    world.select(asset)
    with pytest.raises(Unavailable) as caught:
        world.place(body({"global": {IMAGES: PNG}}), on=False)
    assert caught.value.code == "conversions-off"
    assert world.place(body(), on=False).job is None
    first = world.order({"global": {IMAGES: PNG}})
    world.settle(first.order_id, world.pending(first.order_id)[0])
    assert world.place(body({"global": {IMAGES: PNG}}), on=False).job is None


def test_a_large_order_is_planned_by_its_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "INLINE_TARGETS_MAX", 4)
    pictures = [world.add_asset() for _ in range(4)]
    papers = [world.add_asset(content_type="application/pdf") for _ in range(3)]
    world.select(*pictures, *papers)
    placed = world.order(
        {
            "global": {IMAGES: {"renditions": ["downloadOriginal", "thumbnail"]}},
            "individual": {str(pictures[1]): {"renditions": ["preview"]}},
        }
    )
    assert placed.job is not None
    assert world.items(placed.order_id) == []
    with world.database.write() as tx:
        assert orders.plan_some(tx, placed.order_id, take=3, now=world.now)
    assert len(world.items(placed.order_id)) == 5
    with pytest.raises(Unavailable):
        world.complete(placed.order_id)
    world.plan(placed.order_id, take=3)
    world.plan(placed.order_id, take=3)
    found = [(i.asset_id, i.rendition) for i in world.items(placed.order_id)]
    assert found == [
        *((pictures[0], name) for name in ("downloadOriginal", "thumbnail")),
        (pictures[1], "preview"),
        *((asset, name) for asset in pictures[2:] for name in ("downloadOriginal", "thumbnail")),
        *((asset, "downloadOriginal") for asset in papers),
    ]
    assert world.view(placed.order_id).files_total == len(found)


def test_a_cancelled_order_is_planned_no_further(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "INLINE_TARGETS_MAX", 1)
    world.select(world.add_asset(), world.add_asset())
    placed = world.order()
    with world.database.write() as tx:
        orders.cancel_order(tx, world.who, placed.order_id, now=world.now)
        assert not orders.plan_some(tx, placed.order_id, take=1, now=world.now)
    assert world.items(placed.order_id) == []


def test_what_is_compiled_ahead_makes_the_same_order(world: World) -> None:
    one = world.add_asset(identifier="one")
    paper = world.add_asset(content_type="application/pdf")
    mark = world.add_asset(content_type="image/png")
    world.select(one, paper, mark)
    small: list[dict[str, Any]] = [
        {"type": "resize", "value": {"width": 40}},
        *PNG["conversions"][0],
    ]
    marked = [{"type": "watermark", "value": {"asset": str(mark)}}, *small]
    told = body(
        {
            "global": {
                IMAGES: {"conversions": [small]},
                "M.AssetMedia.Documents": {"conversions": [small]},
            },
            "individual": {"one": {"conversions": [small, marked]}, str(mark): PNG},
        }
    )
    request = orders.parse_order_request(told)
    with world.database.read() as tx:
        ahead = orders.compile_ahead(tx, world.who, request)
    assert ahead.find(small, Kind("Images", "image/jpeg"))
    assert ahead.find(small, Kind("Documents", "application/pdf"))
    made = []
    for compiled in (None, ahead):
        with world.database.write() as tx:
            placed = orders.place_order(
                tx, world.who, request, rules=world.rules, ahead=compiled, now=world.now
            )
            row = tx.execute(select(t.orders.c.plan).where(t.orders.c.id == placed.order_id)).one()
        made.append((row.plan, [each.recipe for each in world.pending(placed.order_id)]))
    assert made[0] == made[1]
    # What cannot work is told when the order is placed, ahead or not.
    impossible = [{"type": "fileExtension", "value": "mp4"}]
    request = orders.parse_order_request(body({"global": {IMAGES: {"conversions": [impossible]}}}))
    with world.database.read() as tx:
        ahead = orders.compile_ahead(tx, world.who, request)
    with pytest.raises(Invalid, match="mp4"), world.database.write() as tx:
        orders.place_order(tx, world.who, request, rules=world.rules, ahead=ahead, now=world.now)


def test_a_watermark_is_a_picture_that_the_caller_may_have(world: World) -> None:
    asset, mark = world.add_asset(), world.add_asset(b"mark", content_type="image/png")
    paper = world.add_asset(content_type="application/pdf")
    world.select(asset)

    def marked(reference: Any) -> dict[str, Any]:
        steps = [{"type": "watermark", "value": {"asset": reference}}, PNG["conversions"][0][0]]
        return {"global": {IMAGES: {"conversions": [steps]}}}

    placed = world.order(marked(mark))
    (pending,) = world.pending(placed.order_id)
    digest = factories.digests_of(b"mark").sha256
    assert pending.recipe.watermark_sha256s == (digest,)
    with world.database.read() as tx:
        held = tx.execute(select(t.order_files.c.sha256)).scalars().all()
    assert list(held) == [digest]
    with world.database.write() as tx:
        foreign = factories.add_asset(tx, factories.add_product(tx), content_type="image/png")
    for bad, code in ((foreign, "assets-unknown"), (paper, "conversion-impossible")):
        with pytest.raises(Invalid) as caught:
            world.order(marked(bad))
        assert caught.value.field == f"order.global.{IMAGES}.conversions[0]"
        assert caught.value.code == code


def test_an_organisation_has_a_limited_number_of_unfinished_orders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "OPEN_ORDERS_MAX", 2)
    world.select(world.add_asset())
    first = world.order()
    world.order()
    with pytest.raises(TooMany):
        world.order()
    world.complete(first.order_id)
    world.order()


def test_an_order_has_a_limited_number_of_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "ORDER_FILES_MAX", 3)
    world.select(world.add_asset(), world.add_asset())
    with pytest.raises(Invalid) as caught:
        world.order({"global": {IMAGES: {"renditions": ["Original", "preview"]}}})
    assert caught.value.code == "order-too-large"
