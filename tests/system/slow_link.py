"""A line between a customer and the hub that breaks in the middle of a download.

A TCP proxy on 127.0.0.1: everything passes, but the first answers to download links are held
after a number of bytes, `meanwhile` is called, and then the connection is cut.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

BUFFER_BYTES = 65536
_LINK = b"GET /dl/"


class SlowLink:
    """Breaks `breaks` downloads after `after_bytes` of the answer."""

    def __init__(
        self, listener: socket.socket, meanwhile: Callable[[], None], after_bytes: int, breaks: int
    ) -> None:
        self.requests: list[bytes] = []
        self.target = ("127.0.0.1", 0)
        self._listener = listener
        self._meanwhile = meanwhile
        self._after_bytes = after_bytes
        self._breaks = breaks
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def downloads(self) -> list[bytes]:
        """The heads of the requests for bytes that have come by."""
        return [head for head in self.requests if head.startswith(_LINK)]

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            with near, socket.create_connection(self.target, timeout=30) as far:
                near.settimeout(30)
                while head := _read_head(near):
                    self.requests.append(head)
                    far.sendall(head)
                    if head.startswith(_LINK):
                        self._answer_link(near, far)
                        return
                    _pass_answer(near, far)
        except OSError:
            return

    def _answer_link(self, near: socket.socket, far: socket.socket) -> None:
        with self._lock:
            breaking, self._breaks = self._breaks > 0, self._breaks - 1
        left = self._after_bytes if breaking else None
        while left is None or left > 0:
            data = far.recv(min(BUFFER_BYTES, left or BUFFER_BYTES))
            if not data:
                return
            near.sendall(data)
            left = None if left is None else left - len(data)
        self._meanwhile()


def _read_head(sock: socket.socket) -> bytes:
    """A request without a body, as ours all are; empty at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(BUFFER_BYTES)
        if not data:
            return b""
        head += data
    return head


def _pass_answer(near: socket.socket, far: socket.socket) -> None:
    """One answer with a Content-Length."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = far.recv(BUFFER_BYTES)
        if not data:
            return
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    near.sendall(answer)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while left > 0:
        data = far.recv(min(BUFFER_BYTES, left))
        if not data:
            return
        near.sendall(data)
        left -= len(data)


@contextlib.contextmanager
def breaking_line(
    meanwhile: Callable[[], None], *, after_bytes: int = 100_000, breaks: int = 1
) -> Iterator[SlowLink]:
    """A line that breaks; set its `target` before anything is sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = SlowLink(listener, meanwhile, after_bytes, breaks)
        thread = threading.Thread(target=line.serve, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            # accept() does not notice close(); shutdown() wakes it.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
