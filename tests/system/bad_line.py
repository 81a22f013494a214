"""A bad line between a customer and a running hub: it cuts, stalls, slows and corrupts.

A proxy on 127.0.0.1. API calls pass unharmed; of the answers to download links each gets the
fault that `choose` gives for it. `rate` limits all of them together.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BUFFER_BYTES = 65536
_LINK = b"GET /dl/"
_SOCKET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the body of an answer after `at` bytes: cut, stall (for `seconds`, and
    until `meanwhile` has been done, then cut) or flip (of one bit; the rest passes)."""

    kind: str
    at: int
    seconds: float = 0.0
    meanwhile: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for bytes: where it begins, and how many such requests came before."""

    number: int
    first_byte: int
    head: bytes


class BadLine:
    """Set `target` to the hub's address before anything is sent."""

    def __init__(self, listener: socket.socket) -> None:
        self.target = ("127.0.0.1", 0)
        self.choose: Callable[[Asked], Fault | None] = lambda _asked: None
        self.rate: float | None = None
        self.instead = ""  # another link's path, which all links lead to while it is set
        self.asked: list[Asked] = []
        self.open = self.most_open = 0
        self.sent = 0  # bytes of bodies
        self._listener = listener
        self._lock = threading.Lock()
        self._turn = 0  # one more each time that it is healed
        self._paid_until = 0.0
        self._closing = threading.Event()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def break_once(
        self, *, at: int = 100_000, seconds: float, meanwhile: Callable[[], object] | None = None
    ) -> None:
        """Stall the first answer with bytes, then cut it."""
        fault = Fault("stall", at, seconds, meanwhile)
        self.choose = lambda asked: None if asked.number else fault

    def heal(self) -> None:
        """A good and empty line again, with nothing counted.

        What it still holds of before, such as a stalled answer, counts no more.
        """
        self.choose, self.rate, self.instead = (lambda _asked: None), None, ""
        with self._lock:
            self.asked, self.sent, self.open, self.most_open = [], 0, 0, 0
            self._turn += 1

    def close(self) -> None:
        """Let go of every connection that is held."""
        self._closing.set()

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
            with near, socket.create_connection(self.target, timeout=_SOCKET_SECONDS) as far:
                near.settimeout(_SOCKET_SECONDS)
                while head := _read_head(near):
                    if not self._exchange(head, near, far):
                        return
        except OSError:
            return

    def _exchange(self, head: bytes, near: socket.socket, far: socket.socket) -> bool:
        """One request and its answer; whether the connection is still good."""
        if not head.startswith(_LINK):
            far.sendall(head)
            return self._answer(near, far, None, turn=None)
        asked, turn = self._note(head)
        if self.instead:
            head = re.sub(rb"^GET \S+", b"GET " + self.instead.encode(), head)
        far.sendall(head)
        try:
            return self._answer(near, far, self.choose(asked), turn=turn)
        finally:
            with self._lock:
                self.open -= turn == self._turn

    def _note(self, head: bytes) -> tuple[Asked, int]:
        found = re.search(rb"\r\nrange: bytes=(\d+)-", head.lower())
        with self._lock:
            asked = Asked(len(self.asked), int(found[1]) if found else 0, head)
            self.asked.append(asked)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            return asked, self._turn

    def _answer(
        self, near: socket.socket, far: socket.socket, fault: Fault | None, *, turn: int | None
    ) -> bool:
        """`turn`: of whoever asked for bytes of a file, and None for everything else."""
        head, body = _read_answer_head(far)
        if not head:
            return False
        near.sendall(head)
        found = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
        length, sent = int(found[1]) if found else 0, 0
        while sent < length:
            body = body or far.recv(min(BUFFER_BYTES, length - sent))
            if not body:
                return False
            if fault is not None and sent + len(body) > fault.at:
                if fault.kind != "flip":
                    self._pass(near, body[: fault.at - sent], turn)
                    if fault.meanwhile is not None:
                        fault.meanwhile()
                    self._closing.wait(fault.seconds)
                    return False
                at = fault.at - sent
                body = body[:at] + bytes([body[at] ^ 4]) + body[at + 1 :]
                fault = None
            if turn is not None:
                self._pass(near, body, turn)
            else:
                near.sendall(body)
            sent, body = sent + len(body), b""
        return b"connection: close" not in head.lower()

    def _pass(self, near: socket.socket, data: bytes, turn: int | None) -> None:
        if self.rate is not None:
            with self._lock:
                now = time.monotonic()
                self._paid_until = max(self._paid_until, now - 0.05) + len(data) / self.rate
                pause = self._paid_until - now
            if self._closing.wait(max(0.0, pause)):
                raise OSError("closed")
        near.sendall(data)
        with self._lock:
            self.sent += len(data) if turn == self._turn else 0


def _read_head(sock: socket.socket) -> bytes:
    """A request without a body, as ours all are; empty at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(BUFFER_BYTES)
        if not data:
            return b""
        head += data
    return head


def _read_answer_head(far: socket.socket) -> tuple[bytes, bytes]:
    """The head of an answer, and what came of its body together with it."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = far.recv(BUFFER_BYTES)
        if not data:
            return b"", b""
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


@contextlib.contextmanager
def bad_line() -> Iterator[BadLine]:
    """A line that listens until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        line = BadLine(listener)
        thread = threading.Thread(target=line.serve, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            line.close()
            # accept() does not notice close(); shutdown() wakes it.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
