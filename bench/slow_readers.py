"""Slow readers: memory of the web process while thousands of clients hardly read, and how it
answers a health check meanwhile.

    python -m bench.slow_readers PORT SECONDS      the health check, from a process of its own
"""

import contextlib
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench._cpu import cpu_of, resident_mib
from bench._figures import Figure, Report
from bench._hub import Served, running_hub
from bench._load import fetch, get
from bench._world import add_customer, add_links, add_offer, random_file
from entrepot.assembly import Hub

READERS = 5000
SECONDS = 20.0
SIZE = 256 << 20
LINKS = 50
RECEIVE_BUFFER_BYTES = 16 * 1024
BITE_BYTES = 1024
CHECK_EVERY_SECONDS = 0.05
_ROOT = Path(__file__).resolve().parent.parent


def measure() -> Report:
    """As many readers as descriptors allow, at most READERS."""

    def seed(hub: Hub) -> list[str]:
        customer = add_customer(hub)
        return add_links(hub, customer, add_offer(hub, customer, file), LINKS)

    # The hub holds two descriptors for each reader, this process one.
    allowed = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 2
    count = min(READERS, allowed)
    with tempfile.TemporaryDirectory(prefix="slow-readers-") as name:
        file = random_file(Path(name, "big.bin"), SIZE)
        with running_hub(seed) as hub:
            figures = _measure(hub, count)
    shape = (
        f"{count} connections, each with a download of a {SIZE >> 20} MiB file under way, reading "
        f"{BITE_BYTES} bytes about once a second for {SECONDS:g} s; GET /healthz every "
        f"{CHECK_EVERY_SECONDS * 1e3:g} ms on a new connection from another process."
    )
    return Report(shape, figures)


def _measure(hub: Served[list[str]], count: int) -> list[Figure]:
    at_rest = resident_mib(hub.pid)
    with _readers(hub, count) as readers:
        checking = subprocess.Popen(
            [sys.executable, "-m", "bench.slow_readers", str(hub.port), str(SECONDS)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
        )
        memory: list[float] = []
        spent = cpu_of(hub.pid, lambda: _trickle(hub.pid, readers, memory))
        output = checking.communicate(timeout=60)[0]
        if checking.returncode:
            raise RuntimeError("the health check failed")
    waits = sorted(1e3 * wait for wait in json.loads(output))
    p99 = waits[int(len(waits) * 0.99)]
    note = f"{at_rest:.0f} MiB before; {100 * spent / SECONDS:.0f} % of a core meanwhile"
    return [
        Figure(f"{count} slow readers: resident memory", max(memory), "MiB", (), "<= 200", note),
        Figure(f"health check meanwhile, worst of {len(waits)}", waits[-1], "ms", (), "<= 250"),
        Figure("health check meanwhile, 99th percentile", p99, "ms", (), "<= 250"),
    ]


@contextlib.contextmanager
def _readers(hub: Served[list[str]], count: int) -> Iterator[list[socket.socket]]:
    readers: list[socket.socket] = []
    try:
        for number in range(count):
            sock = socket.socket()
            readers.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            sock.settimeout(30)
            sock.connect(("127.0.0.1", hub.port))
            sock.sendall(get(hub.seeded[number % len(hub.seeded)]))
        for sock in readers:
            if not sock.recv(BITE_BYTES).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a reader was refused")
        yield readers
    finally:
        for sock in readers:
            sock.close()


def _trickle(pid: int, readers: list[socket.socket], memory: list[float]) -> None:
    """Every reader takes a bite a second; what nobody has read stays in the kernel."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        begun = time.monotonic()
        for sock in readers:
            if not sock.recv(BITE_BYTES):
                raise RuntimeError("a reader was cut off")
        memory.append(resident_mib(pid))
        time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))


def _check(port: int, seconds: float) -> list[float]:
    """Seconds that each health check took."""
    waits = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        fetch(port, get("/healthz"))
        waits.append(time.perf_counter() - begun)
        time.sleep(CHECK_EVERY_SECONDS)
    return waits


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_check(int(sys.argv[1]), float(sys.argv[2]))))
