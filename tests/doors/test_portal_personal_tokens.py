"""The page of personal tokens: made, shown once, used, revoked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal, list_personal_tokens, make_personal_token
from entrepot.core.accounts.personal_tokens import LIVE_MAX
from tests import factories
from tests.doors.portal import Browser, Document, browsing, location

PAGE = "/personal-tokens"
API = "/e-product-entitlement-customer/v1/entitlements"


@dataclass
class World:
    browser: Browser
    who: Principal
    other: Principal

    def list_with(self, token: str) -> int:
        """The status of a list of entitlements asked for with a token."""
        headers = {"authorization": f"Bearer {token}"}
        return self.browser.http.get(f"{API}/", headers=headers).status_code


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx))
        other = factories.add_user(tx, who.organisation_id)
    with browsing(hub) as browser:
        browser.enter(who)
        yield World(browser, who, other)


def fill_in(world: World, **fields: str) -> dict[str, str]:
    form = world.browser.form_on(PAGE, PAGE)
    assert "scope.publish" not in form.fields
    assert "scope.admin" not in form.fields
    kept = {name: value for name, value in form.fields.items() if name[:6] != "scope."}
    return kept | {"name": "Nightly <b>", "scope.entitlements": "on", "networks": ""} | fields


def test_a_token_is_made_shown_once_and_revoked(world: World) -> None:
    answer = world.browser.post(PAGE, fill_in(world))
    assert answer.status_code == 200
    [value] = re.findall(r">(ept_[A-Za-z0-9_-]{43})<", answer.text)
    assert answer.headers["cache-control"] == "no-store"
    page = world.browser.read(PAGE)
    assert value not in page.text
    assert "Nightly <b>" in page.text
    assert "never used" in page.text
    assert world.list_with(value) == 200
    assert "last used" in world.browser.read(PAGE).text
    revoke = world.browser.form_on(PAGE, f"{PAGE}/")
    assert location(world.browser.submit(revoke)) == PAGE
    assert "revoked" in world.browser.read(PAGE).text
    assert len([form for form in world.browser.read(PAGE).forms if "revoke" in form.action]) == 0


@pytest.mark.parametrize(
    ("fields", "at_fault", "says"),
    [
        ({"name": " "}, {"name"}, "name must not be empty"),
        ({"days": "367"}, {"days"}, "1 to 366 days"),
        ({"days": "many"}, {"days"}, "whole days"),
        ({"networks": "10.0.0.1/8"}, {"networks"}, "10.0.0.0/8"),
        (
            {"scope.entitlements": "on", "scope.admin": "on"},
            {"scope.entitlements", "scope.orders", "scope.products", "scope.products.readonly"},
            "does not have the scope",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_has_to_be_typed_again(
    world: World, fields: dict[str, str], at_fault: set[str], says: str
) -> None:
    typed = {"name": "Nightly <b>", "days": "31", "networks": '"> 192.0.2.0/24'} | fields
    if "networks" not in at_fault:
        typed["networks"] = "192.0.2.0/24"
    answer = world.browser.post(PAGE, fill_in(world, **typed))
    assert answer.status_code == 400
    page = Document(answer.text)
    assert says in page.text
    assert page.at_fault == at_fault
    [form] = [form for form in page.forms if form.action == PAGE]
    assert form.fields["name"] == typed["name"]
    assert form.fields["days"] == typed["days"]
    assert page.areas["networks"] == typed["networks"]
    assert page.checked == {"scope.entitlements"}
    assert world.browser.submit(form, name="CI", days="7", networks="").status_code == 200


def test_who_has_too_many_tokens_is_told_above_what_was_typed(world: World, hub: Hub) -> None:
    sent = fill_in(world)
    with hub.database.write() as tx:
        for _ in range(LIVE_MAX):
            make_personal_token(
                tx, world.who.id, name="x", scopes=["orders"], actor="test", now=hub.now()
            )
    answer = world.browser.post(PAGE, sent)
    assert answer.status_code == 409
    page = Document(answer.text)
    assert "Nightly <b>" in [form.fields.get("name") for form in page.forms]
    assert "revoke" in page.text.lower()
    assert "fault" in page.ids


def test_nobody_revokes_the_token_of_another(world: World, hub: Hub) -> None:
    with hub.database.write() as tx:
        theirs = make_personal_token(
            tx,
            world.other.id,
            name="x",
            scopes=["entitlements"],
            actor=world.other.label,
            now=hub.now(),
        )
    form = world.browser.form_on(PAGE, PAGE)
    path = f"{PAGE}/{theirs.id}/revoke"
    assert world.browser.post(path, {"form_token": form.fields["form_token"]}).status_code == 404
    assert world.browser.post(f"{PAGE}/x/revoke", form.fields).status_code == 404
    with hub.database.read() as tx:
        assert list_personal_tokens(tx, world.other.id)[0].revoked_at is None
