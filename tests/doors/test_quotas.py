"""Quotas over HTTP: what reserves, what does not, what is told, and who may go on."""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
import pytest

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal
from entrepot.core.delivery import Delivery, Quota, Transfer, find_quota
from entrepot.core.events.tables import events
from entrepot.db import connect
from entrepot.web.http.edge import Edge
from entrepot.web.links._quotas import Quotas
from entrepot.web.links._recording import Recorder
from entrepot.web.server import Server, build_app
from tests import factories
from tests.doors.entitlement_world import Door, Offer, add_offer, open_door
from tests.doors.portal import browsing
from tests.waiting import wait_until
from tests.web.live_server import Live, Reply, running

FILES = [("a.bin", b"a" * 5000), ("b.bin", b"b" * 3000)]
RACERS, FIT = 24, 3


class _Immediate(Recorder):
    """Writes each transfer when it is noted: no test waits for the next batch."""

    def note(self, transfers: Sequence[Transfer]) -> None:
        super().note(transfers)
        task = asyncio.get_running_loop().create_task(self.flush())
        task.add_done_callback(lambda done: done.result())


@contextlib.contextmanager
def served_by(hub: Hub) -> Iterator[tuple[Server, Live]]:
    app = build_app(hub)
    app._links._recorder = _Immediate(app._edge)
    with running(app) as live:
        yield app, live
    app._edge.close()


@dataclasses.dataclass
class World:
    """An entitlement with a quota behind real sockets."""

    hub: Hub
    door: Door
    app: Server
    live: Live
    offer: Offer

    def colleague(self) -> Principal:
        with self.hub.database.write() as tx:
            return factories.add_user(tx, self.offer.who.organisation_id, roles=("operator",))

    def artifact(self, which: int = 0) -> str:
        path, _, first = self.offer.artifact.rpartition("/")
        assert first == self.offer.release.artifact_ids[0]
        return f"{path}/{self.offer.release.artifact_ids[which]}"

    def link(self, who: Principal, path: str = "") -> str:
        answer = self.door.get(path or f"{self.artifact()}/http", self.door.token(who))
        assert answer.status_code == 200, answer.text
        return str(urlsplit(answer.json()["downloadUrl"]).path)[1:]

    def get(self, link: str, *fields: str, method: str = "GET") -> Reply:
        return self.live.get(link, *fields, method=method)

    def quota(self) -> Quota:
        with self.hub.database.read() as tx:
            return find_quota(tx, self.offer.number, now=self.hub.now())

    def limit(self, downloads: int) -> None:
        answer = self.door.ask(
            f"/api/admin/v1/entitlements/{self.offer.number}",
            self.door.token(self.colleague()),
            method="PATCH",
            json={"downloads_max": downloads},
        )
        assert answer.json()["downloads_max"] == downloads


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with hub.database.write() as tx:
        release = {"files": FILES, "store": hub.blobs}
        offer = add_offer(tx, now=hub.now(), release=release, grant={"downloads_max": 2})
    with open_door(hub) as door, served_by(hub) as (app, live):
        yield World(hub, door, app, live, offer)


def test_bytes_reserve_and_questions_do_not(world: World) -> None:
    who, other = world.offer.who, world.colleague()
    links = {person: world.link(person) for person in (who, other)}
    link = links[who]
    etag = world.get(link, method="HEAD")[1]["etag"]
    assert world.get(link, f"If-None-Match: {etag}")[0] == 304
    assert world.get(link, "Range: bytes=9999-")[0] == 416
    assert world.get(link, 'If-Match: "x"')[0] == 412
    assert world.quota().downloads_used == 0
    for first in (0, 10, 20, 30):
        assert world.get(link, f"Range: bytes={first}-{first + 9}")[0] == 206
    assert world.quota().downloads_used == 1
    # The ZIP of the release is an object of its own, and so is the other file.
    archive = world.link(who, world.offer.zip)
    assert world.get(archive)[0] == 200
    assert (world.quota().downloads_used, world.quota().addresses_used) == (2, 1)
    refused = world.get(links[other])
    assert refused[0] == 403
    told = msgspec.json.decode(refused[2])
    assert told["code"] == "quota-exhausted"
    assert told["details"]["downloads_left"] == 0
    assert told["details"]["returns_at"]
    denied = world.door.get(f"{world.artifact()}/http", world.door.token(other))
    assert (denied.status_code, denied.json()["reason"]) == (403, "quota-exhausted")
    assert denied.json()["details"] == told["details"]
    counts = {"downloads_max": 2, "downloads_used": 2, "downloads_left": 0}
    number, back = world.offer.number, told["details"]["returns_at"]
    assert told["details"] == counts | {"entitlement": int(number), "returns_at": back}
    assert "errorName" not in denied.json()  # edmgr would take it for data
    assert world.get(links[other], method="HEAD")[0] == 200
    with world.hub.database.read() as tx:
        denied_at = list(
            tx.execute(events.select().where(events.c.type == "link.denied").order_by(events.c.id))
        )
    assert [(one.actor, one.data["reason"]) for one in denied_at] == [
        (other.label, "quota-exhausted")
    ] * 2
    # Who began goes on, also by a new link, and may repeat.
    assert world.get(world.link(who), "Range: bytes=30-")[0] == 206
    assert world.get(link)[0] == 200
    wait_until(lambda: world.quota().returns_at is None)
    assert world.quota().downloads_used == 2
    assert msgspec.json.decode(world.get(links[other])[2])["details"]["returns_at"] == ""


def test_a_quota_is_shown_and_changed(world: World) -> None:
    operator = world.colleague()
    token = world.door.token(operator)
    path = f"/api/admin/v1/entitlements/{world.offer.number}"
    world.get(world.link(world.offer.who))
    shown = world.door.ask(f"{path}/quota", token).json()
    assert (shown["downloads_max"], shown["downloads_used"]) == (2, 1)
    assert (shown["bytes_max"], shown["bytes_used"]) == (None, 5000)
    assert world.door.ask(path, token).json()["downloads_max"] == 2
    assert world.door.ask("/api/admin/v1/entitlements/x/quota", token).status_code == 404
    with browsing(world.hub) as browser:
        browser.enter(world.offer.who)
        page = browser.read(f"/entitlements/{world.offer.number}")
        assert "1 of 2" in page.text


def test_damaged_bytes_take_nothing(world: World) -> None:
    link = world.link(world.offer.who)
    digest = factories.digests_of(FILES[0][1]).sha256
    world.hub.blobs.delete(digest)
    status, _, body = world.get(link)
    assert (status, b"bytes-missing" in body) == (503, True)
    wait_until(lambda: world.quota().downloads_used == 0)
    assert world.app._links._quotas._sending == {}


def test_what_is_being_sent_is_kept_alive(hub: Hub) -> None:
    with hub.database.write() as tx:
        offer = add_offer(tx, now=hub.now(), grant={"downloads_max": 1})

    async def scene() -> list[int]:
        edge = Edge(hub)
        quotas = Quotas(edge)
        begun = hub.now() - timedelta(minutes=59)
        of = Delivery("artifact:a", "a", 10, offer.number, limited=True)
        number = await quotas.enter(of, "user:1", "192.0.2.1", begun)
        assert number is not None
        found = [await _returns(edge, offer.number)]
        await quotas.keep_alive()
        found.append(await _returns(edge, offer.number))
        await quotas.leave(number, began=True)
        await quotas.keep_alive()
        free = Delivery("artifact:a", "a", 10, offer.number)
        assert await quotas.enter(free, "user:1", "192.0.2.1", begun) is None
        edge.close()
        return found

    first, second = asyncio.run(scene())
    assert second - first == pytest.approx(59 * 60, abs=300)


async def _returns(edge: Edge, entitlement: int) -> int:
    quota = await edge.read(lambda tx: find_quota(tx, entitlement, now=edge.hub.now()))
    assert quota.returns_at is not None
    return int(quota.returns_at.timestamp())


def test_of_many_that_race_over_two_servers_as_many_as_fit_are_served(
    world: World, database_url: str
) -> None:
    people = [world.colleague() for _ in range(RACERS)]
    links = [world.link(who) for who in people]
    other = dataclasses.replace(world.hub, database=connect(database_url))
    world.limit(FIT)
    start = threading.Barrier(RACERS)
    with served_by(other) as (_, second):

        def take(racer: int) -> int:
            start.wait()
            return (world.live, second)[racer % 2].get(links[racer])[0]

        with ThreadPoolExecutor(RACERS) as pool:
            statuses = sorted(pool.map(take, range(RACERS)))
    other.database.close()
    assert statuses == [200] * FIT + [403] * (RACERS - FIT)
    assert world.quota().downloads_used == FIT
