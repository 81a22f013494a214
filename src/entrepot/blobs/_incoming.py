"""The temporary file of one ingest: locked while its owner lives, then renamed or removed.

The advisory lock (flock) says whether an owner lives: the kernel drops it when the process
dies, however it dies, and it knows nothing of process ids, which are reused and differ
between containers. So a sweep can tell a killed ingest from a slow one for certain.
"""

import fcntl
import os
import secrets
import time
from pathlib import Path

_SUFFIX = ".part"
_ATTEMPTS_MAX = 8
_OBJECT_MODE = 0o400


class IncomingFile:
    """A new, locked, empty file in `folder`; end it with `publish` or `discard`.

    Raises OSError, also where the file system offers no locks: without them no sweep is safe.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._fd = _create_locked(folder)
        self._named = True

    def write(self, data: memoryview) -> None:
        """Append all of `data`; raises OSError, among them ENOSPC."""
        while data:
            data = data[os.write(self._fd, data) :]

    def publish(self, final: Path) -> None:
        """Make the bytes durable, then give them their final name in one atomic step.

        The name itself is durable only once the folder of `final` has been fsynced.
        """
        os.fchmod(self._fd, _OBJECT_MODE)
        os.fsync(self._fd)
        self._path.rename(final)
        self._named = False

    def discard(self) -> None:
        """Remove the file where it was not published, and let go of it. Never raises OSError."""
        try:
            if self._named:
                self._path.unlink(missing_ok=True)
        except OSError:
            pass  # the disk went away: the sweep removes the file when it is back
        finally:
            os.close(self._fd)


def _create_locked(folder: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS_MAX):
        path = folder / f"{secrets.token_hex(16)}{_SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            # A sweep may have come between open and lock; it unlinks under the same lock.
            if os.fstat(fd).st_nlink == 1:
                return path, fd
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        os.close(fd)
    raise BlockingIOError("every new temporary file was swept away at once")


def sweep(folder: Path, *, older_than_seconds: float, dry_run: bool = False) -> int:
    """Remove files in `folder` that no process owns and none wrote to lately; how many."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(_SUFFIX)]
    return sum(_remove_orphan(folder / name, older_than_seconds, dry_run) for name in names)


def _remove_orphan(path: Path, older_than_seconds: float, dry_run: bool) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(fd)
        if status.st_nlink == 0 or time.time() - status.st_mtime < older_than_seconds:
            return False
        if not dry_run:
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(fd)
    return True
