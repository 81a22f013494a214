"""Every caller x every object x every endpoint of the entitlement API, against a small model.

The model below knows nothing of the code: it says in plain words who may have what, and what
the others are told. What is not yours and what is not there must be the same bytes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.entitlements import child_number
from entrepot.db import Tx
from tests import factories
from tests.doors.entitlement_world import (
    DAY,
    MISSING,
    NOT_FOUND,
    Door,
    artifact_path,
    open_door,
    release_path,
    releases_path,
)
from tests.factories import Published

VERBS = ("entitlement", "releases", "release", "artifact", "http", "fasp")


@dataclass(frozen=True)
class Thing:
    """A chain to ask for: which entitlement, release and artifact, and what the model knows.

    `owner`: the organisation that holds the entitlement. `linked`: artifact in release,
    release of the entitled product, and shown by now. `reason`: why not, although linked;
    `whole`: the reason is the entitlement's own, so that its list of releases fails too.
    `downloads`: the entitlement gives the right to download at all.
    """

    number: int
    release: str
    artifact: str
    owner: str
    linked: bool = True
    reason: str = ""
    whole: bool = False
    downloads: bool = True

    def path(self, verb: str) -> str:
        """Of one of the endpoints 2 to 7."""
        return {
            "entitlement": f"/{self.number}",
            "releases": releases_path(self.number),
            "release": release_path(self.number, self.release),
            "artifact": artifact_path(self.number, self.release, self.artifact),
            "http": artifact_path(self.number, self.release, self.artifact) + "/http",
            "fasp": artifact_path(self.number, self.release, self.artifact) + "/fasp",
        }[verb]


@dataclass(frozen=True)
class Caller:
    """Whoever asks. `organisation` is empty for who is nobody; `scoped`: the token is for this."""

    token: str | None
    organisation: str = ""
    scoped: bool = True


def expect(caller: Caller, thing: Thing, verb: str) -> tuple[int, str]:
    """Status, and reason where there is one: the model."""
    if not caller.organisation:
        return 401, ""
    if not caller.scoped:
        return 403, "scope-required"
    if thing.owner != caller.organisation:
        return 404, "not-found"
    if verb == "entitlement":
        return 200, ""
    if not thing.downloads:
        return 404, "not-found"
    if verb == "releases":
        return (403, thing.reason) if thing.whole else (200, "")
    if not thing.linked:
        return 404, "not-found"
    if thing.reason:
        return 403, thing.reason
    return (501, "fasp-not-configured") if verb == "fasp" else (200, "")


@dataclass(frozen=True)
class World:
    """Two customers, A and B, a publisher without entitlements, and all that they may ask for."""

    callers: Mapping[str, Caller]
    things: Mapping[str, Thing]


def _things(tx: Tx, door: Door, organisations: Mapping[str, int]) -> dict[str, Thing]:
    now = door.hub.now()
    add = factories.add_release
    products = {name: factories.add_product(tx) for name in ("one", "two", "three")}
    one = add(tx, products["one"], files=(("a", b"a"), ("b", b"b")), available_at=now - 50 * DAY)
    other = add(tx, products["one"], available_at=now - 10 * DAY)
    two = add(tx, products["two"], available_at=now - 10 * DAY)
    draft = add(tx, products["one"], draft=True)
    embargoed = add(tx, products["one"], available_at=now + DAY)
    beta = add(tx, products["one"], quality="BETA", available_at=now - 10 * DAY)
    withdrawn = add(tx, products["one"], available_at=now - 10 * DAY)
    catalogue.withdraw_release(tx, withdrawn.id, actor="operator", now=now)
    group = factories.add_product(tx, members=(products["one"], products["two"]))
    numbers = {name: catalogue.find_product(tx, code).id for name, code in products.items()}

    def grant(owner: str, product: str, **values: Any) -> int:
        return factories.grant(tx, organisations[owner], product, **values)

    plain = grant("A", products["one"], qualities=("EAC",))
    of_b = grant("B", products["one"])
    grouped = grant("A", group)
    lapsed = grant("A", products["one"], maintenance_to=now - 30 * DAY)
    expired = grant("A", products["one"], valid_to=now - DAY)
    revoked = grant("A", products["one"])
    entitlements.revoke(tx, revoked, actor="operator", now=now)
    usable = grant("A", products["one"], right_to="use")

    def thing(number: int, made: Published, owner: str = "A", **values: Any) -> Thing:
        return Thing(number, made.id, made.artifact_ids[0], owner, **values)

    broken: dict[str, Any] = {"linked": False}
    return {
        "plain of A": thing(plain, one),
        "its second file": Thing(plain, one.id, one.artifact_ids[1], "A"),
        "of B": thing(of_b, one, "B"),
        "beta of B": thing(of_b, beta, "B"),
        "beta not included": thing(plain, beta, **broken),
        "child": thing(child_number(grouped, numbers["one"]), one),
        "child of the other member": thing(child_number(grouped, numbers["two"]), two),
        "child with a release of the other member": thing(
            child_number(grouped, numbers["two"]), one, **broken
        ),
        "child of no member": thing(child_number(grouped, numbers["three"]), one, "nobody"),
        "child of no group": thing(child_number(plain, numbers["one"]), one, "nobody"),
        "group itself": thing(grouped, one, **broken),
        "lapsed, earlier release": thing(lapsed, one),
        "lapsed, later release": thing(lapsed, other, reason="maintenance-ended"),
        "expired": thing(expired, one, reason="entitlement-expired", whole=True),
        "revoked": thing(revoked, one, reason="entitlement-revoked", whole=True),
        "draft": thing(plain, draft, **broken),
        "embargoed": thing(plain, embargoed, **broken),
        "withdrawn": thing(plain, withdrawn, reason="release-withdrawn"),
        "release of another product": thing(plain, two, **broken),
        "release that is none": Thing(plain, MISSING, one.artifact_ids[0], "A", **broken),
        "entitlement that is none": thing(999_999, one, "nobody"),
        "right to use only": thing(usable, one, downloads=False),
    }


def _wrong_files(things: Mapping[str, Thing]) -> dict[str, Thing]:
    """Releases that are right with artifacts that are not theirs: broken at the last link."""
    plain, child = things["plain of A"], things["child of the other member"]
    return {
        "file of another release": Thing(plain.number, plain.release, child.artifact, "A"),
        "file that is none": Thing(plain.number, plain.release, MISSING, "A"),
    }


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with open_door(hub) as opened:
        yield opened


@pytest.fixture
def world(door: Door) -> World:
    with door.hub.database.write() as tx:
        organisations = {name: factories.add_organisation(tx) for name in ("A", "B", "publisher")}
        things = _things(tx, door, organisations)
        of_a, admin = (
            factories.add_user(tx, organisations["A"], roles=roles)
            for roles in (("customer",), accounts.ROLES)
        )
        of_b = factories.add_user(tx, organisations["B"])
        machine, _ = factories.add_client(tx, organisations["A"])
        publisher = factories.add_user(tx, organisations["publisher"], roles=accounts.ROLES)
        disabled = factories.add_user(tx, organisations["A"])
    token = door.token
    callers = {
        "customer of A": Caller(token(of_a), "A"),
        "operator in A": Caller(token(admin), "A"),
        "customer of B": Caller(token(of_b), "B"),
        "client of A": Caller(token(machine), "A"),
        "publisher with every role": Caller(token(publisher), "publisher"),
        "token for something else": Caller(token(admin, ("publish", "admin")), "A", scoped=False),
        "disabled user of A": Caller(token(disabled)),
        "no token": Caller(None),
        "garbage": Caller("garbage"),
        "token of A, changed": Caller(token(of_a)[:-6] + "AAAAAA"),
    }
    with door.hub.database.write() as tx:
        accounts.disable_user(tx, disabled.id, actor="operator", now=door.hub.now())
    return World(callers, things)


def test_everyone_gets_what_the_model_says(door: Door, world: World) -> None:
    seen = set()
    for who, caller in world.callers.items():
        for what, thing in world.things.items():
            for verb in VERBS:
                answer = door.get(thing.path(verb), caller.token)
                status, reason = expect(caller, thing, verb)
                told = (answer.status_code, answer.json().get("reason", ""))
                if status == 401:
                    assert told[0] == 401, (who, what, verb)
                else:
                    assert told == (status, reason), (who, what, verb)
                if status == 404:
                    assert answer.content == NOT_FOUND, (who, what, verb)
                if status >= 400:
                    assert thing.release not in answer.text, (who, what, verb)
                seen.add(status)
    assert seen == {200, 401, 403, 404, 501}


def test_a_file_under_the_wrong_release_is_not_there(door: Door, world: World) -> None:
    for who, caller in world.callers.items():
        if not caller.organisation or not caller.scoped:
            continue
        for what, thing in _wrong_files(world.things).items():
            for verb in ("artifact", "http", "fasp"):
                answer = door.get(thing.path(verb), caller.token)
                assert (answer.status_code, answer.content) == (404, NOT_FOUND), (who, what, verb)


def test_lists_show_what_is_ones_own_and_nothing_else(door: Door, world: World) -> None:
    for who, caller in world.callers.items():
        answer = door.get("", caller.token)
        if not caller.organisation:
            assert answer.status_code == 401, who
        elif not caller.scoped:
            assert answer.status_code == 403, who
        else:
            own = {
                str(thing.number)
                for thing in world.things.values()
                if thing.owner == caller.organisation and thing.number < 10**9
            }
            assert {item["id"] for item in answer.json()["items"]} == own, who


def test_listed_releases_are_exactly_those_that_may_be_shown(door: Door, world: World) -> None:
    for who in ("customer of A", "customer of B", "client of A"):
        caller = world.callers[who]
        for number in {thing.number for thing in world.things.values()}:
            same = [thing for thing in world.things.values() if thing.number == number]
            answer = door.get(releases_path(number), caller.token)
            if answer.status_code != 200:
                continue
            shown = {item["id"] for item in answer.json()["items"]}
            for thing in same:
                granted = expect(caller, thing, "release")[0] == 200
                assert (thing.release in shown) == granted, (who, thing)


def test_nothing_was_issued_but_what_the_model_grants(door: Door, world: World) -> None:
    granted = 0
    for caller in world.callers.values():
        for thing in world.things.values():
            door.get(thing.path("http"), caller.token)
            door.get(thing.path("fasp"), caller.token)
            granted += expect(caller, thing, "http")[0] == 200
    with door.hub.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM leases").scalar_one() == granted > 0
