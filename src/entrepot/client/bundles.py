"""The format of an air-gap bundle: a tar of an index and of what it names by digest.

docs/reference/bundle-format.md tells it to strangers. Every byte follows from the index: the
members come in one order, each called by its kind and the SHA-256 of its content, owned by
nobody, dated 1970. So the same releases make the same bundle, its size is known before anything
is fetched, a part of it can be gone on with, and no name that a hub chose is ever a path.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.client.errors import InvalidUse

FORMAT, VERSION = "entrepot-bundle", 1
INDEX_NAME = "entrepot-bundle.json"
INDEX_BYTES_MAX = 64 << 20
BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
# What eleven octal digits hold; a larger size stands in a pax header (POSIX.1-2001, 'x').
_OCTAL_MAX = 8**11 - 1


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the tar: its name there, its size in bytes, and the SHA-256 of its content."""

    name: str
    size: int
    sha256: str

    @property
    def header(self) -> bytes:
        """What stands before the content."""
        return tar_header(self.name, self.size)

    @property
    def padding(self) -> bytes:
        """What stands behind it."""
        return bytes(-self.size % BLOCK_BYTES)

    @property
    def length(self) -> int:
        """Header, content and padding together."""
        return len(self.header) + self.size + len(self.padding)


def licence_member(text: bytes) -> Member:
    """The text of a revision of a licence."""
    digest = hashlib.sha256(text).hexdigest()
    return Member(f"licences/{digest}.txt", len(text), digest)


def metadata_member(document: bytes) -> Member:
    """Signed metadata, or a manifest."""
    digest = hashlib.sha256(document).hexdigest()
    return Member(f"metadata/{digest}.json", len(document), digest)


def file_member(sha256: str, size: int) -> Member:
    """A file of a release, or of several."""
    return Member(f"files/{sha256}", size, sha256)


def index_member(index: bytes) -> Member:
    """The index, which is the first."""
    return Member(INDEX_NAME, len(index), hashlib.sha256(index).hexdigest())


def encode_index(
    *,
    source: str,
    licences: Iterable[Mapping[str, Any]],
    products: Iterable[Mapping[str, Any]],
    releases: Iterable[Mapping[str, Any]],
    manifests: Iterable[Mapping[str, Any]],
) -> bytes:
    """The index in its one spelling. Raises InvalidUse where it is too large."""
    index = {
        "format": FORMAT,
        "version": VERSION,
        "source": source,
        "licences": sorted(licences, key=lambda one: (one["code"], one["revision"])),
        "products": sorted(products, key=lambda one: str(one["code"])),
        "releases": sorted(
            releases, key=lambda one: (one["product"], one["availableAt"], one["id"])
        ),
        "manifests": sorted(manifests, key=lambda one: str(one["release"])),
    }
    told = json.dumps(index, indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"
    if len(told) > INDEX_BYTES_MAX:
        raise InvalidUse(
            "These are too many releases for one bundle.", remedy="Make several bundles."
        )
    return told


def bundle_length(members: Sequence[Member]) -> int:
    """The size of the whole tar in bytes."""
    return sum(member.length for member in members) + len(END)


def tar_header(name: str, size: int) -> bytes:
    """The header of a plain file (POSIX.1-1988 ustar), with a pax header for 8 GiB and more."""
    if size <= _OCTAL_MAX:
        return _ustar(name, size, b"0")
    record = _pax_record("size", str(size))
    padded = record + bytes(-len(record) % BLOCK_BYTES)
    return _ustar("pax", len(record), b"x") + padded + _ustar(name, 0, b"0")


def _ustar(name: str, size: int, kind: bytes) -> bytes:
    head = (
        name.encode("ascii").ljust(100, b"\0")
        + b"0000644\0"  # rw-r--r--
        + b"0000000\0" * 2  # owned by number 0 and 0
        + b"%011o\0" % size
        + b"%011o\0" % 0  # 1970
    )
    tail = kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    checksum = sum(head) + 8 * ord(" ") + sum(tail)
    return head + b"%06o\0 " % checksum + tail


def _pax_record(key: str, value: str) -> bytes:
    """`LENGTH key=value`, where the length counts its own digits."""
    rest = f" {key}={value}\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return f"{length}{rest}".encode("ascii")
