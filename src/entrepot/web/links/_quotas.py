"""Reserving of a quota before bytes go out, and keeping alive what is being sent.

Only for what an entitlement with a quota gives. A reservation that was seen within the last
minute costs a look-up, so that the ranges of one object do not each ask the database.
"""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from datetime import datetime
from typing import TypeAlias

from entrepot.core.delivery import Delivery, Taking, give_back, note_bytes, reserve
from entrepot.errors import EntrepotError
from entrepot.kit.addresses import neighbourhood
from entrepot.web.http.edge import Edge

KNOWN_SECONDS = 60.0
KNOWN_MAX = 20_000
# A download of many hours on one connection must not lose its place after one.
ALIVE_SECONDS = 300.0
_Key: TypeAlias = tuple[int, str, str, str]  # entitlement, principal, object, address
_log = logging.getLogger(__name__)


class Quotas:
    """The reservations that this process has made or shared lately."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._known: OrderedDict[_Key, tuple[float, int]] = OrderedDict()
        self._asked: dict[_Key, asyncio.Task[tuple[int, bool]]] = {}
        self._sending: Counter[int] = Counter()
        self._fresh: set[int] = set()  # no byte of these has gone out yet

    async def enter(
        self, of: Delivery, principal: str, address: str, started_at: datetime
    ) -> int | None:
        """The reservation that a request about to send begins to use; `leave` ends that.

        None where there is nothing to reserve of. Denied where the quota has no room.
        """
        if not of.limited or of.entitlement_id is None:
            return None
        key = (of.entitlement_id, principal, of.object, neighbourhood(address))
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < KNOWN_SECONDS:
            number = known[1]
        else:
            number = await self._ask(key, of.size, started_at)
        self._sending[number] += 1
        return number

    async def _ask(self, key: _Key, size: int, started_at: datetime) -> int:
        task = self._asked.get(key)
        if task is None:
            task = asyncio.create_task(self._reserve(key, size, started_at))
            self._asked[key] = task
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        # Shielded, so that one client that leaves does not take the answer from the others.
        number, fresh = await asyncio.shield(task)
        if fresh:
            self._fresh.add(number)
        self._known[key] = (time.monotonic(), number)
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return number

    async def _reserve(self, key: _Key, size: int, started_at: datetime) -> tuple[int, bool]:
        entitlement_id, principal, named, address = key
        taking = Taking(entitlement_id, principal, named, size, address)
        made = await self._edge.write(lambda tx: reserve(tx, taking, now=started_at))
        return made.id, made.fresh

    async def leave(self, number: int, *, began: bool) -> None:
        """A request is at its end; `began`: it sent a byte.

        Where none of those that share a new reservation did, it is given back at once.
        """
        self._sending[number] -= 1
        if self._sending[number] <= 0:
            del self._sending[number]
        if began:
            self._fresh.discard(number)
        elif number in self._fresh and number not in self._sending:
            self._fresh.discard(number)
            await self._give_back(number)

    async def _give_back(self, number: int) -> None:
        for key in [key for key, (_, each) in self._known.items() if each == number]:
            del self._known[key]
        now = self._edge.hub.now()
        try:
            await self._edge.write(lambda tx: give_back(tx, number, now=now))
        except EntrepotError as error:
            _log.warning("reservation kept for an hour", extra={"reason": error.message})

    async def run(self) -> None:
        """Keep alive what is being sent, until cancelled."""
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            await self.keep_alive()

    async def keep_alive(self) -> None:
        """Say that bytes of what is being sent go out now."""
        numbers, now = list(self._sending), self._edge.hub.now()
        if not numbers:
            return
        try:
            await self._edge.write(lambda tx: note_bytes(tx, numbers, now=now))
        except EntrepotError as error:
            _log.warning("reservations not kept alive", extra={"reason": error.message})
