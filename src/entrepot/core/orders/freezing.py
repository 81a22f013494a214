"""Freezing what is ordered: a copy of each asset as it is now, and who may have it.

One INSERT ... SELECT, whatever the number: SQLite has one writer, and 100,000 assets are frozen
in a fifth of a second.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, case, func, insert, literal, null, select

from entrepot.core.accounts import Principal
from entrepot.core.catalogue import PUBLIC
from entrepot.core.catalogue.tables import assets
from entrepot.core.entitlements import asset_condition, granted_to, permitted_asset
from entrepot.core.orders.faults import refuse_all
from entrepot.core.orders.ids import bound_ids, id_table
from entrepot.core.orders.requests import Configuration, OrderRequest
from entrepot.core.orders.selections import is_selection
from entrepot.core.orders.tables import order_targets, selected_assets, selections
from entrepot.db import Tx
from entrepot.db.schema import Number
from entrepot.errors import Invalid, NotFound

_IN_LIST_MAX = 500
_MISSING_TOLD = 20  # each is asked for by itself, while others wait to write


class Kind(NamedTuple):
    """What decides about the files made of a target."""

    media_group: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Single:
    """A target with a configuration of its own."""

    asset_id: int
    kind: Kind
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Frozen:
    """What an order rests on: how many targets of each kind, and of which products.

    `left_out` counts what was selected and is deleted or not permitted by now.
    """

    kinds: Mapping[Kind, int]
    product_ids: Sequence[int]
    singles: Sequence[Single]
    left_out: int

    @property
    def targets(self) -> int:
        """Assets in the order."""
        return sum(self.kinds.values())


def freeze(
    tx: Tx,
    who: Principal,
    order_id: int,
    request: OrderRequest,
    *,
    embargoed: Sequence[str],
    now: datetime,
) -> Frozen:
    """Copy the ordered assets into the order. Invalid or Denied as `place_order` says."""
    granted = granted_to(tx, who, embargoed=embargoed, now=now)
    named, unknown = _resolve(tx, request.individual)
    allowed = asset_condition(granted)
    if request.selection is None:
        wanted = id_table(tx)
        source = assets.join(wanted, wanted.c.id == assets.c.id)
        _copy(tx, order_id, source, allowed, {"ids": bound_ids(tx, list(named))})
        selected = len(named)
    else:
        mine = is_selection(who, request.selection)
        source = selections.join(selected_assets).join(
            assets, assets.c.id == selected_assets.c.asset_id
        )
        _copy(tx, order_id, source, and_(mine, allowed), {})
        counted = select(func.count()).select_from(selections.join(selected_assets)).where(mine)
        selected = int(tx.execute(counted).scalar_one())
    singles = _singles(tx, order_id, named)
    found = {single.asset_id for single in singles}
    missing = [each for each in named.items() if each[0] not in found][:_MISSING_TOLD]
    refuse_all([*unknown, *(_missing(tx, who, *each, embargoed, now) for each in missing)])
    kinds, product_ids = _describe(tx, order_id)
    if not kinds:
        raise _nothing_selected(selected)
    return Frozen(kinds, product_ids, singles, selected - sum(kinds.values()))


def kinds_of(
    tx: Tx, who: Principal, request: OrderRequest
) -> tuple[list[tuple[Configuration, Kind]], list[Kind]]:
    """The kinds of the assets that are configured by themselves, and of those selected.

    Whoever may have them: nothing is told of them.
    """
    kind = assets.c["media_group", "content_type"]
    singles: list[tuple[Configuration, Kind]] = []
    named = request.individual
    for column, keys in (
        (assets.c.id, [key for key in named if isinstance(key, int)]),
        (assets.c.identifier, [key for key in named if isinstance(key, str)]),
    ):
        for start in range(0, len(keys), _IN_LIST_MAX):
            batch = keys[start : start + _IN_LIST_MAX]
            query = select(column, *kind).where(column.in_(batch))
            singles += [(named[row[0]], Kind(row[1], row[2])) for row in tx.execute(query)]
    pipelines = any(each.conversions for each in request.groups.values())
    if request.selection is None or not pipelines:
        return singles, []
    selected = selections.join(selected_assets).join(
        assets, assets.c.id == selected_assets.c.asset_id
    )
    mine = is_selection(who, request.selection)
    found = tx.execute(select(*kind).distinct().select_from(selected).where(mine))
    return singles, [Kind(*row) for row in found]


_COPIED = assets.c[
    "identifier", "title", "folder", "media_group", "file_name", "content_type", "sha256"
]


def _copy(
    tx: Tx,
    order_id: int,
    source: FromClause,
    condition: ColumnElement[bool],
    bound: Mapping[str, Any],
) -> None:
    """Insert the targets, in the order of their key."""
    given = case((assets.c.visibility == PUBLIC, null()), else_=assets.c.product_id)
    query = (
        select(literal(order_id, Number), assets.c.id, *_COPIED, given)
        .select_from(source)
        .where(condition)
        .order_by(assets.c.id)
    )
    names = ["order_id", "asset_id", *(column.name for column in _COPIED), "product_id"]
    tx.execute(insert(order_targets).from_select(names, query), bound)


def _resolve(
    tx: Tx, individual: Mapping[int | str, Configuration]
) -> tuple[dict[int, Configuration], list[Invalid]]:
    """The configurations by asset id, and a fault for each identifier that nothing has.

    An identifier is looked up, deleted or not.
    """
    identifiers = [key for key in individual if isinstance(key, str)]
    numbers: dict[str, int] = {}
    for start in range(0, len(identifiers), _IN_LIST_MAX):
        batch = identifiers[start : start + _IN_LIST_MAX]
        query = select(assets.c.identifier, assets.c.id).where(assets.c.identifier.in_(batch))
        numbers.update({row.identifier: row.id for row in tx.execute(query)})
    named: dict[int, Configuration] = {}
    unknown: list[Invalid] = []
    for key, configuration in individual.items():
        number = numbers.get(key) if isinstance(key, str) else key
        if number is None:
            unknown.append(_unknown(configuration))
            continue
        if number in named:
            raise Invalid(
                f"The asset {number} is configured twice.",
                field=configuration.field,
                code="order-invalid",
            )
        named[number] = configuration
    return named, unknown


def _singles(tx: Tx, order_id: int, named: Mapping[int, Configuration]) -> list[Single]:
    if not named:
        return []
    # IN, because SQLite would unpack the ids of a join anew for each of the targets.
    query = (
        select(*order_targets.c["asset_id", "media_group", "content_type"])
        .where(order_targets.c.order_id == order_id)
        .where(order_targets.c.asset_id.in_(select(id_table(tx).c.id)))
        .order_by(order_targets.c.asset_id)
    )
    return [
        Single(row.asset_id, Kind(row.media_group, row.content_type), named[row.asset_id])
        for row in tx.execute(query, {"ids": bound_ids(tx, list(named))})
    ]


def _missing(
    tx: Tx,
    who: Principal,
    number: int,
    configuration: Configuration,
    embargoed: Sequence[str],
    now: datetime,
) -> Invalid:
    """Why an asset named in `individual` is not among the targets; or Denied is raised."""
    try:
        permitted_asset(tx, who, number, embargoed=embargoed, now=now)
    except NotFound:
        return _unknown(configuration)
    return Invalid(
        "This asset is configured by itself, but is not in the selection: add it there first.",
        field=configuration.field,
        code="order-invalid",
    )


def _unknown(configuration: Configuration) -> Invalid:
    asset = configuration.field.removeprefix("order.individual.")
    return Invalid(
        f"There is no asset {asset!r}, or it is not yours.",
        field=configuration.field,
        code="assets-unknown",
    )


def _nothing_selected(selected: int) -> Invalid:
    return Invalid(
        "None of the selected assets is there any more, or they are not yours."
        if selected
        else "The selection is empty: select assets first.",
        field="target_selection",
        code="order-empty",
    )


def _describe(tx: Tx, order_id: int) -> tuple[dict[Kind, int], list[int]]:
    grouped = order_targets.c["media_group", "content_type", "product_id"]
    query = (
        select(*grouped, func.count().label("number"))
        .where(order_targets.c.order_id == order_id)
        .group_by(*grouped)
    )
    kinds: Counter[Kind] = Counter()
    product_ids: set[int] = set()
    for row in tx.execute(query):
        kinds[Kind(row.media_group, row.content_type)] += row.number
        if row.product_id is not None:
            product_ids.add(row.product_id)
    return dict(kinds), sorted(product_ids)
