"""The virtual ZIP at its limits: many entries, large ones, names that must not get in."""

import random
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from entrepot.core.delivery import Archive, lay_out
from entrepot.core.delivery.archive import ENTRIES_MAX
from entrepot.core.orders import PackageEntry
from entrepot.errors import Invalid
from tests.archives import (
    MOMENT,
    Window,
    open_store,
    read_extents,
    run_reader,
    sparse_entry,
    stored,
    write_sparsely,
)

SHA256 = "ab" * 32
MANY = 70_000
GIB = 1 << 30
ZEROS = bytes(1 << 20)


def named(*names: str) -> Archive:
    return lay_out([PackageEntry(name, 0, 0, SHA256) for name in names], modified=MOMENT)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a\\b",
        "..\\a",
        "C:a",
        "C:/a",
        "a\0b",
        "a\nb",
        "\x7f",
        "a\ud800",
        "a" * 4097,
        "ä" * 2049,
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        named("fine", name)
    assert caught.value.code == "archive-invalid"
    assert caught.value.message.isascii()


@pytest.mark.parametrize("names", [("a", "b", "a"), ("a/b", "a"), ("a", "a/b/c"), ("a/b", "a/b/c")])
def test_one_place_holds_one_thing(names: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match=r"twice|both"):
        named(*names)


@pytest.mark.parametrize("name", ["a..b", "...", "ä/ö.jpg", "a b (2).txt", "x" * 4096, "a/b/c"])
def test_an_unusual_name_is_taken(name: str) -> None:
    assert len(named(name)) == 1


def test_what_no_zip_holds_is_refused() -> None:
    for entry in (
        PackageEntry("a", -1, 0, SHA256),
        PackageEntry("a", 1 << 63, 0, SHA256),
        PackageEntry("a", 0, -1, SHA256),
        PackageEntry("a", 0, 1 << 32, SHA256),
        PackageEntry("a", 0, 0, "ab"),
        PackageEntry("a", 0, 0, "xy" * 32),
    ):
        with pytest.raises(Invalid):
            lay_out([entry], modified=MOMENT)
    half = PackageEntry("a", 1 << 62, 0, SHA256)
    with pytest.raises(Invalid, match="2\\^63"):
        lay_out([half, PackageEntry("b", 1 << 62, 0, SHA256)], modified=MOMENT)
    with pytest.raises(Invalid, match="at most"):
        lay_out([half] * (ENTRIES_MAX + 1), modified=MOMENT)


def test_a_stretch_outside_is_a_mistake(tmp_path: Path) -> None:
    archive, store = named("a"), open_store(tmp_path)
    for start, length in ((-1, 1), (0, -1), (0, archive.size + 1), (archive.size, 1)):
        with pytest.raises(ValueError, match="of an archive of"):
            archive.extents(start, length, store)
    assert list(archive.extents(archive.size, 0, store)) == []


def test_an_archive_of_nothing_is_a_zip(tmp_path: Path) -> None:
    archive = lay_out([], modified=MOMENT)
    assert archive.size == 22
    with zipfile.ZipFile(Window(archive, open_store(tmp_path))) as opened:
        assert opened.namelist() == []


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_many_entries_are_counted_where_they_fit(tmp_path: Path, count: int) -> None:
    archive = named(*map(str, range(count)))
    tail = read_extents(archive.extents(archive.size - 98, 98, open_store(tmp_path)))
    assert (b"PK\6\6" in tail) == (count >= 65_535)
    assert tail[-14:-10] == min(count, 0xFFFF).to_bytes(2, "little") * 2


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZIP of 70,000 entries, written out."""
    folder = tmp_path_factory.mktemp("many")
    store = open_store(folder / "store")
    kinds = [stored(store, "", b"content %d" % kind * kind) for kind in range(7)]
    entries = [
        PackageEntry(f"folder {at % 100}/é{at}.txt", one.size, one.crc32, one.sha256)
        for at in range(MANY)
        for one in [kinds[at % 7]]
    ]
    archive = lay_out(entries, modified=MOMENT)
    path = folder / "many.zip"
    whole = read_extents(archive.extents(0, archive.size, store))
    path.write_bytes(whole)
    rng = random.Random(5)
    for _ in range(200):
        start = rng.randrange(archive.size)
        length = min(rng.randrange(20_000), archive.size - start)
        stretch = read_extents(archive.extents(start, length, store))
        assert stretch == whole[start : start + length]
    return path


def test_seventy_thousand_entries_are_read_by_the_standard_library(many: Path) -> None:
    with zipfile.ZipFile(many) as opened:
        assert len(opened.namelist()) == MANY
        for at in range(0, MANY, 61):
            expected = b"content %d" % (at % 7) * (at % 7)
            assert opened.read(f"folder {at % 100}/é{at}.txt") == expected


@pytest.mark.needs("unzip")
def test_seventy_thousand_entries_are_tested_by_unzip(many: Path) -> None:
    assert "No errors" in run_reader("unzip", "-tq", str(many))


@pytest.mark.needs("7z")
def test_seventy_thousand_entries_are_tested_by_7z(many: Path, seven_zip: str) -> None:
    assert "Everything is Ok" in run_reader(seven_zip, "t", str(many))


@pytest.mark.needs("bsdtar")
def test_seventy_thousand_entries_are_listed_by_bsdtar(many: Path) -> None:
    assert len(run_reader("bsdtar", "-tf", str(many)).splitlines()) == MANY


@pytest.fixture
def large(tmp_path: Path) -> tuple[Archive, Path, list[PackageEntry]]:
    """5 GiB in one entry, small ones before and behind, and 5 GiB more: as a sparse file."""
    store = open_store(tmp_path / "store")
    entries = [
        stored(store, "first.txt", b"first"),
        sparse_entry(tmp_path / "store", "five GiB.bin", 5 * GIB),
        stored(store, "between.txt", b"between"),
        sparse_entry(tmp_path / "store", "one GiB.bin", GIB),
        stored(store, "last.txt", b"last"),
    ]
    archive = lay_out(entries, modified=MOMENT)
    path = tmp_path / "large.zip"
    write_sparsely(archive, store, path, holes_from=GIB)
    rng = random.Random(6)
    edges = [0, 5 * GIB, 6 * GIB, archive.size - 2000]
    with path.open("rb") as file:
        for near in edges * 20:
            start = min(max(near + rng.randrange(-300, 300), 0), archive.size - 1)
            length = min(rng.randrange(3000), archive.size - start)
            file.seek(start)
            assert read_extents(archive.extents(start, length, store)) == file.read(length)
    return archive, path, entries


def test_more_than_four_gib_are_read_by_the_standard_library(
    large: tuple[Archive, Path, list[PackageEntry]],
) -> None:
    archive, path, entries = large
    assert path.stat().st_size == archive.size > 6 * GIB
    with zipfile.ZipFile(path) as opened:
        listed = [(info.filename, info.file_size, info.CRC) for info in opened.infolist()]
        assert listed == [(entry.name, entry.size, entry.crc32) for entry in entries]
        for name in ("first", "between", "last"):
            assert opened.read(f"{name}.txt") == name.encode()


@pytest.mark.needs("unzip")
def test_small_entries_of_a_large_zip_are_tested_by_unzip(
    large: tuple[Archive, Path, list[PackageEntry]],
) -> None:
    tested = run_reader("unzip", "-t", str(large[1]), "between.txt", "last.txt")
    assert "No errors" in tested


@pytest.mark.needs("7z")
def test_a_large_zip_is_listed_by_7z(
    large: tuple[Archive, Path, list[PackageEntry]], seven_zip: str
) -> None:
    assert str(5 * GIB) in run_reader(seven_zip, "l", str(large[1]))
    tested = run_reader(seven_zip, "t", str(large[1]), "between.txt", "last.txt")
    assert "Everything is Ok" in tested


@pytest.mark.needs("bsdtar")
def test_a_large_zip_is_listed_by_bsdtar(
    large: tuple[Archive, Path, list[PackageEntry]],
) -> None:
    names = [entry.name for entry in large[2]]
    assert run_reader("bsdtar", "-tf", str(large[1])).splitlines() == names


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.needs("unzip", "7z", "bsdtar")
def test_every_byte_of_a_large_zip_is_tested(tmp_path: Path, seven_zip: str) -> None:
    store, crc32 = open_store(tmp_path / "store"), 0
    for _ in range(5 * GIB // len(ZEROS)):
        crc32 = zlib.crc32(ZEROS, crc32)
    entries = [
        stored(store, "first.txt", b"first"),
        sparse_entry(tmp_path / "store", "five GiB.bin", 5 * GIB, crc32=crc32),
        stored(store, "last.txt", b"last"),
    ]
    path = tmp_path / "large.zip"
    archive = lay_out(entries, modified=MOMENT)
    write_sparsely(archive, store, path, holes_from=GIB)
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
    assert "No errors" in run_reader("unzip", "-tq", str(path))
    assert "Everything is Ok" in run_reader(seven_zip, "t", str(path))
    unpacked = run_reader("bsdtar", "-xOf", str(path), "last.txt")
    assert unpacked == "last"


def test_an_entry_costs_little_memory() -> None:
    entries = [
        PackageEntry(f"folder/a name of common length {at:06}.jpg", 20_480, at, SHA256)
        for at in range(20_000)
    ]
    tracemalloc.start()
    try:
        archive = lay_out(entries, modified=MOMENT)
        kept, highest = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(archive) == 20_000
    assert kept < 20_000 * 250
    assert highest < 20_000 * 900


LAYS_OUT = """
import datetime
from entrepot.core.delivery import lay_out
from entrepot.core.orders import PackageEntry
entries = [PackageEntry(f"ä/{n}.bin", n << 20, n * 7919, f"{n:064x}") for n in range(5000)]
moment = datetime.datetime(2026, 3, 1, 12, 30, 14, tzinfo=datetime.UTC)
archive = lay_out(entries, modified=moment)
print(archive.etag, archive.size)
"""


def test_every_process_lays_out_the_same_zip() -> None:
    """The digest is written down: a change of the bytes is a change that resuming clients see."""
    seen = {
        subprocess.run(
            [sys.executable, "-c", LAYS_OUT],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    assert seen == {FIRST_SEEN}


FIRST_SEEN = '"c345b027ba23346a422106c55b1ea968c7420458624f50d466c43f5406bb527a" 13104579139318\n'
