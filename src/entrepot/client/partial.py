"""The file being written: a unique partial beside the target, renamed only when it is whole."""

import errno
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from entrepot.client.errors import DiskFull, LocalFileError

# Left free for whatever else runs on the machine.
FREE_BYTES_MARGIN = 16 * 1024 * 1024


class Partial:
    """`.NAME.XXXXXXXX.part` in the folder of the target; gone afterwards unless committed."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise local_error(error, target.parent) from error
        self.size = 0
        self.etag = ""

    @property
    def path(self) -> Path:
        """Where the bytes are until they are committed."""
        return self._path

    def append(self, data: memoryview) -> None:
        """Write all of `data` at the end. Raises DiskFull, LocalFileError."""
        while data:
            try:
                written = os.write(self._descriptor, data)
            except OSError as error:
                raise local_error(error, self._target) from error
            self.size += written
            data = data[written:]

    def note(self, etag: str, total: int | None) -> None:  # noqa: ARG002 - for those that are kept
        """What the bytes are of: the strong ETag, empty where there is none, and the whole size."""
        self.etag = etag

    def restart(self) -> None:
        """Throw away what was written so far."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0
        self.note("", None)

    def commit(self) -> None:
        """Bring the bytes to the disk, then put the file in place of the target in one step."""
        try:
            os.fsync(self._descriptor)
            self._close()
            self._path.replace(self._target)
            _sync_folder(self._target.parent)
        except OSError as error:
            raise local_error(error, self._target) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def make_folder(folder: Path) -> None:
    """Create the folder for downloads where it is missing. Raises LocalFileError."""
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
            remedy="Free some space or choose another folder with -d.",
        )


def local_error(error: OSError, path: Path) -> LocalFileError:
    """The error of this machine's file system, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk is full while writing {path}.",
            remedy="Free some space and run the same command again.",
        )
    return LocalFileError(
        f"Cannot write {path}: {error.strerror or error}.",
        remedy="Check the folder and its permissions, or choose another with -d.",
    )


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
