"""Waiting for what comes about in another thread or process: no test guesses how long it takes."""

import time
from collections.abc import Callable

SECONDS_MAX = 60.0


def wait_until(condition: Callable[[], object], seconds: float = SECONDS_MAX) -> float:
    """How many seconds it took; fails where it does not come about in `seconds`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.02)
    return time.monotonic() - began
