"""What the rest of the hub asks of the durable engine: enqueue, cancel, look, purge.

The engine is loaded when it is first needed (0.7 s, 27 MB), so a web process that takes no
order never does. Its tables lie in the application's own database: on PostgreSQL in the schema
`dbos`, on SQLite beside ours.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from entrepot.db import Database, Tx
from entrepot.kit.text import format_instant

if TYPE_CHECKING:
    from entrepot.jobs._engine import Engine

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None

# Each has limits of its own (Queue): long work of one kind does not hold up another.
ORDERS, CONVERSIONS, VIDEOS = "orders", "conversions", "videos"
PRIORITY_MAX = 2**31 - 2
PURGE_MAX = 500


class JobState(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more by itself."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the engine has it; `worker_id` is set from its first start on."""

    id: str
    state: JobState
    queue: str | None
    worker_id: str | None


class Jobs:
    """The engine, as seen by whoever has work done. Safe to be used by several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loading = threading.Lock()
        self._loaded: Engine | None = None

    @property
    def engine(self) -> "Engine":
        """The engine behind this; for entrepot.jobs only."""
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    from entrepot.jobs._engine import Engine

                    self._loaded = Engine(self._database)
        return self._loaded

    def enqueue(
        self,
        tx: Tx,
        job: str,
        arguments: Sequence[JSON],
        *,
        job_id: str,
        partition: str,
        priority: int = 0,
        queue: str = ORDERS,
    ) -> None:
        """Have `job` called with `arguments` by a worker, if the caller's `tx` commits.

        `partition` is whose work it is: partitions get equal shares of a queue. Within one, a
        lower `priority` (0 to PRIORITY_MAX) goes first, then the one enqueued first. An id that
        was used before is left as it is: a job that has ended does not run again.
        """
        if not 0 <= priority <= PRIORITY_MAX:
            raise ValueError(f"a priority is 0 to {PRIORITY_MAX}, not {priority}")
        self.engine.enqueue(
            tx, job, arguments, job_id=job_id, partition=partition, priority=priority, queue=queue
        )

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Take jobs off their queue, in a transaction of its own: call it with none open.

        One that runs is not interrupted: jobs look at their order's status themselves.
        """
        if job_ids:
            self.engine.cancel(job_ids)

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """How far these jobs are; ids that the engine does not know (any more) are left out."""
        found = self.engine.list(ids=job_ids) if job_ids else []
        return {row.id: row.state for row in found}

    def running(self) -> list[JobRow]:
        """Every job that some worker, alive or not, has begun and not ended."""
        return self.engine.list(states=(JobState.RUNNING,))

    def purge(self, *, before: datetime, take: int = PURGE_MAX) -> int:
        """Forget at most `take` jobs that ended before; returns how many."""
        return self.engine.purge(before=format_instant(before), take=take)

    def close(self) -> None:
        """Close the engine's connections."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None


def prepare_jobs(database: Database) -> None:
    """Bring the engine's tables to what this version expects. Idempotent."""
    jobs = Jobs(database)
    try:
        jobs.engine.migrate()
    finally:
        jobs.close()
