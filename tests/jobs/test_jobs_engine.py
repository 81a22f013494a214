"""The durable engine behind `Jobs`: what is enqueued is done, once, whoever dies meanwhile."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from entrepot.db import Database
from entrepot.jobs import CONVERSIONS, Jobs, JobState
from entrepot.jobs.runner import TAKEN_FOR_DEAD
from tests.jobs.toy_worker import ATTEMPTS_MAX, place_in
from tests.jobs.toys import ON_POSTGRESQL, ON_SQLITE, SOAK_KILLS, Toys
from tests.waiting import wait_until

FROZEN_SECONDS_MAX = 15.0


def test_a_job_is_enqueued_by_the_callers_transaction_or_not_at_all(
    database: Database, jobs: Jobs
) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as tx:
        place_in(tx, jobs, 1, customer="101", items=1)
        raise ZeroDivisionError
    assert jobs.states(["toy:1"]) == {}
    with database.write() as tx:
        place_in(tx, jobs, 1, customer="101", items=1)
    assert jobs.states(["toy:1", "toy:2"]) == {"toy:1": JobState.WAITING}


def test_the_same_id_twice_is_one_job(database: Database, jobs: Jobs) -> None:
    for _ in range(2):
        with database.write() as tx:
            jobs.enqueue(tx, "build", [1], job_id="one", partition="101")
    assert jobs.states(["one"]) == {"one": JobState.WAITING}
    with pytest.raises(ValueError, match="priority"), database.write() as tx:
        jobs.enqueue(tx, "build", [1], job_id="two", partition="101", priority=-1)


def test_a_cancelled_job_never_runs(toys: Toys) -> None:
    toys.place(1)
    toys.place(2)
    toys.jobs.cancel(["toy:1"])
    toys.start()
    toys.wait_for(2)
    assert toys.jobs.states(["toy:1"]) == {"toy:1": JobState.CANCELLED}
    assert toys.started(1) == 0
    assert not toys.published()[1]


@ON_SQLITE
def test_within_a_customer_the_lower_number_goes_first(toys: Toys) -> None:
    given = dict(enumerate([5, 1, 3, 0, 4, 2]))
    with toys.database.write() as tx:
        tx.execute(text("INSERT INTO toy_orders VALUES (1, '101', 6, 'pending')"))
        for n, priority in given.items():
            tx.execute(text("INSERT INTO toy_items VALUES (1, :n, 'pending', 0)"), {"n": n})
            toys.jobs.enqueue(
                tx,
                "convert",
                [1, n],
                job_id=f"by-priority:{n}",
                partition="101",
                priority=priority,
                queue=CONVERSIONS,
            )
    toys.start(slots=1)
    wait_until(lambda: toys.started(1) == len(given))
    began = [row.n for row in toys.rows("SELECT n FROM toy_began ORDER BY at")]
    assert [given[n] for n in began] == sorted(given.values())


@ON_POSTGRESQL
def test_a_small_order_does_not_wait_for_a_large_one_of_somebody_else(toys: Toys) -> None:
    toys.place(1, customer="101", items=1000)
    toys.start(slots=4)
    wait_until(lambda: toys.started(1) >= 20)
    toys.place(2, customer="102", items=10)
    before = toys.started(1)
    toys.wait_for(2)
    # By when each began, not by when this process comes to look. Half of the places were its own;
    # the rest is what chance and the queue's ways may cost.
    [both] = toys.rows(
        "SELECT count(*) AS count FROM toy_began WHERE order_id = 1"
        " AND at <= (SELECT max(at) FROM toy_began WHERE order_id = 2)"
    )
    assert both.count - before < 100


@ON_SQLITE
def test_what_kills_its_worker_each_time_is_put_aside(toys: Toys) -> None:
    toys.place(1, items=1)
    with toys.database.write() as tx:
        tx.execute(text("UPDATE toy_items SET n = 666"))
    for _ in range(ATTEMPTS_MAX):
        process = toys.start()
        assert toys.bury(process) == -signal.SIGKILL
    toys.start()
    toys.wait_for(1)
    assert [row.state for row in toys.rows("SELECT state FROM toy_items")] == ["poison"]


def _run_through_kills(toys: Toys, *, kills: int, workers: int, chance: random.Random) -> None:
    """Kill a worker at random moments, replace it, and see that all ends once."""
    orders = max(4, kills // 4)
    for number in range(orders):
        toys.place(number, customer=str(number % 3), items=10)
    while len(toys.running) < workers:
        toys.start(beat=2.0)
    for kill in range(kills):
        time.sleep(chance.uniform(0.0, 0.6))
        toys.kill(chance.choice(toys.running))
        toys.start(beat=2.0)
        toys.place(orders + kill, items=chance.randrange(1, 5))
    everything = range(orders + kills)
    toys.wait_for(*everything, seconds=120)
    time.sleep(1)
    assert toys.published() == dict.fromkeys(everything, 1)
    left = toys.rows("SELECT count(*) AS count FROM toy_items WHERE state = 'pending'")
    assert left[0].count == 0


@pytest.mark.soak  # test_worker_orders.py kills real workers each time
def test_every_order_ends_once_through_kills(toys: Toys) -> None:
    _run_through_kills(toys, kills=4, workers=1, chance=random.Random(1))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [1, 3])
def test_every_order_ends_once_through_many_kills(toys: Toys, workers: int) -> None:
    _run_through_kills(toys, kills=SOAK_KILLS // 5, workers=workers, chance=random.Random(workers))


def _is_stopped(pid: int) -> bool:
    """Whether each of its threads is; state is the field after the name (proc(5))."""
    stats = [path.read_text() for path in Path("/proc", str(pid), "task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def _freeze(toys: Toys, process: "subprocess.Popen[str]") -> None:
    """Not where it holds SQLite's one write lock: then all wait, until its supervisor ends it."""
    while True:
        os.killpg(process.pid, signal.SIGSTOP)
        # A thread that has to wait for a processor stops when it gets one, and a call to the
        # system that is under way may take the lock before.
        wait_until(lambda: _is_stopped(process.pid))
        if toys.database.dialect != "sqlite":
            return
        path = toys.url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as plain:
            try:
                plain.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.killpg(process.pid, signal.SIGCONT)
            else:
                plain.execute("ROLLBACK")
                return


@pytest.mark.soak
@pytest.mark.parametrize("beat", [0.5, 2.0])
def test_the_jobs_of_a_frozen_worker_go_on_and_it_makes_way_when_it_wakes(
    toys: Toys, beat: float
) -> None:
    first = toys.start(beat=beat, item=0.1)
    second = toys.start(beat=beat, item=0.1)
    for number in range(6):
        toys.place(number, customer=str(number), items=10)
    wait_until(lambda: sum(map(toys.started, range(6))) >= 20)
    _freeze(toys, first)
    try:
        assert toys.wait_for(*range(6)) < FROZEN_SECONDS_MAX + 4
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert toys.bury(first) == TAKEN_FOR_DEAD
    time.sleep(1)
    assert toys.published() == dict.fromkeys(range(6), 1)
    assert second.poll() is None


@ON_POSTGRESQL
def test_a_worker_that_is_told_to_stop_leaves_its_jobs_to_the_next(toys: Toys) -> None:
    first = toys.start(item=0.05)
    toys.place(1, items=40)
    wait_until(lambda: toys.started(1) >= 4)
    begun = {row.id for row in toys.jobs.running()}
    first.terminate()
    assert toys.bury(first) == 0
    # Handed back: they need not be found by the silence of the one that had them.
    assert not {row.id for row in toys.jobs.running()} & begun
    toys.start()
    toys.wait_for(1)


@ON_POSTGRESQL
def test_a_job_that_its_worker_lost_is_begun_again(toys: Toys) -> None:
    """As when the engine claimed it, and could not read what it had claimed."""
    toys.place(1)
    toys.start()
    toys.wait_for(1)
    toys.place(2)
    toys.kill_all()
    process = toys.start()
    toys.wait_for(2)
    [worker] = toys.rows("SELECT id FROM workers WHERE pid = :pid", pid=process.pid)
    with toys.database.write() as tx:
        tx.execute(text("UPDATE toy_orders SET state = 'pending' WHERE id = 2"))
        schema = "dbos." if toys.database.dialect == "postgresql" else ""
        tx.execute(
            text(
                f"UPDATE {schema}workflow_status SET status = 'PENDING', executor_id = :worker"
                " WHERE workflow_uuid = 'toy:2'"
            ),
            {"worker": worker.id},
        )
    wait_until(lambda: toys.published()[2] == 2)


def test_ended_jobs_are_purged(toys: Toys) -> None:
    toys.place(1, items=2)
    toys.start()
    toys.wait_for(1)
    ids = ["toy:1", "toy:1:0", "toy:1:1"]
    wait_until(lambda: all(state.ended for state in toys.jobs.states(ids).values()))
    now = datetime.now(UTC)
    assert toys.jobs.purge(before=now - timedelta(hours=1)) == 0
    assert toys.jobs.purge(before=now + timedelta(minutes=1), take=2) == 2
    assert toys.jobs.purge(before=now + timedelta(minutes=1)) == 1
    assert toys.jobs.states(ids) == {}
