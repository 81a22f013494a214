"""A real uvicorn on 127.0.0.1 in a thread, and a client that sees every byte."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import trustme
import uvicorn

from entrepot.kit.extents import Extent, FileExtent
from entrepot.kit.ranges import Representation, conditions_of, evaluate
from entrepot.web.http.bodies import answer
from entrepot.web.zerocopy import ConnectionLimits, Sent, ShortBody, send_extents, uvicorn_options
from tests.waiting import wait_until

ETAG: Final = '"5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"'
LAST_MODIFIED: Final = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
NOW: Final = datetime(2026, 11, 22, tzinfo=UTC)
WAYS: Final = ("zero-copy", "tls", "other-server")
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Door:
    """An application that serves `files` as the links door does, and keeps what came of it."""

    files: dict[str, Callable[[int, int], list[Extent]]]
    sizes: dict[str, int]
    sents: list[Sent] = field(default_factory=list)
    faults: list[ShortBody] = field(default_factory=list)
    extensions: set[str] = field(default_factory=set)
    progress: list[int] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.extensions |= set(scope.get("extensions") or ())
        name = scope["path"][1:]
        stored = Representation(self.sizes[name], ETAG, LAST_MODIFIED)
        outcome = evaluate(scope["method"], conditions_of(scope["headers"]), stored, NOW)
        reply = answer(
            outcome,
            stored,
            content_type="application/octet-stream",
            slice_extents=self.files[name],
        )
        try:
            sent = await send_extents(
                scope,
                receive,
                send,
                status=reply.status,
                headers=reply.headers,
                extents=reply.extents,
                on_progress=None if self.progress is None else self.progress.append,
            )
        except ShortBody as fault:
            self.faults.append(fault)
            raise
        self.sents.append(sent)


def door_for(**paths: Path) -> Door:
    """A door to the files at `paths`, each under its keyword."""

    def slicer(path: Path) -> Callable[[int, int], list[Extent]]:
        return lambda start, length: [FileExtent(str(path), start, length)]

    return Door(
        {name: slicer(path) for name, path in paths.items()},
        {name: path.stat().st_size for name, path in paths.items()},
    )


@dataclass
class Live:
    """A running server."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int
    tls: ssl.SSLContext | None

    def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        """A connection with a time limit of 20 s on everything."""
        sock = socket.socket()
        sock.settimeout(20)
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.connect(("127.0.0.1", self.port))
        return self.tls.wrap_socket(sock, server_hostname="localhost") if self.tls else sock

    def get(self, name: str, *fields: str, method: str = "GET") -> Reply:
        """One request on a connection of its own."""
        with self.connect() as sock:
            sock.sendall(request(name, *fields, method=method))
            return Reader(sock).reply(method)


@contextlib.contextmanager
def running(
    app: Any, way: str = "zero-copy", limits: ConnectionLimits | None = None, **options: Any
) -> Iterator[Live]:
    """Serve `app` in one of WAYS until the block ends."""
    settings: dict[str, Any] = {**uvicorn_options(limits, shutdown_seconds_max=10), **options}
    context = None
    with contextlib.ExitStack() as stack:
        if way == "other-server":
            settings["http"] = "h11"
        if way == "tls":
            authority = trustme.CA()
            chain = authority.issue_cert("localhost").private_key_and_cert_chain_pem
            pem = stack.enter_context(chain.tempfile())
            settings |= {"ssl_certfile": pem, "ssl_keyfile": pem}
            context = ssl.create_default_context()
            authority.configure_trust(context)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", **settings))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield Live(server, thread, listener.getsockname()[1], context)
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def request(name: str, *fields: str, method: str = "GET") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} /{name} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Cut(Exception):  # noqa: N818
    """The connection ended inside a response; `body` is what came of it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(f"cut after {len(body)} bytes of the body")
        self.body = body


class Reader:
    """Reads replies off a connection, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and header fields of the next reply."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise Cut(b"")
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        self.buffer = rest
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        fields = {name.lower(): value for name, value in pairs}
        assert len(fields) == len(lines), "a field came twice"
        return int(status.split(" ")[1]), fields

    def reply(self, method: str = "GET") -> Reply:
        """The next reply, its body read to the length it gives."""
        status, fields = self.head()
        length = 0 if method == "HEAD" else int(fields.get("content-length", 0))
        while len(self.buffer) < length:
            if not self._more():
                raise Cut(bytes(self.buffer))
        body = bytes(self.buffer[:length])
        del self.buffer[:length]
        return status, fields, body

    def at_end(self) -> bool:
        """Whether the server has closed and nothing unread is left."""
        return not self.buffer and not self._more()

    def _more(self) -> bool:
        try:
            data = self.sock.recv(1 << 18)
        except (ConnectionResetError, ssl.SSLEOFError):
            return False
        self.buffer += data
        return bool(data)
