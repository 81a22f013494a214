"""What ends an order, or begins it anew: cancelling, failing, retrying, expiring, purging.

Each change of state happens once (states.py), whoever asks for it how often.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, func, select, update

from entrepot.core.accounts import Principal
from entrepot.core.orders.placing import OrderJob, job_of, require_room
from entrepot.core.orders.progress import ERROR_LENGTH_MAX, count_items
from entrepot.core.orders.states import (
    CANCELLED,
    DELIVERED,
    EXPIRED,
    FAILED,
    OPEN,
    PENDING,
    RETRIABLE,
    SYSTEM,
    change_order,
    tell,
)
from entrepot.core.orders.tables import order_files, order_items, order_targets, orders
from entrepot.db import Tx
from entrepot.errors import Conflict, NotFound

EXPIRE_TAKE = 100  # orders ended in one transaction
PURGE_ROWS = 5_000  # rows deleted in one transaction
PURGE_GRACE = timedelta(days=7)  # so long an ended order can still be looked at
STRANDED_TAKE = 100
_ENDED = (FAILED, CANCELLED, EXPIRED)


def is_cancelled(tx: Tx, order_id: int, generation: int) -> bool:
    """Whether the work of this generation is no longer wanted: cancelled, ended, or retried."""
    row = tx.execute(
        select(orders.c.status, orders.c.generation).where(orders.c.id == order_id)
    ).one_or_none()
    return row is None or row.status not in OPEN or row.generation != generation


def cancel_order(tx: Tx, who: Principal, order_id: int, *, now: datetime) -> list[str]:
    """Stop a running order, or end a delivered one before its time; the jobs to cancel.

    An order that has failed, been cancelled or expired stays as it is: cancelling again is no
    error. NotFound where the order is not the caller's.
    """
    _own(tx, who, order_id)
    row = change_order(
        tx,
        order_id,
        {"status": CANCELLED, "completed_at": now, "additional_info": "The order was cancelled."},
        states=OPEN,
        actor=who.label,
        now=now,
    )
    if row is not None:
        tell(tx, row, "cancelled", actor=who.label, now=now)
        return [] if row.job_id is None else [row.job_id]
    _expire(tx, order_id, actor=who.label, now=now)
    return []


def retry_order(tx: Tx, who: Principal, order_id: int, *, now: datetime) -> OrderJob:
    """Try again what failed, or go on with a cancelled order: its next generation, as a job.

    What was made stays made. Conflict (`order-not-retriable`) in any other state: there is
    nothing to try again, it is at work, or it is being purged. NotFound where the order is not
    the caller's.
    TooMany: the organisation has 1,000 unfinished orders.
    """
    held = _own(tx, who, order_id)
    if held.status in RETRIABLE:
        require_room(tx, who)
    generation = held.generation + 1
    job = job_of(order_id, generation, held.organisation_id, held.priority)
    values = {
        "status": PENDING,
        "generation": generation,
        "job_id": job.job_id,
        "completed_at": None,
        "expires_at": None,
        "additional_info": None,
        "package_sha256": None,
    }
    row = change_order(
        tx,
        order_id,
        values,
        states=RETRIABLE,
        generation=held.generation,
        actor=who.label,
        now=now,
    )
    if row is None:
        status = _own(tx, who, order_id).status  # it may have been changed since
        raise Conflict(
            f"The order is {status}: there is nothing to try again.",
            code="order-not-retriable",
            remedy="Retry orders that failed, in part or whole, or were cancelled; place one that"
            " has expired anew.",
        )
    these = (order_items.c.order_id == order_id, order_items.c.state != "done")
    fresh = {"state": "pending", "attempts": 0, "error_code": None, "error": None}
    tx.execute(update(order_items).where(*these).values(fresh))
    counted = change_order(
        tx, order_id, count_items(tx, order_id), states=(PENDING,), actor=who.label, now=now
    )
    tell(tx, counted, "placed", actor=who.label, now=now)
    return job


def fail_order(tx: Tx, order_id: int, generation: int, *, reason: str, now: datetime) -> bool:
    """End an order that cannot be carried on; False where it has ended already.

    `reason` is a sentence for the customer.
    """
    values: dict[str, Any] = {
        "status": FAILED,
        "completed_at": now,
        "additional_info": reason[:ERROR_LENGTH_MAX],
    }
    row = change_order(tx, order_id, values, states=OPEN, generation=generation, now=now)
    if row is not None:
        tell(tx, row, "failed", now=now)
    return row is not None


def expire_orders(tx: Tx, *, take: int = EXPIRE_TAKE, now: datetime) -> int:
    """End delivered orders whose time is over; how many of them (`take`: there may be more)."""
    due = tx.execute(
        select(orders.c.id)
        .where(orders.c.status.in_(DELIVERED), orders.c.expires_at <= now)
        .order_by(orders.c.expires_at)
        .limit(take)
    ).scalars()
    return sum(_expire(tx, order_id, actor=SYSTEM, now=now) for order_id in due.all())


def _expire(tx: Tx, order_id: int, *, actor: str, now: datetime) -> bool:
    values = {"status": EXPIRED, "package_sha256": None, "expires_at": now}
    row = change_order(tx, order_id, values, states=DELIVERED, actor=actor, now=now)
    if row is None:
        return False
    tx.execute(delete(order_files).where(order_files.c.order_id == order_id))
    tell(tx, row, "expired", actor=actor, now=now)
    return True


def purge_orders(tx: Tx, *, take: int = PURGE_ROWS, now: datetime) -> int:
    """Delete up to `take` rows of orders that ended a week ago, and at last their own.

    How many were deleted; fewer than `take`: nothing is left to purge. The bytes that only
    an order held can be swept; its events stay as long as all do.

    An order is Expired from its first portion on: its owner can still ask for a retry between
    two of them, and what is gone by then would be missing in what comes of it.
    """
    due = (orders.c.status.in_(_ENDED), orders.c.modified_at < now - PURGE_GRACE)
    deleted = 0
    while deleted < take:
        order_id = tx.execute(
            select(orders.c.id).where(*due).order_by(orders.c.id).limit(1)
        ).scalar_one_or_none()
        if order_id is None:
            break
        # Not by `change_order`: the time of its end stays, by which the next portion finds it.
        mine = update(orders).where(orders.c.id == order_id, *due)
        if tx.execute(mine.values(status=EXPIRED)).rowcount:  # none: a retry came first
            deleted += _purge(tx, order_id, take - deleted)
    return deleted


def _purge(tx: Tx, order_id: int, take: int) -> int:
    """Some rows of one order; its own last of all."""
    deleted = 0
    for table in (order_items, order_targets):
        deleted += _delete_some(tx, table, order_id, take - deleted)
        if deleted >= take:
            return deleted
    deleted += tx.execute(delete(orders).where(orders.c.id == order_id)).rowcount
    return deleted


def _delete_some(tx: Tx, table: Table, order_id: int, take: int) -> int:
    """The rows of the lowest asset ids, so that the next call finds the rest in one place.

    An asset's items go together: with up to 20 of them, a few more rows may be deleted.
    """
    mine = table.c.order_id == order_id
    ids = select(table.c.asset_id).where(mine).order_by(table.c.asset_id).limit(take).subquery()
    last = tx.execute(select(func.max(ids.c.asset_id))).scalar_one()
    if last is None:
        return 0
    return int(tx.execute(delete(table).where(mine, table.c.asset_id <= last)).rowcount)


def list_stranded(tx: Tx, *, before: datetime, take: int = STRANDED_TAKE) -> list[int]:
    """Orders placed before then that need no job and are not completed.

    Whoever placed them died between the two: complete them.
    """
    query = (
        select(orders.c.id)
        .where(orders.c.status.in_(OPEN), orders.c.job_id.is_(None))
        .where(orders.c.created_at < before)
        .order_by(orders.c.id)
        .limit(take)
    )
    return list(tx.execute(query).scalars())


def list_jobless(
    tx: Tx, *, before: datetime, after: int = 0, take: int = STRANDED_TAKE
) -> list[OrderJob]:
    """The jobs of open orders that have not moved since `before`: theirs may have been lost.

    By the number of the order, from the one behind `after` on.
    """
    query = (
        select(*orders.c["id", "generation", "job_id", "organisation_id", "priority"])
        .where(orders.c.status.in_(OPEN), orders.c.job_id.is_not(None))
        .where(orders.c.modified_at < before, orders.c.id > after)
        .order_by(orders.c.id)
        .limit(take)
    )
    return [
        OrderJob(row.id, row.generation, row.job_id, str(row.organisation_id), row.priority)
        for row in tx.execute(query)
    ]


def find_job(tx: Tx, order_id: int) -> OrderJob:
    """The job of the order as it is now: whose it is, and how urgent."""
    query = select(*orders.c["id", "generation", "organisation_id", "priority"])
    return job_of(*tx.execute(query.where(orders.c.id == order_id)).one())


def _own(tx: Tx, who: Principal, order_id: int) -> Any:
    row = tx.execute(
        select(orders).where(
            orders.c.id == order_id,
            orders.c.principal == who.label,
            orders.c.organisation_id == who.organisation_id,
        )
    ).one_or_none()
    if row is None:
        raise NotFound
    return row
