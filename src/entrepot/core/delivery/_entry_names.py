"""Names in a ZIP: the last line of defence, whoever made the list of entries.

Names are made safe where they are made (orders, publishing). What would be written outside of
the folder it is unpacked in, or over another entry, never gets into an archive all the same.
"""

import re
from collections.abc import Sequence
from typing import Final

from entrepot.errors import Invalid

NAME_BYTES_MAX: Final = 4096  # PATH_MAX of Linux; the format itself ends at 65,535
# Something that is no plain relative path: control characters, backslashes, a drive letter or
# stream (colon), an empty, `.` or `..` step, also at the beginning or end.
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\\:]|(?:^|/)\.{0,2}(?:/|$)")


def check_entry_names(names: Sequence[str]) -> list[bytes]:
    """The names as UTF-8, in their order; Invalid (`archive-invalid`) where one is not safe."""
    encoded = [_encoded(name) for name in names]
    if len(set(names)) != len(names):
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise _refused(name, "is there twice")
            seen.add(name)
    _check_folders(set(names))
    return encoded


def _encoded(name: str) -> bytes:
    if _UNSAFE.search(name):
        raise _refused(name, "is no plain relative path")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise _refused(name, "is no Unicode text") from None
    if len(encoded) > NAME_BYTES_MAX:
        raise _refused(name, f"has more than {NAME_BYTES_MAX} bytes")
    return encoded


def _check_folders(names: set[str]) -> None:
    known: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in known:
            if folder in names:
                raise _refused(folder, "is both a file and a folder")
            known.add(folder)
            folder = folder.rpartition("/")[0]


def _refused(name: str, why: str) -> Invalid:
    shown = name[:80].encode("ascii", "backslashreplace").decode()
    return Invalid(
        f"This cannot be a ZIP: the name {shown!r} {why}.", field="entries", code="archive-invalid"
    )
