"""Migrations: they make what the tables say, once, whatever is killed or started beside them."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, insert, text

from entrepot.core import (
    accounts,
    catalogue,
    conversions,
    delivery,
    entitlements,
    events,
    manifests,
    orders,
    webhooks,
)
from entrepot.core.accounts.tables import organisations
from entrepot.db import Database, connect, metadata, migrations
from entrepot.db.migrate import migrate, require_current, revisions, schema_state
from entrepot.errors import Unavailable
from entrepot.jobs import tables as jobs_tables
from tests import factories
from tests.databases import ENGINE_TABLES, empty_database
from tests.factories import NOW

# Each of them puts its tables into the metadata.
CONCEPTS = (
    accounts,
    catalogue,
    conversions,
    delivery,
    entitlements,
    events,
    jobs_tables,
    manifests,
    orders,
    webhooks,
)

# Kills itself with no way to tidy up before the statement with the given number.
KILLED = """
import os, signal, sys
from sqlalchemy import event
from entrepot.db import connect
from entrepot.db.migrate import migrate

database, left = connect(sys.argv[1]), int(sys.argv[2])

@event.listens_for(database.engine, "before_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(database)
"""
MIGRATES = """
import sys
from entrepot.db import connect
from entrepot.db.migrate import migrate

database = connect(sys.argv[1])
sys.stdin.readline()
print(migrate(database).ready)
database.close()
"""


@pytest.fixture
def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it, on each database in turn."""
    with empty_database(dialect, request, tmp_path) as url:
        yield url


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """A database with nothing in it."""
    database = connect(empty_url)
    yield database
    database.close()


def test_migrations_make_what_the_tables_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": _ours}
        )
        assert compare_metadata(context, metadata) == []


def _ours(_: Any, name: str | None, kind: str, *_rest: Any) -> bool:
    return not (kind == "table" and name in {"alembic_version", *ENGINE_TABLES})


def test_metadata_alone_makes_the_same_columns(empty: Database, database: Database) -> None:
    """The comparison above does not look at defaults, checks and the options of tables."""
    metadata.create_all(empty.engine)
    assert _shape(empty) == _shape(database)


def _shape(database: Database) -> list[tuple[object, ...]]:
    others = ", ".join(f"'{name}'" for name in ("alembic_version", *sorted(ENGINE_TABLES)))
    query = (
        "SELECT m.name, m.type, '', '', t.strict FROM sqlite_schema m"
        f" LEFT JOIN pragma_table_list(m.name) t WHERE m.tbl_name NOT IN ({others})"
        ' UNION ALL SELECT m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema m'
        " JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        f" AND m.tbl_name NOT IN ({others})"
        if database.dialect == "sqlite"
        else "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        " UNION ALL SELECT conrelid::regclass::text, conname, contype::text,"
        " pg_get_constraintdef(oid), '' FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text"
        " <> 'alembic_version'"
    )
    with database.read() as tx:
        return sorted(map(tuple, tx.execute(text(query)).all()), key=repr)


def test_the_names_of_the_scripts_tell_the_revisions_as_alembic_does() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == list(revisions())
    assert len(revisions()) >= 3


def test_an_empty_database_is_made_ready_and_again_is_nothing(empty: Database) -> None:
    state = schema_state(empty)
    assert (state.current, state.ready, state.known) == (None, False, True)
    with pytest.raises(Unavailable) as caught:
        require_current(empty)
    assert caught.value.code == "database-older"
    assert "entrepotd migrate" in caught.value.remedy
    assert migrate(empty).ready
    with empty.write() as tx:
        number = factories.add_organisation(tx)
    assert migrate(empty).ready
    require_current(empty)
    with empty.read() as tx:
        assert tx.execute(organisations.select()).one().id == number


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database: Database) -> None:
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for verb in (require_current, migrate):
        with pytest.raises(Unavailable) as caught:
            verb(database)
        assert caught.value.code == "database-newer"
        assert "9999" in caught.value.message
        assert caught.value.remedy
    assert schema_state(database).current == "9999"


FIRST = {"organisations": 101, "users": 10001, "api_clients": 501, "products": 3001}
FIRST |= {"licences": 11, "licence_revisions": 11, "entitlements": 100001}


def test_numbers_start_apart_and_are_never_given_twice(database: Database) -> None:
    def first_free(table: str) -> int:
        if database.dialect == "sqlite":
            query = f"SELECT seq + 1 FROM sqlite_sequence WHERE name = '{table}'"
        else:
            query = f"SELECT last_value + is_called::int FROM {table}_id_seq"
        with database.read() as tx:
            return int(tx.execute(text(query)).scalar_one())

    assert {table: first_free(table) for table in FIRST} == FIRST
    with database.write() as tx:
        assert [factories.add_organisation(tx) for _ in range(2)] == [101, 102]
    with database.write() as tx:
        tx.execute(delete(organisations).where(organisations.c.id == 102))
        assert factories.add_organisation(tx) == 103
        factories.add_user(tx, 101)
        product = factories.add_product(tx)
        assert factories.grant(tx, 101, product) == 100001


def _python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("statements", [3, 40])
def test_a_migration_that_is_killed_leaves_the_database_as_it_was(
    empty_url: str, statements: int
) -> None:
    process = _python(KILLED, empty_url, str(statements))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    assert _tables(empty_url) == 0
    database = connect(empty_url)
    assert schema_state(database).current is None
    assert migrate(database).ready
    with database.write() as tx:
        assert factories.add_organisation(tx) == 101
    database.close()


def _tables(url: str) -> int:
    """How many tables there are, asked without our code."""
    if url.startswith("sqlite:"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as plain:
            count = plain.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        plain.close()
        return int(count[0])
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    assert found is not None
    return int(found[0])


def test_processes_that_migrate_at_the_same_moment_take_turns(empty_url: str) -> None:
    processes = [_python(MIGRATES, empty_url) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output.strip()) == (0, "True"), errors
    database = connect(empty_url)
    require_current(database)
    with database.write() as tx:
        values = {"name": "x", "country": "DE", "blocked": False, "created_at": NOW}
        tx.execute(insert(organisations), values)
    database.close()
