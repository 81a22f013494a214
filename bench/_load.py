"""A load generator that costs little and reads every answer whole.

Keep-alive connections in one thread, one request at a time on each, no pipelining. An
answer with another status than expected ends the run: a figure for errors is no figure.
"""

import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

CONNECTIONS = 8
_BUFFER_BYTES = 1 << 18
_SILENCE_SECONDS_MAX = 60


@dataclass(slots=True)
class Load:
    """What came back: answers, and bytes of their bodies."""

    answers: int = 0
    body_bytes: int = 0


def get(path: str, *, headers: Mapping[str, str] | None = None) -> bytes:
    """A GET request as a small client sends it."""
    fields = {"Host": "127.0.0.1", "User-Agent": "bench/1", "Accept": "*/*", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def post(path: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST request with its body."""
    head = get(path, headers={"Content-Length": str(len(body)), **(headers or {})})
    return b"POST" + head.removeprefix(b"GET") + body


def send_all(
    port: int, requests: Iterable[bytes], *, status: int = 200, connections: int = CONNECTIONS
) -> Load:
    """Send every request, `connections` at a time, and read every answer to its end."""
    load, waiting = Load(), iter(requests)
    poll = select.epoll()
    running: dict[int, _Connection] = {}
    try:
        for request in _first(waiting, connections):
            connection = _Connection(port, status)
            running[connection.sock.fileno()] = connection
            poll.register(connection.sock.fileno(), select.EPOLLIN)
            connection.sock.sendall(request)
        buffer = bytearray(_BUFFER_BYTES)
        while running:
            events = poll.poll(_SILENCE_SECONDS_MAX)
            if not events:
                raise RuntimeError("the server has not answered for a minute")
            for descriptor, _ in events:
                connection = running[descriptor]
                if not connection.read(buffer, load):
                    continue
                following = next(waiting, None)
                if following is None:
                    poll.unregister(descriptor)
                    running.pop(descriptor).sock.close()
                else:
                    connection.sock.sendall(following)
    finally:
        poll.close()
        for connection in running.values():
            connection.sock.close()
    return load


def _first(waiting: Iterator[bytes], count: int) -> Iterator[bytes]:
    for _ in range(count):
        request = next(waiting, None)
        if request is None:
            return
        yield request


class _Connection:
    """One keep-alive connection: how much of the answer at hand is still to come."""

    __slots__ = ("_head", "_left", "_status", "sock")

    def __init__(self, port: int, status: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._status = b"HTTP/1.1 %d " % status
        self._head = b""
        self._left = -1  # the head is not whole yet

    def read(self, buffer: bytearray, load: Load) -> bool:
        """Take what has come; True where the answer is complete."""
        count = self.sock.recv_into(buffer)
        if not count:
            raise RuntimeError("the server closed the connection in mid answer")
        if self._left < 0:
            count = self._read_head(bytes(memoryview(buffer)[:count]), load)
            if self._left < 0:
                return False
        self._left -= count
        if self._left > 0:
            return False
        if self._left < 0:
            raise RuntimeError("the server sent more than it announced")
        self._left = -1
        load.answers += 1
        return True

    def _read_head(self, data: bytes, load: Load) -> int:
        """Returns the bytes of the body that came along with the end of the head."""
        data = self._head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return 0
        self._head = b""
        if not data.startswith(self._status):
            raise RuntimeError(f"unexpected answer: {data[:2000].decode('latin-1')}")
        self._left = content_length(data[:end])
        load.body_bytes += self._left
        return len(data) - end - 4


def content_length(head: bytes) -> int:
    """Of a response head without the empty line at its end."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        raise RuntimeError(f"an answer without Content-Length: {head.decode('latin-1')}")
    return int(head[at + 17 :].partition(b"\r\n")[0])


def fetch(port: int, request: bytes, *, status: int = 200) -> bytes:
    """One answer's body, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SILENCE_SECONDS_MAX) as sock:
        sock.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += _more(sock)
        if not data.startswith(b"HTTP/1.1 %d " % status):
            raise RuntimeError(f"unexpected answer: {data[:2000].decode('latin-1')}")
        length = content_length(data[:end])
        while len(data) < end + 4 + length:
            data += _more(sock)
        return data[end + 4 :]


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(_BUFFER_BYTES)
    if not data:
        raise RuntimeError("the server closed the connection in mid answer")
    return data
