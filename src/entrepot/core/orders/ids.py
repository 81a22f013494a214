"""Many ids in one statement: a list of numbers as a table that both databases can join.

A hundred thousand single INSERTs would take seconds; one bound value, unpacked by the database
itself, takes a tenth of one, and no limit on the number of bound values is met.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, ColumnElement, bindparam, func, select
from sqlalchemy.sql.selectable import Subquery

from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.kit.ids import INT64_MAX, parse_number

_encode = msgspec.json.Encoder().encode
_SHOWN = 20  # ids that an error lists


def id_table(tx: Tx, name: str = "ids") -> Subquery:
    """A table with the one column `id`; bind to `name` what `bound_ids` gives."""
    if tx.dialect.name == "postgresql":
        numbers = bindparam(name, type_=ARRAY(BigInteger))
        unnested: ColumnElement[Any] = func.unnest(numbers, type_=BigInteger).column_valued("unit")
        return select(unnested.label("id")).subquery(name)
    each = func.json_each(bindparam(name)).table_valued("value", name="unit")
    return select(each.c.value.label("id")).subquery(name)


def bound_ids(tx: Tx, ids: Sequence[int]) -> Any:
    """The ids as `id_table` takes them."""
    return list(ids) if tx.dialect.name == "postgresql" else _encode(list(ids)).decode()


def parse_ids(values: Any, *, field: str, ids_max: int) -> list[int]:
    """Asset ids out of JSON, each a number or its digits; repeats are dropped, order kept.

    Invalid names `field`: no list, more than `ids_max`, or something that is no id.
    """
    if not isinstance(values, list):
        raise Invalid(f"{field} must be a list of asset ids.", field=field, code="ids-invalid")
    if len(values) > ids_max:
        raise Invalid(
            f"{field} has {len(values)} ids, and {ids_max} are the most.",
            field=field,
            code="ids-invalid",
        )
    return list(dict.fromkeys(parse_id(value, field=field) for value in values))


def parse_id(value: Any, *, field: str) -> int:
    """A positive 64-bit id, written as a number or as its digits."""
    number = parse_number(value) if isinstance(value, str) else value
    if type(number) is not int or not 0 < number <= INT64_MAX:
        raise Invalid(
            f"{field}: {str(value)[:40]!r} is no asset id.",
            field=field,
            code="ids-invalid",
            remedy="An id is a positive whole number; /api/entities/{identifier} tells an asset's.",
        )
    return number


def shown_ids(ids: Iterable[int]) -> str:
    """The ids for an error message: at most twenty of them."""
    listed = list(ids)
    rest = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(map(str, listed[:_SHOWN])) + rest
