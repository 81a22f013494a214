"""Lists of a product's downloads: filters that all hold, and pages with their total."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, literal_column, select

from entrepot.core.catalogue.tables import product_downloads
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.kit.ids import INT64_MAX
from entrepot.kit.paging import Page

IDS_MAX = 500  # in one filter


@dataclass(frozen=True, slots=True)
class DownloadFilter:
    """Conditions that all hold; None: any. `first_id` and `last_id` are included."""

    ids: Collection[int] | None = None
    first_id: int = 0
    last_id: int = INT64_MAX
    visibility: str | None = None


_COLUMNS = product_downloads.c
_SHOWN = _COLUMNS[
    "id",
    "product_id",
    "sequence",
    "title",
    "description",
    "visibility",
    "file_name",
    "created_at",
    "created_by",
    "changed_at",
    "changed_by",
]


def list_product_downloads(
    tx: Tx, product_id: int, wanted: DownloadFilter, page: Page
) -> tuple[list[Any], int]:
    """The rows of one page, in the product's sequence, and how many there are in all.

    What is seldom shown of a download, its directory and what lies behind its file, is left out.
    """
    bound = {
        "product_id": product_id,
        "first_id": wanted.first_id,
        "last_id": wanted.last_id,
        "visibility": wanted.visibility,
        "skip": page.skip,
        "take": page.size,
    }
    if wanted.ids is not None:
        return _list_chosen(tx, wanted, bound)
    bounded = wanted.first_id > 0 or wanted.last_id < INT64_MAX
    visible = wanted.visibility is not None
    rows = _rows(bounded=bounded, visible=visible).made(tx, bound, _as_it_is)
    if page.skip == 0 and len(rows) < page.size:
        return rows, len(rows)
    return rows, int(_count(bounded=bounded, visible=visible).one_or_none(tx, bound).total)


def _as_it_is(row: Any) -> Any:
    return row


def _bound(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Number)


def _conditions(*, bounded: bool, visible: bool) -> list[ColumnElement[bool]]:
    found = [_COLUMNS.product_id == _bound("product_id")]
    if bounded:
        # Summed up, so that no database takes the bounds for a reason to read the whole table by
        # number: a product's own index gives its few rows in their order.
        number = _COLUMNS.id + literal_column("0")
        found += [number >= _bound("first_id"), number <= _bound("last_id")]
    if visible:
        found.append(_COLUMNS.visibility == bindparam("visibility", type_=_COLUMNS.visibility.type))
    return found


def _ordered(query: Select[Any]) -> Select[Any]:
    ordered = query.order_by(_COLUMNS.sequence, _COLUMNS.id)
    return ordered.limit(_bound("take")).offset(_bound("skip"))


@cache
def _rows(*, bounded: bool, visible: bool) -> Prepared:
    conditions = _conditions(bounded=bounded, visible=visible)
    return Prepared(_ordered(select(*_SHOWN).where(*conditions)))


@cache
def _count(*, bounded: bool, visible: bool) -> Prepared:
    counted = select(func.count().label("total")).select_from(product_downloads)
    return Prepared(counted.where(*_conditions(bounded=bounded, visible=visible)))


def _list_chosen(tx: Tx, wanted: DownloadFilter, bound: dict[str, Any]) -> tuple[list[Any], int]:
    # Numbers spelt out: a statement takes a limited number of bound values.
    ids = bindparam("ids", sorted(wanted.ids or ()), Number, expanding=True, literal_execute=True)
    visible = wanted.visibility is not None
    conditions = [*_conditions(bounded=True, visible=visible), _COLUMNS.id.in_(ids)]
    counted = select(func.count()).select_from(product_downloads).where(*conditions)
    rows = tx.execute(_ordered(select(*_SHOWN).where(*conditions)), bound).all()
    return list(rows), int(tx.execute(counted, bound).scalar_one())
