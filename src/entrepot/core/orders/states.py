"""The states of an order, and how a change of state is told.

    Pending -> InProgress -> Completed | CompletedWithErrors | Failed
    Pending | InProgress -> Cancelled | Failed
    Completed | CompletedWithErrors -> Expired
    CompletedWithErrors | Failed | Cancelled -> Pending, by a retry (the next generation)
    Failed | Cancelled -> Expired, untold, while an order is being purged (changing.py)

Every change is an UPDATE that names the states it starts from and counts only where it changed
the row; its event is written in the same transaction, after it. So a change happens once,
whoever tries it how often, and an order's events are numbered in the order in which they
happened: the row's lock keeps a later one from getting a lower number.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import update

from entrepot.core.events import Event, record
from entrepot.core.orders.tables import orders
from entrepot.db import Tx

PENDING, IN_PROGRESS = "Pending", "InProgress"
COMPLETED, WITH_ERRORS, FAILED = "Completed", "CompletedWithErrors", "Failed"
CANCELLED, EXPIRED = "Cancelled", "Expired"
OPEN = (PENDING, IN_PROGRESS)
DELIVERED = (COMPLETED, WITH_ERRORS)
RETRIABLE = (WITH_ERRORS, FAILED, CANCELLED)
SYSTEM = "system"


def change_order(
    tx: Tx,
    order_id: int,
    values: Mapping[str, Any],
    *,
    states: tuple[str, ...],
    generation: int | None = None,
    actor: str = SYSTEM,
    now: datetime,
) -> Any:
    """Write `values` where the order is in one of `states`; its new row, or None.

    With a `generation`, only where the order is at it.
    """
    statement = (
        update(orders)
        .where(orders.c.id == order_id, orders.c.status.in_(states))
        .values(modified_at=now, modified_by=actor, **values)
        .returning(
            *orders.c["id", "organisation_id", "status", "generation", "job_id"],
            *orders.c["files_total", "files_completed", "files_failed"],
        )
    )
    if generation is not None:
        statement = statement.where(orders.c.generation == generation)
    return tx.execute(statement).one_or_none()


def tell(tx: Tx, row: Any, kind: str, *, actor: str = SYSTEM, now: datetime, **data: Any) -> None:
    """Append `order.<kind>` with the order's status and counts, for the log and for listeners."""
    counts = {
        "status": row.status,
        "generation": row.generation,
        "files_total": row.files_total,
        "files_completed": row.files_completed,
        "files_failed": row.files_failed,
    }
    event = Event(f"order.{kind}", actor, f"order:{row.id}", row.organisation_id, counts | data)
    record(tx, event, now=now)
