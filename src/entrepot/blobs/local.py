"""Objects as plain files on one local disk.

    root/objects/ab/cd/<sha256>     mode 0400, never changed once it has its name
    root/incoming/<random>.part     mode 0600, locked by the process that writes it

Durable order of an ingest: write, fsync the file, rename, fsync the folders; only then does
`ingest` return, so that a row which names the object can never outlive its bytes.
"""

import errno
import hashlib
import io
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from entrepot.blobs import _incoming
from entrepot.blobs._digesting import BLOCK_BYTES, digest, too_large
from entrepot.blobs._faults import store_faults, translated
from entrepot.blobs._incoming import IncomingFile
from entrepot.blobs.port import IDENTITY, BlobStore, Digests, bytes_missing, require_identity
from entrepot.errors import StorageFull, Unavailable
from entrepot.kit.extents import Extent, FileExtent

RESERVE_BYTES = 64 << 20
MARGIN_BYTES = 16 << 20
_FOLDER_MODE = 0o700
_FOLDER_NAME = re.compile(r"[0-9a-f]{2}", re.ASCII)


class LocalBlobStore(BlobStore):
    """The store under `root`, whose folders `prepare` has made once.

    An ingest stops while `reserve_bytes + margin_bytes` are still free, so that the database
    on the same disk can go on writing leases and audit (see entrepot.blobs.reserve).
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        margin_bytes: int = MARGIN_BYTES,
    ) -> None:
        self._root = root
        self._objects = root / "objects"
        self._objects_text = str(self._objects)
        self._incoming = root / "incoming"
        self._floor_bytes = reserve_bytes + margin_bytes
        # Folders whose own names this process has fsynced: fsync of a clean folder still
        # costs a flush of the disk's cache.
        self._durable_folders: set[Path] = set()

    def prepare(self) -> None:
        """Make the folders, durably, where they lack: for the first start, or by command.

        Nothing else makes them: later a missing folder means an unmounted disk, and objects
        written beneath its mount point would vanish when it comes back.
        """
        with store_faults(self._root):
            self._root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            for folder in (self._objects, self._incoming):
                folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            _fsync_folder(self._root)
            _fsync_folder(self._root.parent)

    def ingest(self, source: BinaryIO, *, size_max: int | None = None) -> Digests:
        """See BlobStore."""
        expected = _size_ahead(source)
        if size_max is not None and expected > size_max:
            raise too_large(size_max)
        self._require_room(expected)
        with store_faults(self._root):
            part = IncomingFile(self._incoming)

        def write(data: memoryview) -> None:
            self._require_room(len(data))
            with store_faults(self._root):
                part.write(data)

        try:
            digests = digest(source, write, size_max=size_max)
            with store_faults(self._root):
                self._publish(part, digests)
        finally:
            part.discard()
        return digests

    def _publish(self, part: IncomingFile, digests: Digests) -> None:
        final = self._path(digests.sha256)
        for folder in (final.parent.parent, final.parent):
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        # A copy of another size is damaged: the good one takes its name.
        if _size_of(final) != digests.size or not _renewed(final):
            part.publish(final)
        # Also where the object was there: whoever renamed it may not have come this far.
        self._fsync_folders(final.parent)

    def _fsync_folders(self, inner: Path) -> None:
        _fsync_folder(inner)
        if inner not in self._durable_folders:
            _fsync_folder(inner.parent)
            _fsync_folder(self._objects)
            self._durable_folders.add(inner)

    def extents(self, digests_sha256: str, start: int, length: int) -> list[Extent]:
        """See BlobStore; one stretch of one file."""
        path = self._path_text(digests_sha256)
        if start < 0 or length < 0:
            raise ValueError("a stretch of an object starts at 0 or later and is not negative")
        return [FileExtent(path, start, length)] if length else []

    def open(self, sha256: str) -> BinaryIO:
        """See BlobStore."""
        path = self._path(sha256)
        try:
            return path.open("rb")
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def size(self, sha256: str) -> int | None:
        """See BlobStore."""
        path = self._path(sha256)
        try:
            return _size_of(path)
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def presigned_url(
        self, sha256: str, *, seconds: int, file_name: str, content_type: str
    ) -> None:
        """None: the hub sends local files itself."""
        del seconds, file_name, content_type
        require_identity(sha256)

    def delete(self, sha256: str) -> None:
        """See BlobStore. Not fsynced: an object that a power cut brings back is found by
        `listing` and deleted again."""
        path = self._path(sha256)
        with store_faults(self._root):
            path.unlink(missing_ok=True)

    def listing(self) -> Iterator[str]:
        """See BlobStore; memory for the names of one folder."""
        with store_faults(self._root):
            for outer in _names(self._objects, _FOLDER_NAME):
                for inner in _names(self._objects / outer, _FOLDER_NAME):
                    yield from _names(self._objects / outer / inner, IDENTITY)

    def verify(self, sha256: str) -> bool:
        """See BlobStore; constant memory."""
        found = hashlib.sha256()
        block = bytearray(BLOCK_BYTES)
        try:
            with self._path(sha256).open("rb", buffering=0) as file:
                while count := file.readinto(block):
                    found.update(memoryview(block)[:count])
        except OSError as fault:
            if fault.errno == errno.EIO:
                return False
            raise self._unreadable(fault) from fault
        return found.hexdigest() == sha256

    def age_seconds(self, sha256: str) -> float | None:
        """See BlobStore; by the wall clock, never negative."""
        path = self._path(sha256)
        try:
            return max(0.0, time.time() - path.stat().st_mtime)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def sweep(self, *, older_than_seconds: float, dry_run: bool = False) -> int:
        """See BlobStore."""
        with store_faults(self._root):
            return _incoming.sweep(
                self._incoming, older_than_seconds=older_than_seconds, dry_run=dry_run
            )

    def check(self) -> None:
        """See BlobStore. Tries to write for real; a full disk passes: reading goes on."""
        try:
            with store_faults(self._root):
                if self._objects.stat().st_dev != self._incoming.stat().st_dev:
                    raise OSError(errno.EXDEV, "objects and incoming lie on different disks")
                IncomingFile(self._incoming).discard()
        except StorageFull:
            return

    def free_bytes(self) -> int:
        """Bytes that the hub's user may still write on this disk."""
        with store_faults(self._root):
            status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize

    def _require_room(self, incoming_bytes: int) -> None:
        free = self.free_bytes()
        if free - incoming_bytes < self._floor_bytes:
            raise StorageFull(
                f"There is no room for {incoming_bytes} more bytes: {free} are free and "
                f"{self._floor_bytes} are kept for running downloads.",
                remedy="Free space on the hub's disk, then try again.",
                details={"free_bytes": free, "kept_bytes": self._floor_bytes},
            )

    def _path_text(self, sha256: str) -> str:
        require_identity(sha256)
        return f"{self._objects_text}/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def _path(self, sha256: str) -> Path:
        return Path(self._path_text(sha256))

    def _unreadable(self, fault: OSError) -> Unavailable:
        if isinstance(fault, FileNotFoundError):
            return bytes_missing()
        return translated(fault, self._root)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _renewed(path: Path) -> bool:
    """Make the object as young as if it were new; False where it went away meanwhile."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _size_ahead(source: BinaryIO) -> int:
    """Bytes that a plain file still holds, 0 where only reading can tell.

    Only true files are asked: a decompressing wrapper hands on its file's descriptor.
    """
    raw = getattr(source, "raw", source)
    if not isinstance(raw, io.FileIO):
        return 0
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return 0
    return max(0, status.st_size - source.tell())


def _names(folder: Path, wanted: re.Pattern[str]) -> list[str]:
    """The names in `folder` that fit: what an operator or a restore left there is passed by."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if wanted.fullmatch(entry.name)]


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
