"""Stopping at once: a switch that wakes sleepers and cuts the connections being read."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from entrepot.client.errors import Cancelled


class Stop:
    """Set once, by whoever handles Ctrl-C; every wait and every read then ends with Cancelled."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    def set(self) -> None:
        """Stop everything that watches this switch."""
        with self._lock:
            self._set.set()
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise Cancelled when the switch is set."""
        if self._set.is_set():
            raise Cancelled("Stopped.")

    def wait(self, seconds: float) -> None:
        """Sleep, or raise Cancelled as soon as the switch is set."""
        if self._set.wait(seconds):
            raise Cancelled("Stopped.")

    @contextlib.contextmanager
    def watching(self, sock: socket.socket) -> Iterator[None]:
        """While inside, `set` shuts `sock` down, so that a blocked read returns."""
        with self._lock:
            self.check()
            self._sockets.add(sock)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(sock)
