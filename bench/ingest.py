"""CPU and wall time of storing one file, as a multiple of `sha256sum` on the same file.

    python -m bench.ingest [--mebibytes 512] [--rounds 5] [--folder DIR]

Random bytes in the page cache; ingest computes SHA-256, MD5 and CRC-32, writes and fsyncs,
sha256sum only reads and hashes. Both run alternately in processes of their own; medians.
Lower is better. Note that sha256sum may be built without the CPU's SHA instructions, which
hashlib uses: the ratio to hashing the file by hashlib is printed as well.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench._figures import Figure, Report

MEBIBYTES = 512
ROUNDS = 5

_INGEST = """
import sys
from pathlib import Path
from entrepot.blobs import LocalBlobStore
store = LocalBlobStore(Path(sys.argv[2]), reserve_bytes=0, margin_bytes=0)
store.prepare()
with open(sys.argv[1], "rb") as source:
    print(store.ingest(source).sha256)
"""
_HASHLIB = """
import hashlib, sys
with open(sys.argv[1], "rb") as source:
    print(hashlib.file_digest(source, "sha256").hexdigest())
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: seconds on all cores, seconds on the clock."""

    cpu: float
    wall: float


def _run(command: list[str]) -> tuple[Cost, str]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall), done.stdout.split()[0]


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.cpu for c in costs), statistics.median(c.wall for c in costs))


def measure(folder: Path, *, mebibytes: int, rounds: int) -> dict[str, Cost]:
    """Median cost of `ingest`, `sha256sum` and `hashlib` on one file of random bytes."""
    source, store = folder / "source", folder / "blobs"
    with source.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    commands = {
        "ingest": [sys.executable, "-c", _INGEST, str(source), str(store)],
        "sha256sum": ["sha256sum", str(source)],
        "hashlib": [sys.executable, "-c", _HASHLIB, str(source)],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        digests = set()
        for name, command in commands.items():
            cost, digest = _run(command)
            costs[name].append(cost)
            digests.add(digest)
        shutil.rmtree(store)
        if len(digests) != 1:
            raise AssertionError("ingest, sha256sum and hashlib disagree")
    return {name: _median(each) for name, each in costs.items()}


def report() -> Report:
    """The figures for `python -m bench`; no target is set for them."""
    with tempfile.TemporaryDirectory() as name:
        costs = measure(Path(name), mebibytes=MEBIBYTES, rounds=ROUNDS)
    ours = costs.pop("ingest")
    figures = [
        Figure(
            f"ingest of {MEBIBYTES} MiB beside {peer}",
            ours.cpu / cost.cpu,
            f"x {peer}, CPU",
            peer=f"wall {ours.wall / cost.wall:.2f} x; CPU {ours.cpu:.2f} s against {cost.cpu:.2f}",
        )
        for peer, cost in costs.items()
    ]
    return Report(
        f"one file of {MEBIBYTES} MiB of random bytes in the page cache; ingest computes SHA-256, "
        "MD5 and CRC-32, writes and fsyncs, sha256sum and hashlib only read and hash.",
        figures,
    )


def main(arguments: list[str] | None = None) -> None:
    """Print one line of figures for each peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mebibytes", type=int, default=MEBIBYTES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        figures = measure(Path(name), mebibytes=options.mebibytes, rounds=options.rounds)
    ingest = figures.pop("ingest")
    print(f"ingest of {options.mebibytes} MiB: CPU {ingest.cpu:.2f} s, wall {ingest.wall:.2f} s")
    for peer, cost in figures.items():
        cpu, wall = ingest.cpu / cost.cpu, ingest.wall / cost.wall
        print(f"  as a multiple of {peer}: CPU {cpu:.2f}, wall {wall:.2f}")


if __name__ == "__main__":
    main()
