"""Several files at a time: the order of what is told, and how one unforeseen error ends all."""

import threading
import time
from pathlib import Path

import pytest

from entrepot.client.batch import (
    Item,
    Outcome,
    check_room_for_all,
    download_items,
    plan_names,
)
from entrepot.client.downloader import Downloaded
from entrepot.client.errors import DiskFull, NotFound
from entrepot.client.partial import part_name
from entrepot.client.stop import Stop

FILES = [Item({"id": str(number)}, f"{number}.bin") for number in range(40)]


def brought(item: Item) -> Downloaded:
    return Downloaded(Path(item.name), 1, "sha256", False, 0.0)


@pytest.mark.parametrize("jobs", [1, 3, 99])
def test_outcomes_come_in_the_order_of_the_items(jobs: int) -> None:
    lacking = NotFound("It is gone.")
    told: list[str] = []

    def one(item: Item) -> Downloaded:
        if item.name == "7.bin":
            raise lacking
        return brought(item)

    def done(outcome: Outcome) -> None:
        told.append(outcome.name)

    outcomes = download_items(FILES, one, jobs=jobs, stop=Stop(), done=done)
    assert [outcome.name for outcome in outcomes] == [item.name for item in FILES]
    assert [outcome.error for outcome in outcomes if outcome.error] == [lacking]
    assert sorted(told) == sorted(item.name for item in FILES)
    assert download_items([], one, jobs=jobs, stop=Stop(), done=done) == []


def test_jobs_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=60)

    def one(item: Item) -> Downloaded:
        together.wait()
        return brought(item)

    assert len(download_items(FILES[:3], one, jobs=3, stop=Stop(), done=lambda _: None)) == 3


@pytest.mark.parametrize("error", [ValueError, IndexError, KeyboardInterrupt])
def test_what_nobody_foresaw_ends_all_and_is_told(error: type[BaseException]) -> None:
    """A file that is being fetched is stopped, one whose turn has not come is not begun."""
    stop, running, begun = Stop(), threading.Event(), list[str]()

    def one(item: Item) -> Downloaded:
        begun.append(item.name)
        if item.name == "0.bin":
            assert running.wait(60)
            raise error("unforeseen")
        running.set()
        stop.wait(60)
        return brought(item)

    with pytest.raises(error, match="unforeseen"):
        download_items(FILES, one, jobs=2, stop=stop, done=lambda _: None)
    assert stop.is_set
    assert sorted(begun) == ["0.bin", "1.bin"]


def test_ctrl_c_while_a_thread_starts_still_waits_for_what_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool forgets that thread; the caller may not be told of the end before it has ended."""
    stop, running, told = Stop(), threading.Event(), list[str]()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("ThreadPoolExecutor"):
            assert running.wait(60)
            raise KeyboardInterrupt

    def one(item: Item) -> Downloaded:
        running.set()
        stop._set.wait(60)
        time.sleep(0.2)
        return brought(item)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download_items(
            FILES, one, jobs=2, stop=stop, done=lambda outcome: told.append(outcome.name)
        )
    assert told == ["0.bin"]


def test_room_counts_what_is_there_already(tmp_path: Path) -> None:
    """A file of the right size needs none; an old part needs as much less as it takes."""
    huge = 1 << 60
    digest = "ab" * 32
    items = plan_names([{"id": "1", "fileName": "Tool.bin", "fileSize": huge, "sha256": digest}])
    with pytest.raises(DiskFull) as met:
        check_room_for_all(items, tmp_path)
    assert str(huge) in met.value.message
    part = tmp_path / part_name("Tool.bin", digest[:16])
    with part.open("wb") as file:
        file.truncate(huge // (1 << 20))  # a hole: it takes no room, so nothing is counted
    with pytest.raises(DiskFull) as met:
        check_room_for_all(items, tmp_path)
    assert str(huge) in met.value.message
    part.write_bytes(b"x" * (1 << 20))
    with pytest.raises(DiskFull) as met:
        check_room_for_all(items, tmp_path)
    assert str(huge - (1 << 20)) in met.value.message
    with (tmp_path / "Tool.bin").open("wb") as whole:
        whole.truncate(1 << 40)
    complete = plan_names([{"id": "1", "fileName": "Tool.bin", "fileSize": 1 << 40}])
    check_room_for_all(complete, tmp_path)
