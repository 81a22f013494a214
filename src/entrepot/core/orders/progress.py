"""How far an order is: what is to be converted, what came of it, and telling about it.

Nothing here counts up: an order's counts are always read from its items and SET, so that a
step which a crash makes run twice changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal_column, select, update

from entrepot.core.conversions.recipes import Recipe, recipe_from_document
from entrepot.core.conversions.results import Result
from entrepot.core.conversions.rules import METADATA_RECIPE
from entrepot.core.orders.states import IN_PROGRESS, OPEN, PENDING, change_order, tell
from entrepot.core.orders.tables import order_items, order_recipes, orders
from entrepot.db import Tx

# More than the thing itself could need: a machine that is restarted again and again, or an
# operator who kills workers, must not put aside what is not to blame.
ATTEMPTS_MAX = 6
PROGRESS_SECONDS_MIN = 0.5
COUNTED_A_SECOND = 20_000  # counting 100,000 items takes 40 ms of SQLite's writer
ERROR_LENGTH_MAX = 500
# Spelt out, so that SQLite sees that the partial index has them.
is_pending = order_items.c.state == literal_column("'pending'")


@dataclass(frozen=True, slots=True)
class PendingConversion:
    """One conversion that an order waits for, however many of its items need it."""

    source_sha256: str
    recipe_key: str
    recipe: Recipe


def is_settled(tx: Tx, order_id: int) -> bool:
    """Whether every target has its items and none of them is still to be made."""
    planned = select(orders.c.planned).where(orders.c.id == order_id)
    return bool(tx.execute(planned).scalar_one_or_none()) and not _any_pending(tx, order_id)


def _any_pending(tx: Tx, order_id: int) -> bool:
    query = select(order_items.c.asset_id).where(order_items.c.order_id == order_id, is_pending)
    return tx.execute(query.limit(1)).first() is not None


def list_pending(tx: Tx, order_id: int, *, take: int) -> list[PendingConversion]:
    """At most `take` distinct conversions that are not settled; none once the order has ended.

    In a fixed order: the same call gives the same list until something is settled. Metadata
    files are no conversions: `complete_order` writes them.
    """
    query = (
        select(order_items.c.source_sha256, order_items.c.recipe_key, order_recipes.c.recipe)
        .distinct()
        .join(
            order_recipes,
            and_(
                order_recipes.c.order_id == order_items.c.order_id,
                order_recipes.c.recipe_key == order_items.c.recipe_key,
            ),
        )
        .join(orders, orders.c.id == order_items.c.order_id)
        .where(order_items.c.order_id == order_id, is_pending, orders.c.status.in_(OPEN))
        .where(order_items.c.recipe_key != METADATA_RECIPE.key)
        .order_by(order_items.c.recipe_key, order_items.c.source_sha256)
        .limit(take)
    )
    return [
        PendingConversion(row.source_sha256, row.recipe_key, recipe_from_document(row.recipe))
        for row in tx.execute(query)
    ]


def was_tried(tx: Tx, order_id: int, source_sha256: str, recipe_key: str) -> bool:
    """Whether the conversion was begun before, and whoever began it did not come back."""
    attempts = select(order_items.c.attempts).where(
        order_items.c.order_id == order_id,
        order_items.c.source_sha256 == source_sha256,
        order_items.c.recipe_key == recipe_key,
        order_items.c.attempts > 0,
    )
    return tx.execute(attempts.limit(1)).first() is not None


def begin_conversion(
    tx: Tx, order_id: int, source_sha256: str, recipe_key: str, *, now: datetime
) -> bool:
    """Count an attempt; False: there is nothing to do (any more).

    What was tried ATTEMPTS_MAX times and neither succeeded nor failed has killed or outlasted
    whoever tried it: it fails now, and the rest of the order goes on.
    """
    status = tx.execute(select(orders.c.status).where(orders.c.id == order_id)).scalar_one_or_none()
    if status not in OPEN:
        return False
    if status == PENDING:
        values = {"status": IN_PROGRESS, "started_at": now}
        row = change_order(tx, order_id, values, states=(PENDING,), now=now)
        if row is not None:
            tell(tx, row, "progress", now=now)
    these = _pair(order_id, source_sha256, recipe_key)
    counted = tx.execute(
        update(order_items)
        .where(these, order_items.c.attempts < ATTEMPTS_MAX)
        .values(attempts=order_items.c.attempts + 1)
    )
    if counted.rowcount:
        report_progress(tx, order_id, now=now)
        return True
    told = f"It was tried {ATTEMPTS_MAX} times, and each time the converter did not come back."
    _fail(tx, these, "conversion-given-up", told)
    report_progress(tx, order_id, now=now)
    return False


def give_back_conversion(tx: Tx, order_id: int, source_sha256: str, recipe_key: str) -> None:
    """Take back the attempt that `begin_conversion` counted: it was cut short on purpose."""
    these = _pair(order_id, source_sha256, recipe_key)
    tx.execute(
        update(order_items)
        .where(these, order_items.c.attempts > 0)
        .values(attempts=order_items.c.attempts - 1)
    )


def settle_conversion(
    tx: Tx, order_id: int, source_sha256: str, recipe_key: str, result: Result, *, now: datetime
) -> None:
    """Give the result to every item of the order that waits for it."""
    tx.execute(
        update(order_items)
        .where(_pair(order_id, source_sha256, recipe_key))
        .values(state="done", result_sha256=result.result_sha256, extension=result.extension)
    )
    report_progress(tx, order_id, now=now)


def fail_conversion(
    tx: Tx,
    order_id: int,
    source_sha256: str,
    recipe_key: str,
    *,
    code: str,
    message: str,
    now: datetime,
) -> None:
    """Put aside every item of the order that waits for this conversion, with the reason."""
    _fail(tx, _pair(order_id, source_sha256, recipe_key), code, message)
    report_progress(tx, order_id, now=now)


def _pair(order_id: int, source_sha256: str, recipe_key: str) -> ColumnElement[bool]:
    return and_(
        order_items.c.order_id == order_id,
        order_items.c.source_sha256 == source_sha256,
        order_items.c.recipe_key == recipe_key,
        order_items.c.state == "pending",
    )


def _fail(tx: Tx, these: ColumnElement[bool], code: str, message: str) -> None:
    values = {"state": "failed", "error_code": code, "error": message[:ERROR_LENGTH_MAX]}
    tx.execute(update(order_items).where(these).values(values))


def report_progress(tx: Tx, order_id: int, *, now: datetime) -> None:
    """Write the counts down and tell of them, unless that was done within half a second.

    Of an order of more than 10,000 files it is told less often.
    """
    row = tx.execute(
        select(
            *orders.c["modified_at", "files_total", "files_completed", "files_failed"],
        ).where(orders.c.id == order_id)
    ).one_or_none()
    if row is None:
        return
    seconds = max(PROGRESS_SECONDS_MIN, row.files_total / COUNTED_A_SECOND)
    if now - row.modified_at < timedelta(seconds=seconds):
        return
    counts = count_items(tx, order_id)
    if counts != {"files_completed": row.files_completed, "files_failed": row.files_failed}:
        changed = change_order(tx, order_id, counts, states=OPEN, now=now)
        if changed is not None:
            tell(tx, changed, "progress", now=now)


def count_items(tx: Tx, order_id: int) -> dict[str, int]:
    """`files_completed` and `files_failed` as the items have it."""
    query = (
        select(order_items.c.state, func.count().label("number"))
        .where(order_items.c.order_id == order_id)
        .group_by(order_items.c.state)
    )
    counts = {row.state: int(row.number) for row in tx.execute(query)}
    return {"files_completed": counts.get("done", 0), "files_failed": counts.get("failed", 0)}
