"""Selections: the assets that a caller has picked, kept until an order is placed of them.

A selection belongs to one principal and is named by pool, definition name and, where given,
sub-pool (contract, "Selections"). It holds at most 200,000 ids; the original stops at 5,000.
Changes of any size are written in small transactions, so that no other writer waits for long.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Table,
    and_,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.core.accounts import Principal
from entrepot.core.catalogue.tables import assets
from entrepot.core.entitlements import asset_condition, granted_to
from entrepot.core.orders.ids import bound_ids, id_table, parse_ids, shown_ids
from entrepot.core.orders.tables import selected_assets, selections
from entrepot.db import Database, Tx
from entrepot.db.schema import Number
from entrepot.errors import Invalid, TooMany
from entrepot.kit.clock import Now
from entrepot.kit.ids import INT64_MAX
from entrepot.kit.text import check_line

SELECTION_IDS_MAX = 200_000
SELECTIONS_MAX = 1_000  # of one principal
OPERATIONS_MAX = 100  # in one change
POOL_LENGTH_MAX = 100
_EXAMPLE = 'Send such as [{"operation": "add", "value": [20001, 20002]}].'
DEFINITION_NAME = "M.Asset"  # what the ids name where the caller does not say
_PORTION = 10_000  # ids a transaction: about 15 ms of SQLite's one writer


@dataclass(frozen=True, slots=True)
class SelectionKey:
    """Which of a caller's selections; `sub_pool_id` 0 is none."""

    pool: str
    definition_name: str = DEFINITION_NAME
    sub_pool_id: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """One selection: a part of its ids in ascending order, how many there are in all."""

    key: SelectionKey
    ids: Sequence[int]
    total: int
    changed_at: datetime | None  # None: nothing was ever selected


@dataclass(frozen=True, slots=True)
class Change:
    """One operation on a selection."""

    operation: Literal["add", "remove"]
    ids: Sequence[int]


def parse_key(pool: Any, definition_name: Any = None, sub_pool_id: Any = None) -> SelectionKey:
    """The key as a request names it; Invalid names the part (`selectionPool`, ...)."""
    return SelectionKey(
        _name(pool, "selectionPool"),
        DEFINITION_NAME if definition_name is None else _name(definition_name, "definitionName"),
        _sub_pool(sub_pool_id),
    )


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{field} must be a text.", field=field, code="selection-invalid")
    return check_line(value, field=field, length_max=POOL_LENGTH_MAX)


def _sub_pool(value: Any) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if type(value) is not int or not 0 <= value <= INT64_MAX:
        raise Invalid(
            "subPoolId must be a whole number from 0.",
            field="subPoolId",
            code="selection-invalid",
        )
    return value


def parse_changes(body: Any) -> list[Change]:
    """The operations of a PATCH: `[{"operation": "add"|"remove", "value": [ids]}]`.

    Invalid names the part, such as `[0].value`.
    """
    if not isinstance(body, list) or not 0 < len(body) <= OPERATIONS_MAX:
        raise Invalid(
            f"Send a list of 1 to {OPERATIONS_MAX} operations.",
            field="operations",
            code="selection-invalid",
            remedy=_EXAMPLE,
        )
    return [_change(each, f"[{at}]") for at, each in enumerate(body)]


def _change(one: Any, field: str) -> Change:
    operation = one.get("operation") if isinstance(one, dict) else None
    folded = operation.lower() if isinstance(operation, str) else ""
    ids = parse_ids(
        one.get("value") if isinstance(one, dict) else None,
        field=f"{field}.value",
        ids_max=SELECTION_IDS_MAX,
    )
    if folded == "add":
        return Change("add", ids)
    if folded == "remove":
        return Change("remove", ids)
    wrong = "is missing" if operation is None else "must be add or remove"
    raise Invalid(
        f"{field}.operation {wrong}.",
        field=f"{field}.operation",
        code="selection-invalid",
        remedy=_EXAMPLE,
    )


def read_selection(
    tx: Tx, who: Principal, key: SelectionKey, *, skip: int = 0, take: int = SELECTION_IDS_MAX
) -> Selection:
    """What is selected; an empty selection where nothing is."""
    row = tx.execute(select(selections).where(is_selection(who, key))).one_or_none()
    if row is None:
        return Selection(key, [], 0, None)
    query = (
        select(selected_assets.c.asset_id)
        .where(selected_assets.c.selection_id == row.id)
        .order_by(selected_assets.c.asset_id)
        .limit(take)
        .offset(min(skip, INT64_MAX))
    )
    ids = list(tx.execute(query).scalars())
    return Selection(key, ids, _count(tx, row.id), row.changed_at)


def list_selections(
    tx: Tx,
    who: Principal,
    pool: str,
    *,
    definition_names: Iterable[str] = (),
    sub_pool_id: int | None = None,
) -> list[Selection]:
    """The caller's selections in a pool, each with its count and none of its ids."""
    query = (
        select(selections, func.count(selected_assets.c.asset_id).label("total"))
        .outerjoin(selected_assets)
        .where(selections.c.principal == who.label, selections.c.pool == pool)
        .group_by(selections.c.id)
        .order_by(selections.c.definition_name, selections.c.sub_pool_id)
    )
    wanted = list(definition_names)
    if wanted:
        query = query.where(selections.c.definition_name.in_(wanted))
    if sub_pool_id is not None:
        query = query.where(selections.c.sub_pool_id == sub_pool_id)
    return [
        Selection(
            SelectionKey(row.pool, row.definition_name, row.sub_pool_id),
            [],
            row.total,
            row.changed_at,
        )
        for row in tx.execute(query)
    ]


def change_selection(
    database: Database,
    who: Principal,
    key: SelectionKey,
    changes: Sequence[Change],
    *,
    embargoed: Sequence[str] = (),
    now: Now,
) -> int:
    """Apply `changes` in their order; how many ids are selected then.

    Invalid before anything is written: an id that does not exist or that the caller may not
    have (the two are never told apart), or more than 200,000 ids in the end. What is to be
    removed need not be there. Repeating a change changes nothing.
    """
    with database.read() as tx:
        granted = granted_to(tx, who, embargoed=embargoed, now=now())
        for at, change in enumerate(changes):
            if change.operation == "add":
                _require_permitted(tx, change.ids, granted, field=f"[{at}].value")
    total = 0
    for change in changes:
        for portion in _portions(change.ids):
            with database.write() as tx:
                total = _apply(tx, who, key, change.operation, portion, granted, now())
    return total


def clear_selection(database: Database, who: Principal, key: SelectionKey, *, now: Now) -> None:
    """Forget the selection; no error where there is none."""
    left = True
    while left:
        with database.write() as tx:
            left = _clear_some(tx, who, key, now())


def _clear_some(tx: Tx, who: Principal, key: SelectionKey, now: datetime) -> bool:
    number = tx.execute(select(selections.c.id).where(is_selection(who, key))).scalar_one_or_none()
    if number is None:
        return False
    mine = selected_assets.c.selection_id == number
    some = (
        select(selected_assets.c.asset_id)
        .where(mine)
        .order_by(selected_assets.c.asset_id)
        .limit(_PORTION)
    )
    gone = tx.execute(delete(selected_assets).where(mine, selected_assets.c.asset_id.in_(some)))
    if gone.rowcount == _PORTION:
        tx.execute(update(selections).where(selections.c.id == number).values(changed_at=now))
        return True
    tx.execute(delete(selections).where(selections.c.id == number))
    return False


def _require_permitted(tx: Tx, ids: Sequence[int], granted: frozenset[int], *, field: str) -> None:
    wanted = id_table(tx)
    query = select(assets.c.id).join(wanted, wanted.c.id == assets.c.id)
    query = query.where(asset_condition(granted))
    permitted = set(tx.execute(query, {"ids": bound_ids(tx, ids)}).scalars())
    missing = [each for each in ids if each not in permitted]
    if missing:
        raise Invalid(
            f"There are no such assets, or they are not yours: {shown_ids(missing)}.",
            field=field,
            code="assets-unknown",
            remedy="Leave these ids out; nothing of the request was applied.",
        )


def _apply(
    tx: Tx,
    who: Principal,
    key: SelectionKey,
    operation: str,
    ids: Sequence[int],
    granted: frozenset[int],
    now: datetime,
) -> int:
    number = _ensure(tx, who, key, now)
    wanted = id_table(tx)
    statement: Insert | Delete
    if operation == "add":
        source = (
            select(literal(number, Number), assets.c.id)
            .join(wanted, wanted.c.id == assets.c.id)
            .where(asset_condition(granted))
        )
        statement = _ignoring(tx, selected_assets).from_select(["selection_id", "asset_id"], source)
    else:
        statement = delete(selected_assets).where(
            selected_assets.c.selection_id == number,
            selected_assets.c.asset_id.in_(select(wanted.c.id)),
        )
    tx.execute(statement, {"ids": bound_ids(tx, ids)})
    total = _count(tx, number)
    if total > SELECTION_IDS_MAX:
        raise Invalid(
            f"A selection holds at most {SELECTION_IDS_MAX} assets.",
            field="value",
            code="selection-full",
            remedy="Remove some, or use another pool.",
        )
    return total


def _ensure(tx: Tx, who: Principal, key: SelectionKey, now: datetime) -> int:
    found = tx.execute(
        update(selections)
        .where(is_selection(who, key))
        .values(changed_at=now)
        .returning(selections.c.id)
    ).scalar_one_or_none()
    if found is not None:
        return int(found)
    mine = select(func.count()).where(selections.c.principal == who.label)
    if tx.execute(mine).scalar_one() >= SELECTIONS_MAX:
        raise TooMany(
            f"You have {SELECTIONS_MAX} selections, the most there can be.",
            code="selections-full",
            remedy="Clear some that you no longer need.",
        )
    values = {
        "principal": who.label,
        "pool": key.pool,
        "definition_name": key.definition_name,
        "sub_pool_id": key.sub_pool_id,
        "changed_at": now,
    }
    # Somebody else may make it at the same moment: then that one counts.
    tx.execute(_ignoring(tx, selections), values)
    return int(tx.execute(select(selections.c.id).where(is_selection(who, key))).scalar_one())


def is_selection(who: Principal, key: SelectionKey) -> ColumnElement[bool]:
    """Whether a row of `selections` is the caller's selection with this key."""
    return and_(
        selections.c.principal == who.label,
        selections.c.pool == key.pool,
        selections.c.definition_name == key.definition_name,
        selections.c.sub_pool_id == key.sub_pool_id,
    )


def _count(tx: Tx, number: int) -> int:
    query = select(func.count()).where(selected_assets.c.selection_id == number)
    return int(tx.execute(query).scalar_one())


def _portions(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _PORTION] for start in range(0, len(ids), _PORTION))


def _ignoring(tx: Tx, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that leaves rows alone whose key is taken."""
    if tx.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
