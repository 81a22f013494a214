"""Real orders through real workers: `entrepotd work` in processes of their own."""

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from PIL import Image
from sqlalchemy import text

from entrepot.core import orders as verbs
from entrepot.core.orders import decode_package
from entrepot.errors import EntrepotError
from tests.conversions import clips
from tests.jobs.toys import ON_POSTGRESQL, ON_SQLITE, SOAK_KILLS
from tests.jobs.worker_world import World, picture
from tests.waiting import wait_until

SMALL = (
    {"type": "resize", "value": {"width": 64}},
    {"type": "fileExtension", "value": "png"},
)
# VP9 takes its time.
SLOW = ({"type": "fileExtension", "value": "webm"},)
FROZEN_SECONDS_MAX = 15.0
CANCEL_SECONDS_MAX = 5.0
FILES = 5  # of each order that workers are killed over


def slow_video() -> bytes:
    """Quickly made and slowly converted."""
    return clips.make(width=1280, height=720, rate=12, seconds=40, sound=False)


def converters_of(pid: int) -> list[psutil.Process]:
    """What a worker runs to convert."""
    found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return found


def encodes(pid: int) -> bool:
    """Whether a worker has a film encoded."""
    for each in converters_of(pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
            if "ffmpeg" in each.name():
                return True
    return False


def test_an_order_is_converted_and_packed(world: World) -> None:
    who = world.customer()
    assets = world.add_pictures(3)
    [broken] = world.add(("broken.jpg", picture(7)[:300]))
    order_id = world.place(who, [*assets, broken], SMALL)
    world.work()
    world.wait_for(order_id)
    order = world.order(order_id)
    assert order.status == "CompletedWithErrors"
    assert (order.files_total, order.files_completed, order.files_failed) == (4, 3, 1)
    with world.hub.blobs.open(order.package_sha256) as stored:
        entries = decode_package(stored.read())
    made = [entry for entry in entries if entry.name.endswith(".png")]
    assert len(made) == 3
    for entry in made:
        with world.hub.blobs.open(entry.sha256) as stored, Image.open(stored) as image:
            assert (image.format, image.size) == ("PNG", (64, 48))
    told = world.events(order_id)
    assert (told[0], told[-1]) == ("order.placed", "order.completed")
    assert told.count("order.completed") == 1


@ON_SQLITE
def test_a_small_order_does_not_wait_for_a_large_one_of_somebody_else(world: World) -> None:
    large = world.place(world.customer(), world.add_pictures(80, side=1200), SMALL)
    small_assets = world.add_pictures(10, first=500)
    world.work()
    wait_until(lambda: world.order(large).status == "InProgress")
    small = world.place(world.customer(), small_assets, SMALL)
    world.wait_for(small)
    assert world.order(small).status == "Completed"
    world.wait_for(large)
    assert world.order(large).status == "Completed"
    assert world.order(small).completed_at < world.order(large).completed_at


@ON_POSTGRESQL
def test_cancelling_ends_a_conversion_that_runs(world: World) -> None:
    _cancel_while_it_runs(world)


@pytest.mark.soak  # where nothing else has the machine
def test_cancelling_a_conversion_takes_effect_within_seconds(world: World) -> None:
    assert _cancel_while_it_runs(world) < CANCEL_SECONDS_MAX


def _cancel_while_it_runs(world: World) -> float:
    """How many seconds its converter went on."""
    who = world.customer()
    order_id = world.place(who, world.add(("long.mp4", slow_video())), SLOW)
    process = world.work()
    [worker] = world.workers_of(process)
    wait_until(lambda: encodes(worker))
    with world.hub.database.write() as tx:
        cancelled = verbs.cancel_order(tx, who, order_id, now=world.hub.now())
    world.hub.jobs.cancel(cancelled)
    seconds = wait_until(lambda: not converters_of(worker))
    assert [item.state for item in world.items(order_id)] != ["done"]
    assert world.order(order_id).status == "Cancelled"
    assert world.events(order_id)[-1] == "order.cancelled"
    return seconds


@ON_SQLITE
def test_a_worker_that_is_told_to_stop_counts_no_attempt_and_ends_its_converters(
    world: World,
) -> None:
    order_id = world.place(world.customer(), world.add(("long.mp4", slow_video())), SLOW)
    process = world.work()
    [worker] = world.workers_of(process)
    wait_until(lambda: encodes(worker))
    converters = converters_of(worker)
    assert world.stop(process) == 0
    wait_until(lambda: not any(each.is_running() for each in converters))
    assert [item.attempts for item in world.items(order_id)] == [0]
    assert world.order(order_id).status == "InProgress"


@ON_SQLITE
def test_a_frozen_worker_is_replaced_and_its_orders_go_on(world: World) -> None:
    _replace_the_frozen(world)


@pytest.mark.soak  # where nothing else has the machine
def test_a_frozen_worker_is_replaced_within_seconds(world: World) -> None:
    assert _replace_the_frozen(world) < FROZEN_SECONDS_MAX


def _replace_the_frozen(world: World) -> float:
    """How many seconds until another worker was there."""
    process = world.work()
    [frozen] = world.workers_of(process)
    orders = [
        world.place(world.customer(), world.add_pictures(8, first=20 * n), SMALL) for n in range(3)
    ]
    wait_until(lambda: any(world.order(number).status == "InProgress" for number in orders))
    os.kill(frozen, signal.SIGSTOP)
    seconds = wait_until(lambda: [pid for pid in world.workers_of(process) if pid != frozen])
    world.wait_for(*orders)
    for number in orders:
        assert world.order(number).status == "Completed"
        assert world.events(number).count("order.completed") == 1
    return seconds


def _orders_through_kills(world: World, *, kills: int, workers: int, chance: random.Random) -> None:
    assets = world.add_pictures(24, side=1200)
    customers = [world.customer() for _ in range(3)]

    def place(width: int) -> int:
        # A width of its own: nothing is found made already.
        pipeline = ({"type": "resize", "value": {"width": width}}, SMALL[1])
        return world.place(chance.choice(customers), chance.sample(assets, FILES), pipeline)

    orders = [place(40 + number) for number in range(3)]
    for _ in range(workers):
        world.work()
    for kill in range(kills):
        time.sleep(chance.uniform(0.0, 2.0))
        # On a slow machine chance meets the same conversion again and again, as if it had killed
        # its worker itself; that is another test's.
        wait_until(lambda: world.attempts() <= verbs.ATTEMPTS_MAX - 2)
        world.kill(chance.choice(world.running))
        orders.append(place(50 + kill))
        world.work()
    world.wait_for(*orders, seconds=600)
    for number in orders:
        order = world.order(number)
        assert (order.status, order.files_completed) == ("Completed", FILES), world.items(number)
        assert world.events(number).count("order.completed") == 1
        with world.hub.blobs.open(order.package_sha256) as stored:
            names = [entry.name for entry in decode_package(stored.read())]
        assert len([name for name in names if name.endswith(".png")]) == FILES
    _nothing_lies_about(world)


def _nothing_lies_about(world: World) -> None:
    """No temporary file once it was swept, and no converter without its worker."""
    for process in list(world.running):
        world.stop(process)
    world.hub.blobs.sweep(older_than_seconds=0)
    data = Path(world.environment["ENTREPOT_DATA"])
    assert not list((data / "blobs" / "incoming").iterdir())
    assert {each.name for each in data.iterdir()} <= {"blobs", "disk.reserve"}
    wait_until(lambda: not _orphans())  # what another test killed just now ends in a moment


def _orphans() -> list[psutil.Process]:
    """Converters of which nobody is the parent."""
    return [
        each
        for each in psutil.process_iter(["cmdline", "ppid"])
        if "bwrap" in " ".join(each.info["cmdline"] or []) and each.info["ppid"] == 1
    ]


def test_every_order_completes_once_through_kills(world: World) -> None:
    _orders_through_kills(world, kills=2, workers=1, chance=random.Random(3))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("workers", [1, 3])
def test_every_order_completes_once_through_many_kills(world: World, workers: int) -> None:
    _orders_through_kills(world, kills=SOAK_KILLS, workers=workers, chance=random.Random(workers))


def test_a_database_that_is_away_for_a_while_is_waited_for(world: World) -> None:
    order_id = world.place(world.customer(), world.add_pictures(30, side=800), SMALL)
    world.work()
    wait_until(lambda: world.order(order_id).files_completed >= 2)
    with _database_away(world):
        # On SQLite longer than a transaction waits for its turn.
        time.sleep(11 if world.hub.database.dialect == "sqlite" else 4)
    world.wait_for(order_id)
    order = world.order(order_id)
    assert (order.status, order.files_completed) == ("Completed", 30)
    assert world.events(order_id).count("order.completed") == 1


@contextlib.contextmanager
def _database_away(world: World) -> Iterator[None]:
    """Nobody gets at it: locked on SQLite, all connections cut and refused on PostgreSQL."""
    database = world.hub.database
    if database.dialect == "sqlite":
        with contextlib.closing(
            sqlite3.connect(database.engine.url.database or "", timeout=30, isolation_level=None)
        ) as plain:
            plain.execute("BEGIN EXCLUSIVE")
            yield
            plain.execute("ROLLBACK")
        return
    name = database.engine.url.database
    elsewhere = database.engine.url.set(database="postgres", drivername="postgresql")
    with psycopg.connect(elsewhere.render_as_string(hide_password=False), autocommit=True) as other:
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        yield
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    with contextlib.suppress(EntrepotError), database.read() as tx:
        tx.execute(text("SELECT 1"))  # the pool learns that its connections are gone
