"""Progress of an order as server-sent events (WHATWG HTML, "Server-sent events").

The id of an event is its number in the hub's log, so a client that lost its connection goes on
where it was by `Last-Event-ID`. The stream ends after the event that ends the order; a client
that comes back for more is told 204, which makes a browser stop asking.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec

from entrepot.core.accounts import Principal
from entrepot.core.orders import EVENTS_TAKE, OrderEvent, list_order_events
from entrepot.errors import Denied, NotFound, TooMany, Unavailable
from entrepot.kit.text import format_instant
from entrepot.web.http.callers import Caller
from entrepot.web.orders_api._door import Door

POLL_SECONDS = 0.1  # on SQLite, where looking costs 3 us while nothing has been committed
POLL_SECONDS_POSTGRESQL = 0.5
KEEP_ALIVE_SECONDS = 15.0
STREAM_SECONDS_MAX = 3600.0
STREAMS_MAX = 1_000  # in one process
STREAMS_OF_ONE_MAX = 20  # of them for one caller
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
    """Whether `events`, which are the latest there are, end the order.

    A full batch may have more behind it: the order may have been retried.
    """
    return 0 < len(events) < EVENTS_TAKE and events[-1].type in _ENDS


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches which order, and the event seen last."""

    caller: Caller
    who: Principal
    order_id: int
    after: int


class Streams:
    """The streams of one process, counted; each costs a task, and on PostgreSQL two queries a
    second.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._watching: Counter[str] = Counter()

    def open(self, watch: Watch, events: Sequence[OrderEvent]) -> AsyncIterator[bytes]:
        """`events`, then each new one, until the order has ended, an hour has gone, or the
        caller's account is disabled. TooMany where too many watch already.
        """
        who = watch.who.label
        if self._watching[who] >= STREAMS_OF_ONE_MAX or self._watching.total() >= STREAMS_MAX:
            raise TooMany(
                "Too many orders are being watched at once.",
                code="streams-full",
                remedy="Close some, or ask for the order itself now and then.",
                retry_after_seconds=10,
            )
        # Counted now, not with its first piece: a burst of them would pass the question above.
        return self._counted(watch, events, _Place(self._watching, who))

    async def _counted(
        self, watch: Watch, events: Sequence[OrderEvent], place: "_Place"
    ) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream(watch, events):
                yield piece
        except (NotFound, Denied):
            return  # purged, or the token is not good any more: coming back tells which
        finally:
            place.leave()

    async def _stream(self, watch: Watch, events: Sequence[OrderEvent]) -> AsyncIterator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        database = self._door.hub.database
        pause = POLL_SECONDS if database.dialect == "sqlite" else POLL_SECONDS_POSTGRESQL
        begun = spoken = time.monotonic()
        after, state = watch.after, object()
        while True:
            for event in events:
                after, spoken = event.id, time.monotonic()
                yield spell(event)
            if has_ended(events) or time.monotonic() - begun > STREAM_SECONDS_MAX:
                return
            if len(events) < EVENTS_TAKE:
                await asyncio.sleep(pause)
            if time.monotonic() - spoken > KEEP_ALIVE_SECONDS:
                spoken = time.monotonic()
                yield b": still here\n\n"
            found = database.state()
            if found is not None and found == state and len(events) < EVENTS_TAKE:
                events = ()
                continue
            seen = await self._look(watch, after)
            # Where the look failed, the next one is due whether or not anything is committed.
            events, state = ((), object()) if seen is None else (seen, found)

    async def _look(self, watch: Watch, after: int) -> Sequence[OrderEvent] | None:
        """What came after `after`, None where the database is away for a moment.

        Every 5 s it is asked whether the token is still good.
        """
        door = self._door
        try:
            await door.edge.authenticate(watch.caller)
            return await door.edge.read(
                lambda tx: list_order_events(tx, watch.who, watch.order_id, after=after)
            )
        except Unavailable:
            return None


class _Place:
    """One stream's place among those counted; also given back where it was never begun."""

    def __init__(self, watching: Counter[str], who: str) -> None:
        self._watching, self._who, self._left = watching, who, False
        watching[who] += 1

    def leave(self) -> None:
        """Give the place back; once."""
        if self._left:
            return
        self._left = True
        self._watching[self._who] -= 1
        if not self._watching[self._who]:
            del self._watching[self._who]

    def __del__(self) -> None:
        """The client was gone before the first piece."""
        self.leave()
