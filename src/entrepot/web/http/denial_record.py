"""Writing down what was decided against callers, under the limit of `core.events.denials`."""

import logging
import time

from entrepot.core.events import Denial, Tally, record_denial
from entrepot.db import Tx
from entrepot.errors import EntrepotError
from entrepot.web.http.edge import Edge

_log = logging.getLogger(__name__)


class DenialRecord:
    """Writes denials down, under their limit. One for each process."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._tally = Tally()

    async def keep(self, denial: Denial) -> None:
        """Record it now, unless it only counts. Where it cannot be written the log has it."""
        seconds = time.monotonic()
        counted = self._tally.counted(seconds=seconds)
        if self._tally.admit(denial, seconds=seconds):
            counted.append((denial, 0))
        if counted:
            await self._write(counted)

    async def flush(self, *, ending: bool = False) -> None:
        """Record what was counted in the minute that is over, or at the end of the process."""
        counted = self._tally.take() if ending else self._tally.counted(seconds=time.monotonic())
        if counted:
            await self._write(counted)

    async def _write(self, counted: list[tuple[Denial, int]]) -> None:
        def verb(tx: Tx) -> None:
            for denial, repeated in counted:
                record_denial(tx, denial, repeated=repeated, now=self._edge.hub.now())

        try:
            await self._edge.write(verb)
        except EntrepotError as error:
            told = {"reason": error.message, "denials": [denial.sameness for denial, _ in counted]}
            _log.warning("denials are not recorded", extra=told)
        except Exception:
            _log.exception("denials could not be recorded")
