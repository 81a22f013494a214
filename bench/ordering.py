"""Ordering: what it costs the hub to accept an order of stored files and to complete it."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from bench._cpu import cpu_seconds, median
from bench._figures import Figure, Report
from bench._hub import Served, running_hub
from bench._requests import ROUNDS
from bench._world import Customer, add_customer, add_stored_assets, select_assets
from entrepot.assembly import Hub

SMALL, LARGE = 1_000, 100_000
LARGE_ROUNDS = 3
SIZE = 1_000
PAUSE_SECONDS = 0.02
SECONDS_MAX = 120.0
SHAPE = (
    f"{LARGE:,} public assets of {SIZE:,} bytes, contents repeating after 1,000; SQLite. "
    f"`POST /api/downloadorders` of a selection of {SMALL:,} of them, answered Completed by the "
    f"web process; of all {LARGE:,}, planned and packed by one worker: the CPU of both. Meanwhile "
    f"a client asks for its list of orders on one connection every {PAUSE_SECONDS * 1e3:g} ms."
)


@dataclass(frozen=True, slots=True)
class _World:
    customer: Customer


def measure() -> Report:
    """Small orders, then large ones beside other requests."""

    def seed(hub: Hub) -> _World:
        customer = add_customer(hub)
        numbers = add_stored_assets(hub, LARGE, SIZE)
        select_assets(hub, customer, numbers[:SMALL], "small")
        select_assets(hub, customer, numbers, "large")
        return _World(customer)

    with running_hub(seed) as hub:
        return Report(SHAPE, [_small(hub), *_large(hub)])


def _small(hub: Served[_World]) -> Figure:
    client = _Client(hub)
    client.place("small")
    samples = []
    for _ in range(ROUNDS):
        before = cpu_seconds(hub.pid)
        order = client.place("small")
        samples.append(1e3 * (cpu_seconds(hub.pid) - before))
        if order["status"] != "Completed":
            raise RuntimeError(f"not completed: {order}")
    what = f"order of {SMALL:,} stored files, POST to Completed"
    return Figure(what, median(samples), "ms CPU", tuple(samples), "<= 150")


def _large(hub: Served[_World]) -> list[Figure]:
    client = _Client(hub)
    spent, slowest, walls = [], [], []
    with hub.worker() as worker:
        for _ in range(LARGE_ROUNDS):
            before = cpu_seconds(hub.pid) + cpu_seconds(worker)
            begun = time.monotonic()
            with _asking(hub) as waits:
                order = client.place("large")
                while order["status"] in ("Pending", "InProgress"):
                    if time.monotonic() - begun > SECONDS_MAX:
                        raise RuntimeError(f"not completed: {order}")
                    time.sleep(0.1)
                    order = client.get(f"/api/downloadorders/{order['order_id']}")
            walls.append(time.monotonic() - begun)
            spent.append(cpu_seconds(hub.pid) + cpu_seconds(worker) - before)
            slowest.append(1e3 * sorted(waits)[int(len(waits) * 0.99)])
            if order["status"] != "Completed" or order["progress"]["files_completed"] != LARGE:
                raise RuntimeError(f"not completed: {order}")
    what = f"order of {LARGE:,} stored files, POST to Completed"
    wall = f"{median(walls):.1f} s wall; {median(slowest):.0f} ms p99"
    return [
        Figure(what, median(spent), "s CPU, web and worker", tuple(spent), "<= 6", wall),
        Figure(
            "other requests meanwhile, 99th percentile",
            median(slowest),
            "ms",
            tuple(slowest),
            "<= 250",
        ),
    ]


@contextmanager
def _asking(hub: Served[_World]) -> Iterator[list[float]]:
    """Ask for the list of orders again and again; the seconds that each answer took."""
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        client = _Client(hub)
        while not over.wait(PAUSE_SECONDS):
            begun = time.monotonic()
            client.get("/api/downloadorders?take=1")
            waits.append(time.monotonic() - begun)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        over.set()
        asking.join()


class _Client:
    """One keep-alive connection of the customer."""

    def __init__(self, hub: Served[_World]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        self._headers = {
            **hub.seeded.customer.headers,
            "Content-Type": "application/json",
        }

    def place(self, pool: str) -> dict[str, Any]:
        """An order of a selection, as it is answered."""
        body = msgspec.json.encode({"order": {}, "target_selection": {"selectionPool": pool}})
        return self._ask("POST", "/api/downloadorders", body, 201)

    def get(self, path: str) -> dict[str, Any]:
        """What is there now."""
        return self._ask("GET", path, None, 200)

    def _ask(self, method: str, path: str, body: bytes | None, status: int) -> dict[str, Any]:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != status:
            raise RuntimeError(f"{answer.status}: {data[:500]!r}")
        decoded: dict[str, Any] = msgspec.json.decode(data)
        return decoded
