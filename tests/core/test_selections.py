"""Selections: what a caller picked, by pool and sub-pool; large, limited, and nobody else's."""

import time
from typing import Any

import pytest
from sqlalchemy import Text, and_, cast, func, insert, literal, select

from entrepot.core import orders
from entrepot.core.catalogue.tables import assets
from entrepot.core.orders import Change, Selection, SelectionKey, parse_changes, parse_key
from entrepot.core.orders import selections as module
from entrepot.core.orders.ids import bound_ids, id_table
from entrepot.core.orders.tables import selected_assets, selections
from entrepot.db import Database
from entrepot.errors import Denied, Invalid, TooMany
from tests import factories
from tests.core.orders_world import POOL, World


def change(world: World, key: SelectionKey, *changes: Change) -> int:
    return orders.change_selection(world.database, world.who, key, changes, now=world.clock)


def read(world: World, key: SelectionKey = POOL, **page: int) -> Selection:
    with world.database.read() as tx:
        return orders.read_selection(tx, world.who, key, **page)


def test_a_change_in_words_of_others_is_told_ours() -> None:
    with pytest.raises(Invalid, match="operation is missing") as caught:
        parse_changes([{"op": "add", "value": [20001]}])
    assert '{"operation": "add", "value": [20001' in caught.value.remedy
    with pytest.raises(Invalid) as caught:
        parse_changes([{"operation": "add", "value": ["sample-bay"]}])
    assert "/api/entities/{identifier}" in caught.value.remedy


def test_ids_are_added_and_removed_in_the_order_of_the_operations(world: World) -> None:
    one, two, three = (world.add_asset() for _ in range(3))
    assert read(world) == Selection(POOL, [], 0, None)
    total = change(
        world,
        POOL,
        Change("add", [three, one, two, one]),
        Change("remove", [two, 999_999]),
        Change("add", [one]),
    )
    assert total == 2
    assert read(world) == Selection(POOL, [one, three], 2, world.now)


def test_a_page_of_ids_and_the_count_of_all(world: World) -> None:
    ids = [world.add_asset() for _ in range(5)]
    world.select(*ids)
    found = read(world, skip=1, take=2)
    assert (found.ids, found.total) == (ids[1:3], 5)
    assert read(world, skip=2**63 - 1).ids == []


def test_pools_sub_pools_definitions_and_callers_are_apart(world: World) -> None:
    asset = world.add_asset()
    keys = [
        POOL,
        SelectionKey("pool", sub_pool_id=7),
        SelectionKey("pool", "M.Other"),
        SelectionKey("another"),
    ]
    for key in keys:
        assert read(world, key).total == 0
        assert change(world, key, Change("add", [asset])) == 1
    other = world.colleague()
    with world.database.read() as tx:
        assert orders.read_selection(tx, other, POOL).total == 0
        assert orders.list_selections(tx, other, "pool") == []
        found = orders.list_selections(tx, world.who, "pool")
        assert [(each.key, each.ids, each.total) for each in found] == [
            (keys[0], [], 1),
            (keys[1], [], 1),
            (keys[2], [], 1),
        ]
        named = orders.list_selections(tx, world.who, "pool", definition_names=["M.Other", "x"])
        assert [each.key for each in named] == [keys[2]]
        below = orders.list_selections(tx, world.who, "pool", sub_pool_id=7)
        assert [each.key for each in below] == [keys[1]]


def test_unknown_deleted_and_foreign_ids_are_refused_alike_and_nothing_is_added(
    world: World,
) -> None:
    mine, deleted = world.add_asset(), world.add_asset()
    with world.database.write() as tx:
        foreign = factories.add_asset(tx, factories.add_product(tx))
    world.delete_asset(deleted)
    for bad in (foreign, deleted, 999_999):
        with pytest.raises(Invalid) as caught:
            change(world, POOL, Change("add", [mine]), Change("add", [mine, bad]))
        assert caught.value.field == "[1].value"
        assert caught.value.code == "assets-unknown"
        assert caught.value.message == (f"There are no such assets, or they are not yours: {bad}.")
    assert read(world).total == 0


def test_many_bad_ids_are_counted_not_listed(world: World) -> None:
    with pytest.raises(Invalid, match=r"1, 2, .*, 20 and 980 more"):
        change(world, POOL, Change("add", range(1, 1001)))


def test_who_may_have_nothing_now_selects_nothing(world: World) -> None:
    asset = world.add_asset(product=None)
    with pytest.raises(Denied) as caught:
        orders.change_selection(
            world.database,
            world.who,
            POOL,
            [Change("add", [asset])],
            embargoed=[world.who.country],
            now=world.clock,
        )
    assert caught.value.code == "country-embargoed"


def test_clearing_forgets_the_selection_in_small_portions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PORTION", 3)
    ids = [world.add_asset() for _ in range(7)]
    assert world.select(*ids) == 7
    orders.clear_selection(world.database, world.who, POOL, now=world.clock)
    orders.clear_selection(world.database, world.who, POOL, now=world.clock)
    assert read(world) == Selection(POOL, [], 0, None)
    with world.database.read() as tx:
        for table in (selections, selected_assets):
            assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_a_selection_never_exceeds_its_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SELECTION_IDS_MAX", 3)
    ids = [world.add_asset() for _ in range(4)]
    assert world.select(*ids[:3]) == world.select(*ids[:3]) == 3
    with pytest.raises(Invalid) as caught:
        world.select(ids[3])
    assert caught.value.code == "selection-full"
    assert read(world).ids == ids[:3]


def test_a_caller_has_a_limited_number_of_selections(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SELECTIONS_MAX", 2)
    asset = world.add_asset()
    for pool in ("a", "b", "a"):
        change(world, SelectionKey(pool), Change("add", [asset]))
    with pytest.raises(TooMany):
        change(world, SelectionKey("c"), Change("add", [asset]))


def add_many(database: Database, count: int) -> range:
    """Public assets that share one file, made by the database itself."""
    copied = [column for column in assets.c if column.name not in ("id", "identifier")]
    with database.write() as tx:
        first = factories.add_asset(tx)
        ids = range(first, first + count)
        new = id_table(tx)
        each = new.join(assets, and_(assets.c.id == first, new.c.id != first))
        source = select(new.c.id, literal("many-") + cast(new.c.id, Text), *copied).select_from(
            each
        )
        names = ["id", "identifier", *(column.name for column in copied)]
        tx.execute(insert(assets).from_select(names, source), {"ids": bound_ids(tx, ids)})
    return ids


def test_100_000_ids_are_taken_in_short_transactions(world: World) -> None:
    ids = add_many(world.database, 100_000)
    held: list[float] = []

    class Timed(Database):
        def write(self) -> Any:
            held.append(time.thread_time())
            return super().write()

    began = time.thread_time()
    timed = Timed(world.database.engine)
    total = orders.change_selection(timed, world.who, POOL, [Change("add", ids)], now=world.clock)
    assert total == 100_000
    assert len(held) == 10
    assert time.thread_time() - began < 6  # seconds of our CPU; usually a third of one
    assert read(world, skip=99_999).ids == [ids[-1]]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({}, "operations"),
        ([], "operations"),
        ([{"operation": "add", "value": [1]}] * 101, "operations"),
        (["add"], "[0].value"),
        ([{"operation": "replace", "value": [1]}], "[0].operation"),
        ([{"operation": 3, "value": [1]}], "[0].operation"),
        ([{"operation": "add"}], "[0].value"),
        ([{"operation": "add", "value": 7}], "[0].value"),
        ([{"operation": "add", "value": [1.5]}], "[0].value"),
        ([{"operation": "add", "value": [True]}], "[0].value"),
        ([{"operation": "add", "value": [0]}], "[0].value"),
        ([{"operation": "add", "value": ["x"]}], "[0].value"),
        ([{"operation": "add", "value": [2**63]}], "[0].value"),
        ([{"operation": "add", "value": [1] * 200_001}], "[0].value"),
    ],
)
def test_a_malformed_change_is_refused_by_its_part(told: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_changes(told)
    assert caught.value.field == field


def test_ids_are_numbers_or_their_digits() -> None:
    told = [{"operation": "Add", "value": [20001, "20002", "20001"]}]
    assert parse_changes(told) == [Change("add", [20001, 20002])]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (("",), "selectionPool"),
        ((None,), "selectionPool"),
        (("x" * 101,), "selectionPool"),
        (("pool", 3), "definitionName"),
        (("pool", "M.Asset", "x"), "subPoolId"),
        (("pool", "M.Asset", -1), "subPoolId"),
        (("pool", "M.Asset", True), "subPoolId"),
        (("pool", "M.Asset", 2**63), "subPoolId"),
        (("pool", "M.Asset", "9" * 20), "subPoolId"),
    ],
)
def test_a_malformed_key_is_refused_by_its_part(told: tuple[Any, ...], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_key(*told)
    assert caught.value.field == field


def test_a_key_has_defaults() -> None:
    assert parse_key("pool") == SelectionKey("pool", "M.Asset", 0)
    assert parse_key("pool", "M.Asset", "7") == SelectionKey("pool", "M.Asset", 7)
