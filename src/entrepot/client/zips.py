"""The ZIP of a release, checked entry by entry against what the hub lists."""

import errno
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrepot.client.errors import BadAnswer, Corrupt, LocalFileError
from entrepot.client.names import name_key, printable, safe_name
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES, Expected, expected_of, in_the_way

# What the standard library raises over bytes that are no ZIP, or a malformed one.
UNSOUND = (
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
    struct.error,
)


class ZipCheck:
    """What the entries of a ZIP must be: the artifacts that the hub lists, no more, no fewer.

    Raises BadAnswer where the list itself cannot be one: a name twice, one that is not a plain
    file name on every system, a digest that is none.
    """

    def __init__(self, artifacts: Sequence[Mapping[str, Any]], stop: Stop) -> None:
        self._expected: dict[str, Expected] = {}
        self._stop = stop
        seen: set[str] = set()
        for artifact in artifacts:
            given = artifact.get("fileName")
            name = safe_name(given if isinstance(given, str) else "")
            if name != given or name_key(name) in seen:
                raise BadAnswer(
                    f"The file name {printable(str(given))[:200]!r} is not one to unpack safely.",
                    remedy="Download the files one by one, without --zip.",
                )
            seen.add(name_key(name))
            self._expected[name] = expected_of(artifact)

    @property
    def strength(self) -> str:
        """The weakest check among the entries: `sha256`, `md5` or only `size`."""
        strengths = {expected.strength for expected in self._expected.values()}
        return next((one for one in ("size", "md5") if one in strengths), "sha256")

    def __call__(self, path: Path) -> None:
        """Raises Corrupt where `path` is not that ZIP, LocalFileError where it cannot be read."""
        try:
            with zipfile.ZipFile(path) as opened:
                names = opened.namelist()
                if sorted(names) != sorted(self._expected):
                    raise Corrupt("The ZIP does not hold the files that the hub lists.")
                if bool(names) and min(info.header_offset for info in opened.infolist()):
                    raise Corrupt("There is something before the ZIP's first file.")
                for info in opened.infolist():
                    self._check_entry(opened, info)
        except UNSOUND as error:
            raise Corrupt(f"What arrived is not a sound ZIP: {error}.") from error
        except OSError as error:
            if error.errno == errno.EINVAL:  # a record that points before the file's first byte
                raise Corrupt("What arrived is not a sound ZIP.") from error
            raise LocalFileError(f"Cannot read {path}: {error.strerror}.") from error

    def _check_entry(self, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        expected = self._expected[info.filename]
        if info.compress_type != zipfile.ZIP_STORED:
            raise Corrupt(f"{info.filename} is compressed in the ZIP, which it should not be.")
        hasher, size = expected.hasher(), 0
        with opened.open(info) as entry:
            while data := entry.read(BUFFER_BYTES):
                self._stop.check()
                hasher.update(memoryview(data))
                size += len(data)
        try:
            expected.check(size, hasher)
        except Corrupt as error:
            raise Corrupt(f"{info.filename} in the ZIP: {error.message}") from error


def is_right(path: Path, expected: Expected, check: Callable[[Path], None]) -> bool:
    """Whether `path` already is the whole ZIP. Raises LocalFileError where it is no file."""
    if not path.exists():
        return False
    if not path.is_file():
        raise in_the_way(path)
    if path.stat().st_size != expected.size:
        return False
    try:
        check(path)
    except Corrupt:
        return False
    return True
