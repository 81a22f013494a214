"""Transactions on both databases: snapshots, queues of writers, settings, and what errors mean."""

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from entrepot.core.accounts.tables import organisations
from entrepot.db import Database, Prepared, connect, take_turns
from entrepot.errors import EntrepotError, Invalid, StorageFull, Unavailable
from tests.databases import ENGINE_TABLES
from tests.factories import NOW


def organisation(name: str) -> dict[str, object]:
    return {"name": name, "country": "DE", "blocked": False, "created_at": NOW}


def add(database: Database, name: str) -> None:
    with database.write() as tx:
        tx.execute(insert(organisations), organisation(name))


def names(database: Database) -> list[str]:
    with database.read() as tx:
        query = select(organisations.c.name).order_by(organisations.c.id)
        return list(tx.execute(query).scalars())


def test_a_write_is_kept_and_a_failed_one_leaves_nothing(database: Database) -> None:
    add(database, "kept")
    with pytest.raises(RuntimeError, match="half way"), database.write() as tx:
        tx.execute(insert(organisations), organisation("lost"))
        raise RuntimeError("half way")
    assert names(database) == ["kept"]


def test_a_reader_sees_one_snapshot(database: Database) -> None:
    add(database, "before")
    query = select(organisations.c.name)
    with database.read() as tx:
        assert tx.execute(query).scalars().all() == ["before"]
        with ThreadPoolExecutor(1) as other:
            other.submit(add, database, "meanwhile").result()
        assert tx.execute(query).scalars().all() == ["before"]
    assert names(database) == ["before", "meanwhile"]


def test_a_glance_reads_and_leaves_its_connection_as_the_others_want_it(
    database_url: str,
) -> None:
    database = connect(database_url, pool_size=1)
    try:
        for at in range(3):
            with database.glance() as tx:
                found = tx.execute(select(organisations.c.name)).scalars().all()
            assert len(found) == at
            with pytest.raises(RuntimeError, match="on purpose"), database.write() as tx:
                tx.execute(insert(organisations), organisation("taken back"))
                raise RuntimeError("on purpose")
            with pytest.raises((DBAPIError, Unavailable)), database.read() as tx:
                tx.execute(insert(organisations), organisation("by a reader"))
            add(database, f"kept {at}")
        assert names(database) == ["kept 0", "kept 1", "kept 2"]
    finally:
        database.close()


def test_a_reader_cannot_write_and_the_next_writer_on_its_connection_can(
    database_url: str,
) -> None:
    database = connect(database_url, pool_size=1)
    try:
        for at in range(3):
            with (
                pytest.raises((DBAPIError, Unavailable)) as caught,
                database.read() as tx,
            ):
                tx.execute(insert(organisations), organisation("by a reader"))
            said = str(caught.value) + str(caught.value.__cause__)
            assert "read-only" in said or "readonly" in said
            add(database, f"by a writer {at}")
            with database.engine.begin() as tx:  # neither: as the tests' own `tx`
                tx.execute(insert(organisations), organisation(f"by another {at}"))
        assert len(names(database)) == 6
    finally:
        database.close()


def test_writers_queue_in_order_and_none_fails(database: Database) -> None:
    """Read, then write: on SQLite a deferred transaction would fail with SQLITE_BUSY here."""
    add(database, "0")
    query = select(organisations.c.id, organisations.c.name).order_by(organisations.c.id)

    def count_up() -> None:
        for _ in range(20):
            with database.write() as tx:
                take_turns(tx, "counting")
                row = tx.execute(query).one()
                values = update(organisations).where(organisations.c.id == row.id)
                tx.execute(values.values(name=str(int(row.name) + 1)))

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(count_up) for _ in range(6)]:
            done.result()
    assert names(database) == ["120"]


def test_two_engines_on_one_file_queue_as_well(tmp_path: Path, sqlite_template: Path) -> None:
    """As two processes do: SQLite's own lock is all they share."""
    path = tmp_path / "shared.sqlite3"
    path.write_bytes(sqlite_template.read_bytes())
    both = [connect(f"sqlite:///{path}") for _ in range(2)]

    def fill(at: int) -> None:
        for number in range(25):
            with both[at % 2].write() as tx:
                tx.execute(select(organisations.c.id)).all()
                tx.execute(insert(organisations), organisation(f"{at}-{number}"))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(fill, at) for at in range(4)]:
            done.result()
    assert len(names(both[0])) == 100
    for database in both:
        database.close()


def test_take_turns_holds_others_off_until_the_end(database: Database) -> None:
    order: list[str] = []
    holding = threading.Event()

    def second() -> None:
        assert holding.wait(60)
        with database.write() as tx:
            take_turns(tx, "a task")
            order.append("second")

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(second)
        with database.write() as tx:
            take_turns(tx, "a task")
            holding.set()
            time.sleep(0.2)
            order.append("first")
        waiting.result()
    assert order == ["first", "second"]


PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "busy_timeout": 10_000,
    "trusted_schema": 0,
}


def test_every_pooled_connection_of_sqlite_is_set_up(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "pooled.sqlite3"
    path.write_bytes(sqlite_template.read_bytes())
    database = connect(f"sqlite:///{path}", pool_size=4)
    opened = [database.engine.connect() for _ in range(4)]
    try:
        for connection in opened:
            for pragma, value in PRAGMAS.items():
                got = connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()
                assert got == value, pragma
    finally:
        for connection in opened:
            connection.close()
        database.close()


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_postgresql_drops_a_frozen_transaction_and_speaks_utc(database: Database) -> None:
    with database.read() as tx:
        shown = text("SELECT current_setting(:name)")
        idle = {"name": "idle_in_transaction_session_timeout"}
        assert tx.execute(shown, idle).scalar_one() == "10s"
        assert tx.execute(shown, {"name": "TimeZone"}).scalar_one() == "UTC"
        isolation = tx.execute(shown, {"name": "transaction_isolation"}).scalar_one()
        assert isolation == "repeatable read"
    with database.write() as tx:
        isolation = tx.execute(shown, {"name": "transaction_isolation"}).scalar_one()
        assert isolation == "read committed"


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("organisations", "created_at", "yesterday"),
        ("organisations", "blocked", "no"),
        ("organisations", "name", b"bytes"),
        ("events", "at", 1.5),
        ("leases", "expires_at", "soon"),
        ("transfers", "length", "many"),
    ],
)
def test_strict_tables_refuse_other_types(
    database: Database, table: str, column: str, value: object
) -> None:
    with pytest.raises(IntegrityError, match="cannot store"), database.write() as tx:
        columns = tx.exec_driver_sql(f"PRAGMA table_info({table})").all()
        right = {"TEXT": "x", "INTEGER": 1}
        values = tuple(value if each.name == column else right[each.type] for each in columns)
        marks = ", ".join("?" * len(columns))
        tx.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", values)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_every_table_is_strict(database: Database) -> None:
    with database.read() as tx:
        rows = tx.exec_driver_sql("PRAGMA table_list").all()
    loose = {row.name for row in rows if row.type == "table" and not row.strict}
    theirs = {"alembic_version", "sqlite_schema", "sqlite_temp_schema", "sqlite_sequence"}
    assert loose == theirs | set(ENGINE_TABLES)


def test_foreign_keys_are_kept(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(
            text(
                "INSERT INTO licence_revisions"
                " (licence_id, revision, text, sha256, published_at) VALUES (9, 1, 'x', 'x', 1)"
            )
        )


def raised(verb: Callable[[], object]) -> EntrepotError:
    with pytest.raises(EntrepotError) as caught:
        verb()
    return caught.value


def test_a_locked_file_is_busy(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrepot.db.engine.BUSY_SECONDS_MAX", 0.1)
    path = tmp_path / "locked.sqlite3"
    path.write_bytes(sqlite_template.read_bytes())
    database = connect(f"sqlite:///{path}")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    error = raised(lambda: add(database, "late"))
    assert isinstance(error, Unavailable)
    assert error.code == "database-busy"
    assert names(database) == []  # readers go on
    holder.rollback()
    holder.close()
    add(database, "now")
    with database.write():
        # A second writer of this process waits for its turn, and gives up too.
        with ThreadPoolExecutor(1) as threads:
            error = raised(threads.submit(add, database, "later").result)
        assert error.code == "database-busy"
    database.close()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_full_disk_is_storage_full_and_heals(database_url: str) -> None:
    database = connect(database_url, pool_size=1)
    with database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = [organisation(f"{at}" + "x" * 2000) for at in range(100)]

    def fill() -> None:
        with database.write() as tx:
            tx.execute(insert(organisations), many)

    error = raised(fill)
    assert isinstance(error, StorageFull)
    assert error.remedy
    assert names(database) == []
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    fill()
    assert len(names(database)) == 100
    database.close()


def test_a_file_that_is_no_database_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "letter.sqlite3"
    path.write_bytes(b"Dear Sir or Madam, " * 1000)
    database = connect(f"sqlite:///{path}")
    error = raised(lambda: names(database))
    assert isinstance(error, Unavailable)
    assert error.code == "database-down"
    assert str(path) not in error.message
    database.close()


def test_a_folder_that_is_missing_is_unusable(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path}/none/entrepot.sqlite3")
    assert raised(lambda: names(database)).code == "database-down"
    database.close()


def test_postgresql_that_is_not_there_is_unavailable_soon(tmp_path: Path) -> None:
    database = connect(f"postgresql:///hub?host={tmp_path}&user=nobody&password=hidden")
    started = time.monotonic()
    error = raised(lambda: names(database))
    assert time.monotonic() - started < 30
    assert isinstance(error, Unavailable)
    assert error.code == "database-down"
    assert str(tmp_path) not in error.message + error.remedy
    database.close()


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("prepared", [False, True])
def test_a_connection_that_was_cut_costs_one_error_and_heals(
    database: Database, prepared: bool
) -> None:
    add(database, "kept")
    query = select(organisations.c.name)
    statement = Prepared(query)

    def lose() -> None:
        with database.read() as tx:
            mine = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with database.write() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            if prepared:
                statement.all(tx, {})
            else:
                tx.execute(query).all()

    assert raised(lose).code == "database-down"
    assert names(database) == ["kept"]
    with database.read() as tx:
        assert [row.name for row in statement.all(tx, {})] == ["kept"]


def test_a_pool_that_is_used_up_is_busy(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrepot.db.engine.BUSY_SECONDS_MAX", 0.1)
    database = connect(database_url, pool_size=1)
    with database.read():
        assert raised(lambda: names(database)).code == "database-busy"
    database.close()


def test_a_value_that_the_database_cannot_hold_is_invalid(database: Database) -> None:
    def find(name: str) -> list[str]:
        with database.read() as tx:
            query = select(organisations.c.name).where(organisations.c.name == name)
            return list(tx.execute(query).scalars())

    if database.dialect == "sqlite":
        assert find("nul\0nul") == []
    else:
        assert isinstance(raised(lambda: find("nul\0nul")), Invalid)


def test_a_defect_stays_as_it_is_and_shows_no_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, database.write() as tx:
        tx.execute(text("INSERT INTO nowhere (a) VALUES (:a)"), {"a": "hush-hush"})
    assert "nowhere" in str(caught.value)
    assert "hush-hush" not in str(caught.value)
