"""The log as evidence: append-only in the database itself, read, exported, and purged by age."""

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from entrepot.core.events import (
    FORMATS,
    TYPES,
    Denial,
    Event,
    Tally,
    Wanted,
    list_events,
    purge_events,
    record,
    record_denial,
    walk_events,
)
from entrepot.core.events.denials import TOLD_MAX
from entrepot.core.events.tables import GUARDS, event_retention, events
from entrepot.core.webhooks.patterns import NOUNS, spell
from entrepot.db import Database, Tx, migrations
from entrepot.errors import Invalid
from entrepot.kit.context import request_id
from tests.factories import DAY, NOW
from tests.test_error_catalogue import server_sources


def happen(tx: Tx, *types: str, **more: Any) -> None:
    """Events a day apart, the first one now."""
    for number, kind in enumerate(types):
        record(tx, Event(kind, "user:7", f"thing:{number}", **more), now=NOW + number * DAY)


@pytest.mark.parametrize(
    "change",
    [
        update(events).values(actor="nobody"),
        update(events).values(data={}).where(events.c.type == "order.placed"),
        delete(events),
        delete(events).where(events.c.at < NOW - DAY),
    ],
)
def test_the_database_refuses_to_change_or_delete(database: Database, change: Any) -> None:
    with database.write() as tx:
        record(tx, Event("order.placed", "user:7", "order:1"), now=NOW - 2 * DAY)
        record(tx, Event("order.placed", "user:7", "order:2"), now=NOW)
    before = [*_all(database)]
    with pytest.raises(DBAPIError, match="append-only"), database.write() as tx:
        tx.execute(change)
    assert _all(database) == before
    if database.dialect == "postgresql":
        with pytest.raises(DBAPIError, match="append-only"), database.write() as tx:
            tx.execute(text("TRUNCATE events"))
        assert _all(database) == before


def _all(database: Database) -> list[Any]:
    with database.read() as tx:
        return list(tx.execute(select(events).order_by(events.c.id)))


def test_retention_is_the_one_way_in_which_events_go(database: Database) -> None:
    with database.write() as tx:
        happen(tx, *["order.placed"] * 10)
        before, later = NOW + 7 * DAY, NOW + 30 * DAY
        assert [purge_events(tx, before=before, take=5, now=later) for _ in range(3)] == [5, 2, 0]
        assert purge_events(tx, before=before, now=later) == 0
    rows = _all(database)
    assert [row.at for row in rows[:3]] == [NOW + n * DAY for n in (7, 8, 9)]
    purged = [row for row in rows if row.type == "events.purged"]
    assert [row.data["count"] for row in purged] == [5, 2]
    assert purged[0].data["before"] == "2026-06-22T12:00:00.000Z"
    with pytest.raises(DBAPIError, match="append-only"), database.write() as tx:
        tx.execute(delete(events).where(events.c.at < before + DAY))
    # What the row allows is what is older than it, and it is gone with the purge.
    with database.write() as tx:
        assert tx.execute(select(event_retention)).all() == []
        tx.execute(insert(event_retention), {"id": 1, "before": before + DAY})
        with pytest.raises(DBAPIError, match="append-only"):
            tx.execute(delete(events).where(events.c.at == before + DAY))


def test_what_the_migration_made_is_what_the_tables_say() -> None:
    [script] = Path(migrations.__path__[0]).rglob("0004_*.py")
    assert all(statements in script.read_text() for statements in GUARDS.values())


def test_events_are_found_by_what_they_are(tx: Tx) -> None:
    happen(tx, "order.placed", "order.completed", "product-download.added", organisation_id=101)
    record(tx, Event("order.placed", "client:ci", "order:9", 102), now=NOW)

    def found(**wanted: Any) -> list[str]:
        return [row.subject for row in list_events(tx, Wanted(**wanted), after=0, take=10)]

    assert found(type="order.*") == ["thing:0", "thing:1", "order:9"]
    assert found(type="order.placed") == ["thing:0", "order:9"]
    assert found(type="product.*") == []
    assert found(organisation_id=102) == found(actor="client:ci") == ["order:9"]
    assert found(subject="thing:2", type="product-download.*") == ["thing:2"]
    assert found(since=NOW + DAY) == ["thing:1", "thing:2"]
    assert found(until=NOW + DAY) == ["thing:0", "order:9"]
    newest = list_events(tx, Wanted(), take=2)
    assert [row.subject for row in newest] == ["order:9", "thing:2"]
    rest = list_events(tx, Wanted(), before=newest[-1].id, take=10)
    assert [row.subject for row in rest] == ["thing:1", "thing:0"]
    for kind in (".", ".placed", "order.", "order", "order.%", "%.*", "", "a" * 81):
        with pytest.raises(Invalid) as caught:
            found(type=kind)
        assert caught.value.field == "type"


def test_exports_hold_everything_in_portions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrepot.core.events.reading.WALK_TAKE", 7)
    monkeypatch.setattr("entrepot.core.events.exporting.PORTION", 10)
    with database.write() as tx:
        happen(tx, *["order.placed"] * 21)
        record_denial(tx, Denial("link.denied", "user:7", "artifact:1", "revoked", 101), now=NOW)
    lines = list(FORMATS["jsonl"](walk_events(database, Wanted())))
    assert [piece.count(b"\n") for piece in lines] == [10, 10, 2]
    objects = [json.loads(line) for line in b"".join(lines).splitlines()]
    assert [one["id"] for one in objects] == sorted(one["id"] for one in objects)
    assert objects[0]["at"] == "2026-06-15T12:00:00.000Z"
    last = {name: objects[-1][name] for name in ("type", "organisation_id", "reason", "data")}
    assert last == {
        "type": "link.denied",
        "organisation_id": 101,
        "reason": "revoked",
        "data": {"reason": "revoked"},
    }
    table = b"".join(FORMATS["csv"](walk_events(database, Wanted()))).decode()
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert len(rows) == 22
    for row, one in zip(rows, objects, strict=True):
        assert json.loads(row.pop("data")) == one.pop("data")
        assert row == {name: "" if value is None else str(value) for name, value in one.items()}


@pytest.mark.parametrize("start", list("=+-@\t\r\n"))
def test_no_cell_is_a_formula(database: Database, start: str) -> None:
    formula = f"{start}cmd|' /C calc'!A0"
    with database.write() as tx:
        record(tx, Event("order.placed", formula, formula, data={"reason": formula}), now=NOW)
    table = b"".join(FORMATS["csv"](walk_events(database, Wanted()))).decode()
    [_, cells] = csv.reader(io.StringIO(table, newline=""))
    assert cells.count(f"'{formula}") == 3
    assert not any(cell.startswith(tuple("=+-@\t\r\n")) for cell in cells)


def denial(subject: str, actor: str = "user:7") -> Denial:
    return Denial("link.denied", actor, subject, "entitlement-revoked")


def test_denials_are_told_once_a_minute_and_counted() -> None:
    tally = Tally()
    assert tally.admit(denial("artifact:1"), seconds=0.0)
    assert not any(tally.admit(denial("artifact:1"), seconds=n) for n in range(5))
    assert tally.admit(denial("artifact:2"), seconds=5.0)
    assert tally.admit(denial("artifact:1", "user:8"), seconds=6.0)
    assert tally.counted(seconds=59.0) == []
    assert tally.counted(seconds=60.0) == [(denial("artifact:1"), 5)]
    assert tally.counted(seconds=61.0) == []
    assert tally.admit(denial("artifact:1"), seconds=61.0)


def test_of_a_flood_of_different_denials_only_so_many_are_told() -> None:
    tally = Tally()
    told = [tally.admit(denial(f"artifact:{n}"), seconds=1.0) for n in range(10 * TOLD_MAX)]
    assert sum(told) == TOLD_MAX
    for n in range(10 * TOLD_MAX):
        assert not tally.admit(denial(f"artifact:{n}"), seconds=2.0)
    counted = tally.take()
    assert len(counted) == TOLD_MAX + 1
    assert {count for _, count in counted[:-1]} == {1}
    rest, count = counted[-1]
    assert (rest.type, rest.subject, count) == ("link.denied", "various", 2 * 9 * TOLD_MAX)
    assert tally.take() == []


def test_a_denial_is_an_event_with_its_reason(tx: Tx) -> None:
    one = Denial("sign-in.failed", "anyone", "user:7", "credentials-wrong", data={"address": "::1"})
    mine = request_id.set("request-8")
    try:
        record_denial(tx, one, repeated=3, now=NOW + timedelta(minutes=1))
    finally:
        request_id.reset(mine)
    row = tx.execute(select(events)).one()
    assert row.request_id is None  # the requests that it counts were others
    assert (row.type, row.actor, row.subject) == ("sign-in.failed", "anyone", "user:7")
    assert row.data == {"address": "::1", "reason": "credentials-wrong", "repeated": 3}


def test_every_event_of_the_source_has_a_noun_that_can_be_subscribed_to() -> None:
    types = {
        found
        for path in server_sources()
        for found in re.findall(
            r'(?:Event|Denial|_update)\(\s*(?:tx, row, )?f?"([a-z-]+\.[a-z{}-]*)"', path.read_text()
        )
    }
    assert len(types) > 30
    known = {kind for kind in types if "{" not in kind and kind[-1] != "."}
    assert not known - TYPES
    assert not {kind for kind in types if spell(kind).partition("/")[0] not in NOUNS}


def test_every_type_that_can_be_asked_for_happens_somewhere() -> None:
    """Whole in the source, or by its verb where the noun is put before it."""
    source = "\n".join(path.read_text() for path in server_sources() if path.name != "types.py")
    verbs = {"order", "product-download"}
    for kind in TYPES:
        noun, _, verb = kind.partition(".")
        apart = noun in verbs and f'"{verb}"' in source
        denied = verb == "denied" and f'"{noun}"' in source
        assert f'"{kind}"' in source or apart or denied, kind


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("order.complete", "order.completed"),
        ("order", "order.* is all of them"),
        ("orders.*", "order.*"),
        ("release/available", "with a dot: release.available"),
        ("product-downloads.added", "product-download.added"),
        ("", "noun.verb"),
        ("zzz", "noun.verb"),
        ("x" * 5000, "noun.verb"),
    ],
)
def test_a_type_that_there_is_not_is_refused_with_the_nearest(
    tx: Tx, asked: str, told: str
) -> None:
    with pytest.raises(Invalid) as caught:
        list_events(tx, Wanted(type=asked), take=1)
    assert caught.value.field == "type"
    assert told in caught.value.remedy
    assert len(caught.value.message) < 200
    assert list_events(tx, Wanted(type="order.*"), take=1) == []
