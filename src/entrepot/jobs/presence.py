"""Heartbeats: which workers are alive, and which are dead or frozen.

Ages are taken by one clock that all workers of a hub share: PostgreSQL's own, and with SQLite,
where all are on one machine, the time since the machine started, which nobody sets.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, null, select, text, update

from entrepot.db import Tx
from entrepot.db.schema import is_set
from entrepot.jobs.tables import workers
from entrepot.kit.ids import new_uuid

BEAT_SECONDS = 2.0
DEAD_SECONDS = 8.0
# Rows of ended workers are kept as long as a job of theirs could still be found.
FORGET_SECONDS = 24 * 3600
_POSTGRESQL_NOW = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")


@dataclass(frozen=True, slots=True)
class Presence:
    """How many workers are alive, and how many of them convert.

    `known`: whether there has ever been one. `note` says why one does not convert.
    """

    alive: int
    converting: int
    known: bool
    note: str


@dataclass(frozen=True, slots=True)
class WorkerId:
    """One worker process, as no other ever was."""

    id: str
    machine: str
    pid: int
    born: int


def this_process() -> WorkerId:
    """A new name for this process."""
    return WorkerId(new_uuid(), _machine(), os.getpid(), _born(os.getpid()) or 0)


@cache
def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _born(pid: int) -> int | None:
    """When the process started, in ticks; None where there is none, or only its corpse."""
    with suppress(OSError, IndexError, ValueError):
        # The name, in parentheses, may itself hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    return None


def _now(tx: Tx) -> int:
    """Milliseconds by the shared clock."""
    if tx.dialect.name == "postgresql":
        return int(tx.execute(_POSTGRESQL_NOW).scalar_one())
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def announce(tx: Tx, worker: WorkerId, *, converts: bool, note: str) -> None:
    """A worker is about to begin."""
    tx.execute(
        insert(workers),
        {
            "id": worker.id,
            "machine": worker.machine,
            "pid": worker.pid,
            "born": worker.born,
            "converts": converts,
            "note": note,
            "beaten_at": _now(tx),
        },
    )


def beat(tx: Tx, worker: WorkerId) -> bool:
    """Still alive. False: others have taken it for dead, and its jobs with it."""
    beaten = tx.execute(
        update(workers)
        .where(workers.c.id == worker.id, workers.c.ended_at.is_(None))
        .values(beaten_at=_now(tx))
    )
    return beaten.rowcount == 1


def leave(tx: Tx, worker: WorkerId) -> None:
    """The worker has ended by itself."""
    tx.execute(update(workers).where(workers.c.id == worker.id).values(ended_at=_now(tx)))


def declare_dead(tx: Tx, *, steady: bool) -> list[str]:
    """Note the end of workers that ended without a word; returns their ids.

    A process of this machine that is gone is dead for certain. Silence proves it to a worker
    that was `steady` itself: had the database been away, everybody would have been silent.
    """
    now, dead = _now(tx), []
    for row in tx.execute(select(workers).where(workers.c.ended_at.is_(None))).all():
        silent = abs(now - row.beaten_at) > DEAD_SECONDS * 1000
        if (silent and steady) or _is_gone(row, alone=tx.dialect.name == "sqlite"):
            ended = update(workers).where(
                workers.c.id == row.id,
                workers.c.ended_at.is_(None),
                workers.c.beaten_at == row.beaten_at,
            )
            if tx.execute(ended.values(ended_at=now)).rowcount:
                dead.append(str(row.id))
    _forget(tx, now)
    return dead


def _is_gone(row: Any, *, alone: bool) -> bool:
    """Whether the process has ended for certain; `alone`: there is no other machine."""
    boot, _, space = row.machine.partition(" ")
    here_boot, _, here_space = _machine().partition(" ")
    if boot != here_boot:
        return alone  # it was this machine, before it started anew
    return bool(space == here_space and _born(row.pid) != row.born)


def _forget(tx: Tx, now: int) -> None:
    tx.execute(
        delete(workers).where(
            workers.c.ended_at.is_not(None),
            # Either way: the clock of SQLite begins anew with the machine.
            (workers.c.ended_at < now - FORGET_SECONDS * 1000)
            | (workers.c.ended_at > now + FORGET_SECONDS * 1000),
        )
    )


def alive_ids(tx: Tx) -> frozenset[str]:
    """The workers whose end nobody has noted."""
    return frozenset(
        tx.execute(select(workers.c.id).where(workers.c.ended_at.is_(null()))).scalars()
    )


def eldest(tx: Tx) -> str | None:
    """One living worker, and the same for everybody who asks."""
    now = _now(tx)
    rows = tx.execute(
        select(workers.c.id, workers.c.beaten_at)
        .where(workers.c.ended_at.is_(None))
        .order_by(workers.c.id)
    )
    return next((str(row.id) for row in rows if now - row.beaten_at <= DEAD_SECONDS * 1000), None)


def find_presence(tx: Tx) -> Presence:
    """Who is at work now."""
    now = _now(tx)
    rows = tx.execute(
        select(workers.c.beaten_at, workers.c.ended_at, workers.c.note, is_set(workers.c.converts))
    ).all()
    living = [
        row
        for row in rows
        if row.ended_at is None and abs(now - row.beaten_at) <= DEAD_SECONDS * 1000
    ]
    return Presence(
        alive=len(living),
        converting=sum(bool(row[3]) for row in living),
        known=bool(rows),
        note=next((row.note for row in living if row.note), ""),
    )


def conversions_on(tx: Tx) -> bool:
    """Whether an order may ask for conversions.

    While no worker is alive (one is being replaced, or none has begun yet), the one that was
    seen last speaks for the next; with none ever seen they are taken to be on.
    """
    presence = find_presence(tx)
    if presence.alive:
        return presence.converting > 0
    last = tx.execute(
        select(is_set(workers.c.converts)).order_by(workers.c.beaten_at.desc()).limit(1)
    ).scalar()
    return last is None or bool(last)
