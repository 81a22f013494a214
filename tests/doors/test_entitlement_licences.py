"""A licence accepted by a token: by its revision, for oneself, and by whom it is not."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core import catalogue
from entrepot.core.accounts import CUSTOMER, Principal
from entrepot.core.events.tables import events
from tests import factories
from tests.doors.entitlement_world import (
    NOT_FOUND,
    ROOT,
    Door,
    Offer,
    add_offer,
    open_door,
)

FIRST, SECOND = "You may use it.", "You may use it, on weekdays."


@dataclass
class World:
    """A product under the second revision of a licence; its caller is an administrator."""

    door: Door
    offer: Offer
    colleague: Principal
    machine: Principal

    @property
    def path(self) -> str:
        return f"{ROOT}/{self.offer.number}/licence"

    def accept(self, who: Principal, **told: object) -> tuple[int, dict[str, object]]:
        answer = self.door.ask(self.path, self.door.token(who), method="PUT", json=told)
        return answer.status_code, answer.json()

    def link(self, who: Principal) -> int:
        return self.door.get(f"{self.offer.artifact}/http", self.door.token(who)).status_code

    def accepted_events(self) -> list[tuple[str, dict[str, object]]]:
        with self.door.hub.database.read() as tx:
            rows = tx.execute(
                select(events.c.actor, events.c.data).where(events.c.type == "licence.accepted")
            )
            return [(actor, data) for actor, data in rows]


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with hub.database.write() as tx:
        catalogue.add_licence(
            tx, code="TERMS", name="The terms", text=FIRST, actor="operator", now=hub.now()
        )
        catalogue.revise_licence(tx, code="TERMS", text=SECOND, actor="operator", now=hub.now())
        offer = add_offer(tx, now=hub.now(), product={"licence_code": "TERMS"})
        organisation = offer.who.organisation_id
        colleague = factories.add_user(tx, organisation)
        machine, _ = factories.add_client(tx, organisation)
    with open_door(hub) as door:
        yield World(door, offer, colleague, machine)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_is_asked_for_is_shown_and_looking_accepts_nothing(world: World) -> None:
    token = world.door.token(world.offer.who)
    told = world.door.ask(world.path, token).json()
    assert (told["licence"], told["revision"], told["text"]) == ("TERMS", 2, SECOND)
    assert (told["accepted"], told["acceptedBy"]) == (False, [])
    assert f"/licences/TERMS?revision=2&return=%2Fentitlements%2F{world.offer.number}" in str(
        told["agreementUrl"]
    )
    assert world.link(world.offer.who) == 403
    assert world.accepted_events() == []


def test_a_machine_accepts_for_itself_alone_and_the_log_has_it(world: World) -> None:
    assert world.link(world.machine) == 403
    status, told = world.accept(world.machine, licence="TERMS", revision=2)
    assert (status, told["acceptedBy"]) == (200, ["me"])
    assert world.accept(world.machine, revision=2)[0] == 200
    assert [world.link(who) for who in (world.machine, world.colleague, world.offer.who)] == [
        200,
        403,
        403,
    ]
    [(actor, data)] = world.accepted_events()
    assert actor == world.machine.label
    assert (data["revision"], data["by_token"], data["for_organisation"]) == (2, True, False)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_new_text_is_asked_for_anew_and_the_old_number_is_refused(world: World) -> None:
    assert world.accept(world.machine, revision=2)[0] == 200
    with world.door.hub.database.write() as tx:
        now = world.door.hub.now()
        catalogue.revise_licence(tx, code="TERMS", text="No.", actor="operator", now=now)
    assert world.link(world.machine) == 403
    for told in ({"revision": 2}, {"revision": 4}, {"licence": "OTHER", "revision": 3}):
        status, refusal = world.accept(world.machine, **told)
        assert (status, refusal["reason"]) == (409, "licence-other")
        assert refusal["details"] == {"licence": "TERMS", "revision": 3}
        assert "TERMS (revision 3)" in str(refusal["errorDescription"])
        assert "errorName" not in refusal
    assert world.link(world.machine) == 403
    assert world.accept(world.machine, revision=3)[0] == 200
    assert world.link(world.machine) == 200


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_for_the_organisation_only_its_administrator_accepts(world: World) -> None:
    for who, reason in ((world.machine, "person-required"), (world.colleague, "role-required")):
        status, refusal = world.accept(who, revision=2, **{"for": "organisation"})
        assert (status, refusal["reason"]) == (403, reason)
    assert world.link(world.colleague) == 403
    status, told = world.accept(world.offer.who, revision=2, **{"for": "organisation"})
    assert (status, told["acceptedBy"]) == (200, ["me", "organisation"])
    assert [world.link(who) for who in (world.machine, world.colleague)] == [200, 200]


def test_a_pinned_entitlement_keeps_its_revision(world: World) -> None:
    with world.door.hub.database.write() as tx:
        number = factories.grant(
            tx,
            world.offer.who.organisation_id,
            world.offer.product,
            pinned_licence="TERMS",
            pinned_revision=1,
        )
    path = f"{ROOT}/{number}/licence"
    token = world.door.token(world.colleague)
    assert world.door.ask(path, token).json()["revision"] == 1
    answer = world.door.ask(path, token, method="PUT", json={"revision": 1})
    assert answer.json()["accepted"] is True


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_strangers_and_wrong_bodies(world: World) -> None:
    hub = world.door.hub
    with hub.database.write() as tx:
        stranger = factories.add_user(tx, factories.add_organisation(tx))
        free = factories.grant(tx, world.offer.who.organisation_id, factories.add_product(tx))
    ours, theirs = world.door.token(world.offer.who), world.door.token(stranger)
    for token, path in ((theirs, world.path), (ours, f"{ROOT}/{free}/licence")):
        assert world.door.ask(path, token).content == NOT_FOUND
        answer = world.door.ask(path, token, method="PUT", json={"revision": 2})
        assert answer.content == NOT_FOUND
    narrow = world.door.token(world.offer.who, ("orders",))
    answer = world.door.ask(world.path, narrow, method="PUT", json={"revision": 2})
    assert answer.json()["reason"] == "scope-required"
    assert world.door.ask(world.path, method="PUT", json={"revision": 2}).status_code == 401
    wrong: tuple[object, ...] = (
        *({}, [], None, {"revision": "2"}, {"revision": 0}, {"revision": 2**31}),
        {"revision": 2, "for": "everybody"},
        {"revision": 2, "more": 1},
        {"revision": 2, "licence": "X" * 65},
        {"revision": 2, "licence": "x" * 5000},
    )
    for told in wrong:
        answer = world.door.ask(world.path, ours, method="PUT", json=told)
        assert (answer.status_code, answer.json()["field"]) == (400, "request"), told
    for method in ("POST", "DELETE", "PATCH"):
        answer = world.door.ask(world.path, ours, method=method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PUT")
    assert CUSTOMER in stranger.roles
    assert world.accepted_events() == []
