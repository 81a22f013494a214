"""The log of events: in pages by number, or all that fits as JSON lines or CSV."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.response import Stream

from entrepot.core.events import (
    FORMATS,
    MEDIA_TYPES,
    Wanted,
    list_events,
    plain_event,
    walk_events,
)
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.kit.ids import INT64_MAX
from entrepot.kit.text import parse_instant
from entrepot.web.admin_api._actions import (
    ADMINISTERING,
    ANY_TEXT,
    OF_ORGANISATION,
    Action,
    AnyAction,
    Call,
    Outcome,
    query_parameter,
)
from entrepot.web.admin_api._bodies import field_named
from entrepot.web.admin_api._owners import owner_wanted
from entrepot.web.admin_api._wire_events import EventItem, EventPage
from entrepot.web.http.edge import Edge

TAKE, TAKE_MAX = 100, 1000
PAGES = "json"


def _number(name: str, meaning: str, least: int, most: int) -> Any:
    schema = Schema(type=OpenAPIType.INTEGER, minimum=least, maximum=most)
    return query_parameter(name, meaning, schema=schema)


_FILTERS = (
    query_parameter("since", "Only from then on: a date, or a time with its zone."),
    query_parameter("until", "Only before then."),
    query_parameter(
        "type", "Only of this type, such as order.completed; order.* for a noun.", schema=ANY_TEXT
    ),
    query_parameter("actor", "Only what this one did, such as user:10001.", schema=ANY_TEXT),
    query_parameter("subject", "Only what was done to this, such as order:7001.", schema=ANY_TEXT),
    OF_ORGANISATION,
    _number("after", "The oldest behind this number, upwards.", 0, INT64_MAX),
    _number("before", "Only lower numbers.", 0, INT64_MAX),
    _number("take", f"At most so many on a page; {TAKE} without.", 1, TAKE_MAX),
    query_parameter(
        "format",
        "Pages of JSON, or everything that fits, oldest first, as JSON lines or CSV.",
        schema=Schema(type=OpenAPIType.STRING, enum=[PAGES, *FORMATS], default=PAGES),
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events, and how. `newest` is the number of the last that fits at this moment."""

    wanted: Wanted
    after: int | None
    before: int | None
    take: int
    format: str
    newest: int = 0


def parse_events(tx: Tx, call: Call[None]) -> Asked:
    """What the query asks for; Invalid names the parameter that is wrong."""
    query = call.query
    form = query.get("format", PAGES)
    if form not in (PAGES, *FORMATS):
        raise Invalid(f"format is one of {', '.join((PAGES, *FORMATS))}.", field="format")
    since, until = (
        parse_instant(query[name], field=name) if name in query else None
        for name in ("since", "until")
    )
    with field_named("organisation"):
        owner = owner_wanted(tx, call)
    wanted = Wanted(
        since, until, query.get("type"), query.get("actor"), owner, query.get("subject")
    )
    # What is wrong with the filter is told now: once the stream has begun it could only break.
    found = [] if form == PAGES else list_events(tx, wanted, take=1)
    take = _int(query, "take", 1, TAKE_MAX)
    return Asked(
        wanted,
        _int(query, "after", 0, INT64_MAX),
        _int(query, "before", 0, INT64_MAX),
        TAKE if take is None else take,
        form,
        max((row.id for row in found), default=0),
    )


def _int(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not plain or not least <= int(text) <= most:
        raise Invalid(f"{name} is a number from {least} to {most}.", field=name)
    return int(text)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    asked = parse_events(tx, call)
    found = list_events(tx, asked.wanted, after=asked.after, before=asked.before, take=asked.take)
    items = [EventItem(**plain_event(row)) for row in found]
    return Outcome(EventPage(items, items[-1].id if len(items) == asked.take else None))


def stream_events(edge: Edge, asked: Asked) -> Stream:
    """Everything that fits when it begins, read and written portion by portion.

    Nothing of what happens meanwhile: whoever reads slowly would hear of it for as long as they
    like, also when their token has ended long since.
    """
    log = walk_events(edge.hub.database, asked.wanted, before=asked.newest + 1)
    rows = FORMATS[asked.format](log)

    async def pieces() -> AsyncIterator[bytes]:
        while (piece := await edge.run(lambda: next(rows, None))) is not None:
            yield piece

    return Stream(
        pieces(),
        media_type=MEDIA_TYPES[asked.format],
        headers={
            "cache-control": "private, no-store",
            "content-disposition": f'attachment; filename="events.{asked.format}"',
        },
    )


EVENTS: AnyAction = Action(
    "events",
    "GET",
    "/events",
    "listEvents",
    "Read the log: every change, decision and download",
    ADMINISTERING,
    _list,
    answer=EventPage,
    filters=_FILTERS,
    description="Newest first; with `after`, oldest first. `format` streams all that fits.",
)
