"""A request's body as a file: a worker thread reads it while it comes in.

The event loop puts what it receives into a queue of few places; where the reader is slower
than the network, the queue is full, nothing more is received, and TCP holds the sender back.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from queue import SimpleQueue
from typing import Any, TypeAlias

from entrepot.errors import EntrepotError, Invalid, Late
from entrepot.web.http.receiving import Pace

# A server hands on pieces of a few 100 KiB at most; so many of them lie in memory.
PIECES_MAX = 8
STALL_SECONDS_MAX = 60.0

Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]


class IncomingFile(io.RawIOBase):
    """The body as a file to read once, from a thread other than the event loop's.

    `length`: how many bytes were announced, None where nothing was. Reading raises Late
    where the client stalls or is too slow, and Invalid where it leaves or ends early; the end of
    the file means that all came.
    """

    def __init__(
        self,
        receive: Receive,
        length: int | None,
        *,
        stall_seconds_max: float = STALL_SECONDS_MAX,
        pace: Pace | None = None,
    ) -> None:
        super().__init__()
        self._receive = receive
        self._length = length
        self._stall_seconds_max = stall_seconds_max
        self._pace = pace or Pace()
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(PIECES_MAX)
        self._pieces: SimpleQueue[bytes | EntrepotError] = SimpleQueue()
        self._at_hand = memoryview(b"")
        self._ended = False

    async def fill(self) -> None:
        """Receive until the body ends; to run in a task beside the reader."""
        failure: EntrepotError = _cut_off("The upload was broken off.")
        try:
            failure = await self._receive_all()
        except Late as late:
            failure = late
        finally:
            self._pieces.put(failure)

    async def _receive_all(self) -> EntrepotError:
        """Queue the body; an error says why no more comes, also where all has come."""
        received, more = 0, True
        while more:
            await self._places.acquire()
            message = await self._next()
            if message["type"] != "http.request":
                return _cut_off("The connection ended before the file did.")
            piece, more = message.get("body", b""), message.get("more_body", False)
            received += len(piece)
            if piece:
                self._pieces.put(piece)
            else:
                self._places.release()
        if self._length is not None and received != self._length:
            return _cut_off(f"{received} bytes came instead of {self._length}.")
        return _ALL

    async def _next(self) -> Mapping[str, Any]:
        """The next message; Late where the sender stalls or is too slow."""
        began = self._loop.time()
        try:
            async with asyncio.timeout(self._stall_seconds_max):
                message = await self._receive()
        except TimeoutError:
            raise Late(
                f"No byte came for {self._stall_seconds_max:g} s. Nothing was kept.",
                remedy="Send the whole file again.",
            ) from None
        self._pace.note(message, self._loop.time() - began)
        return message

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Bytes as they are at hand, at least one, or 0 at the end; waits for them."""
        if not self._at_hand and not self._ended:
            self._take()
        count = min(len(buffer), len(self._at_hand))
        buffer[:count] = self._at_hand[:count]
        self._at_hand = self._at_hand[count:]
        return count

    def _take(self) -> None:
        piece = self._pieces.get()
        if isinstance(piece, bytes):
            self._at_hand = memoryview(piece)
            self._loop.call_soon_threadsafe(self._places.release)
            return
        self._ended = True
        if piece is not _ALL:
            raise piece


# The end of the queue where everything came.
_ALL = EntrepotError("all has come")


def _cut_off(reason: str) -> Invalid:
    return Invalid(
        f"{reason} Nothing was kept.",
        field="body",
        code="upload-incomplete",
        remedy="Send the whole file again.",
    )
