"""uvicorn's HTTP/1.1 protocol with zero-copy responses and a limit on everything.

What uvicorn leaves open and is closed here: the time a client may take over a request head,
its size and number of fields, how long a client may go without reading or sending, how many
requests may queue on one connection, fields that come after a body (a trailer would count as
a header that no proxy has seen), and bytes of our own that would land in the middle of a body
when the client sends rubbish during a download.
"""

import asyncio
import contextvars
import logging
import urllib.parse
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from entrepot.web._cycle import ZeroCopyCycle
from entrepot.web._socket_writer import reset

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may ask of us; times are seconds, sizes bytes.

    The keep-alive time is uvicorn's own option (`timeout_keep_alive`).
    """

    head_seconds_max: float = 30.0
    stall_seconds_max: float = 300.0
    head_bytes_max: int = 64 * 1024
    head_fields_max: int = 100
    pipelined_requests_max: int = 64


_DEFAULT_LIMITS: Final = ConnectionLimits()


class _Watch:
    """Looks after the times of all connections of a server: one timer, not one for each."""

    def __init__(self, protocol: "ZeroCopyProtocol") -> None:
        limits = protocol.limits
        shortest = min(
            limits.head_seconds_max, limits.stall_seconds_max, protocol.timeout_keep_alive
        )
        self.interval_seconds = min(max(shortest / 10, 0.02), 1.0)
        self._loop = protocol.loop
        self._connections = protocol.connections
        self._timer: asyncio.TimerHandle | None = None

    def ensure(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self.interval_seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._connections:
            return
        self.ensure()
        now = self._loop.time()
        for connection in list(self._connections):
            if isinstance(connection, ZeroCopyProtocol):
                connection.check(now, self.interval_seconds)


_WATCHES: Final[WeakKeyDictionary[ServerState, _Watch]] = WeakKeyDictionary()


class ZeroCopyProtocol(HttpToolsProtocol):
    """One connection. Hand `functools.partial(ZeroCopyProtocol, limits=...)` to uvicorn."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits = _DEFAULT_LIMITS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = limits
        self._active: ZeroCopyCycle | None = None  # the response being made, if any
        self._in_head = False
        self._since = 0.0  # when the head began, or the connection fell idle
        self._head_bytes = 0  # of the head so far, in earlier chunks
        self._chunk_bytes = 0
        self._moved = False  # whether this chunk brought a head or some of a body
        self._framing_bytes = 0  # since then: chunk extensions, trailers, empty lines
        self._refusal = 0  # status of the refusal; nothing more is read then
        self._mark: tuple[int, ...] = ()  # what had moved at the last look
        self._mark_at = 0.0
        self._body_bytes = 0

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_head = True
        self._since = self._mark_at = self.loop.time()
        watch = _WATCHES.get(self.server_state)
        if watch is None:
            watch = _WATCHES[self.server_state] = _Watch(self)
        watch.ensure()

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn tells the newest request; with pipelining that is not the one being answered.
        cycle = self._active
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.writer is not None:
                cycle.writer.drop()
        self.pipeline.clear()
        super().connection_lost(exc)

    def check(self, now: float, interval_seconds: float) -> None:
        """Close the connection where the client has taken too long over something."""
        limits = self.limits
        if self._waits_for_client():
            mark = self._progress()
            if mark != self._mark:
                self._mark, self._mark_at = mark, now
            elif now - self._mark_at > limits.stall_seconds_max:
                LOG.info("a client stopped reading or sending: connection cut")
                self._abort()
            return
        self._mark_at = now
        if self.transport.is_closing() or self._active is not None:
            return
        waited = now - self._since
        if self._in_head:
            if waited > limits.head_seconds_max - 2 * interval_seconds:
                self._close_slow_head()
        elif waited > self.timeout_keep_alive:
            self.transport.close()

    def _close_slow_head(self) -> None:
        if self._chunk_bytes:
            self._refuse(408, "The request head took too long.")
        else:
            self.transport.close()  # opened in advance, as browsers do, and never used

    def _waits_for_client(self) -> bool:
        cycle = self._active
        if self.transport.get_write_buffer_size():
            return True
        if cycle is None:
            return False
        if cycle.writer is not None and cycle.writer.is_waiting:
            return True
        return cycle.more_body and not self.flow.read_paused

    def _progress(self) -> tuple[int, ...]:
        writer = self._active.writer if self._active is not None else None
        return (
            self.server_state.total_requests if self._active is None else id(self._active),
            self.transport.get_write_buffer_size(),
            writer.sent if writer is not None else -1,
            self._body_bytes,
        )

    def _abort(self) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            reset(sock)
        self.transport.abort()

    # The request

    def data_received(self, data: bytes) -> None:
        if self._refusal:
            return
        self._chunk_bytes = len(data)
        self._moved = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # RFC 9110 section 7.8: an offer to upgrade may be ignored
        except httptools.HttpParserError:
            self._refuse(self._refusal or 400, "This is not a request that can be read.")
            return
        if self._in_head:
            self._head_bytes += self._chunk_bytes
            if self._head_bytes > self.limits.head_bytes_max:
                self._refuse(431, "The request head is too long.")
            return
        # The parser keeps a trailer that does not end: without this, in memory for ever.
        self._framing_bytes = 0 if self._moved else self._framing_bytes + self._chunk_bytes
        if self._framing_bytes > self.limits.head_bytes_max:
            self._refuse(431, "There is too much around the request's body.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; drop a trailer (RFC 9110 section 6.5.1 lets us)."""
        if self._in_head:
            super().on_header(name, value)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        # What this chunk holds before the head must not count, so the chunk does not.
        self._head_bytes = -self._chunk_bytes
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._moved = True
        self._check_head()
        http_version = self.parser.get_http_version()
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = http_version
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = self.root_path + (urllib.parse.unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        cycle = self.cycle = ZeroCopyCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0",
            on_response=self.on_response_complete,
        )
        cycle.offer_extensions()
        app = service_unavailable if self._is_crowded() else self.app
        if self._active is None:
            self._run(cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))

    def _check_head(self) -> None:
        """Raises to make the parser stop, where the head or the queue is beyond its limit."""
        limits = self.limits
        if len(self.pipeline) >= limits.pipelined_requests_max:
            self._refusal = 429
        elif len(self.headers) > limits.head_fields_max:
            self._refusal = 431
        elif self._head_bytes + 2 * self._chunk_bytes > limits.head_bytes_max:
            size = len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers)
            if size > limits.head_bytes_max:
                self._refusal = 431
        if b"#" in self.url or _names_two_hosts(self.url, self.headers):
            self._refusal = 400  # RFC 9112 sections 3.2, 3.2.1 and 3.2.2
        if self._refusal:
            raise ValueError("beyond the limits")

    def _is_crowded(self) -> bool:
        limit = self.limit_concurrency
        return limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit)

    def _run(self, cycle: ZeroCopyCycle, app: ASGI3Application) -> None:
        self._active = cycle
        task = self.loop.create_task(cycle.run_asgi(app), context=contextvars.Context())
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._moved = True
        super().on_body(body)

    def _refuse(self, status: int, text: str) -> None:
        """Read no more; answer with `status` where that cannot harm a response under way."""
        self._refusal = status
        if self._active is None:
            self._say(status, text)
            return
        newest = self.cycle
        if newest.more_body:
            self._abort()  # the rest of its body will never be read
            return
        # What was asked properly is answered, then the connection ends. Were the refusal
        # written now, it would become part of a file.
        newest.keep_alive = False
        self.flow.pause_reading()

    def _say(self, status: int, text: str) -> None:
        self.transport.write(
            b"%b%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b"
            % (
                STATUS_LINE[status],
                b"".join(b"%b: %b\r\n" % field for field in self.server_state.default_headers),
                len(text),
                text.encode("ascii"),
            )
        )
        self.transport.close()

    # The response

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._active = None
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._run(cycle, app)  # type: ignore[arg-type]
            return
        if not self._refusal:
            self.flow.resume_reading()
        self._since = self.loop.time()

    def shutdown(self) -> None:
        """Finish what was asked, then close; called by the server when it stops."""
        if self._active is None:
            self.transport.close()
        else:
            self.cycle.keep_alive = False


def _names_two_hosts(target: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a proxy in front may have believed another host than the one that we see.

    `Host` comes twice, or the target is a whole address, which a proxy follows, of another.
    """
    if target[:1] != b"/" and b"://" in target:
        rest = target.partition(b"://")[2]
        named = rest.partition(b"/")[0].partition(b"?")[0].lower()
        if any(name == b"host" and value.lower() != named for name, value in headers):
            return True
    repeats = len(dict(headers)) != len(headers)
    return repeats and sum(name == b"host" for name, _ in headers) > 1
