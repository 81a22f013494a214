"""What a file must be to count as complete: its size and its digest."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from entrepot.client.errors import BadAnswer, Corrupt, LocalFileError
from entrepot.client.stop import Stop

BUFFER_BYTES = 1024 * 1024
CHUNK_BYTES = 4 * 1024 * 1024
_DIGITS = {"sha256": 64, "md5": 32}
_HEX = re.compile("[0-9a-fA-F]+")


class Hasher(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: memoryview, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """The digest of all bytes so far."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What the hub announced: size in bytes (if known), and a digest in lower-case hex (if any).

    `chunks` are the SHA-256 digests (32 bytes each) of every `chunk_bytes` of the file, the last
    of what remains; empty where they are not known. They say where a damage is.
    """

    size: int | None
    algorithm: str = ""
    digest: str = ""
    chunks: tuple[bytes, ...] = ()
    chunk_bytes: int = CHUNK_BYTES

    @property
    def strength(self) -> str:
        """What a check against this proves: `sha256`, `md5` or only `size`."""
        return self.algorithm or "size"

    def hasher(self) -> Hasher:
        """A fresh digest; without an announced one SHA-256, for the record."""
        return hashlib.new(self.algorithm or "sha256", usedforsecurity=False)

    def check_total(self, total: int | None) -> None:
        """Raises Corrupt where a link tells of another size than was announced."""
        if None not in (total, self.size) and total != self.size:
            raise Corrupt(f"The link holds {total} bytes where the hub announced {self.size}.")

    def too_many(self) -> Corrupt:
        """The error for more bytes than announced, of a link that did not tell how many."""
        return Corrupt(f"More bytes arrive than the {self.size} that the hub announced.")

    def check(self, size: int, hasher: Hasher) -> None:
        """Raises Corrupt when size or digest differ."""
        if self.size is not None and size != self.size:
            raise Corrupt(f"The file has {size} bytes where the hub announced {self.size}.")
        found = hasher.hexdigest()
        if self.digest and found != self.digest:
            raise Corrupt(
                f"The {self.algorithm} of what arrived is {found}, announced was {self.digest}.",
                remedy="Run the command again; if it repeats, tell the publisher.",
            )


def expected_of(artifact: Mapping[str, Any]) -> Expected:
    """What an artifact object announces: SHA-256 where given, else MD5, and the file size.

    Raises BadAnswer for a size or a digest that cannot be one: a check that would be left out
    by mistake is worse than an error.
    """
    size = _size(artifact.get("fileSize"))
    for algorithm, digits in _DIGITS.items():
        digest = artifact.get(algorithm)
        if digest is None:
            continue
        if not isinstance(digest, str) or not _is_hex(digest.strip(), digits):
            raise BadAnswer(f"The artifact's {algorithm} is not a digest.")
        return Expected(size, algorithm, digest.strip().lower())
    return Expected(size)


def is_complete(path: Path, expected: Expected, stop: Stop) -> bool:
    """Whether `path` already holds the announced bytes; only a digest can say so.

    Raises LocalFileError when the file is there and cannot be read, or is no file.
    """
    try:
        if not path.exists():
            return False
        if not path.is_file():
            raise in_the_way(path)
        if not expected.digest or (
            expected.size is not None and path.stat().st_size != expected.size
        ):
            return False
        return hash_file(path, expected, stop) == expected.digest
    except OSError as error:
        raise LocalFileError(f"Cannot read {path}: {error.strerror}.") from error


def in_the_way(path: Path) -> LocalFileError:
    """The error for what lies where a file is to be, and is none."""
    return LocalFileError(
        f"{path} is in the way: it is not a file.",
        remedy="Move it away, or choose another folder.",
    )


def hash_file(path: Path, expected: Expected, stop: Stop) -> str:
    """The digest of a file by the expected algorithm."""
    hasher = expected.hasher()
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            stop.check()
            hasher.update(buffer[:count])
    return hasher.hexdigest()


def _size(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
        return value
    raise BadAnswer("The artifact's fileSize is not a number of bytes.")


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.fullmatch(text) is not None
