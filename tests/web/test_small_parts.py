"""Bodies of many small files: the shape of a ZIP of pictures."""

import contextlib
import os
import random
import time
from pathlib import Path

import psutil
import pytest

from entrepot.kit.extents import Extent, FileExtent, MemoryExtent
from entrepot.web import _stream
from entrepot.web.zerocopy import Sent
from tests.waiting import wait_until
from tests.web.live_server import WAYS, Cut, Door, Reader, request, running

FILES = 400
MIB = 1 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of up to 70 KB, every tenth of them larger."""
    made = tmp_path_factory.mktemp("small")
    rng = random.Random(3)
    for at in range(FILES):
        length = 200_000 if at % 10 == 9 else rng.randrange(1, 40_000)
        (made / f"{at:03}").write_bytes(rng.randbytes(length))
    return made


def extents_of(folder: Path) -> tuple[list[Extent], bytes]:
    """A record before each file, and the bytes of it all."""
    extents: list[Extent] = []
    whole = []
    for path in sorted(folder.iterdir()):
        content, record = path.read_bytes(), b"record of %b" % path.name.encode()
        extents += [MemoryExtent(record), FileExtent(str(path), 0, len(content))]
        whole += [record, content]
    extents.append(MemoryExtent(b"end"))
    return extents, b"".join([*whole, b"end"])


def door_of(folder: Path) -> tuple[Door, bytes]:
    extents, whole = extents_of(folder)
    return door_to(extents, len(whole)), whole


def door_to(extents: list[Extent], size: int) -> Door:
    one = [MemoryExtent(b"x")]
    return Door(
        {"zip": lambda start, length: extents, "one": lambda start, length: [*one]},
        {"zip": size, "one": 1},
    )


@pytest.mark.parametrize("way", WAYS)
def test_small_files_arrive_in_order(way: str, folder: Path) -> None:
    door, whole = door_of(folder)
    with running(door, way) as live, live.connect() as sock:
        reader = Reader(sock)
        for _ in range(2):
            sock.sendall(request("zip"))
            assert reader.reply()[::2] == (200, whole)
    assert door.sents == [Sent(len(whole), complete=True)] * 2


@pytest.mark.parametrize("kept_bytes_max", [0, 100_000, 32 * MIB])
def test_what_a_slow_reader_did_not_take_is_kept_or_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kept_bytes_max: int
) -> None:
    monkeypatch.setattr(_stream, "KEPT_BYTES_MAX", kept_bytes_max)
    door, whole = door_of(folder)
    with running(door) as live, contextlib.ExitStack() as stack:
        readers = []
        for _ in range(4):
            sock = stack.enter_context(live.connect(4096))
            sock.sendall(request("zip"))
            readers.append(Reader(sock))
        time.sleep(0.3)  # every buffer on the way is full by now
        for reader in readers:
            assert reader.reply()[::2] == (200, whole)


def test_files_that_the_page_cache_does_not_hold(folder: Path) -> None:
    door, whole = door_of(folder)
    for path in list(folder.iterdir())[::3]:
        descriptor = os.open(path, os.O_RDWR)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    with running(door) as live:
        assert live.get("zip")[2] == whole


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("damage", ["short", "missing"])
@pytest.mark.parametrize("at", [0, 250])
def test_a_damaged_small_file_never_passes_for_whole(
    way: str, damage: str, at: int, folder: Path, tmp_path: Path
) -> None:
    extents, whole = extents_of(folder)
    bad = tmp_path / "bad"
    if damage == "short":
        bad.write_bytes(b"only this")
    extents[2 * at + 1] = FileExtent(str(bad), 0, extents[2 * at + 1].length)
    before = sum(extent.length for extent in extents[: 2 * at + 1])
    door = door_to(extents, len(whole))
    with running(door, way) as live:
        if at == 0:  # nothing had gone: another answer could be given
            assert live.get("zip")[0] == 500
        else:
            with live.connect() as sock:
                sock.sendall(request("zip"))
                with pytest.raises(Cut) as cut:
                    Reader(sock).reply()
            assert whole.startswith(cut.value.body)
        wait_until(lambda: bool(door.faults))
    [fault] = door.faults
    assert (fault.path, fault.started) == (str(bad), at != 0)
    assert fault.sent <= before + 9


def test_many_slow_readers_of_small_files_cost_little(folder: Path) -> None:
    readers = 300
    door, _ = door_of(folder)
    process = psutil.Process()
    with running(door) as live:
        live.get("zip")
        memory, descriptors = process.memory_info().rss, process.num_fds()
        with contextlib.ExitStack() as clients:
            socks = [clients.enter_context(live.connect(4096)) for _ in range(readers)]
            for sock in socks:
                sock.sendall(request("zip"))
            for sock in socks:
                assert sock.recv(512).startswith(b"HTTP/1.1 200")
            assert live.get("one")[2] == b"x"  # though nobody else reads on
            # 32 MiB are the most that all of them together keep; the rest is a few KiB each.
            assert process.memory_info().rss - memory < 50 * MIB
        wait_until(lambda: process.num_fds() <= descriptors)
