"""Writing to a connection's socket past its transport: sendfile, and bytes joined to it.

Only while the transport's own buffer is empty, or the two would mix. The work is done in the
loop's writability callback: a coroutine switch for every piece would cost as much as sending.
"""

import asyncio
import os
import socket
import struct
from typing import Final

from entrepot.web._files import READ_AHEAD_BYTES, is_cold, read_ahead

PIECE_BYTES: Final = 4 * 1024 * 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def duplicate(sock: socket.socket) -> socket.socket:
    """A socket object of our own for the connection that `sock` belongs to, non-blocking."""
    own = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
    own.setblocking(False)
    return own


def reset(sock: socket.socket) -> None:
    """Have the connection end by a reset, so that the kernel drops what nobody reads."""
    with duplicate(sock) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class SocketWriter:
    """Sends memory and files to a non-blocking socket; `sent` counts what the kernel took.

    It works on a duplicate of the connection's descriptor: the event loop will not watch the
    transport's own, and a duplicate cannot turn into another client's socket when the
    transport closes first. Close it as soon as the response is done.
    """

    __slots__ = (
        "_file",
        "_is_corked",
        "_is_watched",
        "_left",
        "_loop",
        "_offset",
        "_piece",
        "_sock",
        "_waiter",
        "sent",
        "waited_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = duplicate(sock)
        self._waiter: asyncio.Future[None] | None = None
        self._is_watched = False
        self._is_corked = False
        self._file = -1
        self._offset = 0
        self._left = 0
        self._piece = PIECE_BYTES
        self.sent = 0
        self.waited_at = 0  # what `sent` was when the others had their turn last

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client who holds up the sending."""
        return self._is_watched and self._waiter is not None

    def send_now(self, view: memoryview, *, more: bool) -> int:
        """Send what the kernel takes of `view` at this moment, and say how many bytes."""
        self._is_corked = more
        try:
            count = self._sock.send(view, socket.MSG_MORE if more else 0)
        except BlockingIOError:
            return 0
        self.sent += count
        return count

    async def send_bytes(self, data: bytes, *, more: bool) -> None:
        """Send all of `data`; with `more` the kernel may hold it back to fill a packet."""
        view = memoryview(data)
        while view:
            count = self.send_now(view, more=more)
            if not count:
                await self.writable()
            view = view[count:]

    async def send_file(self, descriptor: int, offset: int, length: int) -> int:
        """Send `length` bytes of the file from `offset`; fewer where it ends before.

        Returns how many the kernel took. OSError: the connection is gone.
        """
        self._file, self._offset, self._left = descriptor, offset, length
        self._is_corked = False
        while self._left:
            if is_cold(descriptor, self._offset):
                self._unwatch()
                self._piece = READ_AHEAD_BYTES
                await read_ahead(descriptor, self._offset)
            try:
                count = self._push()
            except BlockingIOError:
                count = -1
            if not count:
                break
            if self._left:
                await self.writable()
        found = length - self._left
        self._left = 0
        return found

    def flush(self) -> None:
        """Send at once what `more` held back."""
        if self._is_corked and self._sock.family != socket.AF_UNIX:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def drop(self) -> None:
        """The connection is gone: whoever waits to write gets ConnectionResetError."""
        self._unwatch()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionResetError("the client has gone"))

    def close(self) -> None:
        """Give the descriptor back. The connection lives on where the transport does."""
        self._unwatch()
        self._sock.close()

    def _push(self) -> int:
        count = os.sendfile(
            self._sock.fileno(), self._file, self._offset, min(self._left, self._piece)
        )
        self._offset += count
        self._left -= count
        self.sent += count
        return count

    async def writable(self) -> None:
        """Wait until the socket takes bytes; a file in progress is pushed on meanwhile."""
        waiter = self._waiter = self._loop.create_future()
        if not self._is_watched:
            self._is_watched = True
            self._loop.add_writer(self._sock.fileno(), self._on_writable)
        try:
            await waiter
        finally:
            self._waiter = None
            self.waited_at = self.sent

    def _on_writable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._unwatch()
            return
        try:
            if self._left and not is_cold(self._file, self._offset) and self._push() and self._left:
                return
        except BlockingIOError:
            return
        except OSError as error:
            waiter.set_exception(error)
        else:
            waiter.set_result(None)

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_writer(self._sock.fileno())
