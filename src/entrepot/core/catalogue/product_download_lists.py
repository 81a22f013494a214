"""Lists of a product's downloads: filters that all hold, and pages with their total."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, select

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


def list_product_downloads(
    tx: Tx, product_id: int, wanted: DownloadFilter, page: Page
) -> tuple[list[Any], int]:
    """The rows of one page, in the product's sequence, and how many there are in all."""
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
    visible = wanted.visibility is not None
    rows = _rows(visible=visible).made(tx, bound, lambda row: row)
    if page.skip == 0 and len(rows) < page.size:
        return rows, len(rows)
    return rows, int(_count(visible=visible).one_or_none(tx, bound).total)


def _bound(name: str) -> BindParameter[int]:
    return bindparam(name, type_=Number)


def _conditions(*, visible: bool) -> list[ColumnElement[bool]]:
    found = [
        _COLUMNS.product_id == _bound("product_id"),
        _COLUMNS.id >= _bound("first_id"),
        _COLUMNS.id <= _bound("last_id"),
    ]
    if visible:
        found.append(_COLUMNS.visibility == bindparam("visibility", type_=_COLUMNS.visibility.type))
    return found


def _ordered(query: Select[Any]) -> Select[Any]:
    ordered = query.order_by(_COLUMNS.sequence, _COLUMNS.id)
    return ordered.limit(_bound("take")).offset(_bound("skip"))


@cache
def _rows(*, visible: bool) -> Prepared:
    return Prepared(_ordered(select(product_downloads).where(*_conditions(visible=visible))))


@cache
def _count(*, visible: bool) -> Prepared:
    counted = select(func.count().label("total")).select_from(product_downloads)
    return Prepared(counted.where(*_conditions(visible=visible)))


def _list_chosen(tx: Tx, wanted: DownloadFilter, bound: dict[str, Any]) -> tuple[list[Any], int]:
    # Numbers spelt out: a statement takes a limited number of bound values.
    ids = bindparam("ids", sorted(wanted.ids or ()), Number, expanding=True, literal_execute=True)
    visible = wanted.visibility is not None
    conditions = [*_conditions(visible=visible), _COLUMNS.id.in_(ids)]
    counted = select(func.count()).select_from(product_downloads).where(*conditions)
    rows = tx.execute(_ordered(select(product_downloads).where(*conditions)), bound).all()
    return list(rows), int(tx.execute(counted, bound).scalar_one())
