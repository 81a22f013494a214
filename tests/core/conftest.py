"""Core tests run on both databases, each in a transaction that is rolled back."""

from pathlib import Path

import pytest

from entrepot.db import Database
from tests.core.orders_world import World, make_world
from tests.databases import *  # noqa: F403


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A customer who orders, on each database in turn."""
    return make_world(database, tmp_path)
