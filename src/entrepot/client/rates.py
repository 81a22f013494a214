"""A limit on bytes per second, shared by every transfer that is given the same one."""

import threading
from time import monotonic

from entrepot.client.errors import InvalidUse
from entrepot.client.stop import Stop

RATE_MIN = 1024
# What may come at once after a pause, in seconds of the rate.
_BURST_SECONDS = 0.25
_PORTION_SECONDS = 0.1
_PORTION_BYTES_MIN = 1024


class RateLimit:
    """At most `bytes_per_second` over all transfers that take from it.

    Raises InvalidUse below 1024 bytes/s: such a transfer would count as stalled.
    """

    def __init__(self, bytes_per_second: float) -> None:
        if not bytes_per_second >= RATE_MIN:
            raise InvalidUse(f"A rate limit is at least {RATE_MIN} bytes per second.")
        self.bytes_per_second = float(bytes_per_second)
        self._lock = threading.Lock()
        self._paid_until = monotonic()

    @property
    def portion_bytes(self) -> int:
        """How much to read at a time, so that the limit is kept evenly."""
        return max(_PORTION_BYTES_MIN, int(self.bytes_per_second * _PORTION_SECONDS))

    def take(self, count: int, stop: Stop) -> None:
        """Wait until `count` bytes that have just come are within the limit. Raises Cancelled."""
        with self._lock:
            now = monotonic()
            begin = max(self._paid_until, now - _BURST_SECONDS)
            self._paid_until = begin + count / self.bytes_per_second
            pause = self._paid_until - now
        if pause > 0:
            stop.wait(pause)
