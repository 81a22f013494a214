"""Making renames durable, not more often than is worth it.

The bytes of a file are on the disk before it gets its name, so a power cut never leaves a wrong
file under a right name. It may take a name back that was given a moment ago; then the file is
fetched again. For many small files in a row the folder is flushed once a second, and at the end.
"""

import threading
from pathlib import Path
from time import monotonic

from entrepot.client.errors import LocalFileError
from entrepot.client.old_parts import OldParts
from entrepot.client.partial import flush_folder

_SECONDS = 1.0


class Folders:
    """The folders in which files were put in place. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: set[Path] = set()
        self._next = 0.0
        self.old_parts = OldParts()

    def changed(self, folder: Path) -> None:
        """A file was put in place there. Raises LocalFileError."""
        with self._lock:
            self._changed.add(folder)
            if monotonic() < self._next:
                return
            self._next = monotonic() + _SECONDS
        self.sync()

    def sync(self) -> None:
        """Make all renames durable that are not yet. Raises LocalFileError."""
        with self._lock:
            changed, self._changed = self._changed, set()
        for folder in changed:
            try:
                flush_folder(folder)
            except LocalFileError:
                # Removed meanwhile by its owner: there is nothing left to make durable.
                if folder.exists():
                    raise
