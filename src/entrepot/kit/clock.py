"""The time of this process: UTC wall time anchored to the monotonic clock.

A jump of the wall clock while the process runs neither kills nor revives a link, because
the current time is the wall time read once at the start plus monotonic time since then; it
goes on while the machine sleeps. Times are whole milliseconds, the resolution the database
keeps and the wire shows.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

Now: TypeAlias = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def from_millis(millis: int) -> datetime:
    """The UTC instant that lies `millis` milliseconds after 1970-01-01T00:00:00Z."""
    return _EPOCH + timedelta(milliseconds=millis)


def to_millis(instant: datetime) -> int:
    """Whole milliseconds from 1970-01-01T00:00:00Z to `instant`, which must carry a zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return (instant - _EPOCH) // _MILLISECOND


# Seconds that no setting of the clock moves; on Linux those that the machine slept are counted.
_read_steady: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


class Clock:
    """Callable clock: `clock()` is the current instant in UTC, truncated to milliseconds."""

    def __init__(
        self,
        wall_seconds: Callable[[], float] = time.time,
        monotonic_seconds: Callable[[], float] = _read_steady,
    ) -> None:
        self._monotonic = monotonic_seconds
        self._anchor = wall_seconds() - monotonic_seconds()
        self._last = (0, _EPOCH)

    def seconds(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return self._anchor + self._monotonic()

    def __call__(self) -> datetime:
        millis = int((self._anchor + self._monotonic()) * 1000)
        last = self._last  # one load, so that number and instant belong together
        if last[0] != millis:
            last = self._last = (millis, from_millis(millis))
        return last[1]
