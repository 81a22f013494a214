"""Ordering: what it costs the hub to accept an order of stored files and to complete it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench._cpu import cpu_seconds, median
from bench._figures import Figure, Report
from bench._hub import Served, running_hub
from bench._orders import OrdersClient
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


def measure() -> Report:
    """Small orders, then large ones beside other requests."""

    def seed(hub: Hub) -> Customer:
        customer = add_customer(hub)
        numbers = add_stored_assets(hub, LARGE, SIZE)
        select_assets(hub, customer, numbers[:SMALL], "small")
        select_assets(hub, customer, numbers, "large")
        return customer

    with running_hub(seed) as hub:
        return Report(SHAPE, [_small(hub), *_large(hub)])


def _small(hub: Served[Customer]) -> Figure:
    client = OrdersClient(hub.port, hub.seeded)
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


def _large(hub: Served[Customer]) -> list[Figure]:
    client = OrdersClient(hub.port, hub.seeded)
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
def _asking(hub: Served[Customer]) -> Iterator[list[float]]:
    """Ask for the list of orders again and again; the seconds that each answer took."""
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        client = OrdersClient(hub.port, hub.seeded)
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
