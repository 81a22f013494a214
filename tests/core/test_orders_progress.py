"""Conversions of an order: attempts, settling, failing, and how progress is told."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from entrepot.core import orders
from entrepot.core.events.tables import events
from entrepot.core.orders import ATTEMPTS_MAX
from entrepot.core.orders.tables import order_items
from tests.core.orders_world import IMAGES, PNG, World


def ordered(world: World, count: int = 2) -> tuple[int, Sequence[orders.PendingConversion]]:
    """An order of so many pictures as PNG, and its conversions."""
    world.select(*(world.add_asset() for _ in range(count)))
    placed = world.order({"global": {IMAGES: PNG}})
    return placed.order_id, world.pending(placed.order_id)


def test_conversions_are_listed_alike_until_one_is_settled(world: World) -> None:
    order_id, pending = ordered(world, 3)
    assert len(pending) == 3
    assert world.pending(order_id) == pending
    with world.database.read() as tx:
        assert orders.list_pending(tx, order_id, take=2) == pending[:2]
    world.settle(order_id, pending[1])
    assert world.pending(order_id) == [pending[0], pending[2]]


def test_the_first_attempt_starts_the_order(world: World) -> None:
    order_id, (one, _) = ordered(world)
    assert world.begin(order_id, one)
    view = world.view(order_id)
    assert (view.status, view.started_at) == ("InProgress", world.now)
    assert world.told(order_id) == ["order.placed", "order.progress"]


def test_what_never_comes_back_is_put_aside(world: World) -> None:
    """A poison item fails after three attempts; the rest of the order is not touched."""
    order_id, (poison, other) = ordered(world)
    for _ in range(ATTEMPTS_MAX):
        assert world.begin(order_id, poison)
    assert not world.begin(order_id, poison)
    assert not world.begin(order_id, poison)
    states = {item.source_sha256: (item.state, item.error_code) for item in world.items(order_id)}
    assert states == {
        poison.source_sha256: ("failed", "conversion-given-up"),
        other.source_sha256: ("pending", None),
    }
    assert world.begin(order_id, other)


def test_an_attempt_that_is_given_back_does_not_count(world: World) -> None:
    order_id, (one, _) = ordered(world)
    for _ in range(ATTEMPTS_MAX + 2):
        assert world.begin(order_id, one)
        with world.database.write() as tx:
            orders.give_back_conversion(tx, order_id, one.source_sha256, one.recipe_key)
    with world.database.write() as tx:
        orders.give_back_conversion(tx, order_id, one.source_sha256, one.recipe_key)
        assert tx.execute(select(order_items.c.attempts)).scalars().all() == [0, 0]


def test_what_is_settled_is_not_begun_nor_changed_again(world: World) -> None:
    order_id, (one, other) = ordered(world)
    world.settle(order_id, one)
    world.fail(order_id, other)
    before = world.items(order_id)
    assert not world.begin(order_id, one)
    assert not world.begin(order_id, other)
    world.fail(order_id, one)
    world.settle(order_id, other)
    assert world.items(order_id) == before


def test_other_orders_items_are_not_touched(world: World) -> None:
    order_id, (one, _) = ordered(world)
    other = world.order({"global": {IMAGES: PNG}}).order_id
    assert world.begin(order_id, one)
    world.settle(order_id, one)
    assert [item.state for item in world.items(other)] == ["pending", "pending"]
    assert {item.attempts for item in world.items(other)} == {0}
    with world.database.write() as tx:
        orders.fail_conversion(
            tx, order_id, one.source_sha256, one.recipe_key, code="x", message="y", now=world.now
        )
    assert [item.state for item in world.items(other)] == ["pending", "pending"]


def test_nothing_is_begun_for_an_order_that_has_ended(world: World) -> None:
    order_id, (one, _) = ordered(world)
    with world.database.write() as tx:
        orders.cancel_order(tx, world.who, order_id, now=world.now)
    assert not world.begin(order_id, one)
    assert not world.begin(order_id + 1, one)
    assert world.pending(order_id) == []


def test_progress_is_set_and_told_at_most_twice_a_second(world: World) -> None:
    order_id, pending = ordered(world, 6)
    for one in pending[:2]:
        world.later(seconds=0.6)
        world.settle(order_id, one)
    world.settle(order_id, pending[2])
    world.later(seconds=0.4)
    world.settle(order_id, pending[3])
    view = world.view(order_id)
    assert (view.files_completed, view.files_failed, view.files_total) == (2, 0, 6)
    world.later(seconds=0.2)
    world.fail(order_id, pending[4])
    view = world.view(order_id)
    assert (view.files_completed, view.files_failed) == (4, 1)
    assert view.modified_at == world.now
    world.later(seconds=5)
    world.settle(order_id, pending[0])
    assert world.told(order_id) == ["order.placed", *["order.progress"] * 3]
    with world.database.read() as tx:
        data = tx.execute(
            select(events.c.data)
            .where(events.c.subject == f"order:{order_id}")
            .order_by(events.c.id.desc())
        ).first()
    assert data is not None
    assert data.data == {
        "status": "Pending",
        "generation": 1,
        "files_total": 6,
        "files_completed": 4,
        "files_failed": 1,
    }


@pytest.mark.parametrize("length", [10, 10_000])
def test_a_reason_is_kept_in_reasonable_length(world: World, length: int) -> None:
    order_id, (one, _) = ordered(world)
    with world.database.write() as tx:
        orders.fail_conversion(
            tx,
            order_id,
            one.source_sha256,
            one.recipe_key,
            code="media-damaged",
            message="x" * length,
            now=world.now,
        )
    told = next(item.error for item in world.items(order_id) if item.state == "failed")
    assert told == "x" * min(length, 500)
