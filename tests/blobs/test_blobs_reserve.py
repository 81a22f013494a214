"""The reserve file: really allocated, given back, taken again."""

import os
from pathlib import Path

import pytest

from entrepot.blobs import DiskReserve, ReserveState
from entrepot.errors import Unavailable

MIB = 1 << 20


@pytest.fixture
def reserve(tmp_path: Path) -> DiskReserve:
    return DiskReserve(tmp_path, size_bytes=4 * MIB, margin_bytes=MIB)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_the_blocks_are_really_allocated(reserve: DiskReserve, tmp_path: Path) -> None:
    assert reserve.state() is ReserveState.RELEASED
    assert reserve.restore() is ReserveState.HELD
    [path] = files(tmp_path)
    status = path.stat()
    assert status.st_blocks * 512 >= 4 * MIB
    assert status.st_mode & 0o777 == 0o600
    assert reserve.restore() is ReserveState.HELD


def test_release_and_restore(reserve: DiskReserve, tmp_path: Path) -> None:
    reserve.restore()
    assert reserve.release() is ReserveState.RELEASED
    assert reserve.release() is ReserveState.RELEASED
    assert files(tmp_path) == []
    assert reserve.restore() is ReserveState.HELD


def test_a_file_with_holes_is_no_reserve(reserve: DiskReserve, tmp_path: Path) -> None:
    reserve.restore()
    [path] = files(tmp_path)
    os.truncate(path, 0)
    os.truncate(path, 4 * MIB)
    assert reserve.state() is ReserveState.RELEASED
    assert reserve.restore() is ReserveState.HELD
    assert path.stat().st_blocks * 512 >= 4 * MIB


def test_a_reserve_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, size_bytes=1 << 50)
    assert reserve.restore() is ReserveState.RELEASED
    assert files(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path / "gone")
    assert reserve.state() is ReserveState.RELEASED
    with pytest.raises(Unavailable, match="gone"):
        reserve.restore()
