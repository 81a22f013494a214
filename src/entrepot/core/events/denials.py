"""What was refused, as events: with a limit, so that a flood of refusals cannot fill the disk.

A refusal is one row. The same again (type, actor, subject, reason) within a minute is only
counted, and the count becomes one row at the end of that minute. Of different ones at most
TOLD_MAX are told one by one in a minute; the others are counted by type. So one process writes
fewer than 2 * TOLD_MAX rows a minute, and a few for the types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from entrepot.core.events.log import Event, record
from entrepot.db import Tx
from entrepot.kit.context import request_id

TOLD_MAX = 120
WINDOW_SECONDS = 60.0
VARIOUS = "various"


@dataclass(frozen=True, slots=True)
class Denial:
    """A decision against whoever asked. `type` is `<noun>.denied` or `sign-in.failed`.

    `reason` is the code of the error. `data` holds more of it, no secret.
    """

    type: str
    actor: str
    subject: str
    reason: str
    organisation_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sameness(self) -> tuple[str, str, str, str]:
        """Equal for denials that count as the same."""
        return self.type, self.actor, self.subject, self.reason


class Tally:
    """Which denials are told, and how often those were repeated that are not.

    `seconds` are those of a steady clock. Not for several threads at once.
    """

    def __init__(self, *, told_max: int = TOLD_MAX, window_seconds: float = WINDOW_SECONDS) -> None:
        self._told_max = told_max
        self._window_seconds = window_seconds
        self._ends = float("-inf")
        self._told: dict[tuple[str, str, str, str], Denial] = {}
        self._repeats: dict[tuple[str, str, str, str], int] = {}
        self._beyond: dict[str, int] = {}

    def admit(self, denial: Denial, *, seconds: float) -> bool:
        """Whether to record it now; else it is counted. Call `counted` before."""
        if not self._told and not self._beyond:
            self._ends = seconds + self._window_seconds
        same = denial.sameness
        if same in self._told:
            self._repeats[same] = self._repeats.get(same, 0) + 1
            return False
        if len(self._told) >= self._told_max:
            self._beyond[denial.type] = self._beyond.get(denial.type, 0) + 1
            return False
        self._told[same] = denial
        return True

    def counted(self, *, seconds: float) -> list[tuple[Denial, int]]:
        """Once the minute is over: what was repeated in it, and how often. Begins anew."""
        if seconds < self._ends:
            return []
        return self.take()

    def take(self) -> list[tuple[Denial, int]]:
        """What was counted so far; begins anew."""
        found = [(self._told[same], count) for same, count in self._repeats.items()]
        found += [
            (Denial(kind, VARIOUS, VARIOUS, VARIOUS), count) for kind, count in self._beyond.items()
        ]
        self._told, self._repeats, self._beyond = {}, {}, {}
        return found


def record_denial(tx: Tx, denial: Denial, *, repeated: int = 0, now: datetime) -> None:
    """Append a denial. `repeated`: it happened so often again within the minute before."""
    data = {**denial.data, "reason": denial.reason}
    event = Event(denial.type, denial.actor, denial.subject, denial.organisation_id, data)
    if not repeated:
        record(tx, event, now=now)
        return
    data["repeated"] = repeated
    # The request at hand is another one.
    mine = request_id.set(None)
    try:
        record(tx, event, now=now)
    finally:
        request_id.reset(mine)
