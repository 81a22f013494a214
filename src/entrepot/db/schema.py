"""Column types that mean the same on SQLite (STRICT tables) and PostgreSQL, and the metadata.

SQLite's STRICT tables know only INTEGER, TEXT, REAL and BLOB, so instants are whole
milliseconds since 1970 in a 64-bit integer on both databases (docs/decisions/0003),
and short lists of codes are one text such as `,DE,FR,`, which SQL can search on both.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Dialect, Integer, MetaData, Text, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import expression
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import Boolean, TypeDecorator

from entrepot.kit.clock import from_millis, to_millis

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A 64-bit number; SQLite needs the word INTEGER for its row id, which is 64 bits wide too.
Number = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as milliseconds since 1970-01-01T00:00:00Z."""

    impl = Number
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Datetime to milliseconds; a datetime without a zone is refused."""
        return None if value is None else to_millis(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Milliseconds to a UTC datetime."""
        return _read_instant


@lru_cache(maxsize=16384)
def _read_instant(millis: int | None) -> datetime | None:
    # Kept, because pages show the same rows again and again.
    return None if millis is None else from_millis(millis)


class Flag(TypeDecorator[bool]):
    """A truth value: BOOLEAN on PostgreSQL, 0 or 1 on SQLite."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """STRICT tables have no BOOLEAN."""
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else Boolean())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> bool | None:
        """Python's bool is what both drivers take."""
        return None if value is None else bool(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """0 and 1 become False and True."""
        return _read_flag if dialect.name == "sqlite" else None


def _read_flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


class Codes(TypeDecorator[tuple[str, ...]]):
    """A short list of codes (countries, qualities) as one text: `,DE,FR,`; no codes: `,`.

    Query it with `has_code(column, code)`. A code is upper case and has no comma.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:
        """('DE', 'FR') to ',DE,FR,'."""
        codes = tuple(value or ())
        if any("," in code or code != code.upper() for code in codes):
            raise ValueError("a code is upper case and has no comma")
        return "".join(f",{code}" for code in codes) + ","

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """',DE,FR,' to ('DE', 'FR')."""
        return _read_codes


@lru_cache(maxsize=4096)
def _read_codes(text: str | None) -> tuple[str, ...]:
    return tuple(text.strip(",").split(",")) if text and text != "," else ()


class Document(TypeDecorator[Any]):
    """A small JSON document in a text column; never searched by SQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Any value msgspec can encode, to JSON text."""
        return None if value is None else msgspec.json.encode(value).decode()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """JSON text to builtin types."""
        return _read_document


def _read_document(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


class has_code(expression.FunctionElement[bool]):  # noqa: N801 - used as a SQL function
    """`has_code(codes_column, code)`: whether the list holds the code."""

    name = "has_code"
    inherit_cache = True
    type = Boolean()


def _position(element: has_code, compiler: SQLCompiler, function: str, **kwargs: Any) -> str:
    codes, code = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"({function}({codes}, ',' || {code} || ',') > 0)"


@compiles(has_code, "sqlite")
def _has_code_sqlite(element: has_code, compiler: SQLCompiler, **kwargs: Any) -> str:
    return _position(element, compiler, "instr", **kwargs)


@compiles(has_code, "postgresql")
def _has_code_postgresql(element: has_code, compiler: SQLCompiler, **kwargs: Any) -> str:
    return _position(element, compiler, "strpos", **kwargs)


class is_one_of(expression.FunctionElement[bool]):  # noqa: N801 - used as a SQL function
    """`is_one_of(text_column, listed)`: whether it is in a list of texts of any length.

    The list is one bound value, what `listed_texts` makes of it, so the statement stays the same.
    """

    name = "is_one_of"
    inherit_cache = True
    type = Boolean()


@compiles(is_one_of, "sqlite")
def _is_one_of_sqlite(element: is_one_of, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, listed = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({listed})))"  # noqa: S608 - nobody's text


@compiles(is_one_of, "postgresql")
def _is_one_of_postgresql(element: is_one_of, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, listed = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"({column} IN (SELECT json_array_elements_text(CAST({listed} AS json))))"


def listed_texts(texts: Iterable[str]) -> str:
    """The texts as `is_one_of` takes them."""
    return msgspec.json.encode(list(texts)).decode()


def is_set(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a `Flag` column holds true, in words that both databases know."""
    return expression.type_coerce(column, Boolean()) == true()


def no_codes(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a `Codes` column lists nothing at all."""
    return expression.type_coerce(column, Text()) == ","
