"""An organisation's administrator and its members: who may do what to whom, and invitations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from httpx import Response
from sqlalchemy import insert

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    CUSTOMER,
    ORGANISATION_ADMIN,
    PUBLISHER,
    Principal,
    disable_user,
    find_user,
    list_personal_tokens,
    make_personal_token,
    set_roles,
)
from entrepot.core.accounts.grant_tables import identities
from tests import factories
from tests.doors.portal import Browser, Document, browsing, location

NEW = {"email": "new@example.com", "given_name": "New", "family_name": "One"}
ADMIN = (CUSTOMER, ORGANISATION_ADMIN)


@dataclass
class World:
    browser: Browser
    admin: Principal
    member: Principal
    publisher: Principal
    stranger: Principal
    fields: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, **fields: str) -> Response:
        """A form of the list of members, sent to another of its addresses."""
        return self.browser.post(f"/members{path}", self.fields | fields)

    def user(self, who: Principal | str) -> tuple[list[str], bool, bool]:
        """Roles, whether disabled, whether there is a password."""
        with self.browser.hub.database.read() as tx:
            row = find_user(tx, who if isinstance(who, str) else who.id)
        return row.roles, row.disabled_at is not None, row.password_hash is not None

    def invite(self) -> str:
        """The path of the page of a new member's invitation."""
        return link_in(self.post("", **NEW))


def link_in(answer: Response) -> str:
    assert answer.status_code == 200, answer.text
    [found] = re.findall(r">http://127\.0\.0\.1:8080(/invitation\?token=[\w-]{43})<", answer.text)
    return str(found)


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with hub.database.write() as tx:
        mine = factories.add_organisation(tx, "Acme")
        admin = factories.add_user(tx, mine, roles=ADMIN, email="admin@example.com")
        member = factories.add_user(tx, mine, email="member@example.com")
        publisher = factories.add_user(tx, mine, roles=(PUBLISHER,))
        stranger = factories.add_user(tx, factories.add_organisation(tx))
    with browsing(hub) as browser:
        browser.enter(admin)
        fields = {"form_token": browser.form_on("/members", "/members").fields["form_token"]}
        yield World(browser, admin, member, publisher, stranger, fields)


def test_members_are_listed_for_their_administrator_alone(world: World) -> None:
    page = world.browser.read("/members")
    assert "admin@example.com" in page.text
    assert "member@example.com" in page.text
    assert str(world.stranger.email) not in page.text
    assert "/members" in world.browser.read("/").links
    world.browser.enter(world.member)
    assert world.browser.get("/members").status_code == 403
    assert world.browser.get(f"/members/{world.member.id}").status_code == 403
    assert "/members" not in world.browser.read("/").links


def test_an_invitation_leads_to_a_password_once(world: World) -> None:
    page = world.invite()
    assert world.user("new@example.com") == ([CUSTOMER], False, False)
    with browsing(world.browser.hub) as other:
        form = other.form_on(page, "/invitation")
        good = {"password": factories.PASSWORD, "again": factories.PASSWORD}
        short = other.submit(form, password="short", again="short")
        assert (short.status_code, "12 to 256" in short.text) == (400, True)
        unlike = other.submit(form, **(good | {"again": "something else"}))
        assert (unlike.status_code, "differ" in unlike.text) == (400, True)
        assert (
            other.post("/invitation", form.fields | good, origin="http://evil").status_code == 403
        )
        assert location(other.submit(form, **good)) == "/sign-in"
        assert other.submit(form, **good).status_code == 410
        assert other.get(page).status_code == 410
        sign_in = other.form_on("/sign-in", "/sign-in")
        entered = other.submit(sign_in, email=NEW["email"], password=factories.PASSWORD)
        assert location(entered) == "/"
    assert world.post("", **NEW).status_code == 409


@pytest.mark.parametrize(
    ("wrong", "at_fault", "status"),
    [
        ({"email": "no address"}, {"email"}, 400),
        ({"email": "member@example.com"}, {"email"}, 409),
        ({"given_name": " "}, {"given_name"}, 400),
        ({"family_name": "x" * 201}, {"family_name"}, 400),
    ],
)
def test_a_member_who_cannot_be_added_is_still_typed(
    world: World, wrong: dict[str, str], at_fault: set[str], status: int
) -> None:
    typed = NEW | {"given_name": 'N"> <b>', "administers": "on"} | wrong
    answer = world.post("", **typed)
    assert answer.status_code == status
    page = Document(answer.text)
    assert page.at_fault == at_fault
    [form] = [form for form in page.forms if form.action == "/members"]
    assert {name: form.fields[name] for name in NEW} == {name: typed[name] for name in NEW}
    assert page.checked == {"administers"}
    assert "member@example.com" in page.text
    assert world.browser.submit(form, **NEW).status_code == 200


def test_a_newer_invitation_ends_the_older_and_who_can_sign_in_gets_none(world: World) -> None:
    first = world.invite()
    with world.browser.hub.database.read() as tx:
        number = find_user(tx, "new@example.com").id
    second = link_in(world.post(f"/{number}/invite"))
    assert world.browser.get(first).status_code == 410
    form = world.browser.form_on(second, "/invitation")
    world.browser.submit(form, password=factories.PASSWORD, again=factories.PASSWORD)
    assert world.post(f"/{number}/invite").status_code == 409


def test_an_invitation_is_no_way_into_an_account_that_became_more(world: World) -> None:
    hub, page = world.browser.hub, world.invite()
    with hub.database.write() as tx:
        number = find_user(tx, "new@example.com").id
        set_roles(tx, number, [CUSTOMER, PUBLISHER], actor="operator", now=hub.now())
    assert world.browser.get(page).status_code == 410
    assert world.post(f"/{number}/invite").status_code == 403
    with hub.database.write() as tx:
        set_roles(tx, number, [CUSTOMER], actor="operator", now=hub.now())
        disable_user(tx, number, actor="operator", now=hub.now())
    assert world.browser.get(page).status_code == 410


def test_an_invitation_ends_when_its_person_comes_by_an_identity_provider(world: World) -> None:
    hub, page = world.browser.hub, world.invite()
    form = world.browser.form_on(page, "/invitation")
    with hub.database.write() as tx:
        values = {
            "issuer": "https://login.example.com",
            "subject": "ada-7",
            "user_id": find_user(tx, "new@example.com").id,
            "created_at": hub.now(),
            "signed_in_at": hub.now(),
        }
        tx.execute(insert(identities), values)
    good = {"password": factories.PASSWORD, "again": factories.PASSWORD}
    assert world.browser.submit(form, **good).status_code == 410
    assert not world.user("new@example.com")[2]


def test_roles_and_doors_of_a_member(world: World) -> None:
    one = f"/{world.member.id}"
    assert location(world.post(f"{one}/roles", administers="on")) == f"/members{one}"
    assert world.user(world.member)[0] == list(ADMIN)
    world.post(f"{one}/roles", roles="operator")
    assert world.user(world.member)[0] == [CUSTOMER]
    world.post(f"{one}/disable")
    assert world.user(world.member)[1]
    assert "Let in again" in world.browser.read(f"/members{one}").text
    world.post(f"{one}/enable")
    assert not world.user(world.member)[1]


def test_whom_an_operator_shut_out_stays_out(world: World) -> None:
    hub, one = world.browser.hub, f"/{world.member.id}"
    with hub.database.write() as tx:
        operator = factories.add_user(tx, world.admin.organisation_id, roles=("operator",))
    for actor in ("operator", operator.label, world.stranger.label, "client:robot"):
        with hub.database.write() as tx:
            disable_user(tx, world.member.id, actor=actor, now=hub.now())
        assert world.post(f"{one}/enable").status_code == 403
        # To shut out once more would make it the administrator's own word.
        assert world.post(f"{one}/disable").status_code == 403
        assert world.post(f"{one}/enable").status_code == 403
        assert world.user(world.member)[1]


@pytest.mark.parametrize("verb", ["roles", "disable", "enable", "invite"])
def test_others_are_out_of_reach(world: World, verb: str) -> None:
    people = {"stranger": 404, "publisher": 403, "admin": 403}
    before = {name: world.user(getattr(world, name)) for name in people}
    for name, status in people.items():
        who: Principal = getattr(world, name)
        assert world.post(f"/{who.id}/{verb}", administers="on").status_code == status
        assert world.user(who) == before[name]
    missing = world.post(f"/99999999/{verb}")
    assert missing.status_code == 404
    world.browser.enter(world.member)
    form = world.browser.form_on("/token", "/token")
    denied = world.browser.post(f"/members/{world.admin.id}/{verb}", form.fields)
    assert denied.status_code == 403


def test_what_is_not_there_and_who_is_elsewhere_look_alike(world: World) -> None:
    assert (
        world.browser.get(f"/members/{world.stranger.id}").text
        == world.browser.get("/members/99999999").text
    )


def test_tokens_of_members_are_seen_and_revoked_but_not_those_of_others(world: World) -> None:
    hub = world.browser.hub
    made = {}
    with hub.database.write() as tx:
        for who in (world.member, world.stranger):
            made[who.id] = make_personal_token(
                tx, who.id, name="CI", scopes=["orders"], actor=who.label, now=hub.now()
            ).id
    page = world.browser.read(f"/members/{world.member.id}")
    assert "CI" in page.text
    assert "orders" in page.text
    theirs, mine = made[world.stranger.id], made[world.member.id]
    for whose, number in ((world.stranger, theirs), (world.stranger, mine), (world.member, theirs)):
        answer = world.post(f"/{whose.id}/revoke-token", token_id=str(number))
        assert answer.status_code == 404
    world.post(f"/{world.member.id}/revoke-token", token_id=str(made[world.member.id]))
    with hub.database.read() as tx:
        assert list_personal_tokens(tx, world.member.id)[0].revoked_at is not None
        assert list_personal_tokens(tx, world.stranger.id)[0].revoked_at is None
