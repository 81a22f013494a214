"""From the log of events to deliveries: every event, for every webhook that asks for it.

On PostgreSQL numbers are given before transactions commit, so an event of a lower number may
appear after one of a higher. What a process has not seen below the highest number it has seen is
a gap; gaps are looked into again until they are GAP_SECONDS_MAX old, longer than any transaction
of the hub lives. How far everything was looked at, gaps included, is kept in the database, so
that a process that begins anew misses nothing. What it then looks at twice is one delivery all
the same: there is one for each webhook and event.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.core.accounts.tables import api_clients, organisations
from entrepot.core.events.tables import events
from entrepot.core.webhooks.makers import LAPSED, still_hears_everything
from entrepot.core.webhooks.patterns import matches, spell
from entrepot.core.webhooks.signing import new_message_id
from entrepot.core.webhooks.subscriptions import disable_webhook
from entrepot.core.webhooks.tables import deliveries, progress, webhooks
from entrepot.db import Database, Tx
from entrepot.db.schema import is_set
from entrepot.errors import NotFound
from entrepot.kit.clock import Now
from entrepot.kit.text import format_instant

EVENTS_TAKE = 1000
GAP_SECONDS_MAX = 300.0
GAPS_MAX = 200  # looked into by one query
YOUNG_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 10.0
KEEP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A webhook that is enabled, of an organisation and a client that are."""

    id: int
    organisation_id: int
    everything: bool
    events: Sequence[str]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class _Gap:
    """Numbers that were not there yet, first and last included."""

    first: int
    last: int
    noticed: float  # seconds of the steady clock


class Planner:
    """What one process knows of the log. Not for several threads at once."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now
        self._state: int | None = None
        self._high: int | None = None
        self._gaps: list[_Gap] = []
        self._looked_again = self._kept_at = float("-inf")
        self._kept = 0

    def plan(self) -> int:
        """Make the deliveries of all that has happened since; returns how many are new."""
        state = self._database.state()
        if state is not None and state == self._state:
            return 0
        made, more = 0, True
        while more:
            count, more = self._plan_some()
            made += count
        self._state = state
        return made

    def _plan_some(self) -> tuple[int, bool]:
        seconds = time.monotonic()
        with self._database.read() as tx:
            if self._high is None:
                kept = tx.execute(select(progress.c.event_id)).scalar_one_or_none()
                if kept is None:
                    return 0, False  # nobody has ever subscribed
                self._high = self._kept = kept
            late = self._late(tx, seconds)
            query = select(events).where(events.c.id > self._high).order_by(events.c.id)
            fresh = list(tx.execute(query.limit(EVENTS_TAKE)))
            listeners = list_listeners(tx) if late or fresh else []
            lapsed = [each for each in listeners if not _may_hear(tx, each)]
        listeners = [each for each in listeners if each not in lapsed]
        planned = _planned(listeners, [*late, *fresh], self._now())
        # Remembered once the deliveries are there: where that fails, the next call begins here.
        gaps, high = self._gaps_after([row.id for row in late], [row.id for row in fresh], seconds)
        low = min((gap.first - 1 for gap in gaps), default=high)
        made = self._write(planned, lapsed, low, seconds)
        self._gaps, self._high = gaps, high
        return made, len(fresh) == EVENTS_TAKE

    def _late(self, tx: Tx, seconds: float) -> list[Row[Any]]:
        """What has appeared in the gaps."""
        again = seconds - self._looked_again >= LOOK_AGAIN_SECONDS
        if again:
            self._looked_again = seconds
        wanted = [each for each in self._gaps if again or seconds - each.noticed < YOUNG_SECONDS]
        found: list[Row[Any]] = []
        for start in range(0, len(wanted), GAPS_MAX):
            some = wanted[start : start + GAPS_MAX]
            inside = or_(*(events.c.id.between(gap.first, gap.last) for gap in some))
            found += tx.execute(select(events).where(inside).order_by(events.c.id))
        return found

    def _gaps_after(
        self, late: Sequence[int], fresh: Sequence[int], seconds: float
    ) -> tuple[list[_Gap], int]:
        assert self._high is not None
        high = self._high
        if self._database.dialect == "sqlite":
            return [], max([high, *fresh])  # one writer at a time: numbers commit in order
        gaps = list(_without(self._gaps, late))
        for number in fresh:
            if number > high + 1:
                gaps.append(_Gap(high + 1, number - 1, seconds))
            high = number
        return [gap for gap in gaps if seconds - gap.noticed < GAP_SECONDS_MAX], high

    def _write(
        self,
        planned: Sequence[dict[str, Any]],
        lapsed: Sequence[Listener],
        low: int,
        seconds: float,
    ) -> int:
        keep = low > self._kept and (
            low - self._kept >= EVENTS_TAKE or seconds - self._kept_at >= KEEP_SECONDS
        )
        if not planned and not lapsed and not keep:
            return 0
        with self._database.write() as tx:
            for each in lapsed:
                _stop(tx, each, self._now())
            made = _insert(tx, planned)
            tx.execute(
                update(progress)
                .where(progress.c.id == 1, progress.c.event_id < low)
                .values(event_id=low, looked_at=self._now())
            )
        self._kept, self._kept_at = max(low, self._kept), seconds
        return made


def _without(gaps: Iterable[_Gap], found: Sequence[int]) -> Iterable[_Gap]:
    """The gaps that remain where these numbers have appeared."""
    for gap in gaps:
        first = gap.first
        for number in found:
            if first <= number <= gap.last:
                if number > first:
                    yield _Gap(first, number - 1, gap.noticed)
                first = number + 1
        if first <= gap.last:
            yield _Gap(first, gap.last, gap.noticed)


def active() -> Any:
    """The condition under which a webhook hears anything; join clients and organisations."""
    return and_(
        webhooks.c.disabled_at.is_(None),
        api_clients.c.disabled_at.is_(None),
        ~is_set(organisations.c.blocked),
    )


def list_listeners(tx: Tx) -> list[Listener]:
    """Every webhook that hears of what happens now."""
    query = (
        select(
            *webhooks.c["id", "organisation_id", "everything", "events", "created_at", "created_by"]
        )
        .join(organisations, organisations.c.id == webhooks.c.organisation_id)
        .outerjoin(api_clients, api_clients.c.id == webhooks.c.api_client_id)
        .where(active())
        .order_by(webhooks.c.id)
    )
    return [Listener(*row) for row in tx.execute(query)]


def _may_hear(tx: Tx, listener: Listener) -> bool:
    if not listener.everything:
        return True
    return still_hears_everything(tx, listener.created_by, listener.events)


def _stop(tx: Tx, listener: Listener, now: datetime) -> None:
    with suppress(NotFound):  # removed meanwhile
        why = LAPSED.format(listener.created_by)
        disable_webhook(tx, listener.id, why=why, actor="system", now=now)


def _planned(
    listeners: Sequence[Listener], happened: Sequence[Row[Any]], now: datetime
) -> list[dict[str, Any]]:
    planned: list[dict[str, Any]] = []
    for event in happened:
        spelt, body = spell(event.type), ""
        for listener in listeners:
            if hears(listener, event) and matches(listener.events, spelt):
                body = body or write_body(event)
                planned.append(delivery_values(listener.id, event.id, spelt, body, now))
    return planned


def hears(listener: Listener, event: Any) -> bool:
    """Whether it may know: its own organisation's events, or all, and none from before it was."""
    if event.at < listener.created_at:
        return False
    return listener.everything or event.organisation_id == listener.organisation_id


def write_body(event: Any) -> str:
    """The body of every attempt to tell of `event`: the same bytes each time."""
    return msgspec.json.encode(
        {
            "type": spell(event.type),
            "timestamp": format_instant(event.at),
            "data": {
                "event": event.id,
                "subject": event.subject,
                "actor": event.actor,
                "organisation": event.organisation_id,
                "request_id": event.request_id,
                "details": event.data,
            },
        }
    ).decode()


def delivery_values(
    webhook_id: int, event_id: int, spelt: str, body: str, now: datetime
) -> dict[str, Any]:
    """A row of a delivery that is due at once."""
    return {
        "id": new_message_id(),
        "webhook_id": webhook_id,
        "event_id": event_id,
        "type": spelt,
        "body": body,
        "state": "waiting",
        "attempts": 0,
        "due_at": now,
        "created_at": now,
    }


def _insert(tx: Tx, planned: Sequence[dict[str, Any]]) -> int:
    """Those that were not there yet, by whatever process planned them; how many."""
    make = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    made = 0
    for start in range(0, len(planned), EVENTS_TAKE // 10):
        some = list(planned[start : start + EVENTS_TAKE // 10])
        statement = make(deliveries).values(some).on_conflict_do_nothing()
        made += len(tx.execute(statement.returning(deliveries.c.id)).all())
    return made
