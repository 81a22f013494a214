"""Letting go of files that assets once had, when no order needs them any more."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, not_, select

from entrepot.core.catalogue.tables import former_files
from entrepot.core.orders.tables import order_targets, orders
from entrepot.db import Database
from entrepot.kit.clock import Now

# An order that froze the file before it was replaced has committed by then.
SETTLED = timedelta(hours=1)
_PORTION = 100


def release_former_files(database: Database, *, now: Now) -> int:
    """Forget former files that no order has; how many. Their bytes can then be swept.

    Looks with a reading transaction only, and deletes in short ones: no order can come to need
    a file that no asset has.
    """
    before = now() - SETTLED
    released = after = 0
    while True:
        with database.read() as tx:
            rows = tx.execute(
                select(former_files.c.id, not_(_needed).label("free"))
                .where(former_files.c.id > after, former_files.c.left_at < before)
                .order_by(former_files.c.id)
                .limit(_PORTION)
            ).all()
        free = [row.id for row in rows if row.free]
        if free:
            with database.write() as tx:
                tx.execute(delete(former_files).where(former_files.c.id.in_(free)))
        released += len(free)
        if len(rows) < _PORTION:
            return released
        after = rows[-1].id


# By the key of the targets, order for order: their bytes have no index.
_needed: Any = exists().where(
    order_targets.c.order_id == orders.c.id,
    order_targets.c.asset_id == former_files.c.asset_id,
    order_targets.c.sha256 == former_files.c.sha256,
)
