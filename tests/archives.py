"""Virtual ZIPs for tests: entries over a real store, all bytes of one, and what reads ZIPs."""

import errno
import io
import subprocess
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from entrepot.blobs import BlobStore, LocalBlobStore
from entrepot.core.delivery import Archive
from entrepot.core.orders import PackageEntry
from entrepot.kit.extents import Extent, FileExtent

MOMENT = datetime(2026, 3, 1, 12, 30, 14, tzinfo=UTC)


def open_store(folder: Path) -> LocalBlobStore:
    """A store of the test's own."""
    store = LocalBlobStore(folder, reserve_bytes=0, margin_bytes=0)
    store.prepare()
    return store


def stored(store: BlobStore, name: str, content: bytes) -> PackageEntry:
    """An entry whose bytes are in the store."""
    digests = store.ingest(io.BytesIO(content))
    return PackageEntry(name, digests.size, digests.crc32, digests.sha256)


def sparse_entry(root: Path, name: str, size: int, *, crc32: int = 0) -> PackageEntry:
    """An entry of so many zeros that take no room; they are filed under a made-up digest."""
    sha256 = f"{zlib.crc32(name.encode()):08x}" * 8
    path = root / "objects" / sha256[:2] / sha256[2:4] / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return PackageEntry(name, size, crc32, sha256)


def read_extents(extents: Iterable[Extent]) -> bytes:
    """The bytes that extents stand for."""
    parts = []
    for extent in extents:
        if isinstance(extent, FileExtent):
            with Path(extent.path).open("rb") as file:
                file.seek(extent.offset)
                data = file.read(extent.length)
            assert len(data) == extent.length
            parts.append(data)
        else:
            parts.append(extent.data)
    return b"".join(parts)


class Window(io.RawIOBase):
    """An archive as a file that reads its bytes when they are asked for."""

    def __init__(self, archive: Archive, store: BlobStore) -> None:
        super().__init__()
        self._archive = archive
        self._store = store
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + (0, self._at, self._archive.size)[whence]
        if at < 0:
            raise OSError(errno.EINVAL, "before the first byte")
        self._at = at
        return self._at

    def tell(self) -> int:
        return self._at

    def readall(self) -> bytes:
        return self.read(self._archive.size - self._at) or b""

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        length = min(len(buffer), max(self._archive.size - self._at, 0))
        data = read_extents(self._archive.extents(self._at, length, self._store))
        buffer[:length] = data
        self._at += length
        return length


def write_sparsely(archive: Archive, store: BlobStore, path: Path, *, holes_from: int) -> None:
    """The archive as a real file in which contents of `holes_from` bytes and more are holes."""
    with path.open("wb") as out:
        for extent in archive.extents(0, archive.size, store):
            if isinstance(extent, FileExtent) and extent.length >= holes_from:
                out.seek(extent.length, io.SEEK_CUR)
            else:
                out.write(read_extents([extent]))


class _Utf8Info(zipfile.ZipInfo):
    """What the standard library writes, with names marked as UTF-8 even where they are ASCII."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - its name there
        return self.filename.encode(), self.flag_bits | 0x800


def written_by_the_standard_library(files: Sequence[tuple[str, bytes]]) -> bytes:
    """The same ZIP written out in full by another implementation."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for name, content in files:
            info = _Utf8Info(name, MOMENT.timetuple()[:6])
            info.create_system, info.create_version = 3, 63
            info.external_attr = 0o100644 << 16
            made.writestr(info, content)
    return out.getvalue()


def run_reader(*command: str) -> str:
    """What a program that reads ZIPs prints; it must end well."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout
