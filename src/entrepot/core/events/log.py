"""Writing to the log. A row is written in the transaction of the change it tells of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from entrepot.core.events.tables import events
from entrepot.core.events.types import TYPES
from entrepot.db import Prepared, Tx
from entrepot.kit.context import request_id

_INSERT = Prepared(
    insert(events).inline(),
    ("at", "type", "actor", "organisation_id", "subject", "request_id", "data"),
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `type` is `noun.verb-in-the-past` (`release.published`), `actor` is `user:<number>`,
    `client:<client id>`, `operator` (the command line on the server) or `system`,
    `subject` is `noun:<id>`. `data` must hold no secret.
    """

    type: str
    actor: str
    subject: str
    organisation_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def record(tx: Tx, event: Event, *, now: datetime) -> None:
    """Append `event`, with the id of the request at hand where there is one."""
    _INSERT.run(tx, _values(event, now))


def record_all(tx: Tx, several: Iterable[Event], *, now: datetime) -> None:
    """As `record` for each of them, in one go."""
    _INSERT.run_many(tx, [_values(event, now) for event in several])


def _values(event: Event, now: datetime) -> dict[str, Any]:
    assert event.type in TYPES, f"{event.type} is missing in core/events/types.py"
    return {
        "at": now,
        "type": event.type,
        "actor": event.actor,
        "organisation_id": event.organisation_id,
        "subject": event.subject,
        "request_id": request_id.get(),
        "data": event.data,
    }
