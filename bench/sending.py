"""Sending: the hub's CPU for each GB of a large file, as a multiple of nginx's sendfile."""

import tempfile
from pathlib import Path

from bench._cpu import cpu_seconds, median
from bench._drain import drain
from bench._figures import Figure, Report
from bench._hub import Served, running_hub
from bench._load import get
from bench._nginx import Nginx, running_nginx
from bench._requests import ROUNDS
from bench._world import add_customer, add_links, add_offer, random_file
from entrepot.assembly import Hub

SIZE = 1 << 30
SECONDS = 4.0
TARGETS = {8: 1.1, 64: 1.25}
SHAPE = (
    "one file of 1 GiB in the page cache, a signed link, clients in a process of their own that "
    f"drop the bytes in the kernel (`MSG_TRUNC`) and download again and again for {SECONDS:g} s; "
    "hub and nginx (sendfile, tcp_nopush, one worker) in turn on the same core, the ratio taken "
    "of neighbours."
)


def measure() -> Report:
    """With 8 clients, then with 64."""

    def seed(hub: Hub) -> str:
        customer = add_customer(hub)
        return add_links(hub, customer, add_offer(hub, customer, file), 1)[0]

    with tempfile.TemporaryDirectory(prefix="sending-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = random_file(folder / "big.bin", SIZE)
        with running_hub(seed) as hub, running_nginx(folder) as nginx:
            return Report(SHAPE, [_measure(hub, nginx, clients) for clients in TARGETS])


def _measure(hub: Served[str], nginx: Nginx | str, clients: int) -> Figure:
    what = f"1 GiB file, {clients} clients"
    pairs = []
    for _ in range(ROUNDS):
        ours = _cpu_ms_per_gb(hub.pid, hub.port, hub.seeded, clients)
        theirs = (
            _cpu_ms_per_gb(nginx.pid, nginx.port, "/big.bin", clients)
            if isinstance(nginx, Nginx)
            else float("nan")
        )
        pairs.append((ours, theirs))
    spent = median([ours for ours, _ in pairs])
    if isinstance(nginx, str):
        return Figure(what, spent, "ms CPU a GB", tuple(ours for ours, _ in pairs), "", nginx)
    ratios = tuple(ours / theirs for ours, theirs in pairs)
    peer = f"{nginx.version} {median([theirs for _, theirs in pairs]):.1f} ms, hub {spent:.1f} ms"
    return Figure(what, median(ratios), "x nginx, CPU a GB", ratios, f"<= {TARGETS[clients]}", peer)


def _cpu_ms_per_gb(pid: int, port: int, path: str, clients: int) -> float:
    before = cpu_seconds(pid)
    taken = drain(port, get(path), clients=clients, seconds=SECONDS)
    return (cpu_seconds(pid) - before) * 1e3 / (taken / 1e9)
