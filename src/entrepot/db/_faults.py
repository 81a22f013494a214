"""What a driver's error means: not now, no room, no such value, or a defect of ours."""

import sqlite3

from entrepot.errors import EntrepotError, Invalid, StorageFull, Unavailable

# SQLite's primary result codes (https://sqlite.org/rescode.html).
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNUSABLE = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
)
# PostgreSQL's SQLSTATE: serialization failure, deadlock, lock not available, cancelled.
_TRY_AGAIN = ("40001", "40P01", "55P03", "57014")
_DISK_FULL = "53100"
# Classes: connection exception, insufficient resources, operator intervention, system error.
_DOWN = ("08", "53", "57", "58")
_DATA = "22"  # data exception


def meaning_of(error: BaseException | None, *, lost: bool = False) -> EntrepotError | None:
    """The kind of ours that a driver's error means; None: a defect, which stays as it is.

    `lost`: the connection broke. What the driver says stays the error's cause only: it may
    name hosts and paths, which are nothing for a caller's eyes.
    """
    if isinstance(error, sqlite3.Error):
        return _meaning_sqlite(error)
    # psycopg's own errors carry no SQLSTATE; the class says what they are.
    kind = type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    if lost or kind == "OperationalError":
        return _down()
    if state == _DISK_FULL:
        return _full()
    if state in _TRY_AGAIN:
        return _busy()
    if state[:2] == _DATA or kind == "DataError":
        return _unfit()
    return _down() if state[:2] in _DOWN else None


def _meaning_sqlite(error: sqlite3.Error) -> EntrepotError | None:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _full()
    if code in _BUSY:
        return _busy()
    return _down() if code in _UNUSABLE else None


def _full() -> EntrepotError:
    return StorageFull("The disk that holds the database is full.", remedy="Free some space.")


def _busy() -> EntrepotError:
    return Unavailable("The database is busy.", code="database-busy")


def _down() -> EntrepotError:
    return Unavailable("The database is not usable now.", code="database-down")


def _unfit() -> EntrepotError:
    return Invalid(
        "A value is out of range or holds a character that the database does not take.",
        code="value-invalid",
        remedy="Leave out NUL characters and numbers beyond 64 bits.",
    )
