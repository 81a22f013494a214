"""The log: what is recorded, in order, with the request at hand."""

import pytest
from sqlalchemy import select

from entrepot.core.events import Event, record
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.kit.context import request_id
from tests.factories import NOW


def test_an_event_is_kept_whole(tx: Tx) -> None:
    data = {"text": 'ü "quoted"', "list": [1, None, True], "nested": {"a": 1.5}}
    token = request_id.set("request-7")
    try:
        record(tx, Event("order.progress", "user:1", "thing:9", 101, data), now=NOW)
    finally:
        request_id.reset(token)
    row = tx.execute(select(events)).one()
    assert (row.at, row.type, row.actor, row.subject) == (
        NOW,
        "order.progress",
        "user:1",
        "thing:9",
    )
    assert (row.organisation_id, row.request_id, row.data) == (101, "request-7", data)


def test_events_are_numbered_in_order_and_outside_a_request_have_none(tx: Tx) -> None:
    for at in range(5):
        record(tx, Event("order.progress", "system", f"thing:{at}"), now=NOW)
    rows = tx.execute(select(events).order_by(events.c.id)).all()
    assert [row.subject for row in rows] == [f"thing:{at}" for at in range(5)]
    assert {row.request_id for row in rows} == {None}
    assert {tuple(row.data) for row in rows} == {()}


def test_an_event_goes_with_the_transaction_it_tells_of(database: Database) -> None:
    def fails() -> None:
        with database.write() as tx:
            record(tx, Event("order.progress", "system", "thing:1"), now=NOW)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fails()
    with database.read() as tx:
        assert tx.execute(select(events)).all() == []
