"""Jobs are tested on both databases, with workers in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.assembly import assemble, prepare
from entrepot.db import Database
from entrepot.jobs import Jobs
from entrepot.settings import from_env
from tests.databases import *  # noqa: F403
from tests.jobs import toy_worker
from tests.jobs.toys import Toys
from tests.jobs.worker_world import World
from tests.system.hubs import clean_environment

SECRET_KEY = "T3st-0nly-secret.T3st-0nly-secret.42"


@pytest.fixture
def jobs(database: Database) -> Iterator[Jobs]:
    """The engine, as seen by whoever has work done; the toy's tables are there."""
    toy_worker.make_tables(database)
    opened = Jobs(database)
    yield opened
    opened.close()


@pytest.fixture
def toys(database: Database, database_url: str, jobs: Jobs) -> Iterator[Toys]:
    """Toy workers, none of which outlives the test."""
    toys = Toys(database, database_url, jobs)
    yield toys
    toys.kill_all()


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A hub with no data and no worker yet; no worker of it outlives the test."""
    told = {
        "ENTREPOT_DATA": str(tmp_path / "data"),
        "ENTREPOT_DATABASE_URL": database_url,
        "ENTREPOT_SECRET_KEY": SECRET_KEY,
        "ENTREPOT_RESERVE_BYTES": "1 MiB",
        "ENTREPOT_WORKER_SLOTS": "2",
    }
    settings = from_env(told)
    prepare(settings)
    hub = assemble(settings)
    world = World(hub, clean_environment() | told, tmp_path / "work.log")
    yield world
    world.close()
    hub.close()
    if world.log.exists():
        assert "Traceback" not in world.log.read_text(), world.log.read_text()
