"""What becomes of each target: from configurations to rows of `order_items`.

A plan is made once, when the order is placed, and kept with it (`orders.plan`), so that an
operator's later change of rules changes no order that was accepted. It says what is made of
each *kind* of target, (media group, content type), and of each asset with a configuration of
its own. Items are then written by a few INSERT ... SELECT for a portion of the targets,
whatever their number; what was converted before is settled in the same statement.

The plan as JSON: `{"kinds": [{"types": [[group, content type], ...] | null, "outputs": [...]}],
"single": [{"ids": [...], "outputs": [...]}]}`; `types` null means every kind; an output is
`{"rendition": name, "recipe": key | null, "keep": {...} | null}`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
    update,
)

from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.results import USED_AGAIN
from entrepot.core.conversions.tables import conversions
from entrepot.core.orders.freezing import Kind
from entrepot.core.orders.ids import bound_ids, id_table
from entrepot.core.orders.requests import KeepAs
from entrepot.core.orders.states import OPEN
from entrepot.core.orders.tables import order_items, order_targets, orders
from entrepot.db import Tx
from entrepot.db.schema import Document, Number

PLAN_TAKE = 1_000  # targets planned in one transaction of a job
ORDER_FILES_MAX = 500_000
_FEW = 20  # assets with the same configuration; more of them are written by one statement
CONVERSION = "conversion"  # what an item of a customer's own pipeline is called


@dataclass(frozen=True, slots=True)
class Output:
    """One file to be made of a target; without a recipe the file as it came."""

    rendition: str
    recipe: Recipe | None = None
    keep_as: KeepAs | None = None


Outputs: TypeAlias = tuple[Output, ...]
Json: TypeAlias = dict[str, Any]
_encode = msgspec.json.Encoder(order="deterministic").encode


def make_plan(
    kinds: Mapping[Kind, Outputs], single: Iterable[tuple[int, Outputs]]
) -> dict[str, Any]:
    """The plan as JSON; equal outputs are told once."""
    of_kinds: dict[bytes, tuple[list[Json], list[Kind]]] = {}
    for kind in sorted(kinds):
        told = [_told(output) for output in kinds[kind]]
        of_kinds.setdefault(_encode(told), (told, []))[1].append(kind)
    of_assets: dict[bytes, tuple[list[Json], list[int]]] = {}
    for asset_id, outputs in single:
        told = [_told(output) for output in outputs]
        of_assets.setdefault(_encode(told), (told, []))[1].append(asset_id)
    return {
        "kinds": [
            {
                "types": None if len(of_kinds) == 1 else [list(kind) for kind in same],
                "outputs": outputs,
            }
            for outputs, same in of_kinds.values()
            if outputs
        ],
        "single": [{"ids": sorted(ids), "outputs": outputs} for outputs, ids in of_assets.values()],
    }


def _told(output: Output) -> dict[str, Any]:
    return {
        "rendition": output.rendition,
        "recipe": None if output.recipe is None else output.recipe.key,
        "keep": None if output.keep_as is None else asdict(output.keep_as),
    }


def plan_some(tx: Tx, order_id: int, *, take: int = PLAN_TAKE, now: datetime) -> bool:
    """Write the items of the next `take` targets; True: there are more.

    Repeating it after a crash goes on where the last committed portion ended; an order that was
    cancelled gets no more items.
    """
    row = tx.execute(
        select(orders.c.plan, orders.c.planned_to, orders.c.planned, orders.c.status).where(
            orders.c.id == order_id
        )
    ).one_or_none()
    if row is None or row.planned or row.status not in OPEN:
        return False
    upto, more = _portion(tx, order_id, row.planned_to, take)
    # First the row, so that two planners of one order come one after the other.
    taken = tx.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.planned_to == row.planned_to)
        .where(orders.c.status.in_(OPEN))
        .values(planned_to=upto, planned=not more)
    )
    if taken.rowcount == 1:
        _write_items(tx, order_id, row.plan, row.planned_to, upto, now)
    return more


def _portion(tx: Tx, order_id: int, after: int, take: int) -> tuple[int, bool]:
    """The last asset id of the next portion, and whether others follow."""
    ids = (
        select(order_targets.c.asset_id)
        .where(order_targets.c.order_id == order_id, order_targets.c.asset_id > after)
        .order_by(order_targets.c.asset_id)
        .limit(take + 1)
        .subquery()
    )
    found, last = tx.execute(select(func.count(), func.max(ids.c.asset_id))).one()
    if found <= take:
        return (last or after), False
    before = select(func.max(ids.c.asset_id)).where(ids.c.asset_id < last)
    return int(tx.execute(before).scalar_one()), True


def _write_items(
    tx: Tx, order_id: int, plan: Mapping[str, Any], after: int, upto: int, now: datetime
) -> None:
    part = and_(
        order_targets.c.order_id == order_id,
        order_targets.c.asset_id > after,
        order_targets.c.asset_id <= upto,
    )
    single = [asset_id for group in plan["single"] for asset_id in group["ids"]]
    others = _none_of(tx, [each for each in single if after < each <= upto])
    for group in plan["kinds"]:
        _insert(tx, group["outputs"], and_(part, _of_types(group["types"]), others[0]), others[1])
    few: list[tuple[int, Sequence[Mapping[str, Any]]]] = []
    for group in plan["single"]:
        ids = [each for each in group["ids"] if after < each <= upto]
        if len(ids) > _FEW:
            wanted = order_targets.c.asset_id.in_(select(id_table(tx).c.id))
            _insert(tx, group["outputs"], and_(part, wanted), {"ids": bound_ids(tx, ids)})
        else:
            few += [(each, group["outputs"]) for each in ids]
    _insert_few(tx, order_id, few)
    groups = [*plan["kinds"], *plan["single"]]
    if any(output["recipe"] for group in groups for output in group["outputs"]):
        _note_use(tx, order_id, after, upto, now)


def _none_of(tx: Tx, ids: Sequence[int]) -> tuple[ColumnElement[bool], dict[str, Any]]:
    if not ids:
        return true(), {}
    listed = order_targets.c.asset_id.not_in(select(id_table(tx).c.id))
    return listed, {"ids": bound_ids(tx, ids)}


def _of_types(types: Sequence[Sequence[str]] | None) -> ColumnElement[bool]:
    if types is None:
        return true()
    of_group: dict[str, list[str]] = {}
    for media_group, content_type in types:
        of_group.setdefault(media_group, []).append(content_type)
    return or_(
        *(
            and_(order_targets.c.media_group == group, order_targets.c.content_type.in_(held))
            for group, held in of_group.items()
        )
    )


_COLUMNS = (
    "order_id",
    "asset_id",
    "position",
    "rendition",
    "recipe_key",
    "source_sha256",
    "state",
    "attempts",
    "result_sha256",
    "extension",
    "keep_as",
)


def _insert(
    tx: Tx,
    outputs: Sequence[Mapping[str, Any]],
    targets: ColumnElement[bool],
    bound: Mapping[str, Any],
) -> None:
    """One statement for each output: the items of every target that the condition takes in."""
    for position, output in enumerate(outputs, start=1):
        statement = insert(order_items).from_select(
            _COLUMNS, _items(position, output["recipe"] is not None).where(targets)
        )
        values = {
            "rendition": output["rendition"],
            "recipe_key": output["recipe"],
            "keep": output["keep"],
        }
        tx.execute(statement, {**bound, **values})


def _insert_few(
    tx: Tx, order_id: int, assets: Sequence[tuple[int, Sequence[Mapping[str, Any]]]]
) -> None:
    """The items of assets that are configured each by itself.

    A statement for each of them took forty seconds of the only writer where 950 had twenty
    outputs each: here it is made once for each position and run for all.
    """
    rows: dict[tuple[int, bool], list[dict[str, Any]]] = {}
    for asset_id, outputs in assets:
        for position, output in enumerate(outputs, start=1):
            rows.setdefault((position, output["recipe"] is not None), []).append(
                {
                    "the_order": order_id,
                    "the_asset": asset_id,
                    "rendition": output["rendition"],
                    "recipe_key": output["recipe"],
                    "keep": output["keep"],
                }
            )
    the_order, the_asset = (
        bindparam("the_order", type_=Number),
        bindparam("the_asset", type_=Number),
    )
    one = and_(order_targets.c.order_id == the_order, order_targets.c.asset_id == the_asset)
    for (position, converted), values in rows.items():
        source = _items(position, converted).where(one)
        tx.execute(insert(order_items).from_select(_COLUMNS, source), values)


def _items(position: int, converted: bool) -> Any:
    made = conversions.c.result_sha256 if converted else null()
    key = bindparam("recipe_key", type_=Text())
    columns = [
        order_targets.c.order_id,
        order_targets.c.asset_id,
        literal(position),
        bindparam("rendition", type_=Text()),
        key,
        order_targets.c.sha256,
        case((made.is_(None), "pending"), else_="done") if converted else literal("done"),
        literal(0),
        made,
        conversions.c.extension if converted else null(),
        bindparam("keep", type_=Document()),
    ]
    if not converted:
        return select(*columns)
    found = and_(
        conversions.c.source_sha256 == order_targets.c.sha256, conversions.c.recipe_key == key
    )
    return select(*columns).select_from(order_targets.outerjoin(conversions, found))


def _note_use(tx: Tx, order_id: int, after: int, upto: int, now: datetime) -> None:
    """Results that an order found ready are in use: they are not the ones to drop first."""
    found = select(order_items.c.source_sha256, order_items.c.recipe_key).where(
        order_items.c.order_id == order_id,
        order_items.c.asset_id > after,
        order_items.c.asset_id <= upto,
        order_items.c.result_sha256.is_not(None),
    )
    pair = tuple_(conversions.c.source_sha256, conversions.c.recipe_key)
    tx.execute(
        update(conversions)
        .where(pair.in_(found), conversions.c.used_at < now - USED_AGAIN)
        .values(used_at=now)
    )
