"""Stopping at once: a switch that wakes sleepers and cuts the connections being read."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from entrepot.client.errors import Cancelled


class Stop:
    """Set once, by whoever handles Ctrl-C; every wait and every read then ends with Cancelled.

    One with a `parent` stops with it, and can be set without stopping that; it has to be closed.
    """

    def __init__(self, parent: "Stop | None" = None) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._children: set[Stop] = set()
        self._parent = parent
        if parent is not None:
            with parent._lock:
                parent._children.add(self)
                if parent.is_set:
                    self._set.set()

    @property
    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._set.is_set()

    def set(self) -> None:
        """Stop everything that watches this switch."""
        with self._lock:
            self._set.set()
            sockets, children = list(self._sockets), list(self._children)
        for sock in sockets:
            with contextlib.suppress(OSError):
                # Not that of an SSLSocket, which goes back to plain text first: another thread
                # that is sending would send what follows for all to read.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for child in children:
            child.set()

    def clear(self) -> None:
        """Go on, unless the parent has been set."""
        parent = self._parent
        assert parent is not None, "what a person stopped stays stopped"
        with parent._lock:
            if not parent.is_set:
                self._set.clear()

    def close(self) -> None:
        """The parent need not know of it any more."""
        if self._parent is not None:
            with self._parent._lock:
                self._parent._children.discard(self)

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
