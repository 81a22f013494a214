"""Door tests: the whole web application in process, on each database, with committed data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from entrepot.assembly import Hub, assemble, prepare
from entrepot.core.accounts import SecretBox, ensure_keys
from entrepot.core.accounts.tables import keys
from entrepot.db import connect
from entrepot.db.migrate import migrate
from entrepot.kit.clock import Clock
from entrepot.settings import from_env
from tests.databases import *  # noqa: F403

SECRET_KEY = "T3st-0nly-secret.T3st-0nly-secret.42"


@pytest.fixture(scope="session")
def sealed_keys(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Rows of signing keys, made once: an RSA key takes longer than most tests."""
    database = connect(f"sqlite:///{tmp_path_factory.mktemp('keys')}/keys.sqlite3")
    migrate(database)
    with database.write() as tx:
        ensure_keys(tx, SecretBox(SECRET_KEY), now=Clock()())
        rows = [dict(row) for row in tx.execute(select(keys)).mappings()]
    database.close()
    return rows


@pytest.fixture
def hub(database_url: str, tmp_path: Path, sealed_keys: list[dict[str, Any]]) -> Iterator[Hub]:
    """A hub with the address http://127.0.0.1:8080 and no data."""
    settings = from_env(
        {
            "ENTREPOT_DATA": str(tmp_path),
            "ENTREPOT_DATABASE_URL": database_url,
            "ENTREPOT_SECRET_KEY": SECRET_KEY,
            "ENTREPOT_BIND": "127.0.0.1:8080",
            "ENTREPOT_RESERVE_BYTES": "1 MiB",
            "ENTREPOT_REQUESTS_PER_MINUTE": "0",  # test_rates.py has its own
        },
        cores=1,
    )
    database = connect(database_url)
    with database.write() as tx:
        tx.execute(insert(keys), sealed_keys)
    database.close()
    prepare(settings)
    assembled = assemble(settings)
    yield assembled
    assembled.close()
