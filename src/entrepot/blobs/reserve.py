"""Room kept back for the database: when the disk is full, leases and audit go on.

A file of really allocated blocks lies beside the database. Ingest and conversions stop while
there is still some free space; should even that be used up, `release` turns the reserve into
free space for the database, and `restore` takes it back once somebody has made room.

On a file system that compresses or copies on write (ZFS, Btrfs) allocated blocks are a
weaker promise; there a quota on the blob folder does the same work.
"""

import errno
import os
from enum import Enum
from pathlib import Path

from entrepot.blobs._faults import translated

RESERVE_BYTES = 64 << 20
MARGIN_BYTES = 16 << 20
_BLOCK_UNIT_BYTES = 512  # of st_blocks, whatever the file system's own block size (stat(2))


class ReserveState(Enum):
    """Whether the reserve can still be drawn on."""

    HELD = "held"
    RELEASED = "released"


class DiskReserve:
    """The reserve of `size_bytes` in `folder`; several processes may share it."""

    def __init__(
        self, folder: Path, *, size_bytes: int = RESERVE_BYTES, margin_bytes: int = MARGIN_BYTES
    ) -> None:
        self._folder = folder
        self._path = folder / "disk.reserve"
        self._size_bytes = size_bytes
        self._margin_bytes = margin_bytes

    def state(self) -> ReserveState:
        """HELD where every block is allocated, a file with holes is worth nothing."""
        try:
            status = self._path.stat()
        except OSError:
            return ReserveState.RELEASED
        allocated = status.st_blocks * _BLOCK_UNIT_BYTES
        enough = status.st_size >= self._size_bytes and allocated >= self._size_bytes
        return ReserveState.HELD if enough else ReserveState.RELEASED

    def release(self) -> ReserveState:
        """Give the blocks to whoever needs them now; needs no space itself."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as fault:
            raise translated(fault, self._folder) from fault
        return self.state()

    def restore(self) -> ReserveState:
        """Allocate the reserve where it lacks and `margin_bytes` stay free beside it.

        RELEASED as the answer means that the disk is too full for it: try again later.
        Raises Unavailable where the folder cannot be written.
        """
        if self.state() is ReserveState.HELD:
            return ReserveState.HELD
        try:
            self._allocate()
        except OSError as fault:
            if fault.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise translated(fault, self._folder) from fault
            self.release()
        return self.state()

    def _allocate(self) -> None:
        room = os.statvfs(self._folder)
        if room.f_bavail * room.f_frsize < self._size_bytes + self._margin_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size_bytes)
            os.fsync(fd)
        finally:
            os.close(fd)
