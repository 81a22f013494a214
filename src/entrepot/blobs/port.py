"""The object store port: bytes filed under their own SHA-256.

An object never changes: the name is the digest of the content, so the same bytes are stored
once and a reader may cache by name for ever. Which objects should exist is the database's
knowledge; a store only keeps what it was given.

Every store passes the one conformance suite (tests/blobs/test_blobs_conformance.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from entrepot.errors import Invalid, Unavailable
from entrepot.kit.extents import Extent

IDENTITY = re.compile(r"[0-9a-f]{64}", re.ASCII)
CHUNK_BYTES = 4 << 20
"""The stretches that an object's chunk digests are of; the last may be shorter."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What one pass over an object's bytes found; `sha256` is the object's identity."""

    sha256: str  # 64 lower-case hex digits
    md5: str  # 32 lower-case hex digits: the download contract lists it, nothing trusts it
    crc32: int  # unsigned, as ZIP (APPNOTE 4.4.7) wants it
    size: int  # bytes
    # The SHA-256 of each CHUNK_BYTES, 32 bytes each, one after the other; empty: not computed.
    chunks: bytes = b""


class BlobStore(Protocol):
    """A store of immutable objects. All methods are safe to call from many processes.

    Every `sha256` argument is 64 lower-case hex digits; anything else raises Invalid before
    it can become part of a path or key.
    """

    def ingest(self, source: BinaryIO, *, size_max: int | None = None) -> Digests:
        """Store all that `source` still has to give; the object is durable on return.

        Reads once, in constant memory, and copes with short reads (sockets, pipes). `source`
        is not closed; its own exceptions pass through. Whatever fails, nothing of the object
        is kept. Storing bytes that are there already is no error and keeps one copy.

        Raises Invalid (`object-too-large`) beyond `size_max` bytes, StorageFull where there
        is no room, Unavailable where the store cannot be written.
        """
        ...

    def extents(self, digests_sha256: str, start: int, length: int) -> list[Extent]:
        """Where bytes `start` to `start + length` lie; does not look whether they exist.

        Asks nothing of the disk or network, so that a range of a warm lease stays cheap: the
        caller knows the object's size from its row. No extents for `length` 0.
        """
        ...

    def open(self, sha256: str) -> BinaryIO:
        """The object's bytes from the first on; the caller closes it.

        Raises Unavailable (`bytes-missing`): a row promised bytes that are not there, which
        is the hub's fault and not the asker's, hence not NotFound.
        """
        ...

    def size(self, sha256: str) -> int | None:
        """Bytes stored under this identity, None where there is no such object."""
        ...

    def presigned_url(
        self, sha256: str, *, seconds: int, file_name: str, content_type: str
    ) -> str | None:
        """A URL good for `seconds` that gives the bytes; None: the hub sends them itself."""
        ...

    def delete(self, sha256: str) -> None:
        """Remove the object; no error where it is gone already.

        The caller removes the row first and keeps ingests of the same content away
        meanwhile: a delete right after an ingest that found the object stored wins.
        """
        ...

    def listing(self) -> Iterator[str]:
        """The identity of every object, in no particular order, one folder or page at a time."""
        ...

    def verify(self, sha256: str) -> bool:
        """Re-read the object: does it still have the digest that names it?

        An unreadable sector counts as no. Raises Unavailable (`bytes-missing`) without one.
        """
        ...

    def age_seconds(self, sha256: str) -> float | None:
        """Seconds since the object was last ingested, None where there is no such object.

        Storing bytes again that are there already counts: whoever did so wants them to stay.
        """
        ...

    def sweep(self, *, older_than_seconds: float, dry_run: bool = False) -> int:
        """Remove what killed ingests left behind, last written at least so long ago.

        Returns how many were removed, or with `dry_run` would be. A live ingest is never
        touched, however slow it is.
        """
        ...

    def check(self) -> None:
        """Raise Unavailable, with one clear line, where the store cannot be used."""
        ...

    def free_bytes(self) -> int | None:
        """Room left in bytes; None where the store knows no such limit."""
        ...


def require_identity(sha256: str) -> str:
    """`sha256` where it is 64 lower-case hex digits; raises Invalid otherwise."""
    if IDENTITY.fullmatch(sha256) is None:
        raise Invalid(
            "An object is named by the 64 lower-case hex digits of its SHA-256.", field="sha256"
        )
    return sha256


def bytes_missing() -> Unavailable:
    """The error for an object that a row promises and the store does not have."""
    return Unavailable(
        "The bytes of this file are missing on the hub.",
        code="bytes-missing",
        remedy="Tell the operator: the file must be published again or restored from a backup.",
        retry_after_seconds=300,
    )
