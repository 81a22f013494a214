"""Running jobs in this process: takes them, shows that it lives, takes over what the dead had.

A worker ends by crashing, even when it is told to stop: it says what it leaves, and exits.
There is nothing that only an orderly end would put right.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from entrepot.db import Database
from entrepot.errors import EntrepotError, Unavailable
from entrepot.jobs import presence
from entrepot.jobs.port import JobRow, Jobs

_log = logging.getLogger(__name__)
# The exit code of a worker that was frozen for so long that others took its jobs.
TAKEN_FOR_DEAD = 75
HALT_SECONDS_MAX = 5.0


class Halted(Exception):  # noqa: N818 - it is no error
    """Raised by a handler that stops because its worker does: another will do the job."""


@dataclass(frozen=True, slots=True)
class Queue:
    """How much of a queue each worker takes at once, how much for one partition, how often."""

    name: str
    slots: int
    slots_per_partition: int
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class Task:
    """A job that runs: its id, and whether it should stop."""

    id: str
    _halting: threading.Event

    @property
    def halting(self) -> bool:
        """Whether the worker is about to end."""
        return self._halting.is_set()

    def pause(self, seconds: float) -> None:
        """Wait; raises Halted as soon as the worker is about to end."""
        if self._halting.wait(seconds):
            raise Halted


# The job at hand, and its arguments. It is called again where a worker died in the middle, and
# may then run twice at once for a moment (the dead one was only frozen): it must be idempotent.
Handler: TypeAlias = Callable[..., None]


class Runner:
    """The worker of this process; there is at most one. `on_beat` is called every 2 s."""

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        handlers: Mapping[str, Handler],
        queues: Sequence[Queue],
        *,
        converts: bool = True,
        note: str = "",
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._handlers = handlers
        self._queues = queues
        self._converts, self._note = converts, note
        self._on_beat = on_beat
        self.me = presence.this_process()
        self._halting = threading.Event()
        self._never = threading.Event()
        self._at_work: set[str] = set()
        self._lost_sight: dict[str, int] = {}
        self._beaten_at = self._steady_since = float("-inf")

    def start(self) -> None:
        """Begin; returns once jobs are being taken."""
        engine = self._jobs.engine
        with self._database.write() as tx:
            presence.announce(tx, self.me, converts=self._converts, note=self._note)
        # At once: on a busy machine the rest may take longer than a worker may be silent.
        threading.Thread(target=self._live, name="heartbeat", daemon=True).start()
        for queue in self._queues:
            engine.set_limits(
                queue.name,
                slots=queue.slots,
                slots_per_partition=queue.slots_per_partition,
                poll_seconds=queue.poll_seconds,
            )
        engine.run(
            self.me.id,
            {name: self._wrapped(handler) for name, handler in self._handlers.items()},
            queues=[queue.name for queue in self._queues],
            threads=2 * sum(queue.slots for queue in self._queues) + 16,
        )

    def stop(self) -> None:
        """Leave what runs to other workers. The process must exit right after it.

        A job that was being taken at that moment is found by them as those of the dead are.
        """
        self._halting.set()
        self._jobs.engine.stop_taking()
        deadline = time.monotonic() + HALT_SECONDS_MAX
        while self._at_work and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            for row in self._jobs.running():
                if row.worker_id == self.me.id:
                    self._jobs.engine.hand_back(row)
            with self._database.write() as tx:
                presence.leave(tx, self.me)
        except EntrepotError as error:
            _log.warning("jobs are left to be found", extra={"reason": error.message})

    def pause(self, seconds: float) -> None:
        """Wait; raises Halted as soon as the worker is about to end."""
        if self._halting.wait(seconds):
            raise Halted

    def is_eldest(self) -> bool:
        """Whether, of all workers that live, this is the one to do what one alone has to do."""
        with self._database.read() as tx:
            return presence.eldest(tx) == self.me.id

    def _wrapped(self, handler: Handler) -> Handler:
        from entrepot.jobs._engine import current_job_id

        def run(*arguments: object) -> None:
            task = Task(current_job_id(), self._halting)
            try:
                with self._shown_at_work(task.id):
                    if not task.halting:
                        handler(task, *arguments)
                        return
            except Halted:
                pass
            except Exception:
                _log.exception("a job failed", extra={"job": task.id})
                raise
            # Returning would end the job: wait for the end of the process instead.
            self._never.wait()

        return run

    @contextmanager
    def _shown_at_work(self, job_id: str) -> Iterator[None]:
        self._at_work.add(job_id)
        try:
            yield
        finally:
            self._at_work.discard(job_id)

    def _live(self) -> None:
        while not self._halting.is_set():
            began = time.monotonic()
            try:
                self._beat()
                self._take_over()
            except Unavailable as error:
                _log.warning("a heartbeat was missed", extra={"reason": error.message})
            except Exception:
                _log.exception("the heartbeat stumbled")
            self._on_beat()
            self._halting.wait(max(0.0, presence.BEAT_SECONDS - (time.monotonic() - began)))

    def _beat(self) -> None:
        """Show that this worker lives; ends the process where it was taken for dead."""
        with self._database.write() as tx:
            alive = presence.beat(tx, self.me)
        if not alive and not self._halting.is_set():
            _log.warning("others took this worker for dead; it makes way for a new one")
            logging.shutdown()
            os._exit(TAKEN_FOR_DEAD)
        now = time.monotonic()
        if now - self._beaten_at > 2 * presence.BEAT_SECONDS:
            self._steady_since = now  # it was away: the silence of others proves nothing yet
        self._beaten_at = now

    def _take_over(self) -> None:
        running = self._jobs.running()
        # Only now: who began one of these has been announced before.
        with self._database.write() as tx:
            steady = self._beaten_at - self._steady_since > presence.DEAD_SECONDS
            dead = presence.declare_dead(tx, steady=steady)
            alive = presence.alive_ids(tx)
        if dead:
            _log.warning("workers ended without a word", extra={"workers": dead})
        for row in running:
            if row.worker_id not in alive and self._jobs.engine.hand_back(row):
                _log.info("a job of a dead worker goes on", extra={"job": row.id})
        mine = [row for row in running if row.worker_id == self.me.id]
        self._look_after([row for row in mine if row.id not in self._at_work])

    def _look_after(self, lost: Sequence[JobRow]) -> None:
        """Jobs of ours that nobody runs: the engine failed to begin them, or to note their end.

        Or is just about to: they count once they have been seen so for a while.
        """
        self._lost_sight = {row.id: self._lost_sight.get(row.id, 0) + 1 for row in lost}
        for row in lost:
            seen_seconds = self._lost_sight[row.id] * presence.BEAT_SECONDS
            if seen_seconds > presence.DEAD_SECONDS and self._jobs.engine.hand_back(row):
                _log.warning("a job that nobody ran goes on", extra={"job": row.id})
