"""Progress of an order as server-sent events (WHATWG HTML, "Server-sent events").

The id of an event is its number in the hub's log, so a client that lost its connection goes on
where it was by `Last-Event-ID`. The stream ends after the event that ends the order; a client
that comes back for more is told 204, which makes a browser stop asking.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from entrepot.core.accounts import Principal
from entrepot.core.orders import OrderEvent, list_order_events
from entrepot.errors import EntrepotError
from entrepot.kit.text import format_instant
from entrepot.web.orders_api._door import Door

POLL_SECONDS = 0.1  # on SQLite, where looking costs 3 us while nothing has been committed
POLL_SECONDS_POSTGRESQL = 0.5
KEEP_ALIVE_SECONDS = 15.0
STREAM_SECONDS_MAX = 3600.0
RETRY_MILLISECONDS = 2000
_ENDS = frozenset({"order.completed", "order.failed", "order.cancelled", "order.expired"})
ENDED = frozenset({"Completed", "CompletedWithErrors", "Failed", "Cancelled", "Expired"})
_encode = msgspec.json.Encoder().encode


def spell(event: OrderEvent) -> bytes:
    """One event as it goes over the wire; the data is one line of JSON."""
    data = _encode({**event.data, "at": format_instant(event.at)})
    kind = event.type.removeprefix("order.").encode()
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.id, kind, data)


def has_ended(events: Sequence[OrderEvent]) -> bool:
    """Whether the last of `events` ends the order."""
    return bool(events) and events[-1].type in _ENDS


async def stream(
    door: Door, who: Principal, order_id: int, events: Sequence[OrderEvent], after: int
) -> AsyncIterator[bytes]:
    """`events`, then each new one, until the order has ended or an hour has gone."""
    yield b"retry: %d\n\n" % RETRY_MILLISECONDS
    database = door.hub.database
    pause = POLL_SECONDS if database.dialect == "sqlite" else POLL_SECONDS_POSTGRESQL
    begun = spoken = time.monotonic()
    state: Any = object()
    while True:
        for event in events:
            after = event.id
            spoken = time.monotonic()
            yield spell(event)
        if has_ended(events) or time.monotonic() - begun > STREAM_SECONDS_MAX:
            return
        await asyncio.sleep(pause)
        if time.monotonic() - spoken > KEEP_ALIVE_SECONDS:
            spoken = time.monotonic()
            yield b": still here\n\n"
        found = database.state()
        if found is not None and found == state:
            events = ()
            continue
        state = found
        try:
            events = await door.edge.read(
                lambda tx, last=after: list_order_events(tx, who, order_id, after=last)  # type: ignore[misc]
            )
        except EntrepotError:
            events = ()  # the database is away for a moment: the next look finds them
