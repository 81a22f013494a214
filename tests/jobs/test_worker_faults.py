"""What a worker does where disk, sandbox or doors fail it, called in this process."""

import os
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from entrepot.blobs import LocalBlobStore
from entrepot.core.conversions.port import Converted
from entrepot.core.conversions.recipes import recipe_to_document
from entrepot.core.orders import list_pending
from entrepot.core.orders.tables import orders
from entrepot.errors import StorageFull, Unavailable
from entrepot.jobs import CONVERSIONS, VIDEOS, Halted, JobState, Task, conversions_on
from entrepot.worker import schedule as schedule_module
from entrepot.worker.converters import Converters
from entrepot.worker.items import Item, convert_item
from entrepot.worker.orders import build_order
from entrepot.worker.schedule import JOBS_MAX, Schedule
from entrepot.worker.work import Patience, Work
from tests.jobs.test_worker_orders import SMALL
from tests.jobs.toys import ON_SQLITE
from tests.jobs.worker_world import World

NO_DISK_HAS = 2**60
ONCE = pytest.mark.parametrize("dialect", ["sqlite"])  # it does not come to the database


def a_task() -> Task:
    return Task("a-job", threading.Event())


def work_of(world: World, *, patience_seconds: float, full: bool = False) -> Work:
    """What a worker would have; with `full` its store has no room for anything."""
    blobs = Path(world.environment["ENTREPOT_DATA"]) / "blobs"
    hub = world.hub
    if full:
        hub = replace(hub, blobs=LocalBlobStore(blobs, reserve_bytes=NO_DISK_HAS))
    places = {CONVERSIONS: 1, VIDEOS: 1}
    turns = {name: threading.Semaphore(count) for name, count in places.items()}
    converters = Converters(hub.media, places)
    return Work(hub, converters, turns, None, Patience(patience_seconds))


def pending_items(world: World, order_id: int) -> list[Item]:
    with world.hub.database.read() as tx:
        found = list_pending(tx, order_id, take=10)
    return [
        Item(order_id, 1, each.source_sha256, each.recipe_key, recipe_to_document(each.recipe))
        for each in found
    ]


def test_a_full_disk_is_waited_for_once_for_all_and_then_the_files_fail(world: World) -> None:
    order_id = world.place(world.customer(), world.add_pictures(3), SMALL)
    work = work_of(world, patience_seconds=0.5, full=True)
    began = time.monotonic()
    for item in pending_items(world, order_id):
        convert_item(work, a_task(), item)
    work.converter.close()
    assert 0.5 <= time.monotonic() - began < 60
    assert {(item.state, item.error_code) for item in world.items(order_id)} == {
        ("failed", "storage-full")
    }
    build_order(work_of(world, patience_seconds=0), a_task(), order_id, 1)
    assert world.order(order_id).status == "Failed"
    assert "disk" in world.order(order_id).additional_info


def test_an_order_goes_on_when_there_is_room_again(world: World) -> None:
    order_id = world.place(world.customer(), world.add_pictures(1), SMALL)
    [item] = pending_items(world, order_id)
    work = work_of(world, patience_seconds=60, full=True)
    threading.Timer(1.0, lambda: setattr(work.hub.blobs, "_floor_bytes", 0)).start()
    convert_item(work, a_task(), item)
    work.converter.close()
    assert [each.state for each in world.items(order_id)] == ["done"]


class Counting(Converters):
    """Says how often it was asked to convert."""

    asked = 0

    def convert(self, *files: Any, **more: Any) -> Converted:
        self.asked += 1
        return super().convert(*files, **more)


@ONCE
def test_what_two_order_at_the_same_time_is_made_once(world: World) -> None:
    assets = world.add_pictures(1, side=2000)
    orders_ = [world.place(world.customer(), assets, SMALL) for _ in range(2)]
    places = {CONVERSIONS: 2, VIDEOS: 1}
    converters = Counting(world.hub.media, places)
    work = replace(
        work_of(world, patience_seconds=60),
        converter=converters,
        turns={name: threading.Semaphore(count) for name, count in places.items()},
    )
    items = [item for number in orders_ for item in pending_items(world, number)]
    threads = [threading.Thread(target=convert_item, args=(work, a_task(), i)) for i in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    converters.close()
    assert converters.asked == 1
    assert [item.state for number in orders_ for item in world.items(number)] == ["done"] * 2


def test_patience_ends_and_comes_back() -> None:
    patience = Patience(0.05)
    assert patience.lasts()
    time.sleep(0.1)
    assert not patience.lasts()
    patience.restore()
    assert patience.lasts()


@ONCE
@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (Unavailable("away", code="database-down"), True),
        (Unavailable("busy", code="database-busy"), True),
        (Unavailable("unmounted", code="blobs-unavailable"), True),
        (StorageFull("full"), True),
        (Unavailable("off", code="conversions-off"), False),
    ],
)
def test_what_is_waited_for(world: World, error: Unavailable, waits: bool) -> None:
    work, tries = work_of(world, patience_seconds=60), iter([error, None])

    def verb() -> str:
        if (fault := next(tries)) is not None:
            raise fault
        return "done"

    if waits:
        assert work.patiently(a_task(), verb) == "done"
        return
    with pytest.raises(Unavailable):
        work.patiently(a_task(), verb)


@ONCE
def test_waiting_ends_with_the_worker(world: World) -> None:
    task = a_task()
    threading.Timer(0.3, task._halting.set).start()

    def down() -> None:
        raise Unavailable("away", code="database-down")

    with pytest.raises(Halted):
        work_of(world, patience_seconds=60).patiently(task, down)


@ON_SQLITE
def test_where_nothing_can_be_locked_in_stored_files_are_still_delivered(world: World) -> None:
    who, assets = world.customer(), world.add_pictures(2)
    converted = world.place(who, assets, SMALL)
    world.work(program="tests.jobs.unlocked_work")
    with world.hub.database.read() as tx:
        assert not conversions_on(tx)
    world.wait_for(converted)
    assert world.order(converted).status == "Failed"
    assert {item.error_code for item in world.items(converted)} == {"conversions-off"}
    [line] = [each for each in world.log.read_text().splitlines() if "conversions are off" in each]
    assert "bubblewrap (bwrap) is not installed" in line
    stored = world.place(who, assets)
    assert world.order(stored).status == "Completed"


def scheduled(world: World) -> Schedule:
    return Schedule(world.hub, eldest=lambda: True, pause=lambda _seconds: None)


def age(world: World, order_id: int, **values: object) -> None:
    with world.hub.database.write() as tx:
        past = world.hub.now() - timedelta(days=60)
        tx.execute(
            update(orders)
            .where(orders.c.id == order_id)
            .values(dict.fromkeys(("created_at", "modified_at"), past) | values)
        )


def test_an_order_whose_door_died_before_completing_it_is_completed(world: World) -> None:
    order_id = world.place(world.customer(), world.add_pictures(1))
    open_again = {"status": "Pending", "package_sha256": None, "completed_at": None}
    age(world, order_id, **open_again)
    scheduled(world).complete_stranded()
    assert world.order(order_id).status == "Completed"


def test_an_order_that_lost_its_job_gets_another_and_at_last_fails(world: World) -> None:
    order_id = world.place(world.customer(), world.add_pictures(1), SMALL)
    job_id = world.order(order_id).job_id
    schedule = scheduled(world)
    age(world, order_id)
    schedule.mend_jobless()
    assert world.hub.jobs.states([f"{job_id}-again-1"]) == {}
    lost = [job_id]
    for again in range(1, JOBS_MAX):
        world.hub.jobs.cancel(lost)
        age(world, order_id)
        schedule.mend_jobless()
        lost = [f"{job_id}-again-{again}"]
        assert world.hub.jobs.states(lost) == {lost[0]: JobState.WAITING}
    world.hub.jobs.cancel(lost)
    age(world, order_id)
    schedule.mend_jobless()
    assert world.order(order_id).status == "Failed"


@ONCE
def test_orders_that_wait_do_not_hide_one_that_lost_its_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_module, "ORDERS_TAKE", 1)
    who = world.customer()
    waiting, lost = (world.place(who, world.add_pictures(1), SMALL) for _ in range(2))
    job_id = str(world.order(lost).job_id)
    world.hub.jobs.cancel([job_id])
    for order_id in (waiting, lost):
        age(world, order_id)
    schedule = scheduled(world)
    for _ in range(2):
        schedule.mend_jobless()
    again = f"{job_id}-again-1"
    assert world.hub.jobs.states([again]) == {again: JobState.WAITING}
    schedule.mend_jobless()  # none is behind: from the first again
    world.hub.jobs.cancel([str(world.order(waiting).job_id)])
    schedule.mend_jobless()
    again = f"{world.order(waiting).job_id}-again-1"
    assert world.hub.jobs.states([again]) == {again: JobState.WAITING}


def test_the_schedule_expires_purges_and_tidies(world: World) -> None:
    order_id = world.place(world.customer(), world.add_pictures(1))
    age(world, order_id, expires_at=world.hub.now() - timedelta(days=8))
    incoming = Path(world.environment["ENTREPOT_DATA"]) / "blobs" / "incoming" / "a.part"
    incoming.write_bytes(b"of a killed process")
    os.utime(incoming, (0, 0))
    schedule = scheduled(world)
    schedule.expire()
    assert world.order(order_id).status == "Expired"
    age(world, order_id)
    schedule.purge()
    with world.hub.database.read() as tx:
        assert tx.execute(select(orders.c.id).where(orders.c.id == order_id)).first() is None
    schedule.tidy()
    schedule.sweep()
    assert not incoming.exists()


@ONCE
def test_a_defect_in_a_task_of_the_schedule_ends_nothing(world: World) -> None:
    waits = iter([None, None])

    def pause(_seconds: float) -> None:
        if next(waits, Halted) is Halted:
            raise Halted

    schedule = Schedule(world.hub, eldest=lambda: 1 // 0 > 0, pause=pause)
    schedule._due = dict.fromkeys(schedule._due, 0.0)
    schedule.run()
