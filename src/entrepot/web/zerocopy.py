"""Sending stored bytes: zero-copy where the connection offers it, in pieces elsewhere.

    await send_extents(scope, receive, send, status=..., headers=..., extents=...)

is all a door needs. `uvicorn_options()` makes uvicorn offer the ASGI extension
`http.response.zerocopysend` (plain connections on Linux); under TLS, or on another server,
the same call reads pieces and sends them as usual. Either way memory does not grow with the
file, a client that reads slowly or leaves holds nothing up, and a body that cannot be
completed ends in a cut connection, so that nobody takes it for whole.
"""

import asyncio
import logging
import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias, TypedDict

from entrepot.kit.extents import Extent, FileExtent
from entrepot.web._cycle import CONNECTION, BodyCut, ClientGone
from entrepot.web._files import read
from entrepot.web._protocol import ConnectionLimits, ZeroCopyProtocol
from entrepot.web._stream import FILES, FileTooShort, read_batch

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
PIECE_BYTES: Final = 256 * 1024
SLOW_PIECE_BYTES: Final = 64 * 1024
SLOW_SECONDS: Final = 0.05

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
OnProgress: TypeAlias = Callable[[int], None]
SendBody: TypeAlias = Callable[[Iterable[Extent], OnProgress | None], Awaitable[None]]


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
    called at least every 8 MiB. Raises ShortBody.
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
    sending = _Sending(scope, send, start, length, on_progress)
    send_body = _connection(scope).get("send_body")
    if send_body is not None:
        return await sending.by_zero_copy(extents, send_body)
    return await sending.in_pieces(extents, receive)


def _content_length(headers: list[tuple[bytes, bytes]]) -> int:
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _is_gone(scope: Scope) -> bool:
    """Whether the client is known to have left; only our own protocol can say."""
    is_gone = _connection(scope).get("is_gone")
    return is_gone is not None and is_gone()


def _connection(scope: Scope) -> Mapping[str, Any]:
    """What our own protocol offers beyond ASGI's extensions; nothing on another server."""
    offered: Mapping[str, Any] = (scope.get("extensions") or {}).get(CONNECTION, {})
    return offered


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


def _check_there(extent: FileExtent) -> None:
    try:
        size = os.stat(extent.path).st_size  # noqa: PTH116 - no Path for each extent
    except OSError as error:
        raise _report(extent.path, 0, started=False) from error
    if size < extent.offset + extent.length:
        raise _report(extent.path, 0, started=False)


class _Sending:
    """One response under way, and how far it has come."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        start: dict[str, Any],
        length: int,
        on_progress: OnProgress | None,
    ) -> None:
        self._scope = scope
        self._send = send
        self._start: dict[str, Any] | None = start
        self._length = length
        self._progress = on_progress
        self._sent = 0
        self._piece_bytes = SLOW_PIECE_BYTES

    async def by_zero_copy(self, extents: Iterable[Extent], send_body: SendBody) -> Sent:
        """The whole body in one call, past everything that stands before the connection."""
        extents = self._check_first(iter(extents))
        await self._send_head()
        try:
            await send_body(extents, self._progress)
        except ClientGone as gone:
            # It may leave as soon as it has the last byte, before we have looked up.
            return Sent(gone.sent, complete=gone.sent == self._length)
        except BodyCut as cut:
            raise _report(cut.path, cut.sent, started=True) from cut
        return Sent(self._length, complete=True)

    def _check_first(self, extents: Iterator[Extent]) -> Iterator[Extent]:
        """The same extents; ShortBody where the first file is not there to its last byte.

        As long as the head has not gone, there can be another answer.
        """
        ahead: list[Extent] = []
        for extent in extents:
            ahead.append(extent)
            if isinstance(extent, FileExtent):
                _check_there(extent)
                break
            if sum(each.length for each in ahead) >= WHOLE_BODY_BYTES_MAX:
                break
        return chain(ahead, extents)

    async def in_pieces(self, extents: Iterable[Extent], receive: Receive) -> Sent:
        """The way that works everywhere.

        A server may swallow what is sent to a client that has left, so `receive` is watched;
        and it may never pause, so the loop gets its turn after every piece.
        """
        clock = asyncio.get_running_loop().time
        leaving = asyncio.ensure_future(_until_disconnect(receive))
        try:
            async for piece in self._pieces(extents):
                await self._send_head()
                before = clock()
                await self._send_body(piece, more=True)
                is_slow = clock() - before >= SLOW_SECONDS
                self._piece_bytes = SLOW_PIECE_BYTES if is_slow else PIECE_BYTES
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
        batch: list[Extent] = []
        gathered = 0
        for extent in extents:
            length = extent.length
            small = length <= SLOW_PIECE_BYTES
            if batch and not (small and gathered + length <= self._piece_bytes):
                yield await self._read_batch(batch)
                batch, gathered = [], 0
            if small:
                batch.append(extent)
                gathered += length
            elif isinstance(extent, FileExtent):
                async for piece in self._file_pieces(extent):
                    yield piece
            else:
                for begin in range(0, length, PIECE_BYTES):
                    yield extent.data[begin : begin + PIECE_BYTES]
        if batch:
            yield await self._read_batch(batch)

    async def _read_batch(self, batch: list[Extent]) -> bytes:
        try:
            return await read_batch(batch)
        except FileTooShort as short:
            raise _report(short.path, self._sent, started=self._start is None) from short

    async def _file_pieces(self, extent: FileExtent) -> AsyncIterator[bytes]:
        if self._start is not None:
            _check_there(extent)
        try:
            descriptor = FILES.acquire(extent.path)
        except OSError as error:
            raise _report(extent.path, self._sent, started=self._start is None) from error
        try:
            offset, end = extent.offset, extent.offset + extent.length
            while offset < end:
                piece = await read(descriptor, offset, min(self._piece_bytes, end - offset))
                if not piece:
                    raise _report(extent.path, self._sent, started=True)
                offset += len(piece)
                yield piece
        finally:
            FILES.release(extent.path)

    async def _send_head(self) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)

    async def _send_body(self, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _advance(self, count: int) -> None:
        self._sent += count
        if self._progress is not None:
            self._progress(self._sent)


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
