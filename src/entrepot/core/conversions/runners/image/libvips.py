"""libvips as this program wants it: few loaders, no memory of earlier items, one thread."""

import errno
import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

from entrepot.core.conversions.runners.protocol import Refused

# What libvips may open: everything else that it was built with stays shut, asked for or not.
_LOADERS = ("Jpeg", "Png", "Webp", "Tiff", "Nsgif", "Heif", "Svg")

# libvips names the file, which is a descriptor here and means nothing to a reader.
_PATHS = re.compile(r"(?:/proc/\S+|/\S+/\S*|VipsJpeg: |unable to call \w+\s*)")

_TOO_LARGE = re.compile(r"system error: File too large")
_NO_ROOM = re.compile(r"system error: (?:No space left|Disk quota)")


@functools.cache
def start() -> None:
    """Once a process: idempotent."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in _LOADERS:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)
    # Two items in turn may both be /proc/self/fd/5: nothing may be answered from memory.
    pyvips.cache_set_max(0)
    # One item, one core: several converters run side by side, and the result stays the same.
    pyvips.concurrency_set(1)


@contextmanager
def refusing(doing: str, code: str = "media-damaged") -> Iterator[None]:
    """Turns what libvips says of a file into Refused(code), in one line without paths.

    OSError (ENOSPC) where there was no room to write.
    """
    try:
        yield
    except pyvips.Error as error:
        if _TOO_LARGE.search(str(error)):
            raise Refused("media-too-large", "The result is larger than it may be.") from error
        if _NO_ROOM.search(str(error)):
            raise OSError(errno.ENOSPC, "no space left for what libvips writes") from error
        raise Refused(code, f"{doing}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first thing that a library said, on one line."""
    lines = [_PATHS.sub("", line).strip(" :") for line in str(error).splitlines()]
    said = [line for line in lines if line]
    return (said[0] if said else type(error).__name__)[:200]
