"""Connections for bytes: kept open between files, and not more than is polite at a time."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from http.client import HTTPResponse
from time import monotonic

from entrepot.client.connections import Address, Connection, Times
from entrepot.client.errors import Cancelled, Unreachable
from entrepot.client.stop import Stop

# In all. Each file may always have one, so more files at a time than this have one each.
CONNECTIONS_MAX = 16
_IDLE_SECONDS_MAX = 4.0


class Pool:
    """The connections of one client for downloads. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._transfers = 0

    @contextlib.contextmanager
    def transfer(self) -> Iterator[None]:
        """While inside, one connection of a file counts as open."""
        with self._lock:
            self._transfers += 1
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> bool:
        """Take room for one more connection of a file, if there is any; `leave` gives it back."""
        with self._lock:
            if self._transfers >= CONNECTIONS_MAX:
                return False
            self._transfers += 1
            return True

    def leave(self) -> None:
        """A connection of a file has ended."""
        with self._lock:
            self._transfers -= 1

    def send(
        self, address: Address, times: Times, headers: dict[str, str], stop: Stop
    ) -> tuple[Connection, HTTPResponse]:
        """GET an address on an idle connection or a new one. Raises Unreachable, Cancelled."""
        while (connection := self._pop(address.origin, times)) is not None:
            try:
                return connection, send_until(stop, connection, "GET", address, headers)
            except Unreachable:
                # It may have been closed by the other side while idle: that is no failure.
                connection.close()
        connection = Connection(address, times)
        return connection, send_until(stop, connection, "GET", address, headers)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose last answer has been read to its end."""
        with self._lock:
            self._idle.append((monotonic(), connection))
            over = self._idle.popleft()[1] if len(self._idle) > CONNECTIONS_MAX else None
        if over is not None:
            over.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for _, connection in idle:
            connection.close()

    def _pop(self, origin: str, times: Times) -> Connection | None:
        """The one that was used last; what has been idle for long may be dead by now."""
        dead, found = [], None
        with self._lock:
            now = monotonic()
            for entry in list(self._idle):
                if now - entry[0] > _IDLE_SECONDS_MAX:
                    self._idle.remove(entry)
                    dead.append(entry[1])
            for entry in reversed(self._idle):
                if entry[1].origin == origin and entry[1].times == times:
                    self._idle.remove(entry)
                    found = entry[1]
                    break
        for connection in dead:
            connection.close()
        return found


def send_until(
    stop: Stop,
    connection: Connection,
    method: str,
    address: Address,
    headers: dict[str, str],
    body: bytes | None = None,
) -> HTTPResponse:
    """Send a request where waiting for its answer ends with the switch.

    Raises Unreachable, and Cancelled where it was the switch that broke the connection.
    """
    connection.open()
    try:
        with stop.watching(connection.sock):
            return connection.send(method, address, headers, body)
    except Cancelled:
        connection.close()
        raise
    except Unreachable:
        stop.check()
        raise
