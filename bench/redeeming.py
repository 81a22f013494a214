"""Redeeming: downloads of a 20 KB file that a second of the web process's CPU gives."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench._cpu import median
from bench._figures import Figure, Report
from bench._hub import Served, running_hub
from bench._load import get
from bench._nginx import Nginx, running_nginx
from bench._requests import ROUNDS, cpu_per_request
from bench._world import add_customer, add_links, add_offer, cycle, random_file
from entrepot.assembly import Hub

SIZE = 20_000
WARM_LEASES = 64
WARM_REQUESTS = 10_000
COLD_REQUESTS = 2000
SHAPE = (
    "one file of 20,000 random bytes, 8 keep-alive connections, SQLite. Warm: "
    f"{WARM_REQUESTS:,} requests a sample over {WARM_LEASES} leases in use; cold: "
    f"{COLD_REQUESTS:,} requests a sample, each the first of its lease. The record of what was "
    "sent and one line of access log a request are included; nginx writes its access log too, "
    "checks `secure_link` (MD5) and keeps the file open (`open_file_cache`)."
)


def measure() -> Report:
    """Warm and cold in turn, nginx between them."""

    def seed(hub: Hub) -> list[str]:
        customer = add_customer(hub)
        offer = add_offer(hub, customer, random_file(file, SIZE))
        return add_links(hub, customer, offer, WARM_LEASES + ROUNDS * COLD_REQUESTS)

    with tempfile.TemporaryDirectory(prefix="redeeming-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "small.bin"
        with running_hub(seed) as hub, running_nginx(folder) as nginx:
            return Report(SHAPE, _measure(hub, nginx))


def _measure(hub: Served[list[str]], nginx: Nginx | str) -> list[Figure]:
    requests = [get(path) for path in hub.seeded]
    warm, cold = requests[:WARM_LEASES], requests[WARM_LEASES:]
    _ours(hub, warm * 30)
    samples: dict[str, list[float]] = {"warm": [], "cold": [], "nginx": []}
    for number in range(ROUNDS):
        samples["warm"].append(_ours(hub, [warm[n % WARM_LEASES] for n in range(WARM_REQUESTS)]))
        samples["nginx"].append(_theirs(nginx))
        first = number * COLD_REQUESTS
        samples["cold"].append(_ours(hub, cold[first : first + COLD_REQUESTS]))
    peer = nginx
    if isinstance(nginx, Nginx):
        peer = f"{nginx.version} secure_link: {median(samples['nginx']):,.0f}"
    return [
        _figure("20 KB, warm lease", samples["warm"], ">= 10,000", str(peer)),
        _figure("20 KB, cold lease", samples["cold"], ">= 2,500", str(peer)),
    ]


def _ours(hub: Served[list[str]], requests: Sequence[bytes]) -> float:
    return 1 / cpu_per_request(hub.pid, hub.port, requests, bytes_each=SIZE)


def _theirs(nginx: Nginx | str) -> float:
    if isinstance(nginx, str):
        return float("nan")
    requests = [get(path) for path in cycle([nginx.secure_path("small.bin")], WARM_REQUESTS)]
    return 1 / cpu_per_request(nginx.pid, nginx.port, requests, bytes_each=SIZE)


def _figure(what: str, samples: Sequence[float], target: str, peer: str) -> Figure:
    return Figure(what, median(samples), "a CPU-second", tuple(samples), target, peer)
