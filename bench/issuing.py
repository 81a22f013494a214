"""Issuing: links that a second of the web process's CPU gives."""

import tempfile
from pathlib import Path

import msgspec

from bench._cpu import median
from bench._databases import postgresql_url
from bench._figures import Figure, Report
from bench._hub import running_hub
from bench._load import fetch, get
from bench._requests import ROUNDS, cpu_per_request
from bench._world import Customer, Offer, add_bulk, add_customer, add_offer, random_file
from entrepot.assembly import Hub

REQUESTS = 2000
SHAPE = (
    "100,000 entitlements; `GET .../artifact/{id}/http` for one artifact: the decision, a lease "
    "row, an audit row, one durable commit, the signature; token cached, 8 keep-alive "
    f"connections, {REQUESTS} requests a sample. CPU of the web process only, not of PostgreSQL."
)


def measure() -> Report:
    """On SQLite, then on PostgreSQL."""
    with postgresql_url() as url:
        return Report(
            SHAPE, [_measure("SQLite", None, ">= 2,500"), _measure("PostgreSQL", url, "")]
        )


def _seed(hub: Hub) -> tuple[Customer, Offer]:
    customer = add_customer(hub)
    add_bulk(hub, customer)
    with tempfile.TemporaryDirectory() as folder:
        return customer, add_offer(hub, customer, random_file(Path(folder, "small.bin"), 20_000))


def _measure(database: str, url: str | None, target: str) -> Figure:
    with running_hub(_seed, database_url=url) as hub:
        customer, offer = hub.seeded
        request = get(f"{offer.path}/http", headers=customer.headers)
        answer = msgspec.json.decode(fetch(hub.port, request))
        if "/dl/" not in answer["downloadUrl"]:
            raise RuntimeError(f"not a link: {answer}")
        cpu_per_request(hub.pid, hub.port, [request] * (REQUESTS // 4))
        samples = tuple(
            1 / cpu_per_request(hub.pid, hub.port, [request] * REQUESTS) for _ in range(ROUNDS)
        )
    return Figure(f"links, {database}", median(samples), "a CPU-second", samples, target)
