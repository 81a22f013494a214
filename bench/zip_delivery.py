"""Sending ZIPs: the hub's CPU for each GB of an order, as a multiple of nginx with one file."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench._cpu import SERVER_CORE, cpu_seconds, median
from bench._drain import drain
from bench._figures import Figure, Report
from bench._hub import Served, free_port, running_hub
from bench._load import get
from bench._nginx import Nginx, running_nginx
from bench._requests import ROUNDS
from bench._world import add_customer, add_stored_assets, order_link_of, random_file
from entrepot.assembly import Hub

MIB = 1 << 20
SECONDS = 4.0
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    count: int
    size: int
    target: str


KINDS = (
    _Kind("1,000 x 1 MiB", 1_000, MIB, "<= 1.15"),
    _Kind("20 x 256 MiB", 20, 256 * MIB, "<= 1.15"),
    _Kind("50,000 x 20 KB", 50_000, 20_000, ""),
)
SHAPE = (
    f"orders of stored files, all in the page cache, downloaded as ZIPs over signed links by "
    f"{CLIENTS} clients in a process of their own that drop the bytes in the kernel "
    f"(`MSG_TRUNC`), again and again for {SECONDS:g} s. nginx (sendfile, one worker) sends one "
    "plain file of the same size; zipstream-ng makes a ZIP of the first two kinds' files on the "
    "fly behind a plain WSGI-like loop in one process, uncompressed as ours, for comparison. All "
    "in turn on the same core; ratios of neighbours."
)


def measure() -> Report:
    """The three kinds of orders."""
    with tempfile.TemporaryDirectory(prefix="zips-", dir=os.environ.get("TMPDIR")) as name:
        return Report(SHAPE, [each for kind in KINDS for each in _measure_kind(Path(name), kind)])


def _measure_kind(folder: Path, kind: _Kind) -> list[Figure]:
    folder.chmod(0o755)

    def seed(hub: Hub) -> str:
        customer = add_customer(hub)
        return order_link_of(hub, customer, add_stored_assets(hub, kind.count, kind.size))

    with running_hub(seed) as hub, running_nginx(folder) as nginx:
        return _measure(hub, nginx, folder, kind)


def _measure(hub: Served[str], nginx: Nginx | str, folder: Path, kind: _Kind) -> list[Figure]:
    plain = random_file(folder / "plain.bin", min(kind.count * kind.size, 1 << 30))
    samples: list[tuple[float, float]] = []
    drain(hub.port, get(hub.seeded), clients=1, seconds=1.0)
    for _ in range(ROUNDS):
        ours = _cpu_ms_per_gb(hub.pid, hub.port, hub.seeded)
        theirs = (
            _cpu_ms_per_gb(nginx.pid, nginx.port, f"/{plain.name}")
            if isinstance(nginx, Nginx)
            else float("nan")
        )
        samples.append((ours, theirs))
    spent = median([ours for ours, _ in samples])
    ratios = tuple(ours / theirs for ours, theirs in samples)
    told = nginx if isinstance(nginx, str) else nginx.version
    peer = f"{told} {median([theirs for _, theirs in samples]):.0f} ms, hub {spent:.0f} ms a GB"
    found = [
        Figure(
            f"{kind.name}, {CLIENTS} clients",
            median(ratios),
            "x nginx, CPU a GB",
            ratios,
            kind.target,
            peer,
        )
    ]
    plain.unlink()
    if kind.target:
        found.append(_measure_zipstream(kind, spent))
    return found


def _measure_zipstream(kind: _Kind, ours: float) -> Figure:
    with _zipstream(kind) as (pid, port):
        streamed = _cpu_ms_per_gb(pid, port, "/")
    ratio = streamed / ours
    what = f"zipstream-ng, {kind.name}, {CLIENTS} clients"
    return Figure(what, ratio, "x the hub, CPU a GB", (ratio,), "", f"{streamed:.0f} ms a GB")


def _cpu_ms_per_gb(pid: int, port: int, path: str) -> float:
    before = cpu_seconds(pid)
    taken = drain(port, get(path), clients=CLIENTS, seconds=SECONDS)
    return (cpu_seconds(pid) - before) * 1e3 / (taken / 1e9)


@contextmanager
def _zipstream(kind: _Kind) -> Iterator[tuple[int, int]]:
    """A server that makes the ZIP anew for every download; its process id and port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._zipstream", str(port), str(kind.count), str(kind.size)],
        cwd=Path(__file__).resolve().parent.parent,
        stdout=subprocess.PIPE,
    )
    try:
        os.sched_setaffinity(process.pid, {SERVER_CORE})
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        time.sleep(0.05)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
