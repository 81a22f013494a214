"""What the command keeps for itself in a folder of files: FOLDER/.entrepot.

Whoever else may write to the folder can put a symbolic link or a pipe there. Below the folder no
link is followed, and what is no plain file is neither read nor waited for: that is an error.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from entrepot.client.errors import LocalFileError
from entrepot.client.locks import lock_at_once

INSIDE = ".entrepot"
# Who else may write to the folder could hold a lock for good.
LOCK_SECONDS_MAX = 10.0
_LOCK_PAUSE_SECONDS = 0.02
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
# Without it (Windows) each step is looked at before it is taken.
_BY_DESCRIPTOR = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


class _InTheWay(Exception):  # noqa: N818 - a signal inside this module
    """It is a link, or of another kind than it should be."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A file in the folder `path`: what is told the system together with the descriptor."""

    path: str
    name: str
    descriptor: int | None

    @property
    def at(self) -> str:
        return self.beside(self.name)

    def beside(self, name: str) -> str:
        """Another file in the same folder."""
        return name if self.descriptor is not None else f"{self.path}{os.sep}{name}"


class Inside:
    """The files in `.entrepot` of a folder, by names such as `state.json` or `manifests/ID.json`.

    Every method raises LocalFileError where something is in the way or cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / INSIDE

    def is_there(self) -> bool:
        """Whether there is such a folder at all."""
        with suppress(FileNotFoundError), self._opened(".", make=False):
            return True
        return False

    def has(self, name: str) -> bool:
        """Whether something of that name is there."""
        with suppress(FileNotFoundError), self._opened(name, make=False) as place:
            os.stat(place.at, dir_fd=place.descriptor, follow_symlinks=False)
            return True
        return False

    def names(self, folder: str) -> list[str]:
        """What lies in a folder there, sorted; nothing where there is none."""
        with suppress(FileNotFoundError), self._opened(f"{folder}/.", make=False) as place:
            return sorted(os.listdir(place.path if place.descriptor is None else place.descriptor))  # noqa: PTH208 - a descriptor
        return []

    def read(self, name: str, bytes_max: int) -> bytes | None:
        """A file, None where there is none."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _PLAIN
        with suppress(FileNotFoundError), self._opened(name, make=False) as place:
            descriptor = os.open(place.at, flags, dir_fd=place.descriptor)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._refused(name)
                data = file.read(bytes_max + 1)
            if len(data) > bytes_max:
                raise LocalFileError(
                    f"{self.path / name} is larger than {bytes_max} bytes, the most that it may be."
                )
            return data
        return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step; its bytes are on the disk before it gets its name."""
        folder, _, last = name.rpartition("/")
        with self._opened(f"{folder}/.{last}.{secrets.token_hex(4)}", make=True) as fresh:
            where, target = fresh.descriptor, fresh.beside(last)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN
            descriptor = os.open(fresh.at, flags, 0o666, dir_fd=where)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(fresh.at, target, src_dir_fd=where, dst_dir_fd=where)
            except BaseException:
                with suppress(OSError):
                    os.unlink(fresh.at, dir_fd=where)
                raise

    @contextmanager
    def locked(self, name: str, *, wait: bool) -> Iterator[None]:
        """Hold the lock of that name; LocalFileError where another command does: at once, or
        with `wait` after `LOCK_SECONDS_MAX`; and where the file system has no locks."""
        with self._opened(name, make=True) as place:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | _PLAIN
            descriptor = os.open(place.at, flags, 0o666, dir_fd=place.descriptor)
        try:
            self._lock(descriptor, wait=wait)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, *, wait: bool) -> None:
        until = monotonic() + (LOCK_SECONDS_MAX if wait else 0.0)
        while True:
            try:
                return lock_at_once(descriptor)
            except BlockingIOError as error:
                if monotonic() >= until:
                    raise LocalFileError(
                        f"Another command is at work in {self._folder}.",
                        remedy="Wait for it to end, or choose another folder.",
                    ) from error
            except OSError as error:
                raise LocalFileError(
                    f"Cannot lock {self.path}: {error.strerror}.",
                    remedy="Choose a folder on a file system that has locks.",
                ) from error
            sleep(_LOCK_PAUSE_SECONDS)

    @contextmanager
    def _opened(self, name: str, *, make: bool) -> Iterator[_Place]:
        """Where the file of that name is, its folder open. Raises FileNotFoundError to read."""
        *folders, last = (part for part in name.split("/") if part)
        descriptor: int | None = None
        try:
            if make:
                self._folder.mkdir(parents=True, exist_ok=True)
            if _BY_DESCRIPTOR:
                descriptor = _walk(self._folder, [INSIDE, *folders], make=make)
            else:
                _look_along(self._folder, [INSIDE, *folders], make=make)
            yield _Place(str(self.path.joinpath(*folders)), last, descriptor)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not make:
                raise
            if error.errno == errno.ELOOP:
                raise self._refused(name) from error
            raise LocalFileError(
                f"Cannot {'write' if make else 'read'} {self.path / name}: "
                f"{error.strerror or error}.",
                remedy="Make the folder writable or choose another one." if make else "",
            ) from error
        except _InTheWay as found:
            raise self._refused(str(found)) from found
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _refused(self, name: str) -> LocalFileError:
        where = self._folder / name if name.startswith(INSIDE) else self.path / name
        return LocalFileError(
            f"{where} is in the way: in {self.path} the command keeps plain files and folders of "
            "its own, and follows no link.",
            remedy="Remove it, or choose another folder.",
        )


def _walk(folder: Path, steps: list[str], *, make: bool) -> int:
    """A descriptor of the last folder; each is opened from the one before it."""
    descriptor = os.open(folder, _FOLDER)
    for number, step in enumerate(steps, 1):
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(step, 0o777, dir_fd=descriptor)
            deeper = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise _InTheWay("/".join(steps[:number])) from error
            raise
        finally:
            os.close(descriptor)
        descriptor = deeper
    return descriptor


def _look_along(folder: Path, steps: list[str], *, make: bool) -> None:
    at = folder
    for number, step in enumerate(steps, 1):
        at /= step
        if make:
            at.mkdir(exist_ok=True)
        if not stat.S_ISDIR(at.lstat().st_mode):
            raise _InTheWay("/".join(steps[:number]))
