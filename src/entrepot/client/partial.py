"""The file being written: a partial beside the target, renamed only when it is whole and right.

Several threads may write to it at the same time, each to its own place.
"""

import contextlib
import errno
import os
import secrets
import shutil
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from entrepot.client.errors import DiskFull, LocalFileError
from entrepot.client.extents import Extents
from entrepot.client.locks import is_named, lock_at_once

# Left free for whatever else runs on the machine.
FREE_BYTES_MARGIN = 16 * 1024 * 1024
_NO_LINK = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Partial:
    """`.NAME.XXXXXXXX.part` in the folder of the target; gone afterwards unless committed.

    `etag` is the strong ETag of what the bytes are of, `""` where there is none.
    """

    kept = False  # whether it outlives the command

    def __init__(self, target: Path) -> None:
        self._begin(target, secrets.token_hex(4))
        self._open(os.O_EXCL)
        # For those who clear away what killed commands have left (old_parts.py).
        while not self._is_mine_alone():
            self._close()
            self._begin(target, secrets.token_hex(4))
            self._open(os.O_EXCL)

    def _is_mine_alone(self) -> bool:
        try:
            with contextlib.suppress(BlockingIOError):
                lock_at_once(self._descriptor)
                return is_named(self._descriptor, self.path)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # no locks on this file system: nobody clears away anything there
        return False

    def _begin(self, target: Path, mark: str) -> None:
        self.target = target
        self.mark = mark
        self.path = target.with_name(part_name(target.name, mark))
        self.etag = ""
        self._held = Extents()
        self._lock = threading.Lock()
        self._descriptor = -1

    def _open(self, flags: int) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _NO_LINK | flags, 0o666)
        except OSError as error:
            raise local_error(error, self.target.parent) from error

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self._held.total

    @property
    def front(self) -> int:
        """How many are there from the first on without a gap."""
        with self._lock:
            return self._held.front

    def gaps(self, size: int) -> list[tuple[int, int]]:
        """What is missing of a file of `size` bytes."""
        with self._lock:
            return self._held.gaps(size)

    def write(self, at: int, data: memoryview) -> None:
        """Write all of `data` to its place. Raises DiskFull, LocalFileError."""
        begin = at
        while data:
            try:
                written = _write_at(self._descriptor, data, at)
            except OSError as error:
                raise local_error(error, self.target) from error
            at += written
            data = data[written:]
            with self._lock:
                self._held.add(begin, at)

    def read(self, at: int, buffer: memoryview) -> int:
        """Read what is at a place; 0 at the end of the file. Raises LocalFileError."""
        try:
            return _read_at(self._descriptor, buffer, at)
        except OSError as error:
            raise local_error(error, self.path) from error

    def note(self, etag: str) -> None:
        """What the bytes are of from now on."""
        self.etag = etag

    def restart(self) -> None:
        """Throw away what was written so far."""
        self.note("")
        with self._lock:
            self._held = Extents()
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise local_error(error, self.target) from error

    def forget(self, begin: int, end: int) -> None:
        """These bytes are wrong; they count as missing."""
        with self._lock:
            self._held.remove(begin, end)

    def checkpoint(self) -> None:
        """Write down what is there; where nothing is kept there is nothing to do."""

    def commit(self) -> None:
        """Bring the bytes to the disk, then put the file in place of the target in one step.

        The name may be lost again in a power cut until `flush_folder` has run.
        """
        try:
            os.fsync(self._descriptor)
            if os.name != "posix":
                self._close()
            # Before it is closed: the lock on it must cover the new name too.
            self.path.replace(self.target)
        except OSError as error:
            raise local_error(error, self.target) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


if hasattr(os, "pwritev"):

    def _write_at(descriptor: int, data: memoryview, at: int) -> int:
        return os.pwrite(descriptor, data, at)

    def _read_at(descriptor: int, buffer: memoryview, at: int) -> int:
        return os.preadv(descriptor, [buffer], at)

else:  # Windows: one position for all threads
    _position = threading.Lock()

    def _write_at(descriptor: int, data: memoryview, at: int) -> int:
        with _position:
            os.lseek(descriptor, at, os.SEEK_SET)
            return os.write(descriptor, data)

    def _read_at(descriptor: int, buffer: memoryview, at: int) -> int:
        with _position:
            os.lseek(descriptor, at, os.SEEK_SET)
            data = os.read(descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def part_name(name: str, mark: str) -> str:
    """What a partial of the file `name` is called."""
    return f".{name}.{mark}.part"


def make_folder(folder: Path) -> None:
    """Create the folder for downloads where it is missing. Raises LocalFileError."""
    if os.path.isdir(folder):  # noqa: PTH112 - once for each file: quicker than to make it again
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise local_error(error, folder) from error


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises DiskFull when the folder's file system has no room for so many bytes."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise local_error(error, folder) from error
    if needed_bytes and free < needed_bytes + FREE_BYTES_MARGIN:
        raise DiskFull(
            f"No room in {folder}: {needed_bytes} bytes are needed, {free} are free.",
            remedy="Free some space or choose another folder.",
        )


def flush_folder(folder: Path) -> None:
    """Make renames survive a power cut, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise local_error(error, folder) from error


def local_error(error: OSError, path: Path) -> LocalFileError:
    """The error of this machine's file system, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk is full while writing {path}.",
            remedy="Free some space and run the same command again.",
        )
    return LocalFileError(
        f"Cannot write {path}: {error.strerror or error}.",
        remedy="Check the folder and its permissions, or choose another folder.",
    )
