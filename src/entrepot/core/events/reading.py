"""Reading the log: a page of it, or all that fits a filter, in constant memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from entrepot.core.events.tables import events
from entrepot.core.events.types import check_type
from entrepot.db import Database, Tx

WALK_TAKE = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None leaves a condition out.

    From `since` on and before `until`. `type` is a whole type (`order.completed`) or all of a
    noun (`order.*`), Invalid for one that there is not. `actor` and `subject` are compared whole.
    """

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    actor: str | None = None
    organisation_id: int | None = None
    subject: str | None = None


def list_events(
    tx: Tx, wanted: Wanted, *, after: int | None = None, before: int | None = None, take: int
) -> list[Row[Any]]:
    """At most `take` events: the oldest behind the number `after`, else the newest, downwards.

    `before`: only those of lower numbers.
    """
    query = _chosen(wanted).limit(take)
    if before is not None:
        query = query.where(events.c.id < before)
    if after is not None:
        return list(tx.execute(query.where(events.c.id > after).order_by(events.c.id)))
    return list(tx.execute(query.order_by(events.c.id.desc())))


def walk_events(
    database: Database, wanted: Wanted, *, before: int | None = None
) -> Iterator[Row[Any]]:
    """Every event that fits, oldest first. No transaction is open between two portions.

    What happens meanwhile comes along, as long as it is before `wanted.until` and has a number
    lower than `before`.
    """
    after = 0
    while True:
        with database.read() as tx:
            portion = list_events(tx, wanted, after=after, before=before, take=WALK_TAKE)
        yield from portion
        if len(portion) < WALK_TAKE:
            return
        after = portion[-1].id


def _chosen(wanted: Wanted) -> Select[Any]:
    query = select(events)
    if wanted.since is not None:
        query = query.where(events.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(events.c.at < wanted.until)
    if wanted.type is not None:
        noun, verb = check_type(wanted.type)
        if verb == "*":
            query = query.where(events.c.type.startswith(f"{noun}.", autoescape=True))
        else:
            query = query.where(events.c.type == wanted.type)
    for column, value in (
        (events.c.actor, wanted.actor),
        (events.c.organisation_id, wanted.organisation_id),
        (events.c.subject, wanted.subject),
    ):
        if value is not None:
            query = query.where(column == value)
    return query
