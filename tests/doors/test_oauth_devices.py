"""The device flow: codes for the program, a page for the person, and polling."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import DEVICE_CODE, NewClient
from entrepot.core.accounts.grant_tables import device_codes
from tests.doors.oauth_world import ISSUER, World, claims_of, oauth_world, page
from tests.doors.portal import Document, Form, location

DEVICE = "/oauth/device_authorization"


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with oauth_world(hub) as made:
        yield made


COMMAND = NewClient(accounts.COMMAND_CLIENT_ID, "")


def begin(world: World, **form: str) -> dict[str, Any]:
    """A pair of codes for the hub's own command."""
    answer = world.ask(COMMAND, path=DEVICE, **form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body


def poll(world: World, codes: dict[str, Any], client: NewClient = COMMAND) -> Any:
    with world.hub.database.write() as tx:  # as if the interval were over
        tx.execute(update(device_codes).values(polled_at=None))
    return world.ask(client, grant_type=DEVICE_CODE, device_code=codes["device_code"])


def error(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    assert answer.json()["error_description"]
    name: str = answer.json()["error"]
    return name


def look_up(world: World, code: str, status: int = 200) -> Document:
    """Type a code into the page."""
    form = world.browser.form_on("/device", "/device")
    return page(world.browser.submit(form, user_code=code), status)


def decision_form(shown: Document) -> Form:
    return next(form for form in shown.forms if "user_code" in form.fields)


def test_a_person_signs_a_device_in(world: World) -> None:
    codes = begin(world, scope="openid email entitlements")
    assert codes["verification_uri"] == f"{ISSUER}/device"
    assert codes["verification_uri_complete"] == f"{ISSUER}/device?user_code={codes['user_code']}"
    assert (codes["expires_in"], codes["interval"]) == (600, 5)
    assert error(poll(world, codes)) == "authorization_pending"
    hasty = world.ask(COMMAND, grant_type=DEVICE_CODE, device_code=codes["device_code"])
    assert error(hasty) == "slow_down"
    address = f"/device?user_code={codes['user_code']}"
    assert "user_code%3D" in location(world.browser.get(address))  # to the sign-in page, and back
    world.enter()
    form = world.browser.form_on(address, "/device")
    assert form.fields["user_code"].replace("-", "") == codes["user_code"].replace("-", "")
    shown = page(world.browser.submit(form))
    assert codes["user_code"] in shown.text
    assert "Entrepot command" in shown.text
    assert "accept licences, download" in shown.text
    assert error(poll(world, codes)) == "authorization_pending"  # the link alone decides nothing
    done = page(world.browser.submit(decision_form(shown), decision="allow"))
    assert "signed in" in done.text
    body = poll(world, codes).json()
    assert body["scope"] == "entitlements openid email"
    assert claims_of(body["id_token"])["email"] == world.who.email
    assert world.works(body["access_token"])
    assert world.refresh(body["refresh_token"], COMMAND).status_code == 200
    # The code is used up, and its second use ends what it gave.
    assert error(poll(world, codes)) == "invalid_grant"
    assert not world.works(body["access_token"])


def test_a_person_may_turn_a_device_away(world: World) -> None:
    world.enter()
    codes = begin(world)
    shown = look_up(world, codes["user_code"].lower())
    form = decision_form(shown)
    assert "turned away" in page(world.browser.submit(form, decision="deny")).text
    assert error(poll(world, codes)) == "access_denied"
    late = page(world.browser.submit(form, decision="allow"), 400)
    assert "No device waits" in late.text
    assert error(poll(world, codes)) == "access_denied"


def test_a_device_is_given_no_more_than_the_person_has(world: World) -> None:
    world.enter()
    codes = begin(world, scope="admin publish")
    shown = look_up(world, codes["user_code"])
    assert "Nothing" in shown.text
    page(world.browser.submit(decision_form(shown), decision="allow"))
    assert poll(world, codes).json()["scope"] == ""


def test_codes_end_and_belong_to_their_client(world: World) -> None:
    codes = begin(world)
    tv = world.add_client("tv", public=True)
    assert error(poll(world, codes, tv)) == "invalid_grant"
    assert error(world.ask(tv, grant_type=DEVICE_CODE)) == "invalid_request"
    assert error(world.ask(grant_type=DEVICE_CODE, device_code="x")) == "unauthorized_client"
    with world.hub.database.write() as tx:
        tx.execute(update(device_codes).values(expires_at=world.hub.now()))
    assert error(poll(world, codes)) == "expired_token"
    world.enter()
    assert "No device waits" in look_up(world, codes["user_code"], 400).text


def test_who_may_not_ask_for_codes_gets_none(world: World) -> None:
    assert error(world.ask(path=DEVICE)) == "unauthorized_client"
    assert error(world.ask(COMMAND, path=DEVICE, scope="nothing")) == "invalid_scope"
    wrong = world.ask(NewClient("nobody", ""), path=DEVICE)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    for _ in range(60):
        begin(world)
    many = world.ask(COMMAND, path=DEVICE)
    assert many.status_code == 429
    assert int(many.headers["retry-after"]) > 0
    with world.hub.database.read() as tx:
        assert len(tx.execute(select(device_codes)).all()) == 60


def test_guessing_codes_ends_soon(world: World) -> None:
    world.enter()
    codes = begin(world)
    for _ in range(10):
        look_up(world, "BBBB-BBBB", 400)
    assert "Too many" in look_up(world, codes["user_code"], 429).text


def test_the_page_takes_its_own_forms_only(world: World) -> None:
    world.enter()
    codes = begin(world)
    fields = {"user_code": codes["user_code"], "decision": "allow", "form_token": "0" * 64}
    assert page(world.browser.post("/device", fields), 403).text
    form = world.browser.form_on("/device", "/device")
    whole = form.fields | {"user_code": codes["user_code"], "decision": "allow"}
    foreign = world.browser.post("/device", whole, origin="https://evil.example")
    assert page(foreign, 403).text
    assert error(poll(world, codes)) == "authorization_pending"
