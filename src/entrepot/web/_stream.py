"""The body of a response, extent by extent, past the transport.

A large file goes by sendfile. Small ones, and the records between them, are read into one
buffer and sent together: below 64 KiB a system call of its own for each costs more than the
copy, and a ZIP of 50,000 pictures has 100,000 of them.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from entrepot.kit.extents import Extent, FileExtent
from entrepot.web._files import CANNOT_SAY, NOWAIT, OpenFiles
from entrepot.web._socket_writer import SocketWriter

SMALL_BYTES: Final = 64 * 1024  # of a file that is copied; sendfile costs more below
BATCH_BYTES: Final = 256 * 1024
# What clients have not taken yet of batches that were read for them. Beyond it a rest is
# forgotten and read again when its client takes more: thousands of slow readers of ZIPs
# cost no memory, and a few fast ones no second reading.
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
TURN_BYTES: Final = 1024 * 1024  # after so many bytes the others get their turn

FILES: Final = OpenFiles()


class FileTooShort(Exception):  # noqa: N818 - what is wrong is the file, not the program
    """The stored file at `path` is missing, ends early or cannot be read."""

    def __init__(self, path: str) -> None:
        super().__init__("the file is shorter than it should be")
        self.path = path


class _Shared(threading.local):
    """What all responses of one event loop use in turn."""

    def __init__(self) -> None:
        # Filled and sent without a pause in between, so one is enough.
        self.buffer = memoryview(bytearray(BATCH_BYTES))
        self.kept_bytes = 0


_SHARED: Final = _Shared()


class BodyStream:
    """Sends extents of `length` bytes in all by `writer`.

    OSError: the connection is gone. ValueError: the extents have more bytes than `length`.
    """

    def __init__(
        self,
        writer: SocketWriter,
        length: int,
        is_gone: Callable[[], bool],
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self._writer = writer
        self._left = length
        self._is_gone = is_gone
        self._on_progress = on_progress
        self._begun = self._turn = writer.sent

    async def run(self, extents: Iterable[Extent]) -> int:
        """Send all; returns how many bytes the extents were short of the length."""
        batch: list[Extent] = []
        size = 0
        for extent in extents:
            length = extent.length
            if length > SMALL_BYTES:
                if batch:
                    await self._send_batch(batch, size)
                    batch, size = [], 0
                await self._send_large(extent)
                continue
            if size + length > BATCH_BYTES:
                await self._send_batch(batch, size)
                batch, size = [], 0
            if length:
                batch.append(extent)
                size += length
        if batch:
            await self._send_batch(batch, size)
        return self._left

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError("more bytes than the Content-Length says")

    async def _moved(self) -> None:
        sent = self._writer.sent
        if self._on_progress is not None:
            self._on_progress(sent - self._begun)
        # Whoever waited for the socket has given the others their turn already.
        if sent - max(self._turn, self._writer.waited_at) >= TURN_BYTES:
            self._turn = sent
            await asyncio.sleep(0)
            if self._is_gone():
                raise ConnectionResetError(errno.ECONNRESET, "the client has gone")

    async def _send_large(self, extent: Extent) -> None:
        if not isinstance(extent, FileExtent):
            self._take(extent.length)
            await self._writer.send_bytes(extent.data, more=self._left > 0)
            await self._moved()
            return
        try:
            descriptor = FILES.acquire(extent.path)
        except OSError as error:
            raise FileTooShort(extent.path) from error
        try:
            step = extent.length if self._on_progress is None else 8 * TURN_BYTES
            end = extent.offset + extent.length
            for offset in range(extent.offset, end, step):
                count = min(step, end - offset)
                self._take(count)
                await self._send_file(extent.path, descriptor, offset, count)
                await self._moved()
        finally:
            FILES.release(extent.path)

    async def _send_file(self, path: str, descriptor: int, offset: int, count: int) -> None:
        try:
            found = await self._writer.send_file(descriptor, offset, count)
        except OSError as error:
            if error.errno == errno.EIO:
                raise FileTooShort(path) from error
            raise
        if found < count:
            raise FileTooShort(path)

    async def _send_batch(self, batch: list[Extent], size: int) -> None:
        self._take(size)
        more = self._left > 0
        while batch:
            view = fill(_SHARED.buffer, batch)
            if view is None:
                await self._writer.send_bytes(await asyncio.to_thread(gather, batch), more=more)
                break
            rest = view[self._writer.send_now(view, more=more) :]
            if not rest:
                break
            if _SHARED.kept_bytes + len(rest) <= KEPT_BYTES_MAX:
                await self._send_kept(bytes(rest), more)
                break
            batch = _without_first(batch, len(view) - len(rest))
            await self._writer.writable()
        await self._moved()

    async def _send_kept(self, rest: bytes, more: bool) -> None:
        _SHARED.kept_bytes += len(rest)
        try:
            await self._writer.send_bytes(rest, more=more)
        finally:
            _SHARED.kept_bytes -= len(rest)


def _without_first(batch: Sequence[Extent], count: int) -> list[Extent]:
    """The extents behind the first `count` bytes of `batch`."""
    left: list[Extent] = []
    for extent in batch:
        if count >= extent.length:
            count -= extent.length
        elif isinstance(extent, FileExtent):
            left.append(FileExtent(extent.path, extent.offset + count, extent.length - count))
            count = 0
        else:
            left.append(type(extent)(extent.data[count:]))
            count = 0
    return left


def fill(buffer: memoryview, batch: Iterable[Extent]) -> memoryview | None:
    """The bytes of small extents, in `buffer`; None where that would wait for a disk.

    FileTooShort: a file is not there. One that is too short shows in `gather`.
    """
    at = 0
    for extent in batch:
        end = at + extent.length
        if not isinstance(extent, FileExtent):
            buffer[at:end] = extent.data
        elif _read_now(extent, buffer[at:end]) < extent.length:
            return None
        at = end
    return buffer[:at]


def _read_now(extent: FileExtent, target: memoryview) -> int:
    """Bytes of the extent that the page cache holds, from its beginning; 0 where none."""
    descriptor = _open(extent)
    try:
        return os.preadv(descriptor, (target,), extent.offset, NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno not in CANNOT_SAY:
            raise FileTooShort(extent.path) from error
        return os.preadv(descriptor, (target,), extent.offset)
    finally:
        os.close(descriptor)


def gather(batch: Iterable[Extent]) -> bytes:
    """The bytes of small extents, waiting for the disk; FileTooShort."""
    return b"".join(
        _read(extent) if isinstance(extent, FileExtent) else extent.data for extent in batch
    )


def _read(extent: FileExtent) -> bytes:
    descriptor = _open(extent)
    try:
        data = os.pread(descriptor, extent.length, extent.offset)
    except OSError as error:
        raise FileTooShort(extent.path) from error
    finally:
        os.close(descriptor)
    if len(data) < extent.length:
        raise FileTooShort(extent.path)
    return data


def _open(extent: FileExtent) -> int:
    try:
        return os.open(extent.path, os.O_RDONLY)
    except OSError as error:
        raise FileTooShort(extent.path) from error


async def read_batch(batch: Sequence[Extent]) -> bytes:
    """The bytes of small extents, BATCH_BYTES at most, without holding up the loop."""
    view = fill(_SHARED.buffer, batch)
    return await asyncio.to_thread(gather, batch) if view is None else bytes(view)
