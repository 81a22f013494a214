"""Several artifacts of a release: a few at a time, one failure does not stop the others."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.client.downloader import Downloaded
from entrepot.client.errors import BadAnswer, ClientError, DiskFull
from entrepot.client.kept_partial import mark_of, room_taken
from entrepot.client.names import distinct_name, name_key, safe_name
from entrepot.client.old_parts import OldParts
from entrepot.client.partial import check_room, part_name
from entrepot.client.stop import Stop
from entrepot.client.verification import expected_of

JOBS_MAX = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """One artifact and the safe name it gets; `error` where it cannot even be named."""

    artifact: Mapping[str, Any]
    name: str
    error: ClientError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for one artifact: exactly one of `downloaded` and `error` is set."""

    name: str
    downloaded: Downloaded | None
    error: ClientError | None


def plan_names(artifacts: Sequence[Mapping[str, Any]]) -> list[Item]:
    """A safe name for each artifact, distinct even where the file system ignores case."""
    taken: set[str] = set()
    last: dict[str, tuple[str, int]] = {}  # for each name, where counting goes on
    items = []
    for artifact in artifacts:
        given = artifact.get("fileName")
        try:
            name = safe_name(given if isinstance(given, str) else "")
        except ClientError as error:
            items.append(Item(artifact, str(artifact.get("id", "?")), error))
            continue
        if name_key(name) in taken:
            name = distinct_name(name, str(artifact.get("id", ""))[:8])
        plain = name
        name, count = last.get(plain, (plain, 2))
        while name_key(name) in taken:
            name, count = distinct_name(name, str(count)), count + 1
        last[plain] = name, count
        taken.add(name_key(name))
        items.append(Item(artifact, name))
    return items


def check_room_for_all(items: Sequence[Item], folder: Path) -> None:
    """Raises DiskFull when what is not there yet cannot fit. Files of the right size count as
    there, and what an earlier run left of others; whether they are right is seen later."""
    needed, targets, there = 0, list[tuple[Path, str]](), _names_in(folder)
    for item in items:
        if item.error is not None:
            continue  # nothing gets that name, which is the hub's
        try:
            expected = expected_of(item.artifact)
        except BadAnswer:
            continue  # reported when its turn comes
        size, target, mark = expected.size or 0, folder / item.name, mark_of(expected)
        if name_key(item.name) in there and target.is_file() and target.stat().st_size == size:
            continue
        targets.append((target, mark))
        part = name_key(part_name(item.name, mark)) in there
        needed += max(0, size - (room_taken(target, mark) if part else 0))
    require_room(folder, needed, targets)


def _names_in(folder: Path) -> set[str]:
    """Read once: most often nothing of a release is there, and to ask for each file takes long."""
    try:
        return {name_key(name) for name in os.listdir(folder)}  # noqa: PTH208 - only names
    except OSError:
        return set()


def require_room(folder: Path, needed_bytes: int, targets: Iterable[tuple[Path, str]]) -> None:
    """Raises DiskFull when there is no room, nor would be without old parts, which then go.

    `targets` are the files that are to come, each with the mark of the part to go on with.
    """
    try:
        check_room(folder, needed_bytes)
    except DiskFull:
        old_parts = OldParts()
        for target, mark in targets:
            old_parts.sweep(target, keep=mark)
        check_room(folder, needed_bytes)


def download_items(
    items: Sequence[Item],
    download_one: Callable[[Item], Downloaded],
    *,
    jobs: int,
    stop: Stop,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run `download_one` for each item, `jobs` at a time, results in the order of the items.

    `done` is called as each ends, from its thread. Ctrl-C stops all and is raised on.
    """

    def run(item: Item) -> Outcome:
        try:
            if item.error is not None:
                raise item.error
            outcome = Outcome(item.name, download_one(item), None)
        except ClientError as error:
            _log.debug("%s failed", item.name, exc_info=True)
            outcome = Outcome(item.name, None, error)
        done(outcome)
        return outcome

    left = deque(enumerate(items))
    outcomes: dict[int, Outcome] = {}
    working, changed = 0, threading.Condition()

    def take_files() -> None:
        while True:
            try:
                place, item = left.popleft()
            except IndexError:
                return
            outcomes[place] = run(item)

    def work() -> None:
        # One task for each thread: a task for each file would wake the caller as often.
        nonlocal working
        with changed:
            working += 1
        try:
            take_files()
        finally:
            with changed:
                working -= 1
                changed.notify_all()

    threads = max(1, min(jobs, JOBS_MAX, len(items)))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        try:
            for ended in as_completed([pool.submit(work) for _ in range(threads)]):
                ended.result()
        except BaseException:
            stop.set()
            left.clear()
            # The pool does not wait for a thread in whose start Ctrl-C met it: that would still
            # write, and tell, when the caller has ended. One that begins now finds nothing left.
            with changed:
                changed.wait_for(lambda: working == 0)
            raise
    return [outcomes[place] for place in range(len(items))]
