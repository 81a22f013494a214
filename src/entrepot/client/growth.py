"""How many connections one file gets: more as long as they bring more.

One to begin with. While the rest would take longer than a moment, and one connection does not
bring about all that this machine can take, more are added, and again as long as each step made
the whole clearly faster. So a line that is limited for each connection (distance, loss, a
server's limit) gets many, and a line that is full gets no more. What a lossy line brings varies by
a third from one moment to the next, so one bad moment is looked at again, for longer.
"""

import threading
from collections.abc import Callable
from time import monotonic

CONNECTIONS_MAX = 16  # for one file
# A rest that takes less time than this is not worth more connections.
REST_SECONDS_MIN = 1.5
# What one connection brings here is limited by the machine, not by the line.
FAST_BYTES_PER_SECOND = 150e6
BYTES_EACH_MIN = 512 * 1024
_FIRST_WINDOW_SECONDS = 0.3
_WINDOW_SECONDS = 0.7
_DOUBT_SECONDS = 2.0
_GAIN_MIN = 1.25
_GAIN_IN_DOUBT_MIN = 1.1  # over the longer window less is left to chance
# How long after a failure to do without; the line or the hub may be better by then.
_PATIENCE_SECONDS = 10.0
_STEPS = (4, 8, CONNECTIONS_MAX)


class Growth:
    """Decides for one file; safe to use from several threads.

    `fixed` is the number that the caller asked for; `ceiling` is a rate limit in bytes/s.
    """

    def __init__(
        self,
        fixed: int | None,
        ceiling: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._fixed = fixed
        self._enough = min(FAST_BYTES_PER_SECOND, (ceiling or FAST_BYTES_PER_SECOND) * 0.8)
        self._lock = threading.Lock()
        self.wanted = 1
        self._settled = fixed == 1
        self._before = 0.0
        self._fewer = 1  # how many brought that
        self._begun = self._clock()
        self._bytes = 0
        self._warm = True
        self._doubted = False
        self._refused_at: float | None = None

    def restart(self) -> None:
        """The bytes begin to come now."""
        with self._lock:
            self._begin_window(warm=True)

    def note(self, count: int, rest: int) -> int:
        """So many more bytes came, so many are missing; how many connections there should be."""
        with self._lock:
            self._bytes += count
            if (
                self._refused_at is not None
                and self._clock() > self._refused_at + _PATIENCE_SECONDS
            ):
                self._refused_at, self._settled, self._before = None, False, 0.0
                self._begin_window(warm=True)
            if not self._settled:
                self._consider(rest)
            return self.wanted

    def refuse(self, *, ranges: bool = True) -> None:
        """A connection more did not bring anything now; without `ranges` none ever will."""
        with self._lock:
            self.wanted = max(1, self.wanted - 1) if ranges else 1
            self._settled = True
            self._refused_at = self._clock() if ranges and self._fixed != 1 else None

    def _consider(self, rest: int) -> None:
        if self._fixed is not None:
            self.wanted = max(1, min(self._fixed, CONNECTIONS_MAX, rest // BYTES_EACH_MIN))
            return
        now = self._clock()
        spent = now - self._begun
        if spent < self._window_seconds():
            return
        rate = self._bytes / spent
        if self._warm and self.wanted > 1:
            # The new ones have only just got going.
            self._begin_window(warm=False)
            return
        if rate <= 0 or rest / rate < REST_SECONDS_MIN or rate >= self._enough:
            self._begin_window(warm=False)
            return
        if rate < self._before * (_GAIN_IN_DOUBT_MIN if self._doubted else _GAIN_MIN):
            if not self._doubted:
                self._begin_window(warm=False, doubted=True)
                return
            # One alone brings most in its first moments, before the line has lost anything of it:
            # to be compared with that says little, and the next step is tried too.
            if self._fewer > 1:
                self.wanted, self._settled = self._fewer, True
                return
        self._before, self._fewer = rate, self.wanted
        more = next((step for step in _STEPS if step > self.wanted), CONNECTIONS_MAX)
        self._settled = more == self.wanted
        self.wanted = max(1, min(more, rest // BYTES_EACH_MIN))
        self._begin_window(warm=True)

    def _window_seconds(self) -> float:
        if self._doubted:
            return _DOUBT_SECONDS
        return _FIRST_WINDOW_SECONDS if self.wanted == 1 else _WINDOW_SECONDS

    def _begin_window(self, *, warm: bool, doubted: bool = False) -> None:
        self._begun, self._bytes, self._warm = self._clock(), 0, warm
        self._doubted = doubted
