"""What went over the wire, and when its parts make up a download."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Row, func, select

from entrepot.core.delivery import Delivery, Transfer, covers, list_downloads, record_transfers
from entrepot.core.delivery.tables import downloads, transfers
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx, connect
from tests import factories
from tests.factories import NOW

SIZE = 1000
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12),
    st.integers(0, 30),
)
@example([], 0)
@example([(0, 0)], 0)
@example([(0, 10), (20, 0)], 10)
@example([(5, 5), (0, 5)], 10)
def test_ranges_cover_what_a_set_of_bytes_says(ranges: list[tuple[int, int]], size: int) -> None:
    sent = {byte for first, length in ranges for byte in range(first, first + length)}
    assert covers(ranges, size) == sent.issuperset(range(size))


class World:
    """An artifact of SIZE bytes and someone who fetches it."""

    def __init__(self, tx: Tx, files: bytes = b"x" * SIZE) -> None:
        self.organisation = factories.add_organisation(tx)
        self.who = factories.add_user(tx, self.organisation)
        product = factories.add_product(tx)
        release = factories.add_release(tx, product, files=[("a.bin", files)])
        self.artifact_id = release.artifact_ids[0]
        self.entitlement = factories.grant(tx, self.organisation, product)
        self.delivery = Delivery(
            f"artifact:{self.artifact_id}",
            "a.bin",
            len(files),
            self.entitlement,
            release.id,
            self.artifact_id,
        )

    def sent(
        self, first: int, length: int, at: datetime = NOW, took: timedelta = SECOND
    ) -> Transfer:
        """A request begun at a moment."""
        return Transfer(
            lease_id="0a" * 16,
            principal=self.who.label,
            organisation_id=self.organisation,
            of=self.delivery,
            first_byte=first,
            length=length,
            started_at=at,
            ended_at=at + took,
            whole=True,
            address="192.0.2.1",
            agent="agent" * 100,
        )


def rows(tx: Tx) -> list[Row[tuple[object, ...]]]:
    return list(tx.execute(select(downloads).order_by(downloads.c.started_at)))


def completions(tx: Tx) -> int:
    query = select(func.count()).where(events.c.type == "download.completed")
    return int(tx.execute(query).scalar_one())


def test_one_whole_response_is_one_complete_download(tx: Tx) -> None:
    world = World(tx)
    assert record_transfers(tx, [], now=NOW) == 0
    assert record_transfers(tx, [world.sent(0, SIZE)], now=NOW + SECOND) == 1
    row = rows(tx)[0]
    assert row._mapping["completed_at"] == NOW + SECOND
    assert (row._mapping["bytes_sent"], row._mapping["started_at"]) == (SIZE, NOW)
    event = tx.execute(select(events).where(events.c.type == "download.completed")).one()
    assert event.subject == f"artifact:{world.artifact_id}"
    assert event.data["bytes"] == SIZE
    stored = tx.execute(select(transfers)).one()
    assert stored.agent == ("agent" * 100)[:200]
    (shown,) = list_downloads(tx, artifact_id=world.artifact_id)
    assert shown.principal == world.who.label


def test_an_empty_artifact_is_complete_without_a_byte(tx: Tx) -> None:
    world = World(tx, b"")
    assert record_transfers(tx, [world.sent(0, 0)], now=NOW) == 1
    assert record_transfers(tx, [world.sent(0, 0)], now=NOW) == 0


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_ranges_add_up_in_any_order(tx: Tx, order: tuple[int, ...], batched: bool) -> None:
    world = World(tx)
    # As parallel ranges do: the first to begin may be the last to be written down.
    parts = [
        world.sent(0, 400, NOW),
        world.sent(300, 400, NOW + 10 * SECOND),
        world.sent(700, 300, NOW + 20 * SECOND),
    ]
    batches = [[parts[at] for at in order]] if batched else [[parts[at]] for at in order]
    done = [record_transfers(tx, batch, now=NOW + 60 * SECOND) for batch in batches]
    assert done == [*[0] * (len(batches) - 1), 1]
    (row,) = rows(tx)
    assert row._mapping["bytes_sent"] == 1100
    assert row._mapping["started_at"] == NOW
    assert row._mapping["last_byte_at"] == NOW + 21 * SECOND
    assert completions(tx) == 1


def test_enough_bytes_with_a_gap_are_not_complete(tx: Tx) -> None:
    world = World(tx)
    parts = [world.sent(0, 600), world.sent(0, 600), world.sent(601, 399)]
    assert record_transfers(tx, parts, now=NOW) == 0
    assert record_transfers(tx, [world.sent(600, 1)], now=NOW) == 1


def test_what_is_fetched_within_a_day_is_one_download_and_later_another(tx: Tx) -> None:
    world = World(tx)
    day = 24 * HOUR
    assert record_transfers(tx, [world.sent(0, 600)], now=NOW) == 0
    late = NOW + day - SECOND
    assert record_transfers(tx, [world.sent(600, 400, late)], now=late) == 1
    assert record_transfers(tx, [world.sent(0, SIZE, late)], now=late) == 0
    assert len(rows(tx)) == 1
    # The next day's bytes are another download, which yesterday's do not complete.
    next_day = NOW + day
    assert record_transfers(tx, [world.sent(600, 400, next_day)], now=next_day) == 0
    assert record_transfers(tx, [world.sent(0, 600, next_day)], now=next_day) == 1
    assert [row._mapping["bytes_sent"] for row in rows(tx)] == [SIZE + SIZE, SIZE]
    assert completions(tx) == 2


def test_a_transfer_of_more_than_a_day_is_one_download(tx: Tx) -> None:
    world = World(tx)
    took = 30 * HOUR
    assert record_transfers(tx, [world.sent(0, SIZE, took=took)], now=NOW + took) == 1


def test_people_and_artifacts_are_counted_apart(tx: Tx) -> None:
    one, other = World(tx), World(tx)
    batch = [one.sent(0, 500), other.sent(500, 500)]
    batch += [replace(one.sent(500, 500), principal="client:ci"), other.sent(0, 500)]
    assert record_transfers(tx, batch, now=NOW) == 1
    assert len(rows(tx)) == 3
    assert completions(tx) == 1


def test_many_files_in_one_batch_are_a_download_and_an_event_each(tx: Tx) -> None:
    worlds = [World(tx) for _ in range(4)]
    known, whole, doubled, half = worlds
    assert record_transfers(tx, [known.sent(0, 400)], now=NOW) == 0
    batch = [half.sent(0, 400), *(each.sent(0, SIZE) for each in worlds[:3])]
    batch += [known.sent(400, 600), doubled.sent(0, SIZE, NOW + SECOND)]
    assert record_transfers(tx, batch, now=NOW + 2 * SECOND) == 3
    found = {row._mapping["artifact_id"]: row._mapping for row in rows(tx)}
    assert {name: row["bytes_sent"] for name, row in found.items()} == {
        known.artifact_id: 2 * SIZE,
        whole.artifact_id: SIZE,
        doubled.artifact_id: 2 * SIZE,
        half.artifact_id: 400,
    }
    assert found[half.artifact_id]["completed_at"] is None
    assert found[doubled.artifact_id]["last_byte_at"] == NOW + 2 * SECOND
    told = tx.execute(select(events).where(events.c.type == "download.completed")).all()
    assert {(event.subject, event.data["download"]) for event in told} == {
        (f"artifact:{each.artifact_id}", found[each.artifact_id]["id"]) for each in worlds[:3]
    }


def test_batches_of_two_processes_lose_nothing_and_complete_once(database_url: str) -> None:
    """Two engines on one database, as two web processes have; the same keys in other orders."""
    both = [connect(database_url) for _ in range(2)]
    with both[0].write() as tx:
        worlds = [World(tx) for _ in range(3)]
    pieces = [(world, first) for world in worlds for first in range(0, SIZE, 100)]

    def write(database: Database, mine: list[tuple[World, int]]) -> int:
        done = 0
        for at in range(0, len(mine), 5):
            batch = [world.sent(first, 100) for world, first in mine[at : at + 5]]
            with database.write() as tx:
                done += record_transfers(tx, batch, now=NOW + SECOND)
        return done

    def share(at: int) -> int:
        mine = pieces[at::4]
        return write(both[at % 2], mine if at % 2 else mine[::-1])

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(share, range(4))) == 3
    with both[0].read() as tx:
        assert [row._mapping["bytes_sent"] for row in rows(tx)] == [SIZE] * 3
        assert all(row._mapping["completed_at"] for row in rows(tx))
        assert completions(tx) == 3
        assert tx.execute(select(func.count()).select_from(transfers)).scalar_one() == 30
    for database in both:
        database.close()
