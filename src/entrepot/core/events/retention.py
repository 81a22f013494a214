"""Forgetting what is older than the operator keeps it: the one way in which events go."""

from datetime import datetime

from sqlalchemy import delete, insert, select

from entrepot.core.events.log import Event, record
from entrepot.core.events.tables import event_retention, events
from entrepot.db import Tx, take_turns
from entrepot.kit.text import format_instant

PURGE_TAKE = 1000


def purge_events(tx: Tx, *, before: datetime, take: int = PURGE_TAKE, now: datetime) -> int:
    """Delete at most `take` of the events that happened before then; returns how many.

    The log is begun to be read at its lowest number, and no further than `take`: an event that
    was numbered after younger ones waits for them. That some went is an event itself.
    """
    take_turns(tx, "retention of events")
    first = tx.execute(select(events.c.id, events.c.at).order_by(events.c.id).limit(take)).all()
    gone = [row.id for row in first if row.at < before]
    if not gone:
        return 0
    # The triggers let go what is older than this row says, and it is seen by nobody else.
    tx.execute(insert(event_retention), {"id": 1, "before": before})
    tx.execute(delete(events).where(events.c.id.in_(gone)))
    tx.execute(delete(event_retention))
    told = {"count": len(gone), "before": format_instant(before)}
    record(
        tx, Event("events.purged", "system", f"events:{gone[0]}-{gone[-1]}", None, told), now=now
    )
    return len(gone)
