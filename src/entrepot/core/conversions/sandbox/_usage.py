"""What a sandbox uses, read from outside: all processes below the one that was started.

What has ended is counted too: its time went to whoever waited for it, in the end to the first
process of the namespace.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_LISTS_CHILDREN = (_PROC / f"self/task/{os.getpid()}/children").exists()


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over the processes. `memory_bytes` is what is theirs: no mapped files."""

    cpu_seconds: float
    memory_bytes: int
    processes: int
    threads: int


def measure(pid: int, *, processes_max: int) -> Usage:
    """The usage of `pid` and everything below; stops counting beyond `processes_max`."""
    ticks = memory = processes = threads = 0
    for each in _descend(pid):
        processes += 1
        if processes > processes_max:
            break
        try:
            fields = (_PROC / str(each) / "stat").read_text().rpartition(")")[2].split()
            memory += _own_memory(each)
        except OSError:
            continue  # it has just ended
        ticks += sum(int(field) for field in fields[11:15])  # utime stime cutime cstime
        threads += int(fields[17])
    return Usage(ticks / _TICKS, memory, processes, threads)


def _own_memory(pid: int) -> int:
    """Bytes of RssAnon and RssShmem (proc(5)); 0 for one that has ended and is not waited for."""
    kibibytes = 0
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            kibibytes += int(line.split()[1])
    return kibibytes * 1024


def _descend(pid: int) -> Iterator[int]:
    parents = None if _LISTS_CHILDREN else _parents()
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        yield each
        if parents is None:
            waiting += _children(each)
        else:
            waiting += [child for child, parent in parents.items() if parent == each]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        return found
    return found


def _parents() -> dict[int, int]:
    """Where the kernel lists no children: the parent of every process."""
    found: dict[int, int] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            found[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    return found
