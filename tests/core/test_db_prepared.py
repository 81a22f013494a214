"""Prepared statements give what SQLAlchemy gives, value for value and error for error."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Text, bindparam, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.tables import organisations
from entrepot.core.entitlements.tables import entitlements
from entrepot.core.events.tables import events
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.kit.paging import Page
from tests import factories
from tests.factories import NOW

COLUMNS = ("at", "type", "actor", "organisation_id", "subject", "request_id", "data")
INSERT = Prepared(insert(events).inline(), COLUMNS)
VALUES = {
    "at": NOW,
    "type": "thing.done",
    "actor": "system",
    "organisation_id": None,
    "subject": "thing:1",
    "request_id": None,
    "data": {"a": [1, "ü", None]},
    "more": "is left aside",
}


def test_what_goes_in_comes_out(tx: Tx) -> None:
    INSERT.run(tx, VALUES)
    statement = select(events).where(events.c.type == bindparam("wanted"), events.c.id > 0)
    (row,) = Prepared(statement).all(tx, {"wanted": "thing.done"})
    assert tuple(row) == tuple(tx.execute(statement, {"wanted": "thing.done"}).one())
    assert {name: getattr(row, name) for name in COLUMNS} == {
        name: VALUES[name] for name in COLUMNS
    }


def test_every_kind_of_column_is_read_alike(tx: Tx) -> None:
    organisation, product = factories.add_organisation(tx), factories.add_product(tx)
    factories.grant(
        tx, organisation, product, free=True, qualities=("EAC", "LAC"), allowed_countries=("DE",)
    )
    factories.grant(
        tx, organisation, product, valid_to=datetime(9999, 12, 31, tzinfo=UTC), design_start=["TS"]
    )
    statement = select(entitlements).order_by(entitlements.c.id)
    rows = Prepared(statement).all(tx, {})
    assert [tuple(row) for row in rows] == [tuple(row) for row in tx.execute(statement)]
    assert rows[0].free is True
    assert rows[0].qualities == ("EAC", "LAC")
    assert rows[1].qualities == ()


def test_one_or_none(tx: Tx) -> None:
    statement = Prepared(select(events.c.id).where(events.c.type == bindparam("type")))
    assert statement.one_or_none(tx, {"type": "none"}) is None
    INSERT.run(tx, VALUES)
    assert statement.one_or_none(tx, {"type": "thing.done"}).id > 0


def test_numbers_of_64_bits_and_pages_beyond_the_end(tx: Tx) -> None:
    statement = Prepared(
        select(events.c.id)
        .limit(bindparam("take", type_=Number))
        .offset(bindparam("skip", type_=Number))
    )
    assert statement.all(tx, {"take": 10, "skip": Page(10**12, 10**9).skip}) == []
    largest = Prepared(select(bindparam("number", type_=Number).label("number")))
    assert largest.one_or_none(tx, {"number": 2**63 - 1}).number == 2**63 - 1


def test_a_missing_value_is_a_defect(tx: Tx) -> None:
    with pytest.raises(KeyError, match="at"):
        INSERT.run(tx, {"type": "x"})


def test_errors_are_those_of_sqlalchemy_and_show_no_values(tx: Tx) -> None:
    point = tx.begin_nested()
    with pytest.raises(IntegrityError) as caught:
        INSERT.run(tx, {**VALUES, "actor": None, "subject": "hush-hush"})
    assert "actor" in str(caught.value)
    assert "hush-hush" not in str(caught.value).split("DETAIL")[0]
    point.rollback()
    assert Prepared(select(literal_column("1").label("one"))).all(tx, {})[0].one == 1


def test_a_row_seen_before_is_not_made_again(tx: Tx) -> None:
    number = factories.add_organisation(tx, "Acme")
    by_name = Prepared(
        select(organisations.c.id, organisations.c.name).where(
            organisations.c.name.like(bindparam("like", type_=Text()))
        )
    )
    made: list[int] = []

    def make(row: Any) -> tuple[int, str]:
        made.append(row.id)
        return row.id, row.name

    first = by_name.made(tx, {"like": "Acme"}, make)
    again = by_name.made(tx, {"like": "Acm%"}, make)
    assert first == [(number, "Acme")]
    assert again[0] is first[0]
    assert made == [number]
    tx.execute(update(organisations).where(organisations.c.id == number).values(name="Acme 2"))
    assert by_name.made(tx, {"like": "Acme%"}, make) == [(number, "Acme 2")]


def test_many_rows_in_one_go(tx: Tx) -> None:
    INSERT.run_many(tx, ({**VALUES, "type": "many", "subject": f"s{n}"} for n in range(300)))
    INSERT.run_many(tx, [])
    found = Prepared(
        select(events.c.subject, events.c.at, events.c.data).where(events.c.type == "many")
    ).all(tx, {})
    assert {row.subject for row in found} == {f"s{n}" for n in range(300)}
    assert {row.at for row in found} == {NOW}
    assert found[0].data == VALUES["data"]


def test_errors_of_many_rows_are_those_of_sqlalchemy(tx: Tx) -> None:
    point = tx.begin_nested()
    with pytest.raises(IntegrityError):
        INSERT.run_many(tx, [VALUES, {**VALUES, "actor": None}])
    point.rollback()
