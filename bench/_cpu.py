"""CPU time of another process, pinning, and what there is to say about this machine."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

SERVER_CORE = 0
_CPUCLOCK_SCHED = 2  # of the kernel's per-process clocks, the one that counts nanoseconds
_PACKAGES = ("uvicorn", "uvloop", "litestar", "sqlalchemy", "msgspec")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of process `pid` so far, ended threads included."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def cpu_of(pid: int, work: Callable[[], None]) -> float:
    """CPU seconds that process `pid` spent while `work` ran."""
    before = cpu_seconds(pid)
    work()
    return cpu_seconds(pid) - before


def resident_mib(pid: int) -> float:
    """Resident memory of process `pid`."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def pin_clients() -> None:
    """Keep this process, and what it starts, off the core of the server under measurement."""
    others = os.sched_getaffinity(0) - {SERVER_CORE}
    os.sched_setaffinity(0, others or {SERVER_CORE})


def raise_descriptor_limit() -> int:
    """Open as many files as this user may; returns how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(samples)


def machine() -> str:
    """Processor, cores, memory, kernel: one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{model}, {os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}"


def versions() -> str:
    """Of the parts that the figures depend on: one line."""
    parts = [f"{name} {version(name)}" for name in _PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *parts])


def load() -> float:
    """Processes that ran or wanted to run, averaged over the last minute."""
    return os.getloadavg()[0]
