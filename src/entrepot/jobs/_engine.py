"""DBOS, and the only place that imports it: how it is configured and which of it is used.

- Its arguments are portable JSON, never pickles.
- Its version of the application is fixed: a new release of the hub goes on with old jobs.
- Its logger has no handler of its own, so errors reach the hub's log; it keeps no telemetry,
  opens no port and connects to nothing but the database.
- A job's truth is in our own tables and every handler is idempotent, so nothing is recorded
  between a job's start and its end, and DBOS never gives a job up (`max_recovery_attempts`):
  what cannot be done is counted and put aside by the handler.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, literal_column, select

from entrepot.db import Database, Tx, connect_plainly
from entrepot.db.engine import translated
from entrepot.jobs.port import ORDERS, JobRow, JobState

# Whoever starts the hub may have set these for another program.
for _name in [name for name in os.environ if name.startswith(("DBOS_", "DBOS__"))]:
    del os.environ[_name]


def _is_news(record: logging.LogRecord) -> bool:
    """Not what follows from a job that was cancelled while it ran, which is ordinary."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__name__ != "DBOSAwaitedWorkflowCancelledError"


# It warns of a database that is away with a traceback a second; we do it in a line (runner.py).
_log = logging.getLogger("dbos")
_log.setLevel(logging.ERROR)
_log.addHandler(logging.NullHandler())  # or it would get one of its own, beside the hub's
_log.addFilter(_is_news)

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer  # noqa: E402

APPLICATION = "entrepot"
APPLICATION_VERSION = "1"
CLIENT_CONNECTIONS = 2
WORKER_CONNECTIONS = 8
LIMITS_SECONDS = 5.0  # between two looks at the limits of a queue, which nobody changes
LISTEN_SECONDS = 5.0  # for notifications, which are not used

_STATES = {
    "ENQUEUED": JobState.WAITING,
    "DELAYED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "SUCCESS": JobState.DONE,
    "ERROR": JobState.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
}
_ENDED = ["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED"]


class Engine:
    """DBOS's client on the hub's database: everything but running jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connections = connect_plainly(database, pool_size=CLIENT_CONNECTIONS)
        self._running: DBOS | None = None
        self._client = DBOSClient(
            system_database_engine=self._connections,
            lazy=True,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            use_listen_notify=False,
            retry_connection_errors=False,
        )

    def migrate(self) -> None:
        """Make or bring up to date the engine's tables; processes take turns."""
        with translated():
            self._system.run_migrations()

    def enqueue(
        self,
        tx: Tx,
        job: str,
        arguments: Sequence[Any],
        *,
        job_id: str,
        partition: str,
        priority: int,
        queue: str,
    ) -> None:
        """Write the job's rows in the caller's transaction."""
        self._client.enqueue_in_transaction(
            tx,
            {
                "workflow_name": job,
                "queue_name": queue,
                "workflow_id": job_id,
                "app_version": APPLICATION_VERSION,
                "priority": priority + 1,  # DBOS counts from 1
                "queue_partition_key": partition,
            },
            *arguments,
        )

    def cancel(self, ids: Sequence[str]) -> None:
        """Take jobs off their queue."""
        with translated():
            self._client.cancel_workflows(list(ids))

    def list(
        self, *, ids: Sequence[str] | None = None, states: Sequence[JobState] | None = None
    ) -> list[JobRow]:
        """The jobs with these ids, or in these states."""
        wanted = [name for name, state in _STATES.items() if states and state in states]
        with translated():
            rows = self._client.list_workflows(
                workflow_ids=None if ids is None else list(ids),
                status=wanted or None,
                load_input=False,
                load_output=False,
            )
        return [
            JobRow(row.workflow_id, _STATES[row.status], row.queue_name, row.executor_id)
            for row in rows
        ]

    def hand_back(self, row: JobRow) -> bool:
        """Have a job begun anew that its worker will not end; False: another worker has it.

        Unlike DBOS's public `resume_workflow` it names the worker that is dead, so two who
        find the same dead one cannot take the job from a third that has begun it already.
        """
        if row.worker_id is None:
            return False
        with translated():
            handed = self._system.reenqueue_for_recovery(
                row.id, [row.worker_id], row.queue or ORDERS
            )
        return bool(handed)

    def purge(self, *, before: str, take: int) -> int:
        """Delete jobs that have ended."""
        with translated():
            rows = self._client.list_workflows(
                status=_ENDED,
                completed_before=before,
                limit=take,
                load_input=False,
                load_output=False,
            )
            if rows:
                self._client.delete_workflows([row.workflow_id for row in rows])
        return len(rows)

    def set_limits(
        self, queue: str, *, slots: int, slots_per_partition: int, poll_seconds: float
    ) -> None:
        """How much of a queue each worker takes at a time, and how often it looks."""
        with translated():
            self._client.register_queue(
                queue,
                worker_concurrency=slots,
                partition_worker_concurrency=slots_per_partition,
                polling_interval_sec=poll_seconds,
            )

    def run(
        self,
        worker_id: str,
        handlers: dict[str, Callable[..., None]],
        *,
        queues: Sequence[str],
        threads: int,
    ) -> None:
        """Begin to take jobs from `queues` in this process, and go on until it ends."""
        for name, handler in handlers.items():
            DBOS.workflow(name=name, max_recovery_attempts=None)(handler)
        self._running = DBOS(
            config={
                "name": APPLICATION,
                "application_version": APPLICATION_VERSION,
                "executor_id": worker_id,
                "system_database_engine": connect_plainly(
                    self._database, pool_size=WORKER_CONNECTIONS
                ),
                "serializer": DBOSPortableJSONSerializer(),
                "use_listen_notify": False,
                "notification_listener_polling_interval_sec": LISTEN_SECONDS,
                "run_migrations": False,
                "enable_otlp": False,
                "log_level": "ERROR",
                "max_executor_threads": threads,
            }
        )
        DBOS.listen_queues(queues)
        DBOS.launch()
        _look_briefly(self._running._sys_db, self._database)

    def stop_taking(self) -> None:
        """Take no more jobs; one that is being taken at this moment may still come."""
        if self._running is not None:
            for event in self._running.background_thread_stop_events:
                event.set()

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()
        self._connections.dispose()

    @property
    def _system(self) -> Any:
        # Not public; the dependency is pinned to 3.4.
        return self._client._sys_db


def _look_briefly(system: Any, database: Database) -> None:
    """Have the threads that look for jobs do next to nothing where there are none.

    DBOS reads the queue's limits and builds and runs a recursive query for its partitions each
    time. That is milliseconds, five times a second for each queue, day and night.
    """
    jobs = system.tables.workflow_status.c
    waiting: Select[Any] = (
        select(literal_column("1"))
        .where(
            jobs.queue_name == bindparam("queue"),
            jobs.status == "ENQUEUED",
            system._in_flight_status_prover(),
        )
        .limit(1)
    )
    list_partitions, load_queue = system.get_queue_partitions, system.get_queue
    empty_at: dict[str, int] = {}
    loaded: dict[str, tuple[float, Any]] = {}

    def get_queue_partitions(queue: str) -> list[str]:
        state = database.state()
        if state is not None and empty_at.get(queue) == state:
            return []
        with system.engine.begin() as connection:
            if connection.execute(waiting, {"queue": queue}).first() is None:
                if state is not None:
                    empty_at[queue] = state
                return []
        found: list[str] = list_partitions(queue)
        return found

    def get_queue(queue: str, **options: Any) -> Any:
        until, limits = loaded.get(queue, (0.0, None))
        if time.monotonic() >= until:
            limits = load_queue(queue, **options)
            loaded[queue] = (time.monotonic() + LIMITS_SECONDS, limits)
        return limits

    system.get_queue_partitions, system.get_queue = get_queue_partitions, get_queue


def current_job_id() -> str:
    """The id of the job that this thread runs."""
    job_id = DBOS.workflow_id
    assert job_id is not None
    return job_id
