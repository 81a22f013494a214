"""Locks between commands on one open file. They end with the process that holds them."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two commands on one file are not told apart there
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int) -> None:
    """Lock the open file, waiting for whoever holds it."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def lock_at_once(descriptor: int) -> None:
    """Lock the open file. Raises OSError where another command holds it."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` is (still) a name of the open file. Raises OSError where nothing is there."""
    mine, named = os.fstat(descriptor), path.stat(follow_symlinks=False)
    return (named.st_ino, named.st_dev) == (mine.st_ino, mine.st_dev)
