"""A partial file that outlives the command: the next run goes on with what this one brought.

Beside it lies what the bytes are of and which of them are there. After a kill the kernel still
has all that was written, so all of it counts; after a power cut (another boot) only what had been
flushed before it was written down counts. Neither decides whether the file is right: the
digest of the whole does, before it gets its name.
"""

import contextlib
import json
import os
import stat
import threading
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from entrepot.client.errors import Corrupt, Denied, DiskFull, LocalFileError, NotFound, OrderEnded
from entrepot.client.extents import Extents
from entrepot.client.locks import is_named, lock_at_once
from entrepot.client.partial import Partial, flush_folder, local_error, part_name
from entrepot.client.verification import Expected

# Less is not worth keeping when a command ends in order.
KEPT_BYTES_MIN = 64 * 1024
CHECKPOINT_SECONDS = 0.5
FLUSH_SECONDS = 30.0
_STATE_BYTES_MAX = 64 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_VERSION = 1
_MARK_DIGITS = 16


class Busy(LocalFileError):  # noqa: N818 - named like its parents
    """Another command fetches the same just now."""


class KeptPartial(Partial):
    """`.NAME.MARK.part` in the folder of the target, and `.NAME.MARK.state`.

    `mark` keeps it apart from other files of the same name. `content` says what it is of, such as
    a digest: with one, bytes are gone on with whatever the ETag is; without, only with a strong
    ETag. Both files are gone once the file is in place or turned out corrupt.
    Raises Busy, LocalFileError.
    """

    kept = True

    def __init__(self, target: Path, mark: str, content: str = "") -> None:
        self._begin(target, mark)
        self._state = target.with_name(f".{target.name}.{mark}.state")
        self._content = content
        self._flushed = Extents()
        self._flushing: threading.Thread | None = None
        self._flush_at = monotonic() + FLUSH_SECONDS
        self._checkpoint_at = monotonic() + CHECKPOINT_SECONDS
        self._writing = threading.Lock()
        while not self._open_alone():
            pass
        self._take_up()

    def note(self, etag: str) -> None:
        self.etag = etag
        if not etag and not self._content:
            # Nothing could prove later that the bytes and the state belong together.
            self._forget_state()

    def restart(self) -> None:
        self._finish_flushing()
        with self._writing:
            self._flushed = Extents()
            self._forget_state()
        super().restart()

    def forget(self, begin: int, end: int) -> None:
        self._finish_flushing()
        with self._writing:
            super().forget(begin, end)
            self._flushed.remove(begin, end)
            self._write_state()

    def checkpoint(self) -> None:
        """Write down what is there, now and then. Failing does no harm: less is gone on with."""
        now = monotonic()
        if now < self._checkpoint_at or not self._writing.acquire(blocking=False):
            return
        try:
            self._checkpoint_at = now + CHECKPOINT_SECONDS
            self._write_state()
            if now >= self._flush_at and self._flushing is None:
                self._flush_at = now + FLUSH_SECONDS
                self._flushing = threading.Thread(target=self._flush, daemon=True)
                self._flushing.start()
        finally:
            self._writing.release()

    def commit(self) -> None:
        super().commit()
        self._state.unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish_flushing()
        if error is not None and self._is_worth_keeping(error):
            if not _boot():
                self._flush()  # nothing will tell a kill from a power cut
            with self._writing:
                self._write_state()
        elif error is not None:
            with contextlib.suppress(OSError):
                self._state.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
        self._close()

    def _is_worth_keeping(self, error: BaseException) -> bool:
        if isinstance(error, Corrupt | Denied | NotFound | OrderEnded):
            return False
        if isinstance(error, LocalFileError) and not isinstance(error, DiskFull):
            return False
        return self.size >= KEPT_BYTES_MIN and bool(self.etag or self._content)

    def _open_alone(self) -> bool:
        """Open and lock it; False where it was put in place by another command meanwhile.

        What is no plain file, or has a second name (a copy of the folder by hard links, another's
        file), loses this name and is not written to.
        """
        with contextlib.suppress(FileNotFoundError):
            self._drop_foreign()
        self._open(0)
        try:
            lock_at_once(self._descriptor)
        except OSError as error:
            self._close()
            raise Busy(
                f"{self.target} is being downloaded by another command.",
                remedy="Wait for it, or choose another folder.",
            ) from error
        with contextlib.suppress(OSError):
            if is_named(self._descriptor, self.path):
                return True
        self._close()
        return False

    def _drop_foreign(self) -> None:
        there = self.path.stat(follow_symlinks=False)
        if stat.S_ISREG(there.st_mode) and there.st_nlink == 1:
            return
        try:
            self.path.unlink()
        except OSError as error:
            raise local_error(error, self.path) from error

    def _take_up(self) -> None:
        """Go on with what an earlier run left, as far as it can be believed."""
        there = os.fstat(self._descriptor).st_size
        if not there:
            return  # whatever a state says, nothing can be gone on with
        told = self._read_state()
        same_boot = told.get("boot") == _boot() != ""
        etag = told.get("etag")
        if told.get("content") == self._content and isinstance(etag, str) and _is_strong(etag):
            self.etag = etag
        if told.get("content") == self._content and (self.etag or self._content):
            self._held = _extents(told.get("held" if same_boot else "flushed"), there)
            self._flushed = _extents(told.get("flushed"), there)
        if not self._held.total:
            self._forget_state()
        if there > self._held.end:
            os.ftruncate(self._descriptor, self._held.end)

    def _read_state(self) -> dict[str, Any]:
        try:
            if not self._state.is_file():
                return {}  # nor would a pipe ever end
            with self._state.open("rb") as file:
                told = json.loads(file.read(_STATE_BYTES_MAX))
        except (OSError, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) and told.get("version") == _VERSION else {}

    def _write_state(self) -> None:
        if not (self.etag or self._content):
            return
        with self._lock:
            held = list(self._held)
        told = {
            "version": _VERSION,
            "content": self._content,
            "etag": self.etag,
            "boot": _boot(),
            "held": held,
            "flushed": list(self._flushed),
        }
        fresh = self._state.with_name(f"{self._state.name}~")
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)  # of a run that was killed; or a link of somebody's
            with fresh.open("x") as file:
                json.dump(told, file)
            fresh.replace(self._state)

    def _forget_state(self) -> None:
        """For good: a state that came back after a power cut must not speak of other bytes."""
        try:
            self._state.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise LocalFileError(f"Cannot remove {self._state}: {error.strerror}.") from error
        flush_folder(self._state.parent)

    def _finish_flushing(self) -> None:
        flushing = self._flushing
        if flushing is not None:
            flushing.join()

    def _flush(self) -> None:
        """Bring to the disk what is there now, then let the state say so."""
        with self._lock:
            held = list(self._held)
        try:
            os.fsync(self._descriptor)
            with self._writing:
                for begin, end in held:
                    self._flushed.add(begin, end)
        except OSError:
            pass  # what cannot be flushed is not counted; `commit` will say so
        finally:
            self._flushing = None


def mark_of(expected: Expected) -> str:
    """What keeps the partial of an announced digest apart from others; empty without one."""
    return expected.digest[:_MARK_DIGITS]


def room_taken(target: Path, mark: str) -> int:
    """The bytes of disk that an earlier run's partial has already."""
    try:
        found = target.with_name(part_name(target.name, mark)).stat(follow_symlinks=False)
    except OSError:
        return 0
    return min(found.st_size, getattr(found, "st_blocks", 0) * 512)


def _is_strong(etag: str) -> bool:
    return etag.startswith('"') and etag.isascii() and len(etag) <= 1024


def _extents(told: object, size: int) -> Extents:
    """The spans that a state tells of, none where it cannot be understood."""
    spans = Extents()
    if not isinstance(told, list):
        return spans
    for span in told:
        match span:
            case [int(begin), int(end)] if 0 <= begin < end:
                spans.add(begin, min(end, size))
            case _:
                return Extents()
    return spans


def _boot() -> str:
    """The name of this run of the kernel, empty where none is told."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
