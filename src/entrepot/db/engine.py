"""One engine for the process, and the two ways to open a transaction on it.

SQLite has one writer at a time, so a transaction that will write says so at its start
(BEGIN IMMEDIATE): it then waits its turn instead of failing half way. `synchronous=FULL`
makes a commit survive a power cut.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from entrepot.errors import StorageFull, Unavailable

Tx: TypeAlias = Connection

BUSY_SECONDS_MAX = 10
POOL_SIZE = 16
_WRITES = "entrepot_writes"


class Database:
    """Opens transactions: `with database.read() as tx` and `with database.write() as tx`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._writer = engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads; it sees one snapshot."""
        with _translated(), self.engine.begin() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that may write; committed at the end, rolled back on any error."""
        with _translated(), self._writer.begin() as tx:
            yield tx

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's 'not now' into ours; everything else is a defect and stays as it is."""
    try:
        yield
    except PoolTimeoutError as error:
        raise Unavailable("The database is busy.", code="database-busy") from error
    except OperationalError as error:
        raise _translate(error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The database is not reachable.", code="database-down") from error
        raise


def _translate(error: OperationalError) -> Exception:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return StorageFull("The disk that holds the database is full.", remedy="Free some space.")
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("The database is busy.", code="database-busy")
    return Unavailable(f"The database is not usable now: {error.orig}", code="database-down")


def connect(url: str, *, pool_size: int = POOL_SIZE) -> Database:
    """Open the database that `url` names: sqlite:///FILE or postgresql://..., nothing is created.

    Connections are opened when they are first needed; at most `pool_size` at a time.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return Database(_connect_postgresql(url, pool_size))
    return Database(_connect_sqlite(url, pool_size))


def _connect_postgresql(url: str, pool_size: int) -> Engine:
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2,
        pool_pre_ping=False,
        query_cache_size=1000,
        connect_args={
            "connect_timeout": 2,
            # A frozen process must not hold row locks for ever (design notes on jobs).
            "options": "-c idle_in_transaction_session_timeout=10000 -c timezone=UTC",
        },
    )


def _connect_sqlite(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS_MAX,
        query_cache_size=1000,
        # Transactions are begun by the event below, not guessed by the driver.
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_SECONDS_MAX * 1000}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-16000",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
