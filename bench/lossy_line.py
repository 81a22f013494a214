"""A long and lossy line: how long a customer waits for one file, beside aria2c."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench._cpu import median
from bench._customer_hub import CustomerHub, Run, by_aria2c, by_curl, by_entrepot, measured, serving
from bench._figures import Figure, Report
from bench._hub import free_port

SIZE = 64 << 20
ROUNDS = 3
ARIA2C_CONNECTIONS = 8
ALONE = 4 << 20  # of it is fetched by one connection
_ROOT = Path(__file__).resolve().parent.parent
SHAPE = (
    "one file of 64 MiB of random bytes through a line of 50 ms round trip, 1 % loss and 100 "
    "Mbit/s: a proxy in user space that models what they do to each connection (`bench/_lossy.py` "
    "says how, and what it is not). `entrepot download-artifacts` as it is, with start-up and API "
    "calls over the same line; `aria2c -x8 -s8 -k1M` of a link at hand; both verify the SHA-256. "
    "Wall time, in turn; the first 4 MiB once by curl, for what one connection brings."
)


def measure() -> Report:
    """aria2c and ours in turn."""
    near, far = free_port(), free_port()
    files = {"FARAWAY": [("faraway.bin", SIZE)]}
    with serving(files, public_url=f"http://127.0.0.1:{near}", port=far) as hub, _line(near, far):
        return Report(SHAPE, _figures(hub))


def _figures(hub: CustomerHub) -> list[Figure]:
    release = hub.releases[0]
    alone = measured(hub, lambda folder: by_curl(hub, release, folder, "-r", f"0-{ALONE - 1}"))
    ours: list[Run] = []
    theirs: list[Run] = []
    aria2c = shutil.which("aria2c") is not None
    for _ in range(ROUNDS):
        ours.append(measured(hub, lambda folder: by_entrepot(hub, release, folder)))
        if aria2c:
            fetch = measured(hub, lambda it: by_aria2c(hub, release, it, ARIA2C_CONNECTIONS))
            theirs.append(fetch)
    walls = tuple(run.wall for run in ours)
    single = ALONE / alone.wall / 1e6
    told = f"entrepot {median(walls):.1f} s; one connection (curl) brings {single:.2f} MB/s"
    what = "64 MiB, 50 ms, 1 % loss"
    if not aria2c:
        return [Figure(what, median(walls), "s", walls, "", f"{told}; no aria2c here")]
    ratios = tuple(its.wall / mine.wall for mine, its in zip(ours, theirs, strict=True))
    peer = f"aria2c -x8 {median([run.wall for run in theirs]):.1f} s; {told}"
    return [Figure(what, median(ratios), "x as fast as aria2c -x8", ratios, ">= 1", peer)]


@contextlib.contextmanager
def _line(near: int, far: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._lossy", str(near), str(far)], cwd=_ROOT
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", near)).close()
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)
