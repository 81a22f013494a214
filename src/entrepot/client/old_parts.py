"""Parts of files that nobody goes on with: left by a run that was stopped, of another digest.

A part is gone on with only by who fetches the same bytes under the same name. When something else
gets that name, what was left of earlier ones would lie there for good.
"""

import os
import re
import stat
import threading
from contextlib import suppress
from pathlib import Path

from entrepot.client.locks import is_named, lock_at_once
from entrepot.client.partial import part_name

# Kept by a digest or by an order's number; or not kept, of a command that was killed.
_PART = re.compile(
    r"\.(?P<name>.+)\.(?P<mark>[0-9a-f]{16}|[0-9a-f]{8}|order-\d{1,18})\.(part|state)"
)
_FLAGS = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


class OldParts:
    """Parts that lay in a folder when it was first looked at. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Path, dict[str, set[str]]] = {}

    def sweep(self, target: Path, *, keep: str = "") -> None:
        """Remove those of the target, but that of the mark `keep` and those in use by a command.

        What cannot be removed stays.
        """
        with self._lock:
            if target.parent not in self._found:
                self._found[target.parent] = _parts_in(target.parent)
            marks = self._found[target.parent].pop(target.name, set())
        for mark in marks - {keep}:
            with suppress(OSError):
                _remove(target, mark)


def _parts_in(folder: Path) -> dict[str, set[str]]:
    """The marks of parts and their states, by the name of the file that they are of."""
    found: dict[str, set[str]] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            told = _PART.fullmatch(entry.name) if entry.name.startswith(".") else None
            if told is not None:
                found.setdefault(told["name"], set()).add(told["mark"])
    return found


def _remove(target: Path, mark: str) -> None:
    part = target.with_name(part_name(target.name, mark))
    state = part.with_suffix(".state")
    try:
        descriptor = os.open(part, _FLAGS)
    except FileNotFoundError:
        state.unlink(missing_ok=True)
        return
    try:
        lock_at_once(descriptor)  # an error where somebody writes to it
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if plain and is_named(descriptor, part):
            state.unlink(missing_ok=True)
            part.unlink()
    finally:
        os.close(descriptor)
