"""The digest of a file while it arrives, made on a thread of its own.

It follows the bytes that are there without a gap. What comes in order is handed over in memory;
what came out of order is read back from the partial file, where it still is in the page cache.
hashlib lets other threads run meanwhile, so that receiving and hashing share the time.
"""

import queue
import threading
from dataclasses import dataclass

from entrepot.client.errors import ClientError, Corrupt
from entrepot.client.partial import Partial
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES, Expected, Hasher

# Files up to here are hashed where they are received: a thread would cost more.
INLINE_BYTES_MAX = 2 * 1024 * 1024
_BUFFERS_MAX = 6
_IDLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class _Block:
    at: int
    buffer: memoryview
    count: int


class FrontHasher:
    """The digest that `expected` asks for, of what is in `partial`; a context manager."""

    def __init__(self, partial: Partial, expected: Expected, stop: Stop) -> None:
        self._partial = partial
        self._stop = stop
        self._hasher: Hasher = expected.hasher()
        self._at = 0  # hashed so far
        self._next = 0  # where the next block that is handed over has to begin
        self._size: int | None = None
        self._closed = False
        self._error: ClientError | None = None
        self._thread: threading.Thread | None = None
        self._blocks: queue.SimpleQueue[_Block | None] = queue.SimpleQueue()
        self._spare: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._buffers = 1
        if partial.front > 0:
            self._next = partial.front
            self._start()

    def hand_over(self, at: int, buffer: memoryview, count: int) -> memoryview:
        """`count` bytes that have been written at `at` are in `buffer`; a buffer to go on with.

        Waits where hashing falls behind: the file would not be complete any earlier without.
        """
        if at != self._next:
            return buffer
        self._next = at + count
        if self._thread is None:
            if self._next <= INLINE_BYTES_MAX:
                self._hasher.update(buffer[:count])
                self._at = self._next
                return buffer
            self._start()
        self._blocks.put(_Block(at, buffer, count))
        return self._next_buffer(len(buffer))

    def finish(self, size: int) -> Hasher:
        """Hash the rest of the `size` bytes, all of which are there. Raises LocalFileError."""
        if self._thread is None:
            self._catch_up(size)
        else:
            self._size = size
            self._blocks.put(None)
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._hasher

    def close(self) -> None:
        """Stop hashing, wherever it is."""
        self._closed = True
        if self._thread is not None:
            self._blocks.put(None)
            self._thread.join()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._follow, name="hashing", daemon=True)
        self._thread.start()

    def _next_buffer(self, size: int) -> memoryview:
        if self._buffers < _BUFFERS_MAX and self._spare.empty():
            self._buffers += 1
            return memoryview(bytearray(size))
        while True:
            try:
                return self._spare.get(timeout=1.0)
            except queue.Empty:
                self._stop.check()

    def _follow(self) -> None:
        while not self._closed and (self._size is None or self._at < self._size):
            try:
                block = self._blocks.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                block = None
            try:
                if self._error is None:
                    self._catch_up(block.at if block is not None else self._partial.front)
                if block is not None and self._error is None:
                    # Part of it may have been read from the file already.
                    begin = min(max(0, self._at - block.at), block.count)
                    self._hasher.update(block.buffer[begin : block.count])
                    self._at = max(self._at, block.at + block.count)
            except ClientError as error:
                self._error = error
            finally:
                if block is not None:
                    self._spare.put(block.buffer)
            if self._error is not None and self._size is not None:
                return

    def _catch_up(self, end: int) -> None:
        """Hash from the file what lies before `end`."""
        if self._at >= end:
            return
        buffer = memoryview(bytearray(min(BUFFER_BYTES, end - self._at)))
        while self._at < end and not self._closed:
            self._stop.check()
            count = self._partial.read(self._at, buffer[: min(len(buffer), end - self._at)])
            if count == 0:
                raise Corrupt(f"{self._partial.path} was cut while it was written.")
            self._hasher.update(buffer[:count])
            self._at += count
