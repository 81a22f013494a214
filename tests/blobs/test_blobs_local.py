"""The local disk: layout, modes, the order that makes an ingest durable, faults of the folder."""

import contextlib
import errno
import io
import os
import random
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.blobs import LocalBlobStore
from entrepot.errors import StorageFull, Unavailable
from entrepot.kit.extents import FileExtent

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(root: Path) -> LocalBlobStore:
    store = LocalBlobStore(root, reserve_bytes=0, margin_bytes=0)
    store.prepare()
    return store


def object_path(root: Path, sha256: str) -> Path:
    return root / "objects" / sha256[:2] / sha256[2:4] / sha256


def test_layout_and_modes(store: LocalBlobStore, root: Path) -> None:
    old = os.umask(0)
    try:
        sha256 = store.ingest(io.BytesIO(b"x")).sha256
    finally:
        os.umask(old)
    path = object_path(root, sha256)
    assert path.read_bytes() == b"x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    for folder in (root, root / "incoming", *list(path.parents)[:3]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list((root / "incoming").iterdir()) == []
    assert store.extents(sha256, 0, 1) == [FileExtent(str(path), 0, 1)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every fsync and rename that really happens, by the path it is about."""
    seen: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def spy_fsync(fd: int) -> None:
        seen.append(("fsync", str(Path(f"/proc/self/fd/{fd}").readlink())))
        fsync(fd)

    def spy_rename(source: str | Path, target: str | Path) -> None:
        seen.append(("rename", str(target)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "rename", spy_rename)
    return seen


def test_file_then_name_then_folders_reach_the_disk(
    store: LocalBlobStore, root: Path, calls: list[tuple[str, str]]
) -> None:
    path = object_path(root, store.ingest(io.BytesIO(b"x")).sha256)
    assert calls[0][0] == "fsync"
    assert calls[0][1].startswith(str(root / "incoming"))
    assert calls[1:] == [
        ("rename", str(path)),
        ("fsync", str(path.parent)),
        ("fsync", str(path.parent.parent)),
        ("fsync", str(root / "objects")),
    ]


def test_a_second_ingest_is_durable_as_well(
    store: LocalBlobStore, root: Path, calls: list[tuple[str, str]]
) -> None:
    store.ingest(io.BytesIO(b"x"))
    calls.clear()
    # Another process: it cannot know whether the first one came as far as the folders.
    other = LocalBlobStore(root, reserve_bytes=0, margin_bytes=0)
    folder = object_path(root, other.ingest(io.BytesIO(b"x")).sha256).parent
    assert calls == [
        ("fsync", str(folder)),
        ("fsync", str(folder.parent)),
        ("fsync", str(root / "objects")),
    ]


def test_prepare_makes_its_folders_durable(root: Path, calls: list[tuple[str, str]]) -> None:
    LocalBlobStore(root).prepare()
    assert calls == [("fsync", str(root)), ("fsync", str(root.parent))]


def test_a_copy_of_another_size_is_replaced(store: LocalBlobStore, root: Path) -> None:
    content = random.Random(3).randbytes(5000)
    sha256 = store.ingest(io.BytesIO(content)).sha256
    path = object_path(root, sha256)
    path.chmod(0o600)
    path.write_bytes(content[:4000])
    assert not store.verify(sha256)
    store.ingest(io.BytesIO(content))
    assert store.verify(sha256)


def test_verify_finds_one_flipped_bit(store: LocalBlobStore, root: Path) -> None:
    sha256 = store.ingest(io.BytesIO(bytes(2_000_000))).sha256
    path = object_path(root, sha256)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(1_999_999)
        file.write(b"\1")
    assert not store.verify(sha256)


def test_listing_passes_strangers_by(store: LocalBlobStore, root: Path) -> None:
    sha256 = store.ingest(io.BytesIO(b"x")).sha256
    (root / "objects" / "lost+found").mkdir()
    (root / "objects" / "README").write_text("by hand")
    (object_path(root, sha256).parent / (sha256 + ".bak")).write_text("by hand")
    assert list(store.listing()) == [sha256]


def test_ingest_stops_above_the_reserve_and_heals_by_itself(root: Path) -> None:
    free = shutil.disk_usage(root.parent).free
    full = LocalBlobStore(root, reserve_bytes=free, margin_bytes=1 << 40)
    full.prepare()
    with pytest.raises(StorageFull) as refusal:
        full.ingest(io.BytesIO(b"x"))
    assert refusal.value.code == "storage-full"
    assert refusal.value.remedy
    assert list((root / "incoming").iterdir()) == []
    assert list(full.listing()) == []
    full.check()
    LocalBlobStore(root, reserve_bytes=0, margin_bytes=0).ingest(io.BytesIO(b"x"))
    assert len(list(full.listing())) == 1


def test_a_plain_file_that_cannot_fit_is_refused_before_it_is_read(
    root: Path, tmp_path: Path
) -> None:
    store = LocalBlobStore(root)
    store.prepare()
    with (tmp_path / "huge").open("w+b") as huge:
        huge.truncate(1 << 43)
        with pytest.raises(StorageFull):
            store.ingest(huge)
        assert huge.tell() == 0


def test_an_unprepared_or_unmounted_root_is_named(root: Path) -> None:
    store = LocalBlobStore(root)
    asks = (store.check, lambda: store.ingest(io.BytesIO(b"x")), store.free_bytes)
    for ask in (*asks, lambda: list(store.listing()), lambda: store.sweep(older_than_seconds=0)):
        with pytest.raises(Unavailable) as fault:
            ask()
        assert str(root) in fault.value.message
        assert "\n" not in fault.value.message
        assert fault.value.remedy
    root.mkdir()  # an empty mount point
    for ask in (store.check, lambda: store.ingest(io.BytesIO(b"x"))):
        with pytest.raises(Unavailable, match=str(root)):
            ask()
    assert list(root.iterdir()) == []


def test_a_root_that_is_a_file_is_named(root: Path) -> None:
    root.write_text("")
    with pytest.raises(Unavailable, match="Not a directory") as fault:
        LocalBlobStore(root).check()
    assert fault.value.code == "blobs-unavailable"
    with pytest.raises(Unavailable, match="cannot be used"):
        LocalBlobStore(root).prepare()


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Permission bits do not bind root: become nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "blobs"
        store = LocalBlobStore(root, reserve_bytes=0, margin_bytes=0)
        store.prepare()
        for folder in (root.parent, root, root / "objects", root / "incoming"):
            folder.chmod(0o555)
        with as_ordinary_user():
            asks = (store.check, lambda: store.ingest(io.BytesIO(b"x")))
            for ask in asks:
                with pytest.raises(Unavailable, match="Permission denied") as fault:
                    ask()
                assert type(fault.value) is Unavailable
        for folder in (root.parent, root, root / "objects", root / "incoming"):
            folder.chmod(0o700)


def test_a_disk_that_refuses_fsync_leaves_nothing(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(Unavailable, match="Input/output error"):
            store.ingest(io.BytesIO(b"x"))
    assert list(store.listing()) == []
    assert list((root / "incoming").iterdir()) == []
