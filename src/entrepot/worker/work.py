"""What every job of this worker shares, and how it tries again."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from entrepot.assembly import Hub
from entrepot.core.conversions.port import Converter
from entrepot.core.orders import is_cancelled
from entrepot.errors import EntrepotError, StorageFull, Unavailable
from entrepot.jobs import Task

T = TypeVar("T")
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.1, 5.0
# How long a full disk, or a store that is away, is waited for before what needs it fails.
WAIT_SECONDS_MAX = 600.0
# A cancelled order's conversion ends within five seconds: this, and the converter's own.
LOOK_SECONDS = 1.0
_TURN_SECONDS = 0.5
_SAME_SECONDS = 0.1
# The list of an order's files is held in memory while it is packed: 130 MiB for 200,000.
PACKED_AT_ONCE_MAX = 2
_log = logging.getLogger(__name__)


class Patience:
    """How long to wait for room on the disk: counted once for all jobs of the worker.

    Otherwise each of a thousand conversions would wait its ten minutes, one after the other.
    """

    def __init__(self, seconds_max: float = WAIT_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._since: float | None = None

    def lasts(self) -> bool:
        """Note that it failed; whether to try again."""
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since < self._seconds_max

    def restore(self) -> None:
        """Note that it works."""
        self._since = None


@dataclass(frozen=True, slots=True)
class Work:
    """The hub, its converter, and the turns at it: `turns` by the queue that a job came from."""

    hub: Hub
    converter: Converter
    turns: "dict[str, threading.Semaphore]"
    scratch: Path | None = None
    storage: Patience = field(default_factory=Patience)
    suspects: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))
    packing: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(PACKED_AT_ONCE_MAX)
    )
    _busy_at: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def alone_at(self, task: Task, source_sha256: str, recipe_key: str) -> Iterator[None]:
        """No other job of this worker is at the same conversion: it will find the result made.

        Customers who order the same pictures at the same time would else have each made twice.
        """
        pair = (source_sha256, recipe_key)
        while not self._take(pair):
            task.pause(_SAME_SECONDS)
        try:
            yield
        finally:
            self._busy_at.discard(pair)

    def _take(self, pair: tuple[str, str]) -> bool:
        with self._lock:
            if pair in self._busy_at:
                return False
            self._busy_at.add(pair)
            return True

    @contextmanager
    def turn(self, task: Task, queue: str, *, suspect: bool) -> Iterator[None]:
        """One of the worker's places to convert; raises Halted where the worker ends first.

        Suspects take it one at a time: where one of them kills the worker, the others have not
        begun, and are not put aside with it.
        """
        with ExitStack() as held:
            for semaphore in [self.suspects] * suspect + [self.turns[queue]]:
                while not semaphore.acquire(timeout=_TURN_SECONDS):
                    task.pause(0)
                held.callback(semaphore.release)
            task.pause(0)
            yield

    def patiently(self, task: Task, verb: Callable[[], T]) -> T:
        """What `verb` gives, tried again while database or disk are not usable.

        The database is waited for as long as the worker lives: without it nothing can be
        settled anyway. A full disk, or a store that is away, is waited for WAIT_SECONDS_MAX.
        """
        delay = RETRY_SECONDS_MIN
        while True:
            try:
                done = verb()
            except Unavailable as error:
                if not self._may_wait(error):
                    raise
                if delay == RETRY_SECONDS_MIN:
                    _log.warning("waiting", extra={"job": task.id, "reason": error.message})
                task.pause(delay)
                delay = min(2 * delay, RETRY_SECONDS_MAX)
            else:
                self.storage.restore()
                return done

    def _may_wait(self, error: Unavailable) -> bool:
        if error.code in ("database-busy", "database-down"):
            return True
        if isinstance(error, StorageFull) or error.code == "blobs-unavailable":
            return self.storage.lasts()
        return False


class Watch:
    """Whether the conversion of an order should stop; the database is asked once a second."""

    def __init__(self, work: Work, task: Task, order_id: int, generation: int) -> None:
        self._work, self._task = work, task
        self._order = (order_id, generation)
        self._looked_at = time.monotonic()
        self._cancelled = False

    def __call__(self) -> bool:
        """True: the worker is about to end, or the order needs it no more."""
        if self._task.halting or self._cancelled:
            return True
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            # Not knowing is no reason to stop.
            with suppress(EntrepotError), self._work.hub.database.glance() as tx:
                self._cancelled = is_cancelled(tx, *self._order)
        return self._cancelled
