"""One request and its response on a plain connection, with zero-copy sending."""

import asyncio
import errno
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    RequestResponseCycle,
)

from entrepot.kit.extents import Extent
from entrepot.web._socket_writer import SocketWriter
from entrepot.web._stream import BodyStream, FileTooShort

ZERO_COPY_SEND: Final = "http.response.zerocopysend"
CONNECTION: Final = "entrepot.connection"
_NO_BODY: Final = (204, 304)
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_FIELDS: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*+")


class ClientGone(ConnectionError):  # noqa: N818
    """The client closed, or was cut off for not reading; `sent` bytes of the part had gone."""

    def __init__(self, sent: int) -> None:
        super().__init__("the client has gone")
        self.sent = sent


class BodyCut(Exception):  # noqa: N818 - what is wrong is the file, not the program
    """A stored file is missing or too short; `sent` bytes of the part had gone, then a cut."""

    def __init__(self, path: str, sent: int) -> None:
        super().__init__("the file is shorter than it should be")
        self.path = path
        self.sent = sent


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class ZeroCopyCycle(RequestResponseCycle):
    """uvicorn's cycle, and the ASGI extension `http.response.zerocopysend`.

    The head is held back until the first part of the body, as ASGI asks for, and leaves with
    it in one write. A file goes by sendfile, and from then on so does all of the body, past
    the transport. A response that cannot be finished as its Content-Length says ends in a
    cut connection, never in a clean end.
    """

    _head = b""
    writer: SocketWriter | None = None

    def offer_extensions(self) -> None:
        """Tell the application what this connection can do."""
        extensions: dict[str, dict[str, Any]] = {CONNECTION: {"is_gone": self.is_gone}}
        if self.scope["scheme"] == "http" and hasattr(os, "sendfile"):
            extensions[ZERO_COPY_SEND] = {}
            extensions[CONNECTION]["send_body"] = self.send_body
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]

    def is_gone(self) -> bool:
        """Whether the client has left."""
        return self.disconnected or (not self.response_complete and self.transport.is_closing())

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application; whatever happens, no descriptor is left behind."""
        try:
            await super().run_asgi(app)
        finally:
            self._close_writer()

    async def send(self, message: Any) -> None:
        """ASGI `send`, with zero-copy messages besides the usual ones."""
        if message["type"] == ZERO_COPY_SEND:
            await self._send_file(message)
        elif self.writer is not None:
            await self._send_bytes(message)
        elif not self.response_started and message["type"] == "http.response.start":
            await self._start(message)
        elif self._head and message["type"] == "http.response.body":
            await self._send_first(message)
        else:
            await super().send(message)
            # Here rather than before the next message: a slow reader then costs one part of
            # the body, not one in the buffer and the next one in the application's hand.
            if self.flow.write_paused and not self.response_complete:
                await self.flow.drain()

    async def _start(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        headers = [*self.default_headers, *message.get("headers", ())]
        if CLOSE_HEADER in self.scope["headers"] and CLOSE_HEADER not in headers:
            headers.append(CLOSE_HEADER)
        # Not "started" until it leaves: an application that fails now still answers 500.
        self.chunked_encoding, self.expected_content_length = None, 0
        self._head = self._write_head(message["status"], headers)
        self.waiting_for_100_continue = False

    def _write_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        fields = [b"%b: %b\r\n" % field for field in headers]
        for name, value in headers:
            if name in _FRAMING or not name.islower():
                self._frame(name.lower(), value)
        if (
            self.chunked_encoding is None
            and self.scope["method"] != "HEAD"
            and status not in _NO_BODY
        ):
            self.chunked_encoding = True
            fields.append(b"transfer-encoding: chunked\r\n")
        block = b"".join(fields)
        if not _FIELDS.fullmatch(block) or block.count(b"\r\n") != len(fields):
            raise RuntimeError("a response header has a forbidden character")
        return b"%b%b\r\n" % (STATUS_LINE[status], block)

    def _frame(self, name: bytes, value: bytes) -> None:
        """Take note of a header that says where the response ends."""
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif name == b"connection" and value.lower() == b"close":
            self.keep_alive = False

    async def _send_first(self, message: Any) -> None:
        """Head and body in one write where the body is whole, else the head and uvicorn's way."""
        if self.disconnected:
            return
        head = self._take_head()
        body = message.get("body", b"")
        if (
            self.chunked_encoding is False
            and len(body) == self.expected_content_length
            and not message.get("more_body", False)
            and self.scope["method"] != "HEAD"
        ):
            self.transport.write(head + body)
            self.expected_content_length = 0
            self._complete()
            return
        self.transport.write(head)
        await super().send(message)

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        self.response_started = True
        return head

    async def _send_file(self, message: Any) -> None:
        descriptor, offset, count = _stretch(message)
        more = message.get("more_body", False)
        if self.scope["method"] != "HEAD":
            self._expect(count)
            writer = await self._writer_ready()
            before = writer.sent
            try:
                found = await writer.send_file(descriptor, offset, count)
            except OSError as error:
                self._cut()
                if error.errno == errno.EIO:
                    raise BodyCut("", writer.sent - before) from error
                raise ClientGone(writer.sent - before) from error
            if found < count:
                self._cut()
                raise BodyCut("", found)
        self._finish_part(more)

    async def send_body(
        self, extents: Iterable[Extent], on_progress: Callable[[int], None] | None
    ) -> None:
        """Send all of the body, after its head was sent as a message; ClientGone, BodyCut.

        For an application that knows us: it saves thousands of messages through everything
        that stands between it and the connection.
        """
        self._expect(0)
        begun = 0
        try:
            writer = await self._writer_ready()
            begun = writer.sent
            stream = BodyStream(writer, self.expected_content_length, self.is_gone, on_progress)
            self.expected_content_length = await stream.run(extents)
        except FileTooShort as short:
            sent = self._sent_since(begun)
            self._cut()
            raise BodyCut(short.path, sent) from short
        except OSError as error:
            sent = self._sent_since(begun)
            self._cut()
            raise ClientGone(sent) from error
        except BaseException:
            self._cut()
            raise
        self._finish_part(more=False)

    def _sent_since(self, begun: int) -> int:
        return 0 if self.writer is None else self.writer.sent - begun

    async def _send_bytes(self, message: Any) -> None:
        """A part of the body at hand, after a file has gone by the writer."""
        body = message.get("body", b"")
        more = message.get("more_body", False)
        self._expect(len(body))
        writer = await self._writer_ready()
        before = writer.sent
        try:
            await writer.send_bytes(body, more=more)
        except OSError as error:
            self._cut()
            raise ClientGone(writer.sent - before) from error
        self._finish_part(more)

    def _expect(self, count: int) -> None:
        if not (self._head or self.response_started) or self.response_complete:
            raise RuntimeError("a part of the body outside of a response")
        if self.chunked_encoding is not False or count > self.expected_content_length:
            self._cut()
            raise RuntimeError("zero-copy sending needs a Content-Length that fits the body")
        self.expected_content_length -= count

    async def _writer_ready(self) -> SocketWriter:
        """The writer, once nothing is left in the transport's buffer and the head has gone."""
        if self.is_gone():
            raise ClientGone(0)
        writer = self.writer
        if writer is None:
            if self.transport.get_write_buffer_size():
                self.transport.set_write_buffer_limits(high=0)
                await self.flow.drain()
                if self.is_gone():
                    raise ClientGone(0)
                self.transport.set_write_buffer_limits()
            writer = self.writer = SocketWriter(
                asyncio.get_running_loop(), self.transport.get_extra_info("socket")
            )
        if self._head:
            try:
                await writer.send_bytes(self._take_head(), more=True)
            except OSError as error:
                self._cut()
                raise ClientGone(0) from error
        return writer

    def _finish_part(self, more: bool) -> None:
        if more:
            return
        if self.scope["method"] == "HEAD":
            if self._head:
                self.transport.write(self._take_head())
        elif self.expected_content_length:
            self._cut()
            raise RuntimeError("the body is shorter than its Content-Length")
        if self.writer is not None:
            self.writer.flush()
        self._complete()

    def _complete(self) -> None:
        self._close_writer()
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _cut(self) -> None:
        """End the connection so that the client cannot take the body for whole."""
        self._close_writer()
        self.disconnected = True
        self.transport.abort()

    def _close_writer(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def _stretch(message: Any) -> tuple[int, int, int]:
    """(descriptor, offset, count) of a zero-copy message, with the defaults ASGI gives."""
    file: int | _HasDescriptor = message["file"]
    descriptor = file if isinstance(file, int) else file.fileno()
    offset = message.get("offset")
    if offset is None:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    count = message.get("count")
    if count is None:
        count = max(os.fstat(descriptor).st_size - offset, 0)
    return descriptor, offset, count
