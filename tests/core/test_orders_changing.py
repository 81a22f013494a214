"""Cancelling, failing, retrying, expiring, purging: each once, by its owner or the hub."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from entrepot.core import orders
from entrepot.core.events.tables import events
from entrepot.core.orders import placing
from entrepot.core.orders import tables as t
from entrepot.core.orders.changing import PURGE_GRACE
from entrepot.errors import Conflict, Gone, NotFound, TooMany
from tests.core.orders_world import IMAGES, World

HALF = {"global": {IMAGES: {"renditions": ["Original", "preview"]}}}


def cancel(world: World, order_id: int) -> list[str]:
    with world.database.write() as tx:
        return orders.cancel_order(tx, world.who, order_id, now=world.now)


def retry(world: World, order_id: int) -> orders.OrderJob:
    with world.database.write() as tx:
        return orders.retry_order(tx, world.who, order_id, now=world.now)


def expire(world: World, take: int = 100) -> int:
    with world.database.write() as tx:
        return orders.expire_orders(tx, take=take, now=world.now)


def purge(world: World, take: int = 5_000) -> int:
    with world.database.write() as tx:
        return orders.purge_orders(tx, take=take, now=world.now)


def half_failed(world: World) -> int:
    """An order of two files of which one could not be made."""
    world.select(world.add_asset())
    order_id = world.order(HALF).order_id
    world.fail(order_id, world.pending(order_id)[0])
    assert world.complete(order_id) == "CompletedWithErrors"
    return order_id


def test_a_running_order_is_cancelled_once(world: World) -> None:
    world.select(world.add_asset())
    placed = world.order(HALF)
    assert placed.job is not None
    assert cancel(world, placed.order_id) == [placed.job.job_id]
    assert cancel(world, placed.order_id) == []
    view = world.view(placed.order_id)
    assert (view.status, view.completed_at) == ("Cancelled", world.now)
    assert world.told(placed.order_id) == ["order.placed", "order.cancelled"]
    assert world.complete(placed.order_id) is None
    with world.database.read() as tx:
        assert orders.is_cancelled(tx, placed.order_id, 1)


def test_a_retry_counts_among_the_unfinished_orders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = half_failed(world)
    world.order(HALF)
    monkeypatch.setattr(placing, "OPEN_ORDERS_MAX", 1)
    with pytest.raises(TooMany):
        retry(world, failed)
    assert world.view(failed).status == "CompletedWithErrors"


def test_a_delivered_order_is_ended_once(world: World) -> None:
    world.select(world.add_asset())
    order_id = world.order().order_id
    world.complete(order_id)
    assert cancel(world, order_id) == cancel(world, order_id) == []
    assert world.view(order_id).status == "Expired"
    assert world.told(order_id) == ["order.placed", "order.completed", "order.expired"]
    with pytest.raises(Gone):
        world.package(order_id)
    with world.database.read() as tx:
        assert tx.execute(select(t.order_files)).all() == []


def test_nobody_else_changes_an_order(world: World) -> None:
    order_id = half_failed(world)
    stranger = world.colleague()
    with world.database.write() as tx:
        for change in (orders.cancel_order, orders.retry_order):
            for number in (order_id, order_id + 1):
                with pytest.raises(NotFound):
                    change(tx, stranger, number, now=world.now)
    assert world.view(order_id).status == "CompletedWithErrors"


def test_a_retry_tries_what_failed_and_keeps_the_rest(world: World) -> None:
    order_id = half_failed(world)
    job = retry(world, order_id)
    assert job == orders.OrderJob(
        order_id, 2, f"order-{order_id}-2", str(world.who.organisation_id), job.priority
    )
    view = world.view(order_id)
    assert (view.status, view.generation) == ("Pending", 2)
    assert (view.files_completed, view.files_failed) == (1, 0)
    assert (view.completed_at, view.expires_at, view.additional_info) == (None, None, None)
    with world.database.read() as tx:
        assert orders.is_cancelled(tx, order_id, 1)
        assert not orders.is_cancelled(tx, order_id, 2)
    (pending,) = world.pending(order_id)
    assert world.begin(order_id, pending)
    world.settle(order_id, pending)
    assert world.complete(order_id) == "Completed"
    assert world.view(order_id).additional_info is None
    assert "report.txt" not in world.entries(order_id)
    assert world.told(order_id) == [
        "order.placed",
        "order.completed",
        "order.placed",
        "order.progress",
        "order.completed",
    ]


def test_a_cancelled_order_goes_on_where_it_was(world: World) -> None:
    world.select(world.add_asset())
    order_id = world.order(HALF).order_id
    cancel(world, order_id)
    retry(world, order_id)
    world.settle(order_id, world.pending(order_id)[0])
    assert world.complete(order_id) == "Completed"


@pytest.mark.parametrize("ended", ["Pending", "Completed", "Expired"])
def test_there_is_nothing_to_retry(world: World, ended: str) -> None:
    world.select(world.add_asset())
    order_id = world.order().order_id
    if ended != "Pending":
        world.complete(order_id)
    if ended == "Expired":
        cancel(world, order_id)
    with pytest.raises(Conflict) as caught:
        retry(world, order_id)
    assert caught.value.code == "order-not-retriable"
    assert world.view(order_id).status == ended
    assert world.view(order_id).generation == 1


def test_an_order_that_cannot_be_carried_on_fails_once(world: World) -> None:
    world.select(world.add_asset())
    order_id = world.order(HALF).order_id
    with world.database.write() as tx:
        assert not orders.fail_order(tx, order_id, 2, reason="old", now=world.now)
        assert orders.fail_order(tx, order_id, 1, reason="No room. " * 100, now=world.now)
        assert not orders.fail_order(tx, order_id, 1, reason="again", now=world.now)
    view = world.view(order_id)
    assert view.status == "Failed"
    assert view.additional_info == ("No room. " * 100)[:500]
    assert world.told(order_id) == ["order.placed", "order.failed"]
    retry(world, order_id)
    world.settle(order_id, world.pending(order_id)[0])
    assert world.complete(order_id) == "Completed"


def test_orders_expire_when_their_days_are_over(world: World) -> None:
    world.select(world.add_asset())
    ids = [world.order().order_id for _ in range(3)]
    for order_id in ids[:2]:
        world.complete(order_id)
    world.later(days=30, milliseconds=-1)
    assert expire(world) == 0
    world.later(milliseconds=1)
    assert expire(world, take=1) == 1
    assert expire(world, take=100) == 1
    assert expire(world) == 0
    assert [world.view(each).status for each in ids] == ["Expired", "Expired", "Pending"]
    assert world.told(ids[0])[-1] == "order.expired"


def test_an_order_that_is_being_purged_is_not_tried_again(world: World) -> None:
    """Half of it is gone: what came of a retry would lack files and be called Completed."""
    world.select(*(world.add_asset() for _ in range(5)))
    half, whole = (world.order(HALF).order_id for _ in range(2))
    cancel(world, half)
    cancel(world, whole)
    world.later(days=7, milliseconds=1)
    retry(world, whole)  # due, but not begun with: it is as it was
    told = world.told(half)
    assert purge(world, take=4) == 4
    # Also by a clock that is behind the purging one's.
    world.later(days=-1)
    with pytest.raises(Conflict) as caught:
        retry(world, half)
    assert caught.value.code == "order-not-retriable"
    assert "Expired" in str(caught.value)
    assert world.told(half) == told
    world.later(days=1)
    while purge(world, take=4):
        pass
    with pytest.raises(NotFound):
        world.view(half)
    assert len(world.items(whole)) == 10


def test_ended_orders_are_purged_with_all_that_is_theirs(world: World) -> None:
    world.select(*(world.add_asset() for _ in range(5)))
    gone, kept = world.order().order_id, world.order().order_id
    world.complete(gone)
    world.complete(kept)
    cancel(world, gone)
    world.later(seconds=PURGE_GRACE.total_seconds())
    assert purge(world) == 0
    world.later(milliseconds=1)
    deleted = 0
    while portion := purge(world, take=4):
        assert portion <= 4
        deleted += portion
    assert deleted == 5 + 5 + 1  # items, targets and the order
    with pytest.raises(NotFound):
        world.view(gone)
    assert world.view(kept).status == "Completed"
    with world.database.read() as tx:
        for table in (t.order_items, t.order_targets):
            assert set(tx.execute(select(table.c.order_id)).scalars()) == {kept}
        subjects = select(events.c.subject).where(events.c.type.like("order.%"))
        # What happened stays known: the log is append-only.
        assert set(tx.execute(subjects).scalars()) == {f"order:{gone}", f"order:{kept}"}


def test_orders_whose_placer_died_are_found(world: World) -> None:
    """Killed between accepting and completing: the schedule completes what it finds."""
    world.select(world.add_asset())
    stranded = world.order().order_id
    world.order(HALF)
    done = world.order().order_id
    world.complete(done)
    with world.database.read() as tx:
        assert orders.list_stranded(tx, before=world.now) == []
        soon = world.now + timedelta(seconds=30)
        assert orders.list_stranded(tx, before=soon) == [stranded]
        assert orders.list_stranded(tx, before=soon, take=0) == []
    assert world.complete(stranded) == "Completed"


def test_a_retry_of_an_order_without_a_job_has_one(world: World) -> None:
    """A cancelled order of stored files: its retry is completed by a job."""
    world.select(world.add_asset())
    placed = world.order()
    assert placed.job is None
    assert cancel(world, placed.order_id) == []
    assert retry(world, placed.order_id).generation == 2
    with world.database.read() as tx:
        assert orders.list_stranded(tx, before=world.now + timedelta(days=1)) == []
        assert tx.execute(select(func.count()).select_from(t.orders)).scalar_one() == 1
    assert world.complete(placed.order_id) == "Completed"
