"""A worker with a toy pipeline, in a process of its own: toy_worker.py URL.

An order has items; each is converted by a job of its own, and when all are done the order is
published, guarded by its state. What happened is kept in tables of the toy's own.
"""

import os
import signal
import sys
import threading
import time

from sqlalchemy import text

from entrepot.db import Database, Tx, connect
from entrepot.jobs import CONVERSIONS, ORDERS, Jobs, Queue, Runner, Task, presence
from entrepot.kit import log

WINDOW = 16
ATTEMPTS_MAX = 3
TABLES = (
    "CREATE TABLE toy_orders (id BIGINT PRIMARY KEY, customer TEXT, items BIGINT, state TEXT)",
    "CREATE TABLE toy_items (order_id BIGINT, n BIGINT, state TEXT, attempts BIGINT)",
    "CREATE UNIQUE INDEX toy_items_key ON toy_items (order_id, n)",
    "CREATE TABLE toy_published (order_id BIGINT, at DOUBLE PRECISION)",
    "CREATE TABLE toy_began (order_id BIGINT, n BIGINT, at DOUBLE PRECISION)",
)


def make_tables(database: Database) -> None:
    """What the toy keeps."""
    with database.write() as tx:
        for statement in TABLES:
            tx.execute(text(statement))


def place(
    database: Database,
    jobs: Jobs,
    order_id: int,
    *,
    customer: str = "101",
    items: int = 5,
    priority: int = 0,
) -> None:
    """An order with its job, in one transaction."""
    with database.write() as tx:
        place_in(tx, jobs, order_id, customer=customer, items=items, priority=priority)


def place_in(
    tx: Tx, jobs: Jobs, order_id: int, *, customer: str, items: int, priority: int = 0
) -> None:
    """The same in a transaction of the caller's."""
    tx.execute(
        text("INSERT INTO toy_orders VALUES (:id, :customer, :items, 'pending')"),
        {"id": order_id, "customer": customer, "items": items},
    )
    tx.execute(
        text("INSERT INTO toy_items VALUES (:id, :n, 'pending', 0)"),
        [{"id": order_id, "n": n} for n in range(items)],
    )
    jobs.enqueue(
        tx, "build", [order_id], job_id=f"toy:{order_id}", partition=customer, priority=priority
    )


class Toy:
    """The handlers."""

    def __init__(self, database: Database, jobs: Jobs, item_seconds: float) -> None:
        self._database = database
        self._jobs = jobs
        self._item_seconds = item_seconds

    def build(self, task: Task, order_id: int) -> None:
        """Keep a window of items at work, then publish."""
        while True:
            with self._database.write() as tx:
                order = tx.execute(
                    text("SELECT * FROM toy_orders WHERE id = :id"), {"id": order_id}
                ).one()
                if order.state != "pending":
                    return
                pending = (
                    tx.execute(
                        text(
                            "SELECT n FROM toy_items WHERE order_id = :id AND state = 'pending'"
                            f" ORDER BY n LIMIT {WINDOW}"
                        ),
                        {"id": order_id},
                    )
                    .scalars()
                    .all()
                )
                for n in pending:
                    self._jobs.enqueue(
                        tx,
                        "convert",
                        [order_id, n],
                        job_id=f"toy:{order_id}:{n}",
                        partition=order.customer,
                        queue=CONVERSIONS,
                    )
            if not pending:
                break
            task.pause(0.05)
        with self._database.write() as tx:
            published = tx.execute(
                text("UPDATE toy_orders SET state = 'done' WHERE id = :id AND state = 'pending'"),
                {"id": order_id},
            )
            if published.rowcount:
                tx.execute(
                    text("INSERT INTO toy_published VALUES (:id, :at)"),
                    {"id": order_id, "at": time.time()},
                )

    def convert(self, task: Task, order_id: int, n: int) -> None:
        """Count the attempt, work, settle. Item 666 kills its worker each time."""
        key = {"id": order_id, "n": n}
        with self._database.write() as tx:
            state = tx.execute(
                text(
                    "UPDATE toy_items SET attempts = attempts + 1, state = CASE WHEN attempts >="
                    f" {ATTEMPTS_MAX} THEN 'poison' ELSE state END"
                    " WHERE order_id = :id AND n = :n AND state = 'pending' RETURNING state"
                ),
                key,
            ).scalar()
            if state != "pending":
                return
            tx.execute(
                text("INSERT INTO toy_began VALUES (:id, :n, :at)"), key | {"at": time.time()}
            )
        if n == 666:
            signal.raise_signal(signal.SIGKILL)
        task.pause(self._item_seconds)
        with self._database.write() as tx:
            tx.execute(
                text(
                    "UPDATE toy_items SET state = 'done'"
                    " WHERE order_id = :id AND n = :n AND state = 'pending'"
                ),
                key,
            )


def main(url: str, *, slots: int, beat_seconds: float, item_seconds: float) -> None:
    """Work until SIGTERM."""
    presence.BEAT_SECONDS, presence.DEAD_SECONDS = beat_seconds, 4 * beat_seconds
    log.configure("info", form="json")
    database = connect(url)
    jobs = Jobs(database)
    toy = Toy(database, jobs, item_seconds)
    runner = Runner(
        database,
        jobs,
        {"build": toy.build, "convert": toy.convert},
        [Queue(ORDERS, 16, 4, 0.05), Queue(CONVERSIONS, slots, slots, 0.05)],
    )
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    runner.start()
    print("ready", flush=True)
    told.wait()
    runner.stop()
    os._exit(0)


if __name__ == "__main__":
    main(
        sys.argv[1],
        slots=int(os.environ["TOY_SLOTS"]),
        beat_seconds=float(os.environ["TOY_BEAT"]),
        item_seconds=float(os.environ["TOY_ITEM"]),
    )
