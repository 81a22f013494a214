"""The virtual ZIP: a layout from which every byte follows, so that nothing has to be built.

From (name, size, CRC-32) of the entries and one fixed timestamp `lay_out` computes where each
byte lies; `Archive.extents` then gives any stretch of it, headers from memory and contents
from the store. By APPNOTE 6.3.10: entries are STORED, sizes and CRC stand in the local header
(no data descriptors), names are UTF-8 and say so (bit 11), and ZIP64 fields (section 4.5.3)
are there only where a number does not fit, because some readers choke on them.

    local header | name | [ZIP64 extra] | content        for each entry
    central directory | [ZIP64 end record | locator] | end record

Limits: ENTRIES_MAX entries, names of NAME_BYTES_MAX bytes of UTF-8.
"""

import hashlib
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from entrepot.blobs import BlobStore
from entrepot.core.delivery._entry_names import check_entry_names
from entrepot.core.orders.packages import PackageEntry
from entrepot.errors import Invalid
from entrepot.kit.extents import Extent, MemoryExtent

ENTRIES_MAX: Final = 1_000_000
_BIG: Final = 0xFFFF_FFFF  # this and above stand in a ZIP64 field (4.4.8, 4.4.9, 4.4.24)
_MANY: Final = 0xFFFF  # as many entries and more are counted in the ZIP64 end record (4.4.22)
_LARGEST: Final = (1 << 63) - 1

_UTF8: Final = 0x0800  # general purpose bit 11 (4.4.4)
_STORED: Final = 0
_VERSION: Final = 20  # 2.0: a folder in a name; 4.5: ZIP64 (4.4.3.2)
_VERSION_ZIP64: Final = 45
_MADE_BY: Final = 3 << 8 | 63  # Unix, for the file mode; 6.3, for UTF-8 names (4.4.2)
_PLAIN_FILE: Final = 0o100644 << 16  # external attributes: rw-r--r--

_LOCAL: Final = struct.Struct("<4s5H3I2H")  # 4.3.7
_LOCAL_EXTRA: Final = struct.Struct("<2H2Q")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END64: Final = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
_LOCATOR: Final = struct.Struct("<4sIQI")  # 4.3.15
_END: Final = struct.Struct("<4s4H2IH")  # 4.3.16
_PIECE_BYTES: Final = 64 * 1024
_FORMAT: Final = b"entrepot zip 1\0"  # a change of the bytes for the same entries changes this


def lay_out(entries: Sequence[PackageEntry], *, modified: datetime) -> "Archive":
    """The ZIP that holds `entries` in their order, every one stamped `modified` (UTC).

    The same entries and moment give the same bytes and ETag in every process. Invalid
    (`archive-invalid`): a name that is absolute, climbs with `..`, has a backslash or NUL, is
    there twice or is also a folder; numbers no ZIP holds; more than ENTRIES_MAX entries.
    Takes 5 us an entry: lay out long lists on a worker thread.
    """
    if len(entries) > ENTRIES_MAX:
        raise _invalid(f"an archive has at most {ENTRIES_MAX} entries, this one {len(entries)}")
    return Archive(entries, check_entry_names([entry.name for entry in entries]), modified)


def _invalid(what: str) -> Invalid:
    return Invalid(f"This cannot be a ZIP: {what}.", field="entries", code="archive-invalid")


class Archive:
    """A laid-out ZIP: `size` in bytes, strong `etag` with its quotes, and all of its bytes.

    Kept in columns: an entry costs twice its name and 120 bytes, its directory record included.
    """

    __slots__ = (
        "_contents_end",
        "_crcs",
        "_digests",
        "_name_ends",
        "_names",
        "_offsets",
        "_sizes",
        "_stamp",
        "_tail",
        "etag",
        "size",
    )

    def __init__(
        self, entries: Sequence[PackageEntry], names: Sequence[bytes], modified: datetime
    ) -> None:
        self._stamp = _dos_stamp(modified)
        self._names = b"".join(names)
        self._name_ends = array("Q", [0])
        self._sizes = array("Q")
        self._crcs = array("Q")
        self._offsets = array("Q")
        self._digests = _joined_digests(entries)
        self._contents_end = self._lay(entries, names)
        # Made here, where time is taken for it, and not by the first reader who comes to it.
        tail = bytearray()
        for record in self._central_records():
            tail += record
        tail += self._ends(len(tail))
        self._tail = bytes(tail)
        self.size = self._contents_end + len(self._tail)
        # The tail says names, sizes, CRCs, offsets and times; the digests what the contents are.
        self.etag = f'"{hashlib.sha256(_FORMAT + self._tail + self._digests).hexdigest()}"'

    def _lay(self, entries: Sequence[PackageEntry], names: Sequence[bytes]) -> int:
        """Fill the columns; the offset behind the last content."""
        offset = name_end = 0
        for entry, name in zip(entries, names, strict=True):
            size, crc32 = entry.size, entry.crc32
            if not (0 <= size <= _LARGEST and 0 <= crc32 <= 0xFFFF_FFFF):
                raise _invalid(f"{entry.name!r} has {size} bytes and the CRC-32 {crc32}")
            self._offsets.append(offset)
            self._sizes.append(size)
            self._crcs.append(crc32)
            name_end += len(name)
            self._name_ends.append(name_end)
            extra = _LOCAL_EXTRA.size if size >= _BIG else 0
            offset += _LOCAL.size + len(name) + extra + size
            if offset > _LARGEST:
                raise _invalid("it would have more than 2^63 bytes")
        return offset

    def __len__(self) -> int:
        """Entries."""
        return len(self._sizes)

    def extents(self, start: int, length: int, store: BlobStore) -> Iterator[Extent]:
        """The bytes from `start` to `start + length`, made as they are read.

        ValueError: the stretch is not inside the archive.
        """
        if start < 0 or length < 0 or start + length > self.size:
            raise ValueError(f"{length} bytes from {start} of an archive of {self.size}")
        return self._extents(start, start + length, store)

    def _extents(self, start: int, end: int, store: BlobStore) -> Iterator[Extent]:
        contents_end = self._contents_end
        if start < min(end, contents_end):
            for index in range(bisect_right(self._offsets, start) - 1, len(self)):
                if self._offsets[index] >= end:
                    return
                yield from self._entry_extents(index, start, end, store)
        for first in range(max(start - contents_end, 0), end - contents_end, _PIECE_BYTES):
            yield MemoryExtent(self._tail[first : min(first + _PIECE_BYTES, end - contents_end)])

    def _entry_extents(
        self, index: int, start: int, end: int, store: BlobStore
    ) -> Iterator[Extent]:
        offset, size = self._offsets[index], self._sizes[index]
        header = self._local_header(index)
        if start < offset + len(header):
            yield MemoryExtent(header[max(start - offset, 0) : end - offset])
        offset += len(header)
        first, last = max(start - offset, 0), min(end - offset, size)
        if first < last:
            sha256 = self._digests[32 * index : 32 * index + 32].hex()
            yield from store.extents(sha256, first, last - first)

    def _name(self, index: int) -> bytes:
        return self._names[self._name_ends[index] : self._name_ends[index + 1]]

    def _local_header(self, index: int) -> bytes:
        name, size = self._name(index), self._sizes[index]
        extra, version, shown = b"", _VERSION, size
        if size >= _BIG:
            # Both sizes must be there in a local header (4.5.3).
            extra = _LOCAL_EXTRA.pack(1, 16, size, size)
            version, shown = _VERSION_ZIP64, _BIG
        fixed = _LOCAL.pack(
            b"PK\3\4",
            version,
            _UTF8,
            _STORED,
            *self._stamp,
            self._crcs[index],
            shown,
            shown,
            len(name),
            len(extra),
        )
        return fixed + name + extra

    def _central_records(self) -> Iterator[bytes]:
        for index, (offset, size) in enumerate(zip(self._offsets, self._sizes, strict=True)):
            name = self._name(index)
            big = ([size, size] if size >= _BIG else []) + ([offset] if offset >= _BIG else [])
            yield _CENTRAL.pack(
                b"PK\1\2",
                _MADE_BY,
                _VERSION_ZIP64 if big else _VERSION,
                _UTF8,
                _STORED,
                *self._stamp,
                self._crcs[index],
                min(size, _BIG),
                min(size, _BIG),
                len(name),
                4 + 8 * len(big) if big else 0,
                0,  # comment
                0,  # disk
                0,  # internal attributes: not said to be text
                _PLAIN_FILE,
                min(offset, _BIG),
            )
            yield name
            if big:
                yield struct.pack(f"<2H{len(big)}Q", 1, 8 * len(big), *big)

    def _ends(self, size: int) -> bytes:
        """The end record, behind a central directory of `size` bytes, and what ZIP64 adds."""
        offset, count = self._contents_end, len(self)
        ends = b""
        if count >= _MANY or max(offset, size) >= _BIG:
            end64 = _END64.pack(
                b"PK\6\6",
                _END64.size - 12,
                _MADE_BY,
                _VERSION_ZIP64,
                0,
                0,
                count,
                count,
                size,
                offset,
            )
            ends = end64 + _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
        few, short, near = min(count, _MANY), min(size, _BIG), min(offset, _BIG)
        return ends + _END.pack(b"PK\5\6", 0, 0, few, few, short, near, 0)


def _joined_digests(entries: Iterable[PackageEntry]) -> bytes:
    digests = bytearray()
    for entry in entries:
        try:
            digest = bytes.fromhex(entry.sha256)
        except ValueError:
            digest = b""
        if len(digest) != 32:
            raise _invalid(f"{entry.name!r} has no SHA-256")
        digests += digest
    return bytes(digests)


def _dos_stamp(moment: datetime) -> tuple[int, int]:
    """Time and date as MS-DOS has them (4.4.6): 1980 to 2107, steps of two seconds."""
    year = min(max(moment.year, 1980), 2107)
    return (
        moment.hour << 11 | moment.minute << 5 | moment.second // 2,
        (year - 1980) << 9 | moment.month << 5 | moment.day,
    )
