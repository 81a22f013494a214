"""The operating system's word for a fault of the store, put into the error tree."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrepot.errors import StorageFull, Unavailable

# EFBIG: the file system or a process limit (ulimit -f) allows no larger file.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def translated(fault: OSError, root: Path) -> Unavailable:
    """StorageFull where room is what lacks, else Unavailable naming the folder."""
    reason = fault.strerror or type(fault).__name__
    if fault.errno in _NO_ROOM:
        return StorageFull(
            f"There is no room for the new bytes in {root} ({reason}); nothing was kept.",
            remedy="Free space or raise the quota or file size limit of the disk, then try again.",
        )
    return Unavailable(
        f"The blob folder {root} cannot be used: {reason}.",
        code="blobs-unavailable",
        remedy="See that the disk is mounted and that the hub's user may write to the folder.",
    )


@contextmanager
def store_faults(root: Path) -> Iterator[None]:
    """Raise what the operating system refuses inside as StorageFull or Unavailable."""
    try:
        yield
    except OSError as fault:
        raise translated(fault, root) from fault
