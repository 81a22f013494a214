"""The virtual ZIP: any stretch of it is that stretch of the ZIP written out in full."""

import struct
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entrepot.blobs import LocalBlobStore
from entrepot.core.delivery import lay_out
from entrepot.core.orders import PackageEntry
from entrepot.errors import Invalid
from tests.archives import (
    MOMENT,
    Window,
    open_store,
    read_extents,
    stored,
    written_by_the_standard_library,
)

LETTERS = st.characters(categories=("L", "N"), include_characters=" ._-()'")
STEPS = st.text(LETTERS, min_size=1, max_size=12).filter(lambda step: step.strip(". ") == step)
NAMES = st.lists(STEPS, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=8).map(
    lambda files: [
        (name, content)
        for name, content in files.items()
        if not any(other.startswith(f"{name}/") for other in files)
    ]
)


@pytest.fixture(scope="module")
def store() -> Iterator[LocalBlobStore]:
    with tempfile.TemporaryDirectory() as folder:
        yield open_store(Path(folder))


@settings(max_examples=60)
@given(files=FILES, data=st.data())
def test_any_stretch_is_that_of_the_zip_written_out_in_full(
    store: LocalBlobStore, files: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    archive = lay_out([stored(store, *file) for file in files], modified=MOMENT)
    whole = written_by_the_standard_library(files)
    assert read_extents(archive.extents(0, archive.size, store)) == whole
    assert (archive.size, len(archive)) == (len(whole), len(files))
    for _ in range(8):
        start = data.draw(st.integers(0, len(whole)))
        length = data.draw(st.integers(0, len(whole) - start))
        extents = list(archive.extents(start, length, store))
        assert read_extents(extents) == whole[start : start + length]
        assert all(extent.length for extent in extents)
    with zipfile.ZipFile(Window(archive, store)) as opened:
        assert opened.testzip() is None
        assert [(name, opened.read(name)) for name in opened.namelist()] == files


@given(
    files=st.lists(
        st.tuples(st.integers(0, 1 << 34), st.integers(0, 0xFFFF_FFFF), st.integers(0, 9)),
        max_size=30,
    )
)
def test_zip64_is_there_where_a_number_does_not_fit_and_nowhere_else(
    store: LocalBlobStore, files: list[tuple[int, int, int]]
) -> None:
    """Contents of any size, of which no byte is read."""
    entries = [
        PackageEntry(f"{at}", 0xFFFF_FFF0 + size if edge < 2 else size, crc, "ab" * 32)
        for at, (size, crc, edge) in enumerate(files)
    ]
    archive = lay_out(entries, modified=MOMENT)
    offset = 0
    for entry in entries:
        big = entry.size >= 0xFFFF_FFFF
        header = 30 + len(entry.name) + (20 if big else 0)
        head = read_extents(archive.extents(offset, header, store))
        version, flags, method = struct.unpack_from("<3H", head, 4)
        assert (head[:4], version, flags, method) == (b"PK\3\4", 45 if big else 20, 0x800, 0)
        crc, packed, plain, name, extra = struct.unpack_from("<3I2H", head, 14)
        assert (crc, packed, plain) == (entry.crc32, *[min(entry.size, 0xFFFF_FFFF)] * 2)
        assert (name, extra) == (len(entry.name), 20 if big else 0)
        if big:
            assert struct.unpack_from("<2H2Q", head, 30 + name) == (1, 16, entry.size, entry.size)
        offset += header + entry.size
    tail = read_extents(archive.extents(offset, archive.size - offset, store))
    directory = tail.index(b"PK\6\6") if b"PK\6\6" in tail else len(tail) - 22
    assert (b"PK\6\6" in tail) == (offset >= 0xFFFF_FFFF)
    _check_directory(tail[:directory], entries)
    with zipfile.ZipFile(Window(archive, store)) as opened:
        assert [(info.file_size, info.CRC) for info in opened.infolist()] == [
            (entry.size, entry.crc32) for entry in entries
        ]


def _check_directory(records: bytes, entries: list[PackageEntry]) -> None:
    at = offset = 0
    for entry in entries:
        fields = struct.unpack_from("<4s6H3I5H2I", records, at)
        extra = records[at + 46 + fields[10] : at + 46 + fields[10] + fields[11]]
        expected = []
        if entry.size >= 0xFFFF_FFFF:
            expected += [entry.size, entry.size]
        if offset >= 0xFFFF_FFFF:
            expected.append(offset)
        assert fields[2] == (45 if expected else 20)
        assert fields[16] == min(offset, 0xFFFF_FFFF)
        if expected:
            numbers = struct.unpack(f"<2H{len(expected)}Q", extra)
            assert numbers == (1, 8 * len(expected), *expected)
        else:
            assert extra == b""
        at += 46 + fields[10] + fields[11]
        offset += 30 + len(entry.name) + (20 if entry.size >= 0xFFFF_FFFF else 0) + entry.size
    assert at == len(records)


@given(files=FILES, at=st.integers(0, 7), change=st.sampled_from(["name", "size", "crc", "sha"]))
def test_the_etag_changes_with_every_fact_and_with_nothing_else(
    store: LocalBlobStore, files: list[tuple[str, bytes]], at: int, change: str
) -> None:
    assume(files)
    entries = [stored(store, *file) for file in files]
    etag = lay_out(entries, modified=MOMENT).etag
    assert lay_out(tuple(entries), modified=MOMENT).etag == etag
    assert etag[0] == etag[-1] == '"'
    one = entries[at % len(entries)]
    entries[at % len(entries)] = PackageEntry(
        one.name + "~" if change == "name" else one.name,
        one.size + 1 if change == "size" else one.size,
        one.crc32 ^ 1 if change == "crc" else one.crc32,
        "0" * 64 if change == "sha" else one.sha256,
    )
    assert lay_out(entries, modified=MOMENT).etag != etag
    assert lay_out(entries, modified=MOMENT + timedelta(seconds=2)).etag != etag


@given(st.text(max_size=20))
def test_a_name_either_unpacks_to_its_own_place_or_is_refused(name: str) -> None:
    entry = PackageEntry(name, 0, 0, "ab" * 32)
    try:
        lay_out([entry], modified=MOMENT)
    except Invalid as error:
        assert error.code == "archive-invalid"
        return
    path = Path("/srv/folder", name)
    assert path.resolve() == path
    assert path.is_relative_to("/srv/folder")
    assert path != Path("/srv/folder")
    assert not set(name) & set("\0\\:\n\r")


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_can_be_stamped(store: LocalBlobStore, moment: datetime) -> None:
    archive = lay_out([stored(store, "a", b"x")], modified=moment)
    with zipfile.ZipFile(Window(archive, store)) as opened:
        stamp = opened.infolist()[0].date_time
    year = min(max(moment.year, 1980), 2107)
    assert stamp == (year, *moment.timetuple()[1:5], moment.second // 2 * 2)
