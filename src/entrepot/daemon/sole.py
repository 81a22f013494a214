"""One `entrepotd serve` a data folder: a second one would note another address for the tokens."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrepot.daemon.desk import read_served
from entrepot.errors import Conflict

_LOCK_FILE = "serve.lock"
# The web processes of a server that was killed hold the lock until they have ended too.
WAIT_SECONDS_MAX = 3.0


@contextmanager
def sole_server(data: Path) -> Iterator[None]:
    """Hold the folder's lock; Conflict while another server holds it. Ends with the process."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield  # the folder cannot be used: whoever prepares it says so
        return
    try:
        _take(descriptor, data)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, data: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            where = read_served(data).get("public_url", "another address")
            raise Conflict(
                f"Another entrepotd serves the folder {data} already, at {where}.",
                code="already-serving",
                remedy="Stop that one first, or choose another folder with --data.",
            ) from error
        return
