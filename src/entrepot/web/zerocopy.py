"""Sending stored bytes: zero-copy where the connection offers it, in pieces elsewhere.

    await send_extents(scope, receive, send, status=..., headers=..., extents=...)

is all a door needs. `uvicorn_options()` makes uvicorn offer the ASGI extension
`http.response.zerocopysend` (plain connections on Linux); under TLS, or on another server,
the same call reads pieces and sends them as usual. Either way memory does not grow with the
file, a client that reads slowly or leaves holds nothing up, and a body that cannot be
completed ends in a cut connection, so that nobody takes it for whole.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, TypedDict

from entrepot.kit.extents import Extent, FileExtent
from entrepot.web._cycle import CONNECTION, ZERO_COPY_SEND, ClientGone, FileTooShort
from entrepot.web._files import OpenFiles, read
from entrepot.web._protocol import ConnectionLimits, ZeroCopyProtocol

__all__ = [
    "ConnectionLimits",
    "Sent",
    "ShortBody",
    "ZeroCopyProtocol",
    "send_extents",
    "uvicorn_options",
]

LOG: Final = logging.getLogger(__name__)
WHOLE_BODY_BYTES_MAX: Final = 64 * 1024  # read and sent at once; sendfile costs more below
PROGRESS_BYTES: Final = 8 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
SLOW_PIECE_BYTES: Final = 64 * 1024
SLOW_SECONDS: Final = 0.05

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
OnProgress: TypeAlias = Callable[[int], None]

_FILES: Final = OpenFiles()


@dataclass(frozen=True, slots=True)
class Sent:
    """`bytes_sent` of the body were handed to the kernel (in pieces: to the transport).

    The client need not have received them: a few MiB can lie in socket buffers. `complete`:
    all of the body was handed over while the client was there. HEAD: 0 bytes, complete.
    """

    bytes_sent: int
    complete: bool


class ShortBody(Exception):  # noqa: N818 - named for what the client gets
    """A stored file is missing or shorter than its record says; logged.

    `sent` bytes of the body had gone. Where `started` is False not even the head had, and
    another answer can be given; else the connection has been cut, or is when this leaves
    the application.
    """

    def __init__(self, path: str, sent: int, *, started: bool) -> None:
        super().__init__(f"the stored file {path} is missing or too short")
        self.path = path
        self.sent = sent
        self.started = started


async def send_extents(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    status: int,
    headers: list[tuple[bytes, bytes]],
    extents: Iterable[Extent],
    on_progress: OnProgress | None = None,
) -> Sent:
    """Send one response whose body is `extents`; `headers` carry its exact Content-Length.

    `extents` is read once, each extent when its turn comes. `on_progress(bytes_sent)` is
    called after every extent, and at least every PROGRESS_BYTES. Raises ShortBody.
    """
    length = _content_length(headers)
    start = {"type": "http.response.start", "status": status, "headers": headers}
    if not length or scope["method"] == "HEAD":
        await send(start)
        await send({"type": "http.response.body", "body": b""})
        return Sent(0, not _is_gone(scope))
    if length <= WHOLE_BODY_BYTES_MAX:
        body = await _read_whole(extents, length)
        await send(start)
        await send({"type": "http.response.body", "body": body})
        if _is_gone(scope):
            return Sent(0, complete=False)
        if on_progress is not None:
            on_progress(length)
        return Sent(length, complete=True)
    sending = _Sending(scope, send, start, on_progress)
    if ZERO_COPY_SEND in (scope.get("extensions") or ()):
        return await sending.by_zero_copy(extents)
    return await sending.in_pieces(extents, receive)


def _content_length(headers: list[tuple[bytes, bytes]]) -> int:
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _is_gone(scope: Scope) -> bool:
    """Whether the client is known to have left; only our own protocol can say."""
    connection = (scope.get("extensions") or {}).get(CONNECTION)
    return connection is not None and connection["is_gone"]()


async def _read_whole(extents: Iterable[Extent], length: int) -> bytes:
    parts: list[bytes] = []
    for extent in extents:
        part = await _read_extent(extent) if isinstance(extent, FileExtent) else extent.data
        parts.append(part)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(body) != length:
        raise ValueError(f"extents of {len(body)} bytes for a Content-Length of {length}")
    return body


async def _read_extent(extent: FileExtent) -> bytes:
    try:
        descriptor = os.open(extent.path, os.O_RDONLY)
        try:
            data = await read(descriptor, extent.offset, extent.length)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _report(extent.path, 0, started=False) from error
    if len(data) < extent.length:
        raise _report(extent.path, 0, started=False)
    return data


def _report(path: str, sent: int, *, started: bool) -> ShortBody:
    LOG.error("stored file %s is missing or too short; %d bytes had been sent", path, sent)
    return ShortBody(path, sent, started=started)


def _with_more(extents: Iterable[Extent]) -> Iterator[tuple[Extent, bool]]:
    """Each extent that has bytes, and whether another one follows."""
    before: Extent | None = None
    for extent in extents:
        if extent.length:
            if before is not None:
                yield before, True
            before = extent
    if before is not None:
        yield before, False


class _Sending:
    """One response under way, and how far it has come."""

    def __init__(
        self, scope: Scope, send: Send, start: dict[str, Any], on_progress: OnProgress | None
    ) -> None:
        self._scope = scope
        self._send = send
        self._start: dict[str, Any] | None = start
        self._on_progress = on_progress
        self._sent = 0

    async def by_zero_copy(self, extents: Iterable[Extent]) -> Sent:
        try:
            for extent, more in _with_more(extents):
                if isinstance(extent, FileExtent):
                    with self._reading(extent) as descriptor:
                        await self._send_head()
                        await self._send_file(extent, descriptor, more)
                else:
                    await self._send_head()
                    await self._send_body(extent.data, more)
                    if _is_gone(self._scope):
                        return Sent(self._sent, complete=False)
                    self._advance(extent.length)
        except ClientGone as gone:
            return Sent(self._sent + gone.sent, complete=False)
        return Sent(self._sent, complete=True)

    async def _send_file(self, extent: FileExtent, descriptor: int, more: bool) -> None:
        step = extent.length if self._on_progress is None else PROGRESS_BYTES
        end = extent.offset + extent.length
        for offset in range(extent.offset, end, step):
            count = min(step, end - offset)
            message = {
                "type": ZERO_COPY_SEND,
                "file": descriptor,
                "offset": offset,
                "count": count,
                "more_body": more or offset + count < end,
            }
            try:
                await self._send(message)
            except FileTooShort as short:
                raise _report(extent.path, self._sent + short.sent, started=True) from short
            self._advance(count)

    async def in_pieces(self, extents: Iterable[Extent], receive: Receive) -> Sent:
        """The way that works everywhere.

        A server may swallow what is sent to a client that has left, so `receive` is watched;
        and it may never pause, so the loop gets its turn after every piece.
        """
        leaving = asyncio.ensure_future(_until_disconnect(receive))
        try:
            async for piece in self._pieces(extents):
                await self._send_head()
                await self._send_body(piece, more=True)
                await asyncio.sleep(0)
                if leaving.done():
                    return Sent(self._sent, complete=False)
                self._advance(len(piece))
        finally:
            leaving.cancel()
        await self._send_body(b"", more=False)
        return Sent(self._sent, complete=True)

    async def _pieces(self, extents: Iterable[Extent]) -> AsyncIterator[bytes]:
        """The body in pieces: small ones for a slow reader, so that many cost little."""
        clock = asyncio.get_running_loop().time
        size = SLOW_PIECE_BYTES
        for extent, _ in _with_more(extents):
            if not isinstance(extent, FileExtent):
                for begin in range(0, extent.length, PIECE_BYTES):
                    yield extent.data[begin : begin + PIECE_BYTES]
                continue
            with self._reading(extent) as descriptor:
                offset, end = extent.offset, extent.offset + extent.length
                while offset < end:
                    piece = await read(descriptor, offset, min(size, end - offset))
                    if not piece:
                        raise _report(extent.path, self._sent, started=True)
                    offset += len(piece)
                    before = clock()
                    yield piece
                    size = PIECE_BYTES if clock() - before < SLOW_SECONDS else SLOW_PIECE_BYTES

    @contextlib.contextmanager
    def _reading(self, extent: FileExtent) -> Iterator[int]:
        """The open file; before the head has gone it must also be long enough."""
        started = self._start is None
        try:
            descriptor = _FILES.acquire(extent.path)
        except OSError as error:
            raise _report(extent.path, self._sent, started=started) from error
        try:
            if not started and os.fstat(descriptor).st_size < extent.offset + extent.length:
                raise _report(extent.path, self._sent, started=False)
            yield descriptor
        finally:
            _FILES.release(extent.path)

    async def _send_head(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)

    async def _send_body(self, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _advance(self, count: int) -> None:
        self._sent += count
        if self._on_progress is not None:
            self._on_progress(self._sent)


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class UvicornOptions(TypedDict):
    """Keyword arguments of uvicorn.Config."""

    http: Any
    loop: str
    ws: str
    server_header: bool
    access_log: bool
    log_config: None
    proxy_headers: bool
    forwarded_allow_ips: list[str]
    timeout_keep_alive: int
    timeout_graceful_shutdown: int
    ssl_ciphers: str


def uvicorn_options(
    limits: ConnectionLimits | None = None,
    *,
    keep_alive_seconds_max: int = 15,
    shutdown_seconds_max: int = 30,
    trusted_proxies: tuple[str, ...] = (),
) -> UvicornOptions:
    """What to hand to uvicorn.Config besides the application, the address and TLS files.

    Also right for several worker processes (everything in it can be pickled) and for TLS
    (1.2 and up, forward secrecy only). Logs are the caller's: uvicorn sets up none. Where
    no proxy is trusted, X-Forwarded-* is not looked at.
    """
    return {
        "http": partial(ZeroCopyProtocol, limits=limits or ConnectionLimits()),
        "loop": "uvloop",
        "ws": "none",
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "proxy_headers": bool(trusted_proxies),
        "forwarded_allow_ips": list(trusted_proxies),
        "timeout_keep_alive": keep_alive_seconds_max,
        "timeout_graceful_shutdown": shutdown_seconds_max,
        "ssl_ciphers": "ECDHE+AESGCM:ECDHE+CHACHA20",
    }
