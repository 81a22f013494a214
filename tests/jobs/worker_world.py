"""A hub with pictures, customers, and real workers in processes of their own."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from sqlalchemy import func, select, text

from entrepot.assembly import Hub
from entrepot.core import orders as verbs
from entrepot.core.accounts import Principal
from entrepot.core.orders.tables import order_items, orders
from tests import factories
from tests.jobs.toys import ROOT, SECONDS_MAX
from tests.waiting import wait_until

ENDED = {"Completed", "CompletedWithErrors", "Failed", "Cancelled"}


def picture(serial: int, *, side: int = 320, kind: str = "JPEG") -> bytes:
    """A picture like no other."""
    image = Image.new("RGB", (side, side * 3 // 4), (serial % 256, serial // 256 % 256, 90))
    image.paste((250, 250, 10), (serial % 100, 20, serial % 100 + 60, 90))
    written = io.BytesIO()
    image.save(written, kind)
    return written.getvalue()


@dataclass
class World:
    """`environment` is what the commands are told the hub by."""

    hub: Hub
    environment: dict[str, str]
    log: Path
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def customer(self) -> Principal:
        """Somebody of an organisation of their own."""
        with self.hub.database.write() as tx:
            return factories.add_user(tx, factories.add_organisation(tx))

    def add(self, *files: tuple[str, bytes]) -> list[int]:
        """Public assets, of these names and contents."""
        numbers = []
        for name, data in files:
            with self.hub.database.write() as tx:
                numbers.append(
                    factories.add_asset(tx, data=data, file_name=name, store=self.hub.blobs)
                )
        return numbers

    def add_pictures(self, count: int, *, first: int = 0, side: int = 320) -> list[int]:
        """So many public pictures."""
        every = range(first, first + count)
        return self.add(*((f"picture{n}.jpg", picture(n, side=side)) for n in every))

    def place(self, who: Principal, assets: list[int], *pipelines: Any, **more: Any) -> int:
        """An order of these assets, each by these pipelines, or as it is; its number."""
        wanted: dict[str, Any] = (
            {"conversions": [list(steps) for steps in pipelines]}
            if pipelines
            else {"renditions": ["downloadOriginal"]}
        )
        body = {"order": {"individual": {str(asset): wanted for asset in assets}}} | more
        hub = self.hub
        with hub.database.write() as tx:
            placed = verbs.place_order(
                tx, who, verbs.parse_order_request(body), rules=hub.media, now=hub.now()
            )
            if placed.job is not None:
                self.enqueue(tx, placed.job)
        if placed.job is None:
            verbs.complete_order(
                hub.database, hub.blobs, placed.order_id, rules=hub.media, now=hub.now
            )
        return placed.order_id

    def enqueue(self, tx: Any, job: verbs.OrderJob) -> None:
        """As the door does it."""
        self.hub.jobs.enqueue(
            tx,
            "build_order",
            [job.order_id, job.generation],
            job_id=job.job_id,
            partition=job.partition,
            priority=job.priority,
        )

    def order(self, order_id: int) -> Any:
        """The order's row."""
        with self.hub.database.read() as tx:
            return tx.execute(select(orders).where(orders.c.id == order_id)).one()

    def items(self, order_id: int) -> list[Any]:
        """The rows of its items."""
        with self.hub.database.read() as tx:
            query = select(order_items).where(order_items.c.order_id == order_id)
            return list(tx.execute(query.order_by(order_items.c.asset_id)).all())

    def attempts(self) -> int:
        """How often the item was begun that was begun most often of those that have not ended."""
        column = order_items.c
        query = select(func.max(column.attempts)).where(column.state == "pending")
        with self.hub.database.read() as tx:
            return tx.execute(query).scalar_one() or 0

    def events(self, order_id: int) -> list[str]:
        """The types of what was told of it, in order."""
        query = text("SELECT type FROM events WHERE subject = :subject ORDER BY id")
        with self.hub.database.read() as tx:
            return list(tx.execute(query, {"subject": f"order:{order_id}"}).scalars())

    def wait_for(self, *order_ids: int, seconds: float = SECONDS_MAX) -> float:
        """Until these have ended."""
        return wait_until(
            lambda: all(self.order(number).status in ENDED for number in order_ids), seconds
        )

    def work(self, *, program: str = "entrepot.daemon") -> "subprocess.Popen[bytes]":
        """`entrepotd work`, which is at it."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", program, "work"],
                env=self.environment | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        with self.hub.database.read() as tx:
            before = tx.execute(text("SELECT count(*) FROM workers")).scalar_one()
        wait_until(lambda: self._has_more_workers(before) or process.poll() is not None)
        assert process.poll() is None, self.log.read_text()
        return process

    def _has_more_workers(self, before: int) -> bool:
        with self.hub.database.read() as tx:
            now: int = tx.execute(text("SELECT count(*) FROM workers")).scalar_one()
        return now > before or "at it" in self.log.read_text()

    def workers_of(self, process: "subprocess.Popen[bytes]") -> list[int]:
        """The pids of the workers that it supervises, oldest first."""
        children = psutil.Process(process.pid).children()
        return [each.pid for each in sorted(children, key=lambda each: each.create_time())]

    def stop(self, process: "subprocess.Popen[bytes]") -> int:
        """SIGTERM; its exit code."""
        process.terminate()
        self.running.remove(process)
        return process.wait(SECONDS_MAX)

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """kill -9 of its whole process group."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.running.remove(process)

    def close(self) -> None:
        """No worker is left, and none has said anything unexpected."""
        for process in list(self.running):
            self.kill(process)


@contextlib.contextmanager
def timed(seconds_max: float) -> Iterator[None]:
    """Fails where the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds_max
