"""The part of a bundle that is being written: resumed where it is right, cut where it is not."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from entrepot.client.bundles import END, Member
from entrepot.client.errors import Corrupt, LocalFileError
from entrepot.client.locks import is_named, lock_at_once
from entrepot.client.partial import flush_folder, local_error, part_name
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES

_T = TypeVar("_T")


class Layout(Protocol):
    """What a bundle consists of, and a mark that tells it from others."""

    @property
    def members(self) -> Sequence[Member]:
        """In their order."""
        ...

    @property
    def mark(self) -> str:
        """Letters and digits."""
        ...


class Part:
    """`.NAME.MARK.part` beside the target; it stays where the command ends before its time."""

    def __init__(self, target: Path, plan: Layout, stop: Stop) -> None:
        self._target, self._plan = target, plan
        self._path = target.with_name(part_name(target.name, plan.mark))
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        while not self._guarded(lambda: self._open_alone(flags)):
            pass
        self._starts: dict[str, int] = {}
        at = 0
        for member in plan.members:
            self._starts[member.name] = at
            at += member.length
        self._hasher = hashlib.sha256()
        self.filled = 0
        self.size = self._guarded(lambda: self._look_through(stop))

    def _open_alone(self, flags: int) -> bool:
        """Open and lock it; False where it was put in place by another command meanwhile."""
        self._descriptor = os.open(self._path, flags, 0o666)
        try:
            lock_at_once(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise LocalFileError(
                f"{self._target} is being written by another command.",
                remedy="Wait for it, or choose another file with -o.",
            ) from error
        # With a second name it is another's file, too, or a copy of the folder has it.
        if os.fstat(self._descriptor).st_nlink > 1:
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if is_named(self._descriptor, self._path):
                return True
        self._close()
        return False

    def _look_through(self, stop: Stop) -> int:
        size = right_bytes(self._descriptor, self._plan, stop)
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        return size

    def has(self, member: Member) -> bool:
        """Whether all of a member is there."""
        return self.size >= self._starts[member.name] + member.length

    def begin(self, member: Member) -> None:
        """Write the header, or go on behind what is there of the content (`filled` bytes)."""
        data_at = self._starts[member.name] + len(member.header)
        self._hasher = hashlib.sha256()
        if self.size < data_at:
            self.drop(member)
            self._write(member.header)
        self.filled = min(self.size - data_at, member.size)
        self._guarded(lambda: _hash_span(self._descriptor, data_at, self.filled, self._hasher))
        self._guarded(lambda: os.lseek(self._descriptor, 0, os.SEEK_END))

    def append(self, data: bytes) -> None:
        """Write content."""
        self._hasher.update(data)
        self._write(data)

    def finish(self, member: Member) -> None:
        """Write the padding. Raises Corrupt where the content is not what the plan says."""
        found = self._hasher.hexdigest()
        if found != member.sha256:
            raise Corrupt(
                f"The sha256 of what arrived is {found}, announced was {member.sha256}.",
                remedy="Run the command again; if it repeats, tell the publisher.",
            )
        self._write(member.padding)

    def drop(self, member: Member) -> None:
        """Throw away what is there of a member, which is the last."""
        self.size = self._starts[member.name]
        self._guarded(lambda: os.ftruncate(self._descriptor, self.size))
        self._guarded(lambda: os.lseek(self._descriptor, 0, os.SEEK_END))

    def commit(self) -> None:
        """Bring the bytes to the disk, then put the file in place of the target."""
        self._write(END)
        self._guarded(lambda: os.fsync(self._descriptor))
        if os.name != "posix":
            self._close()
        self._guarded(lambda: self._path.replace(self._target))
        flush_folder(self._target.parent)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                written = os.write(self._descriptor, left)
                self.size += written
                left = left[written:]
        except OSError as error:
            raise local_error(error, self._target) from error

    def _guarded(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
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

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def right_bytes(descriptor: int, plan: Layout, stop: Stop) -> int:
    """How many bytes from the first on are right: whole members, and the beginning of one."""
    size, at = os.fstat(descriptor).st_size, 0
    for member in plan.members:
        data_at = at + len(member.header)
        os.lseek(descriptor, at, os.SEEK_SET)
        if size < data_at or _read_all(descriptor, len(member.header)) != member.header:
            return at
        if size < at + member.length:
            return min(size, data_at + member.size)
        hasher = hashlib.sha256()
        _hash_span(descriptor, data_at, member.size, hasher, stop)
        if hasher.hexdigest() != member.sha256:
            return at
        at += member.length
    return at


def _hash_span(descriptor: int, at: int, count: int, hasher: Any, stop: Stop | None = None) -> None:
    os.lseek(descriptor, at, os.SEEK_SET)
    while count:
        if stop is not None:
            stop.check()
        data = os.read(descriptor, min(count, BUFFER_BYTES))
        if not data:
            raise OSError("the file became shorter meanwhile")
        hasher.update(data)
        count -= len(data)


def _read_all(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := os.read(descriptor, count - len(data))):
        data += more
    return data
