"""The record of what was sent, whatever flushes meet: each transfer is written once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import func, select

from entrepot.assembly import Hub
from entrepot.core.delivery import Delivery, Transfer
from entrepot.core.delivery.tables import transfers
from entrepot.db import Tx
from entrepot.web.http.edge import Edge
from entrepot.web.links import LinksDoor
from tests.doors.entitlement_world import Offer, add_offer

T = TypeVar("T")


class _SlowEdge(Edge):
    """Takes its time to say that a write is committed, as a loaded machine does."""

    async def write(self, verb: Callable[[Tx], T]) -> T:
        outcome = await super().write(verb)
        await asyncio.sleep(0.3)
        return outcome


def sent(hub: Hub, offer: Offer, first_byte: int) -> Transfer:
    """A byte of the offer's first file."""
    [artifact_id, *_] = offer.release.artifact_ids
    now = hub.now()
    return Transfer(
        lease_id="0a" * 16,
        principal=offer.who.label,
        organisation_id=offer.who.organisation_id,
        of=Delivery(
            f"artifact:{artifact_id}", "a.bin", 100, offer.number, offer.release.id, artifact_id
        ),
        first_byte=first_byte,
        length=1,
        started_at=now - timedelta(seconds=1),
        ended_at=now,
        whole=True,
        address="192.0.2.1",
        agent="",
    )


def recorded(hub: Hub) -> int:
    with hub.database.read() as tx:
        return tx.execute(select(func.count()).select_from(transfers)).scalar_one()


async def committed(hub: Hub, count: int) -> None:
    """Return once so many are there; who wrote them has not been told yet."""
    for _ in range(2000):
        if recorded(hub) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{count} transfers were never recorded")


def in_the_middle_of_a_write(hub: Hub, then: Callable[[LinksDoor, Transfer], object]) -> int:
    """How many transfers are recorded of two, the second noted while the first is written."""
    with hub.database.write() as tx:
        offer = add_offer(tx, now=hub.now())

    async def scene() -> None:
        edge = _SlowEdge(hub)
        door = LinksDoor(edge)
        door.start()
        door._recorder.note([sent(hub, offer, 0)])
        await committed(hub, 1)
        then(door, sent(hub, offer, 1))
        await door.stop()
        edge.close()

    asyncio.run(scene())
    return recorded(hub)


def test_a_flush_that_meets_another_writes_only_what_is_new(hub: Hub) -> None:
    flushes: list[asyncio.Task[None]] = []

    def flush_again(door: LinksDoor, second: Transfer) -> None:
        door._recorder.note([second])
        flushes.append(asyncio.ensure_future(door._recorder.flush()))

    assert in_the_middle_of_a_write(hub, flush_again) == 2


def test_stopping_in_the_middle_of_a_write_writes_nothing_twice(hub: Hub) -> None:
    assert in_the_middle_of_a_write(hub, lambda door, second: door._recorder.note([second])) == 2
