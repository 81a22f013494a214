"""Reading stored files for the edge: shared descriptors, and never waiting for a disk."""

import asyncio
import errno
import os
import threading
from typing import Final

READ_AHEAD_BYTES: Final = 512 * 1024
NOWAIT: Final = getattr(os, "RWFNOWAIT", 0)
# Some file systems cannot say whether they would wait; then we read as if they would not.
CANNOT_SAY: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_PROBE: Final = (bytearray(1),)


class OpenFiles:
    """Opens a path once, however many responses read it: offsets are given with every read.

    Five thousand readers of one file need one descriptor for it. A file stays open only
    while somebody reads it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[int, int]] = {}  # path: descriptor, readers

    def acquire(self, path: str) -> int:
        """The descriptor of `path`, read-only, until `release`; OSError if it cannot be opened."""
        with self._lock:
            descriptor, readers = self._open.get(path, (-1, 0))
            if not readers:
                descriptor = os.open(path, os.O_RDONLY)
            self._open[path] = descriptor, readers + 1
            return descriptor

    def release(self, path: str) -> None:
        """To be called once for every `acquire`."""
        with self._lock:
            descriptor, readers = self._open.pop(path)
            if readers > 1:
                self._open[path] = descriptor, readers - 1
            else:
                os.close(descriptor)


async def read(descriptor: int, offset: int, length: int) -> bytes:
    """`length` bytes at `offset`, fewer only at the end of the file; disks wait in a thread."""
    if is_cold(descriptor, offset + length - 1):
        return await asyncio.to_thread(os.pread, descriptor, length, offset)
    return os.pread(descriptor, length, offset)


def is_cold(descriptor: int, offset: int) -> bool:
    """Whether the byte at `offset` would have to come from the disk."""
    try:
        os.preadv(descriptor, _PROBE, offset, NOWAIT)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in CANNOT_SAY:
            raise
    return False


async def read_ahead(descriptor: int, offset: int) -> None:
    """Bring the next READ_AHEAD_BYTES into the page cache without holding up the loop."""
    # A descriptor of its own: the reader may be cancelled, and close the file, meanwhile.
    await asyncio.to_thread(_read_and_forget, os.dup(descriptor), offset)


def _read_and_forget(descriptor: int, offset: int) -> None:
    try:
        os.pread(descriptor, READ_AHEAD_BYTES, offset)
    finally:
        os.close(descriptor)
