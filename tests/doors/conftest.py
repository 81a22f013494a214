"""Door tests: the whole web application in process, on each database, with committed data."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.assembly import Hub, assemble, prepare
from entrepot.settings import from_env
from tests.databases import *  # noqa: F403


@pytest.fixture
def hub(database_url: str, tmp_path: Path) -> Iterator[Hub]:
    """A hub with the address http://127.0.0.1:8080, no data, and keys of its own."""
    settings = from_env(
        {
            "ENTREPOT_DATA": str(tmp_path),
            "ENTREPOT_DATABASE_URL": database_url,
            "ENTREPOT_SECRET_KEY": "T3st-0nly-secret.T3st-0nly-secret.42",
            "ENTREPOT_BIND": "127.0.0.1:8080",
            "ENTREPOT_RESERVE_BYTES": "1 MiB",
        },
        cores=1,
    )
    prepare(settings)
    assembled = assemble(settings)
    yield assembled
    assembled.close()
