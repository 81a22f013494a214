"""Whether what was sent adds up to the whole."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from entrepot.core.delivery.tables import transfers
from entrepot.db import Tx


def sent_ranges(tx: Tx, principal: str, named: str, since: datetime) -> list[tuple[int, int]]:
    """(first byte, length) of all that a principal was sent of an object in requests `since`."""
    query = select(transfers.c.first_byte, transfers.c.length).where(
        transfers.c.principal == principal,
        transfers.c.object == named,
        transfers.c.ended_at >= since,  # follows from the next, and is what the index has
        transfers.c.started_at >= since,
    )
    return [(row.first_byte, row.length) for row in tx.execute(query)]


def covers(ranges: Iterable[tuple[int, int]], size: int) -> bool:
    """Whether (first byte, length) ranges together cover the bytes 0 to `size`."""
    reached = 0
    for first, length in sorted(ranges):
        if first > reached:
            break
        reached = max(reached, first + length)
    return reached >= size
