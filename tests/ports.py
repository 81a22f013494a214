"""Ports for programs that are told where to listen, or that shall find nobody there."""

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator


def _ports() -> Iterator[int]:
    """Below those that the kernel hands out, so that no other program is given one by chance.

    Each worker of the run has a thousand of its own: two do not choose the same one.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + 1000 * (worker % 20)
    begin = os.getpid()
    return (first + (begin + step) % 1000 for step in itertools.count())


_PORTS = _ports()


def free_port() -> int:
    """A port of 127.0.0.1 at which nothing listens, and which only who is told of it will take."""
    for port in itertools.islice(_PORTS, 1000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("every port of this worker is taken")
