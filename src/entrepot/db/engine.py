"""One engine for the process, and the two ways to open a transaction on it.

SQLite has one writer at a time, so a transaction that will write says so at its start
(BEGIN IMMEDIATE): it then waits its turn instead of failing half way. `synchronous=FULL`
makes a commit survive a power cut.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from entrepot.db._faults import meaning_of
from entrepot.errors import Unavailable

Tx: TypeAlias = Connection

BUSY_SECONDS_MAX = 10
POOL_SIZE = 16
_MODE = "entrepot_mode"
_READS, _WRITES, _GLANCES = "reads", "writes", "glances"


class Database:
    """Opens transactions: `with database.read() as tx` and `with database.write() as tx`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._reader = engine.execution_options(**{_MODE: _READS})
        self._writer = engine.execution_options(**{_MODE: _WRITES})
        self._glancer = engine.execution_options(**{_MODE: _GLANCES})
        # Threads queue here, first come first served, instead of polling SQLite's lock.
        self._turn = _Turn() if self.dialect == "sqlite" else nullcontext()
        self._watch: sqlite3.Connection | None = None

    def state(self) -> int | None:
        """A number that is another one after each commit, whoever made it; 3 us.

        What was read in a transaction that began after `state()` still holds while it gives
        the same number. None: it cannot be told (PostgreSQL has nothing as cheap).
        """
        if self.dialect != "sqlite":
            return None
        try:
            if self._watch is None:
                self._watch = _open_watch(self.engine)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return None

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that sees one snapshot; the database refuses to write in it."""
        with translated(), self._reader.begin() as tx:
            yield tx

    @contextmanager
    def glance(self) -> Iterator[Tx]:
        """Reading that needs no snapshot beyond each statement's own.

        PostgreSQL then needs no BEGIN and COMMIT, two of three round trips for one statement
        (and cannot refuse to write). SQLite begins a transaction as in `read`.
        """
        with translated(), self._glancer.begin() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that may write; committed at the end, rolled back on any error."""
        with translated(), self._turn, self._writer.begin() as tx:
            yield tx

    @contextmanager
    def part(self, tx: Tx) -> Iterator[None]:
        """A part of a write transaction that an error takes back without the rest.

        Where the database has given up the whole transaction (a full disk), `is_lost(tx)`.
        """
        driver: Any = tx.connection.driver_connection
        with translated():
            driver.execute("SAVEPOINT part")
            try:
                yield
            except BaseException:
                if not is_lost(tx):
                    driver.execute("ROLLBACK TO SAVEPOINT part")
                    driver.execute("RELEASE SAVEPOINT part")
                raise
            driver.execute("RELEASE SAVEPOINT part")

    def close(self) -> None:
        """Close every connection."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self.engine.dispose()


def _open_watch(engine: Engine) -> sqlite3.Connection:
    """A connection of its own: the number does not show what its own connection commits."""
    return sqlite3.connect(
        f"file:{quote(engine.url.database or '')}?mode=rw",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def is_lost(tx: Tx) -> bool:
    """Whether SQLite has rolled the transaction back by itself: nothing in it will hold."""
    return tx.dialect.name == "sqlite" and not tx.connection.driver_connection.in_transaction  # type: ignore[union-attr]


def take_turns(tx: Tx, task: str) -> None:
    """Wait until no other transaction of any process is at `task`; held until this one ends.

    SQLite's writers take turns in any case.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_LOCK, {"task": f"entrepot {task}"})


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:task, 0))")


class _Turn:
    """A lock that gives up after BUSY_SECONDS_MAX."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=BUSY_SECONDS_MAX):
            raise Unavailable("The database is busy.", code="database-busy")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's 'not now' and 'not such a value' into ours; a defect stays as it is."""
    try:
        yield
    except PoolTimeoutError as error:
        raise Unavailable("The database is busy.", code="database-busy") from error
    except DBAPIError as error:
        meaning = meaning_of(error.orig, lost=error.connection_invalidated)
        if meaning is None:
            raise
        raise meaning from error
    except sqlite3.Error as error:  # from `_begin_sqlite` and `_set_pragmas`
        meaning = meaning_of(error)
        if meaning is None:
            raise
        raise meaning from error


def connect(url: str, *, pool_size: int = POOL_SIZE) -> Database:
    """Open the database that `url` names: sqlite:///FILE or postgresql://..., nothing is created.

    Connections are opened when they are first needed; at most `pool_size` at a time.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return Database(_connect_postgresql(url, pool_size))
    return Database(_connect_sqlite(url, pool_size))


_POSTGRESQL_ARGUMENTS = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,  # milliseconds; a cut line is noticed
    # A frozen process must not hold row locks for ever (design notes on jobs).
    "options": "-c idle_in_transaction_session_timeout=10000 -c timezone=UTC",
}


def connect_plainly(database: Database, *, pool_size: int) -> Engine:
    """Another engine on the same database, for a library that begins transactions its own way.

    Each commit is as durable as ours. On SQLite a transaction begins with its first write,
    immediately; what is read before that sees each statement's own snapshot.
    """
    if database.dialect == "postgresql":
        return create_engine(
            database.engine.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS_MAX,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=_POSTGRESQL_ARGUMENTS,
        )
    engine = create_engine(
        database.engine.url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS_MAX,
        hide_parameters=True,
        connect_args={
            "isolation_level": "IMMEDIATE",
            "check_same_thread": False,
            "timeout": BUSY_SECONDS_MAX,
        },
    )
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _connect_postgresql(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2,
        pool_use_lifo=True,
        pool_pre_ping=False,
        query_cache_size=1000,
        hide_parameters=True,  # values do not belong in logs
        connect_args=_POSTGRESQL_ARGUMENTS,
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    """Say how the transaction begins; the driver sends it with the first statement."""
    from psycopg import IsolationLevel

    mode = connection.get_execution_options().get(_MODE)
    reads, glances = mode == _READS, mode == _GLANCES
    driver: Any = connection.connection.driver_connection
    if driver.autocommit is not glances:
        driver.autocommit = glances
    if driver.read_only is not reads:
        driver.read_only = reads
        driver.isolation_level = IsolationLevel.REPEATABLE_READ if reads else None


def _connect_sqlite(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS_MAX,
        pool_use_lifo=True,  # the connection used last has the warmest cache
        query_cache_size=1000,
        hide_parameters=True,  # values do not belong in logs
        # Transactions are begun by the event below, not guessed by the driver.
        connect_args={
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": BUSY_SECONDS_MAX,
        },
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-4000",  # KiB for each connection; the rest is the system's page cache
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_MODE)
    driver: Any = connection.connection.driver_connection
    reads = mode in (_READS, _GLANCES)
    if connection.info.get(_MODE) is not reads:
        driver.execute(f"PRAGMA query_only={int(reads)}")
        connection.info[_MODE] = reads
    driver.execute("BEGIN IMMEDIATE" if mode == _WRITES else "BEGIN")
