"""Statements compiled once, for the paths that run thousands of times a second.

SQLAlchemy looks a statement up, binds its values and wraps its rows anew each time: 25 us,
where SQLite itself needs 4 for a row by its key. A `Prepared` statement keeps what cannot
change (the text, the order of the values, the converters) and speaks to the driver. Errors
leave it as SQLAlchemy's, as from any other statement.

What is made of a row can be kept too (`made`). It is kept by the row itself, every cell as
the driver gave it, so it is never out of date: a row that has changed is another row.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Dialect, Insert, Select
from sqlalchemy.exc import DBAPIError

from entrepot.db.engine import Tx

Converter: TypeAlias = Callable[[Any], Any]
T = TypeVar("T")

MADE_MAX = 2048  # rows kept for each statement
ROWS_TOGETHER = 64  # of an INSERT on SQLite, in one statement


class Prepared:
    """A SELECT, or an INSERT of `columns`; not one with a list of variable length (IN).

    Every bound name must be given; names that the statement does not know are left aside.
    Rows come as named tuples of the statement's columns.
    """

    def __init__(self, statement: Select[Any] | Insert, columns: Iterable[str] = ()) -> None:
        self._statement = statement
        self._columns = tuple(columns)
        self._compiled: dict[str, _Compiled] = {}

    def all(self, tx: Tx, bound: Mapping[str, Any]) -> list[Any]:
        """Every row."""
        compiled = self._for(tx)
        return [compiled.row(raw) for raw in compiled.execute(tx, bound).fetchall()]

    def made(self, tx: Tx, bound: Mapping[str, Any], make: Callable[[Any], T]) -> list[T]:
        """`make(row)` of every row; of a row that reads as one seen lately, the same object.

        A statement has one `make`, a pure function, and nobody changes what it made. Making
        an object of a row of thirty cells costs 5 us, finding it 0.5.
        """
        compiled = self._for(tx)
        kept = compiled.made
        if len(kept) >= MADE_MAX:
            kept = compiled.made = {}
        found: list[T] = []
        for raw in compiled.execute(tx, bound).fetchall():
            one = kept.get(raw)
            if one is None:
                one = make(compiled.row(raw))
                if len(kept) < MADE_MAX:
                    kept[raw] = one
            found.append(one)
        return found

    def one_or_none(self, tx: Tx, bound: Mapping[str, Any]) -> Any:
        """The first row, for statements that give at most one; None where there is none."""
        compiled = self._for(tx)
        raw = compiled.execute(tx, bound).fetchone()
        return None if raw is None else compiled.row(raw)

    def run(self, tx: Tx, bound: Mapping[str, Any]) -> None:
        """Execute for the effect."""
        self._for(tx).execute(tx, bound)

    def run_many(self, tx: Tx, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute for the effect, once for each of `rows`, in one go."""
        self._for(tx).execute_many(tx, rows)

    def _for(self, tx: Tx) -> "_Compiled":
        compiled = self._compiled.get(tx.dialect.name)
        if compiled is None:
            # Threads that come here at once make equals, and one of them stays.
            compiled = _Compiled(self._statement, self._columns, tx.dialect)
            self._compiled[tx.dialect.name] = compiled
        return compiled


class _Compiled:
    """One statement in the words of one database."""

    def __init__(
        self, statement: Select[Any] | Insert, columns: Sequence[str], dialect: Dialect
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns) or None)
        self.text: str = compiled.string
        self._fixed: dict[str, Any] = {}
        self._bound: list[tuple[str, Converter | None]] = []
        for parameter, name in compiled.bind_names.items():
            convert = parameter.type.dialect_impl(dialect).bind_processor(dialect)
            if parameter.required:
                self._bound.append((name, convert))
            else:
                value = parameter.effective_value
                self._fixed[name] = convert(value) if convert else value
        self._arrange = _arrangement(compiled.positiontup)
        shown = [] if isinstance(statement, Insert) else list(statement.selected_columns)
        self._record: Any = namedtuple("_Record", [column.key for column in shown])  # type: ignore[misc]
        results = [column.type.dialect_impl(dialect) for column in shown]
        converters = [kind.result_processor(dialect, None) for kind in results]
        self._converters = [(at, each) for at, each in enumerate(converters) if each is not None]
        # psycopg reads numbers from their bytes in a fraction of what their digits cost.
        self._options = {"binary": True} if dialect.driver == "psycopg" else {}
        self.made: dict[Sequence[Any], Any] = {}
        # Python's SQLite lets go of the interpreter for every row and waits to have it back:
        # beside a busy thread that costs several times what the row does.
        start, values, marks = self.text.rpartition(" VALUES ")
        several = dialect.name == "sqlite" and bool(start) and isinstance(statement, Insert)
        self._together = start + values + ", ".join([marks] * ROWS_TOGETHER) if several else ""

    def execute(self, tx: Tx, bound: Mapping[str, Any]) -> Any:
        """A driver's cursor, after the statement."""
        driver: Any = tx.connection.driver_connection
        arranged = self._arranged(bound)
        try:
            return driver.execute(self.text, arranged, **self._options)
        except tx.dialect.loaded_dbapi.Error as error:
            raise _wrapped(tx, self.text, error) from error

    def execute_many(self, tx: Tx, rows: Iterable[Mapping[str, Any]]) -> None:
        """The statement, once for each row."""
        driver: Any = tx.connection.driver_connection
        arranged = [self._arranged(bound) for bound in rows]
        cursor = driver.cursor()
        at = 0
        try:
            while self._together and at + ROWS_TOGETHER <= len(arranged):
                some = arranged[at : at + ROWS_TOGETHER]
                cursor.execute(self._together, list(chain.from_iterable(some)))
                at += ROWS_TOGETHER
            cursor.executemany(self.text, arranged[at:])
        except tx.dialect.loaded_dbapi.Error as error:
            raise _wrapped(tx, self.text, error) from error

    def _arranged(self, bound: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        values = self._fixed.copy()
        for name, convert in self._bound:
            value = bound[name]
            values[name] = value if convert is None else convert(value)
        return self._arrange(values)

    def row(self, raw: Sequence[Any]) -> Any:
        """A driver's row with converted values."""
        cells = list(raw)
        for at, convert in self._converters:
            cells[at] = convert(cells[at])
        return self._record._make(cells)


def _arrangement(order: Sequence[str] | None) -> Callable[[dict[str, Any]], Any]:
    """How the driver takes the values: by name, or in the order of the statement's marks."""
    if order is None:
        return lambda values: values
    if len(order) > 1:
        return itemgetter(*order)
    return lambda values: [values[name] for name in order]


def _wrapped(tx: Tx, text: str, error: Exception) -> BaseException:
    """The driver's error as SQLAlchemy has it; a connection that broke is never used again."""
    dbapi = tx.dialect.loaded_dbapi
    driver: Any = tx.connection.driver_connection
    lost = tx.dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type]
    if lost:
        tx.invalidate(error)
    return DBAPIError.instance(
        text,
        None,
        error,
        dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=tx.dialect,
    )
