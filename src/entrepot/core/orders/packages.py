"""The list of a package's entries, as it is kept: from it every byte of the ZIP follows."""

from collections.abc import Iterable

import msgspec


class PackageEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One file of the ZIP: its name there, and the stored bytes it consists of.

    `name` has `/` between folders and is safe on every system; `crc32` is unsigned.
    """

    name: str
    size: int
    crc32: int
    sha256: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[PackageEntry]).decode


def encode_package(entries: Iterable[PackageEntry]) -> bytes:
    """The entries as MessagePack, in their order; the same entries give the same bytes."""
    return _encode(list(entries))


def decode_package(data: bytes) -> list[PackageEntry]:
    """The entries that `encode_package` wrote."""
    return _decode(data)
