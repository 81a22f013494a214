"""Who is alive, who is dead, and who only seems so."""

import os
import subprocess
import sys
from dataclasses import replace

from sqlalchemy import select, update

from entrepot.db import Tx
from entrepot.jobs import conversions_on, find_presence, presence
from entrepot.jobs.tables import workers

LONG = int(presence.DEAD_SECONDS * 1000) + 1000


def silence(tx: Tx, worker: presence.WorkerId, millis: int = LONG) -> None:
    """It beat last so long ago."""
    values = {"beaten_at": workers.c.beaten_at - millis}
    tx.execute(update(workers).where(workers.c.id == worker.id).values(values))


def announced(tx: Tx, *, converts: bool = True, note: str = "") -> presence.WorkerId:
    worker = presence.this_process()
    presence.announce(tx, worker, converts=converts, note=note)
    return worker


def test_a_living_worker_is_never_declared_dead(tx: Tx) -> None:
    worker = announced(tx)
    assert presence.declare_dead(tx, steady=True) == []
    assert presence.alive_ids(tx) == {worker.id}
    assert presence.beat(tx, worker)


def test_silence_is_death_for_who_was_steady_meanwhile(tx: Tx) -> None:
    worker, other = announced(tx), announced(tx)
    silence(tx, worker)
    assert presence.declare_dead(tx, steady=False) == []
    assert presence.declare_dead(tx, steady=True) == [worker.id]
    assert presence.declare_dead(tx, steady=True) == []
    assert not presence.beat(tx, worker)
    assert presence.beat(tx, other)
    assert presence.alive_ids(tx) == {other.id}


def test_a_process_that_is_gone_is_dead_at_once(tx: Tx) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        child = replace(presence.this_process(), pid=process.pid)
        child = replace(child, born=presence._born(process.pid) or 0)
        presence.announce(tx, child, converts=True, note="")
        assert presence.declare_dead(tx, steady=False) == []
        process.kill()
    assert presence.declare_dead(tx, steady=False) == [child.id]


def test_another_process_with_the_same_number_is_another(tx: Tx) -> None:
    worker = replace(presence.this_process(), born=1)
    presence.announce(tx, worker, converts=True, note="")
    assert presence.declare_dead(tx, steady=False) == [worker.id]


def test_another_machines_process_is_judged_by_its_silence_alone(tx: Tx) -> None:
    boot, _, space = presence.this_process().machine.partition(" ")
    elsewhere = replace(presence.this_process(), machine=f"{boot} pid:[1]", pid=1, born=1)
    presence.announce(tx, elsewhere, converts=True, note="")
    rebooted = replace(presence.this_process(), machine=f"another-boot {space}")
    presence.announce(tx, rebooted, converts=True, note="")
    # With SQLite there is but one machine, and that boot is over.
    certain = [rebooted.id] if tx.dialect.name == "sqlite" else []
    assert presence.declare_dead(tx, steady=False) == certain


def test_conversions_are_on_where_a_living_worker_converts(tx: Tx) -> None:
    assert conversions_on(tx)  # nobody knows better yet
    off = announced(tx, converts=False, note="no sandbox")
    assert not conversions_on(tx)
    assert find_presence(tx) == presence.Presence(1, 0, known=True, note="no sandbox")
    on = announced(tx)
    assert conversions_on(tx)
    presence.leave(tx, on)
    assert not conversions_on(tx)
    # While none is alive, the one seen last speaks for the next.
    silence(tx, off)
    assert conversions_on(tx)
    assert find_presence(tx).alive == 0


def test_one_living_worker_is_the_eldest_for_all(tx: Tx) -> None:
    every = [announced(tx) for _ in range(3)]
    first = presence.eldest(tx)
    assert first in {each.id for each in every}
    silence(tx, next(each for each in every if each.id == first))
    assert presence.eldest(tx) not in (None, first)


def test_rows_of_the_dead_are_forgotten_in_the_end(tx: Tx) -> None:
    worker = announced(tx)
    presence.leave(tx, worker)
    presence.declare_dead(tx, steady=True)
    assert tx.execute(select(workers.c.id)).scalars().all() == [worker.id]
    day = int(presence.FORGET_SECONDS * 1000) + 1
    tx.execute(update(workers).values(ended_at=workers.c.ended_at - day))
    presence.declare_dead(tx, steady=True)
    assert tx.execute(select(workers.c.id)).scalars().all() == []


def test_this_process_is_found_by_its_number_and_birth() -> None:
    me = presence.this_process()
    assert me.pid == os.getpid()
    assert me.born == presence._born(os.getpid())
    assert presence.this_process().id != me.id
