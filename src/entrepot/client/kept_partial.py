"""A partial file that outlives the command: the next run goes on where this one stopped.

Beside it lies what the bytes are of: the strong ETag that the hub gave. The next run sends it as
If-Range, so that a file which changed meanwhile comes whole instead of a wrong rest.
"""

import json
import os
from pathlib import Path
from types import TracebackType

from entrepot.client.errors import Corrupt, LocalFileError
from entrepot.client.partial import Partial, local_error

try:
    import fcntl
except ImportError:  # Windows: two commands on one file are not told apart there
    fcntl = None  # type: ignore[assignment]

_NOTE_BYTES_MAX = 4096


class KeptPartial(Partial):
    """`.NAME.MARK.part` in the folder of the target, and `.NAME.MARK.etag`.

    `mark` says what is fetched, so that another file of the same name is not mixed up with it.
    Both are gone once the file is in place or turned out corrupt. Raises LocalFileError where
    another command fetches the same just now.
    """

    def __init__(self, target: Path, mark: str) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.{mark}.part")
        self._note = target.with_name(f".{target.name}.{mark}.etag")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._descriptor = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise local_error(error, target.parent) from error
        self._lock()
        self.etag, total = self._read_note()
        self.size = os.fstat(self._descriptor).st_size if self.etag else 0
        if total is not None and self.size >= total:
            # Stopped between the last byte and the rename: a range that asks for one byte more
            # shows whether it is still the same file.
            self.size = max(0, total - 1)
        os.ftruncate(self._descriptor, self.size)
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def note(self, etag: str, total: int | None) -> None:
        self.etag = etag
        try:
            if etag:
                self._note.write_text(json.dumps({"etag": etag, "size": total}))
            else:
                self._note.unlink(missing_ok=True)
        except OSError as error:
            raise local_error(error, self._note) from error

    def commit(self) -> None:
        super().commit()
        self._note.unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        if error is None or isinstance(error, Corrupt) or not (self.size and self.etag):
            self._path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def _lock(self) -> None:
        try:
            if fcntl is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._close()
            raise LocalFileError(
                f"{self._target} is being downloaded by another command.",
                remedy="Wait for it, or choose another folder with -d.",
            ) from error

    def _read_note(self) -> tuple[str, int | None]:
        try:
            with self._note.open("rb") as file:
                told = json.loads(file.read(_NOTE_BYTES_MAX))
        except (OSError, ValueError, RecursionError):
            return "", None
        noted = told if isinstance(told, dict) else {}
        etag, total = noted.get("etag"), noted.get("size")
        if not isinstance(etag, str) or not etag.startswith('"') or not etag.isascii():
            return "", None
        return etag, total if isinstance(total, int) and total >= 0 else None
