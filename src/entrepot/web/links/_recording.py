"""Keeping the record of what was sent, in batches, away from the sending.

A transfer is noted in memory when its last byte has gone and written within a second. A
process that is killed loses at most what it noted in that second; it never loses a lease.
"""

import asyncio
import logging
from collections.abc import Sequence

from entrepot.core.delivery import Transfer, record_transfers
from entrepot.errors import EntrepotError
from entrepot.web.http.edge import Edge

FLUSH_SECONDS = 0.5
BATCH_MAX = 500
WAITING_MAX = 100_000
_log = logging.getLogger(__name__)


class Recorder:
    """Collects transfers and writes them in the background."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._waiting: list[Transfer] = []
        # What one flush is writing another one would write again.
        self._flushing = asyncio.Lock()
        self._dropped = 0

    def note(self, transfers: Sequence[Transfer]) -> None:
        """Take transfers down; where the database is away for long the newest are dropped."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.extend(transfers)
        else:
            self._dropped += len(transfers)

    async def run(self) -> None:
        """Write what is waiting, until cancelled; a flush under way then goes on to its end."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.shield(self.flush())

    async def flush(self) -> None:
        """Write all that is waiting; what cannot be written now stays for the next time.

        What comes meanwhile waits too: a commit for a handful costs as much as one for many.
        Flushes that meet follow one another.
        """
        async with self._flushing:
            await self._write()

    async def _write(self) -> None:
        left = len(self._waiting)
        while left > 0:
            batch = self._waiting[: min(left, BATCH_MAX)]
            try:
                await self._edge.write(
                    lambda tx, batch=batch: record_transfers(  # type: ignore[misc]
                        tx, batch, now=self._edge.hub.now()
                    )
                )
            except EntrepotError as error:
                _log.warning(
                    "transfers not recorded yet",
                    extra={"waiting": len(self._waiting), "reason": error.message},
                )
                return
            del self._waiting[: len(batch)]
            left -= len(batch)
        if self._dropped:
            _log.error("transfers dropped unrecorded", extra={"count": self._dropped})
            self._dropped = 0
