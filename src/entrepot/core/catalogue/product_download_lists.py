"""Lists of a product's downloads: filters that all hold, and pages with their total.

A page comes from the database as one row, its downloads as JSON in it, with the total beside
them. Python's SQLite lets go of the interpreter for every row and waits to have it back, and
psycopg reads cell by cell: a hundred rows cost more than all else that a page needs.

Of a page without filters only the names of its rows are asked for first, with the product, and an
index gives them: a row's number and its `version`, another one after each change. What is in memory
by all these names is the page; else the rows are read.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from entrepot.core.catalogue.tables import product_downloads, products
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.kit.clock import from_millis
from entrepot.kit.ids import INT64_MAX
from entrepot.kit.paging import Page

IDS_MAX = 500  # in one filter
# Downloads kept in memory as they were made of their cells: so many, of so many bytes each.
MADE_MAX, MADE_BYTES_MAX = 8192, 2048
PAGES_MAX = 512  # in memory, by the names of their rows
_COLUMNS = product_downloads.c


@dataclass(frozen=True, slots=True)
class DownloadFilter:
    """Conditions that all hold; None: any. `first_id` and `last_id` are included."""

    ids: Collection[int] | None = None
    first_id: int = 0
    last_id: int = INT64_MAX
    visibility: str | None = None


@dataclass(frozen=True, slots=True)
class ShownDownload:
    """What a list shows of a download: as the table has it, in the order of its columns here."""

    id: int
    product_id: int
    sequence: int
    title: str | None
    description: str | None
    visibility: str
    file_name: str
    created_at: datetime
    created_by: int | None
    changed_at: datetime
    changed_by: int | None
    version: str  # the last one: `_made`


_SHOWN = [_COLUMNS[name] for name in ShownDownload.__slots__]


def list_product_downloads(
    tx: Tx, product_id: int, wanted: DownloadFilter, page: Page
) -> tuple[list[ShownDownload], int]:
    """The downloads of one page, in the product's sequence, and how many there are in all.

    A download that reads as one shown lately is the same object.
    """
    bound = {
        "product_id": product_id,
        "first_id": wanted.first_id,
        "last_id": wanted.last_id,
        "visibility": wanted.visibility,
        "skip": page.skip,
        "take": page.size,
    }
    dialect, visible = tx.dialect.name, wanted.visibility is not None
    if wanted.ids is None:
        bounded = wanted.first_id > 0 or wanted.last_id < INT64_MAX
        row = _page(dialect, bounded=bounded, visible=visible).one_or_none(tx, bound)
    else:
        # Numbers spelt out: a statement takes a limited number of bound values.
        ids = bindparam("ids", sorted(wanted.ids), Number, expanding=True, literal_execute=True)
        conditions = [*_conditions(bounded=True, visible=visible), _COLUMNS.id.in_(ids)]
        row = tx.execute(_statement(dialect, conditions), bound).one()
    return _made(row.cells), int(row.total)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A product, and the page of all its downloads that was asked for: None if it must be read."""

    id: int
    code: str
    listed: bool
    page: tuple[Sequence[ShownDownload], int] | None


def find_shelf(
    tx: Tx, number: int | None, code: str, wanted: DownloadFilter, page: Page
) -> Shelf | None:
    """The product of this number or code, with the page where `list_product_downloads` need not
    be asked: one statement instead of two, and no row of the page is read that is in memory.

    A page that is as it was is the same tuple.
    """
    places = {"first": page.skip + 1, "last": page.skip + page.size}
    bound = {"number": number, "code": code, **places}
    row = _shelves(tx.dialect.name).one_or_none(tx, bound)
    if row is None:
        return None
    known = _known(row.names) if wanted == _EVERY else None
    found = None if known is None else (known, int(row.total or 0))
    return Shelf(row.id, row.code, row.listed, found)


def _known(names: str | None) -> tuple[ShownDownload, ...] | None:
    """The rows of these names if all of them are in memory."""
    global _pages
    page = _pages.get(names or "")
    if page is None:
        kept = _kept  # another thread may begin anew with an empty one
        try:
            page = tuple(sorted([kept[name] for name in (names or "").split(",")], key=_place))
        except KeyError:
            return None
        if len(_pages) >= PAGES_MAX:
            _pages = {"": ()}
        _pages[names or ""] = page
    return page


@cache
def _shelves(dialect: str) -> Prepared:
    """`names` of the page's rows, with commas between, and the last place as `total`.

    A product's sequence counts from 1 without gaps, so a page is a stretch of it.
    """
    together = func.string_agg if dialect == "postgresql" else func.group_concat
    mine = _COLUMNS.product_id == products.c.id
    name = cast(_COLUMNS.id, Text) + literal_column("':'") + _COLUMNS.version
    stretch = _COLUMNS.sequence.between(_bound("first"), _bound("last"))
    names = select(together(name, literal_column("','"))).where(mine, stretch)
    last = select(func.max(_COLUMNS.sequence)).where(mine)
    shown = [names.scalar_subquery().label("names"), last.scalar_subquery().label("total")]
    code = bindparam("code", type_=products.c.code.type)
    match = or_(products.c.id == _bound("number"), products.c.code == code)
    return Prepared(select(*products.c["id", "code", "listed"], *shown).where(match))


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


@cache
def _page(dialect: str, *, bounded: bool, visible: bool) -> Prepared:
    return Prepared(_statement(dialect, _conditions(bounded=bounded, visible=visible)))


def _statement(dialect: str, conditions: list[ColumnElement[bool]]) -> Select[Any]:
    """One row: `cells`, a list of lists in JSON, or NULL where there is nothing; `total`."""
    rows = select(*_SHOWN).where(*conditions).order_by(_COLUMNS.sequence, _COLUMNS.id)
    shown = rows.limit(_bound("take")).offset(_bound("skip")).subquery("shown")
    if dialect == "postgresql":
        cells = func.json_agg(func.json_build_array(*shown.c))
    else:
        cells = func.json_group_array(func.json_array(*shown.c))
    total = select(func.count()).select_from(product_downloads).where(*conditions)
    return select(cast(cells, Text).label("cells"), total.scalar_subquery().label("total"))


_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_place = attrgetter("sequence", "id")
_kept: dict[str, ShownDownload] = {}
_pages: dict[str, tuple[ShownDownload, ...]] = {"": ()}
_EVERY = DownloadFilter()


def _made(cells: str | None) -> list[ShownDownload]:
    """The rows as objects; one that is unchanged is the very object that it was before.

    Those with long descriptions are not kept: thousands of them would fill the memory.
    """
    global _kept, _pages
    found = []
    for raw in _split(cells or "[]"):
        row = msgspec.json.decode(raw)
        name = f"{row[0]}:{row[-1]}"
        one = _kept.get(name)
        if one is None:
            one = _make(row)
            if len(_kept) >= MADE_MAX:
                # With the pages, or rows of many pages would stay for the sake of those.
                _kept, _pages = {}, {"": ()}
            if len(bytes(raw)) <= MADE_BYTES_MAX:
                _kept[name] = one
        found.append(one)
    # No database promises in which order it sums rows up.
    found.sort(key=_place)
    return found


def _make(cells: list[Any]) -> ShownDownload:
    named = dict(zip(ShownDownload.__slots__, cells, strict=True))
    for moment in ("created_at", "changed_at"):
        named[moment] = from_millis(named[moment])
    return ShownDownload(**named)
