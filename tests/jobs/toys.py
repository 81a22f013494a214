"""Toy workers as a test drives them: start, kill, freeze, and look what came of it."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from entrepot.db import Database
from entrepot.jobs import Jobs
from tests.jobs import toy_worker
from tests.waiting import wait_until

SECONDS_MAX = 60.0
SOAK_KILLS = int(os.environ.get("SOAK_KILLS", "200"))
# For what is long and the same on both: the other database has its turn in the soak.
ON_SQLITE = pytest.mark.parametrize(
    "dialect", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)]
)
ON_POSTGRESQL = pytest.mark.parametrize(
    "dialect", [pytest.param("sqlite", marks=pytest.mark.soak), "postgresql"]
)
ROOT = Path(__file__).parent.parent.parent


class Toys:
    """The toy pipeline on one database."""

    def __init__(self, database: Database, url: str, jobs: Jobs) -> None:
        self.database, self.url, self.jobs = database, url, jobs
        self.running: list[subprocess.Popen[str]] = []

    def start(
        self, *, slots: int = 4, beat: float = 0.3, item: float = 0.01
    ) -> "subprocess.Popen[str]":
        """One more worker; it is ready. Dead are those silent for four beats."""
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.jobs.toy_worker", self.url],
            env=dict(os.environ)
            | {"PYTHONPATH": str(ROOT), "TOY_SLOTS": str(slots)}
            | {"TOY_BEAT": str(beat), "TOY_ITEM": str(item)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """kill -9 of its whole process group."""
        os.killpg(process.pid, signal.SIGKILL)
        self.bury(process)

    def bury(self, process: "subprocess.Popen[str]") -> int:
        """Its exit code, once it has ended."""
        code = process.wait(SECONDS_MAX)
        assert process.stdout is not None
        process.stdout.close()
        self.running.remove(process)
        return code

    def kill_all(self) -> None:
        """None is left."""
        for process in list(self.running):
            self.kill(process)

    def place(self, order_id: int, **what: Any) -> None:
        """An order with its job."""
        toy_worker.place(self.database, self.jobs, order_id, **what)

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What the toy kept."""
        with self.database.read() as tx:
            return list(tx.execute(text(query), values).all())

    def published(self) -> Counter[int]:
        """How often each order was."""
        return Counter(row.order_id for row in self.rows("SELECT order_id FROM toy_published"))

    def wait_for(self, *order_ids: int, seconds: float = SECONDS_MAX) -> float:
        """Until these are published."""
        return wait_until(lambda: set(order_ids) <= set(self.published()), seconds)

    def started(self, order_id: int) -> int:
        """How many conversions of the order have begun."""
        query = "SELECT count(*) AS count FROM toy_began WHERE order_id = :id"
        return int(self.rows(query, id=order_id)[0].count)
