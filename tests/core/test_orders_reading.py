"""Looking at orders: only one's own, in pages, with targets, errors and events."""

import pytest

from entrepot.core import orders
from entrepot.errors import NotFound
from tests import factories
from tests.core.orders_world import IMAGES, PNG, World


def test_orders_come_newest_first_in_pages(world: World) -> None:
    world.select(world.add_asset())
    ids = [world.order(name=str(n)).order_id for n in range(5)]
    other = world.colleague()
    world.select(world.add_asset(), who=other)
    with world.database.read() as tx:
        found, total = orders.list_orders(tx, world.who, skip=1, take=2)
        assert ([each.id for each in found], total) == ([ids[3], ids[2]], 5)
        assert orders.list_orders(tx, world.who, skip=2**63)[0] == []
        assert orders.list_orders(tx, other) == ([], 0)


def test_an_order_is_seen_by_who_placed_it_alone(world: World) -> None:
    asset = world.add_asset()
    world.select(asset)
    order_id = world.order().order_id
    admin = world.colleague()
    with world.database.read() as tx:
        for who, number in ((admin, order_id), (world.who, order_id + 1)):
            for look in (orders.order_view, orders.job_view, orders.list_targets):
                with pytest.raises(NotFound):
                    look(tx, who, number)
            with pytest.raises(NotFound):
                orders.list_order_events(tx, who, number)
            with pytest.raises(NotFound):
                orders.find_target(tx, who, number, asset)


def test_a_machine_places_orders_as_a_person_does(world: World) -> None:
    with world.database.write() as tx:
        machine, _ = factories.add_client(
            tx, world.who.organisation_id, scopes=("entitlements", "orders")
        )
    world.select(world.add_asset(), who=machine)
    placed = world.place({"order": {}, "target_selection": {"selectionPool": "pool"}}, who=machine)
    world.complete(placed.order_id)
    assert world.package(placed.order_id, machine).order_id == placed.order_id
    with world.database.read() as tx:
        view = orders.order_view(tx, machine, placed.order_id)
        assert view.created_by.reference == machine.label
        assert view.created_by == orders.find_person(tx, world.who, machine.label)


def test_targets_come_by_id_with_the_count_of_all(world: World) -> None:
    ids = [world.add_asset(titles={"en-US": f"T{n}"}, identifier=f"i{n}") for n in range(4)]
    world.select(*reversed(ids))
    order_id = world.order().order_id
    with world.database.read() as tx:
        found, total = orders.list_targets(tx, world.who, order_id, skip=1, take=2)
        assert ([each.asset_id for each in found], total) == (ids[1:3], 4)
        one = orders.find_target(tx, world.who, order_id, ids[0])
        assert (one.identifier, one.title, one.media_group) == ("i0", {"en-US": "T0"}, "Images")
        with pytest.raises(NotFound):
            orders.find_target(tx, world.who, order_id, ids[-1] + 1)


def test_a_job_tells_the_first_errors(world: World) -> None:
    one, two = world.add_asset(b"1", identifier="one"), world.add_asset(b"2")
    world.select(one, two)
    order_id = world.order({"global": {IMAGES: PNG}}).order_id
    with world.database.read() as tx:
        job = orders.job_view(tx, world.who, order_id)
    assert (job.state, job.condition, job.errors) == ("Pending", "Pending", [])
    digest = factories.digests_of(b"1").sha256
    for each in world.pending(order_id):
        (world.fail if each.source_sha256 == digest else world.settle)(order_id, each)
    world.complete(order_id)
    with world.database.read() as tx:
        job = orders.job_view(tx, world.who, order_id)
    assert (job.state, job.condition) == ("Completed", "Warning")
    assert (job.files_total, job.files_completed, job.files_failed) == (2, 1, 1)
    assert job.completed_at == world.now
    assert job.errors == [
        orders.ItemError(one, "one", "conversion", "media-damaged", "The file ends in its middle.")
    ]


def test_events_are_read_on_from_the_last_one_seen(world: World) -> None:
    world.select(world.add_asset())
    order_id = world.order().order_id
    world.complete(order_id)
    with world.database.read() as tx:
        first, second = orders.list_order_events(tx, world.who, order_id)
        assert (first.type, second.type) == ("order.placed", "order.completed")
        assert first.id < second.id
        assert second.data["files_completed"] == 1
        assert orders.list_order_events(tx, world.who, order_id, after=first.id) == [second]
        assert orders.list_order_events(tx, world.who, order_id, after=second.id) == []
        assert orders.list_order_events(tx, world.who, order_id, take=1) == [first]


def test_people_of_the_same_organisation_are_found(world: World) -> None:
    colleague = world.colleague()
    with world.database.write() as tx:
        stranger = factories.add_user(tx, factories.add_organisation(tx))
        machine, _ = factories.add_client(tx, stranger.organisation_id)
    with world.database.read() as tx:
        found = orders.find_person(tx, world.who, str(colleague.id))
        assert (found.display_name, found.organisation_name) == (
            "Ada Lovelace",
            world.who.organisation_name,
        )
        for reference in (str(stranger.id), machine.label, "x", "0", "client:", "client:nobody"):
            with pytest.raises(NotFound):
                orders.find_person(tx, world.who, reference)
