"""Authorization code with PKCE, consent, refresh: a person lets a program act for them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from sqlalchemy import select, update

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts.grant_tables import authorization_codes
from entrepot.core.accounts.tables import sessions
from entrepot.web.oauth._stamps import read_stamp
from tests import factories
from tests.doors.oauth_world import (
    CALLBACK,
    CHALLENGE,
    ISSUER,
    LOOPBACK,
    VERIFIER,
    World,
    claims_of,
    oauth_world,
    page,
    sent_back,
)
from tests.doors.portal import location
from tests.factories import DAY


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with oauth_world(hub) as made:
        yield made


def refused(answer: Any, error: str, status: int = 400) -> str:
    """The description of a refusal of the token endpoint."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "error_description"}
    assert body["error"] == error
    assert answer.headers["cache-control"] == "no-store"
    described: str = body["error_description"]
    return described


def test_a_person_lets_a_program_in(world: World) -> None:
    world.enter()
    shown = world.browser.read(world.request())
    assert "web-shop" in shown.text
    assert "entitled to, accept licences, download" in shown.text
    assert "https://app.example.com" in shown.text
    told = world.decide(world.request(nonce="n1", scope="openid profile email entitlements"))
    assert told["state"] == "st ate"
    answer = world.redeem(told["code"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["scope"] == "entitlements openid profile email"
    assert body["expires_in"] == 3600
    access = claims_of(body["access_token"])
    assert access["client_id"] == "web-shop"
    assert access["sub"] == str(world.who.id)
    identity = claims_of(body["id_token"])
    assert (identity["iss"], identity["aud"]) == (ISSUER, "web-shop")
    assert (identity["sub"], identity["nonce"]) == (str(world.who.id), "n1")
    assert abs(identity["auth_time"] - identity["iat"]) < 60
    assert identity["email"] == world.who.email
    assert identity["given_name"] == "Ada"
    assert world.works(body["access_token"])
    again = world.refresh(body["refresh_token"])
    assert again.status_code == 200, again.text
    assert again.json()["scope"] == body["scope"]
    assert "id_token" not in again.json()
    assert world.works(again.json()["access_token"])
    assert world.works(body["access_token"])


def test_only_an_access_token_opens_a_door(world: World) -> None:
    world.enter()
    body = world.redeem(world.code()).json()
    assert world.works(body["access_token"])
    assert not world.works(body["id_token"])
    assert not world.works(body["refresh_token"])


def test_a_second_use_of_a_code_ends_what_the_first_gave(world: World) -> None:
    world.enter()
    code = world.code()
    body = world.redeem(code).json()
    assert world.works(body["access_token"])
    refused(world.redeem(code), "invalid_grant")
    assert not world.works(body["access_token"])
    refused(world.refresh(body["refresh_token"]), "invalid_grant")


def test_a_refresh_token_that_comes_again_ends_the_family(world: World) -> None:
    world.enter()
    first = world.redeem(world.code()).json()
    second = world.refresh(first["refresh_token"]).json()
    refused(world.refresh(first["refresh_token"]), "invalid_grant")
    refused(world.refresh(second["refresh_token"]), "invalid_grant")
    assert not world.works(first["access_token"])
    assert not world.works(second["access_token"])


def test_a_refresh_may_narrow_the_scope_and_never_widen_it(world: World) -> None:
    world.enter()
    body = world.redeem(world.code(scope=None)).json()
    assert body["scope"] == "entitlements orders"  # left out: all of the client's
    assert "id_token" not in body
    refused(world.refresh(body["refresh_token"], scope="publish"), "invalid_scope")
    narrow = world.refresh(body["refresh_token"], scope="orders").json()
    assert narrow["scope"] == "orders"
    wide = world.refresh(narrow["refresh_token"]).json()
    assert wide["scope"] == "entitlements orders"


def test_a_code_is_bound_to_its_client_its_address_and_its_verifier(world: World) -> None:
    world.enter()
    other = world.add_client("other", redirect_uris=[CALLBACK])
    code = world.code()
    refused(world.redeem(code, other), "invalid_grant")
    refused(world.redeem(code, redirect_uri=LOOPBACK), "invalid_grant")
    refused(world.redeem(code, redirect_uri=""), "invalid_grant")
    refused(world.redeem(code, code_verifier=""), "invalid_request")
    refused(world.redeem(code, code_verifier="w" * 43), "invalid_grant")
    refused(world.redeem(code, code_verifier=CHALLENGE), "invalid_grant")
    refused(world.redeem("x" * 43), "invalid_grant")
    refused(world.redeem(""), "invalid_request")
    refused(world.ask(grant_type="refresh_token"), "invalid_request")
    assert world.redeem(code).status_code == 200
    late = world.code()
    with world.hub.database.write() as tx:
        tx.execute(update(authorization_codes).values(expires_at=world.hub.now()))
    refused(world.redeem(late), "invalid_grant")


def test_pkce_is_needed_and_only_as_s256(world: World) -> None:
    world.enter()
    for changed in (
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"code_challenge": "c" * 129},
    ):
        told = sent_back(world.browser.get(world.request(**changed)))
        assert told["error"] == "invalid_request", changed
        assert told["state"] == "st ate"


def test_a_legacy_client_does_without_pkce_but_is_never_downgraded(world: World) -> None:
    world.enter()
    old = world.add_client("old", redirect_uris=[CALLBACK], pkce=False)
    plain = {"client_id": "old", "code_challenge": None, "code_challenge_method": None}
    code = world.code(**plain)
    refused(world.redeem(code, old), "invalid_request")  # a verifier, and there was no challenge
    assert world.redeem(code, old, code_verifier="").status_code == 200
    code = world.code(client_id="old")
    refused(world.redeem(code, old, code_verifier=""), "invalid_request")
    told = sent_back(
        world.browser.get(world.request(client_id="old", code_challenge_method="plain"))
    )
    assert told["error"] == "invalid_request"


def test_nobody_is_sent_to_an_address_that_is_not_registered(world: World) -> None:
    world.enter()
    world.add_client("machine")
    for changed in (
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": CALLBACK + "&y=2"},
        {"redirect_uri": "http://127.0.0.1:49152/other"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": CALLBACK + "\n"},
        {"redirect_uri": "https://exämple.com/"},
        {"response_type": "cödé", "client_id": "nobody"},
        {"redirect_uri": None},  # two are registered
        {"client_id": "nobody"},
        {"client_id": "\x00"},
        {"client_id": None},
        {"client_id": "machine"},
        {"response_type": "token", "redirect_uri": "https://evil.example/"},
    ):
        answer = world.browser.get(world.request(**changed))
        assert "location" not in answer.headers
        shown = page(answer, 400)
        assert "made a mistake" in shown.text
    twice = world.browser.get(world.request() + "&client_id=web-shop")
    assert page(twice, 400).text
    assert page(world.browser.get(world.request(state="x" * 4000)), 400).text
    assert page(world.browser.get("/oauth/authorize?state=%ff"), 400).text


def test_what_else_is_wrong_is_told_to_the_client(world: World) -> None:
    world.enter()
    for changed, error in (
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "cödé\n"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "entitlements publish"}, "invalid_scope"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://app.example.com/r"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "other"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"nonce": "a\x00"}, "invalid_request"),
        ({"prompt": "none"}, "consent_required"),
    ):
        told = sent_back(world.browser.get(world.request(**changed)))
        assert (told["error"], told["state"]) == (error, "st ate")
        assert told["error_description"]
        assert "code" not in told


def test_a_person_may_say_no(world: World) -> None:
    world.enter()
    told = world.decide(world.request(), "deny")
    assert told["error"] == "access_denied"
    told = world.decide(world.request(), "anything")
    assert told["error"] == "access_denied"
    with world.hub.database.read() as tx:
        assert not accounts.list_programs(tx, user_id=world.who.id, now=world.hub.now())
        assert not tx.execute(select(authorization_codes)).all()


def test_a_person_ends_what_a_program_was_given(world: World) -> None:
    world.enter()
    world.code()
    assert world.web.client_id in world.browser.read("/programs").text
    form = world.browser.form_on("/programs", f"/programs/{world.web.client_id}/end")
    world.browser.submit(form)
    assert "There are none" in world.browser.read("/programs").text
    told = sent_back(world.browser.get(world.request(prompt="none")))
    assert told["error"] == "consent_required"
    assert world.browser.post("/programs/nobody/end", form.fields).status_code == 404


def test_consent_is_remembered_for_a_program_with_an_address_of_its_own(world: World) -> None:
    world.enter()
    world.code()
    assert "code" in sent_back(world.browser.get(world.request()))
    assert "code" in sent_back(world.browser.get(world.request(prompt="none")))
    assert "code" in sent_back(world.browser.get(world.request(scope="openid")))
    # More than before, or on request: asked again.
    assert world.browser.read(world.request(scope=None)).forms
    assert world.browser.read(world.request(prompt="consent")).forms
    # Any program may listen on loopback.
    near = {"redirect_uri": LOOPBACK}
    assert "code" in world.decide_near(world.request(**near))
    assert world.browser.read(world.request(**near)).forms
    told = sent_back(world.browser.get(world.request(prompt="none", **near)), LOOPBACK)
    assert told["error"] == "consent_required"
    with world.hub.database.write() as tx:
        client = accounts.find_client(tx, "web-shop").id
        accounts.withdraw_consent(
            tx, user_id=world.who.id, api_client_id=client, now=world.hub.now()
        )
    assert world.browser.read(world.request()).forms


def test_the_page_lets_its_form_lead_to_the_client_and_nowhere_else(world: World) -> None:
    world.enter()
    policy = world.browser.get(world.request()).headers["content-security-policy"]
    assert "form-action 'self' https://app.example.com;" in policy
    near = world.browser.get(world.request(redirect_uri=LOOPBACK))
    policy = near.headers["content-security-policy"]
    assert "form-action 'self' http://127.0.0.1:49152;" in policy
    assert "frame-ancestors 'none'" in policy
    assert "this machine" in near.text
    world.add_client("near-six", redirect_uris=["http://[::1]/back"])
    six = world.request(client_id="near-six", redirect_uri="http://[::1]:4000/back")
    assert "form-action 'self' http:;" in world.browser.get(six).headers["content-security-policy"]
    plain = world.browser.get("/token").headers["content-security-policy"]
    assert "form-action 'self';" in plain


def test_the_decision_is_taken_from_our_own_page_only(world: World) -> None:
    world.enter()
    form = world.browser.form_on(world.request(), "/oauth/authorize")
    fields = form.fields | {"decision": "allow"}
    foreign = world.browser.post(form.action, fields, origin="https://evil.example")
    assert page(foreign, 403).text
    wrong = world.browser.post(form.action, fields | {"form_token": "0" * 64})
    assert page(wrong, 403).text
    changed = fields | {"request": fields["request"].replace("app.example.com", "evil.example")}
    assert "location" not in world.browser.post(form.action, changed).headers
    with world.hub.database.read() as tx:
        assert not tx.execute(select(authorization_codes)).all()


def test_a_client_may_post_its_request(world: World) -> None:
    params = dict(parse_qs(urlsplit(world.request()).query))
    fields = {name: values[0] for name, values in params.items()}
    answer = world.browser.post("/oauth/authorize", fields, origin="https://app.example.com")
    assert parse_qs(urlsplit(location(answer)).query) == params
    long = world.browser.post("/oauth/authorize", fields | {"state": "x" * 4000})
    assert page(long, 400).text


def test_who_is_not_signed_in_is_led_there_and_back(world: World) -> None:
    silent = sent_back(world.browser.get(world.request(prompt="none")))
    assert silent["error"] == "login_required"
    lead = urlsplit(location(world.browser.get(world.request())))
    assert lead.path == "/sign-in"
    (back,) = parse_qs(lead.query)["next"]
    with world.hub.database.write() as tx:
        who = factories.add_user(tx, world.who.organisation_id, password=factories.PASSWORD)
    form = world.browser.form_on(lead.geturl(), "/sign-in")
    signed = world.browser.submit(form, email=who.email or "", password=factories.PASSWORD)
    assert location(signed) == back
    # A page in between: browsers hold redirects after the sign-in form to its own policy.
    told = world.decide(back)
    body = world.redeem(told["code"]).json()
    assert claims_of(body["id_token"])["sub"] == str(who.id)
    assert "code" in sent_back(world.browser.get(world.request()))
    assert world.browser.read(back).forms


def test_a_program_may_want_a_fresh_sign_in(world: World) -> None:
    world.enter()
    world.code()
    for changed in ({"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "3600"}):
        with world.hub.database.write() as tx:
            tx.execute(update(sessions).values(created_at=world.hub.now() - DAY / 2))
        lead = urlsplit(location(world.browser.get(world.request(**changed))))
        query = parse_qs(lead.query, keep_blank_values=True)
        assert (lead.path, query["again"]) == ("/sign-in", [""])
        assert world.browser.read(lead.geturl()).forms  # the form, although somebody is signed in
        silent = {**changed, "prompt": "none"}
        if "max_age" in changed:
            told = sent_back(world.browser.get(world.request(**silent)))
            assert told["error"] == "login_required"
        (back,) = query["next"]
        assert location(world.browser.get(back)).startswith("/sign-in")  # not yet
        world.enter()
        told = world.decide(back)
        identity = claims_of(world.redeem(told["code"]).json()["id_token"])
        assert identity["iat"] - identity["auth_time"] < 60
    assert "code" in sent_back(world.browser.get(world.request(max_age="3600")))


def test_nobody_is_spared_the_sign_in_by_what_an_address_says(world: World) -> None:
    world.enter()
    world.code()
    with world.hub.database.write() as tx:
        tx.execute(update(sessions).values(created_at=world.hub.now() - DAY / 2))
    asked = world.request(prompt="login")

    def led_away(request: str) -> bool:
        return location(world.browser.get(request)).startswith("/sign-in")

    (back,) = parse_qs(urlsplit(location(world.browser.get(asked))).query)["next"]
    stamp = parse_qs(urlsplit(back).query)["signed_in_after"][0]
    for made_up in ("0", "1", "", "x", stamp[:-1], stamp.swapcase(), "x" * 400):
        assert led_away(f"{asked}&signed_in_after={quote(made_up)}"), made_up
    # A proof that was made for another request, and one that somebody kept for later.
    other = world.request(prompt="login", state="another")
    world.enter()
    assert led_away(f"{other}&signed_in_after={quote(stamp)}")
    later = world.hub.now() + timedelta(minutes=16)
    params = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    box = world.hub.keys.box
    assert read_stamp(box, params, world.hub.now()) is not None
    assert read_stamp(box, params, later) is None
    assert "code" in world.decide(back)


def test_a_session_that_ends_before_the_decision_leads_back_to_the_request(world: World) -> None:
    world.enter()
    form = world.browser.form_on(world.request(), "/oauth/authorize")
    world.browser.http.cookies.clear()
    lead = urlsplit(location(world.browser.submit(form, decision="allow")))
    (back,) = parse_qs(lead.query)["next"]
    assert parse_qs(urlsplit(back).query) == parse_qs(urlsplit(world.request()).query)


def test_a_public_client_needs_no_secret_and_a_machine_does(world: World) -> None:
    world.enter()
    app = world.add_client("app", redirect_uris=["http://127.0.0.1/callback"], public=True)
    code = world.decide_near(world.request(client_id="app", redirect_uri=LOOPBACK))["code"]
    answer = world.redeem(code, app, redirect_uri=LOOPBACK)
    assert answer.status_code == 200, answer.text
    assert world.refresh(answer.json()["refresh_token"], app).status_code == 200
    form = {"grant_type": "authorization_code", "code": "x", "client_id": "web-shop"}
    refused(world.browser.http.post("/oauth/token", data=form), "invalid_client", 401)
    refused(world.ask(app, grant_type="client_credentials"), "invalid_client", 401)
    guess = world.ask(app, grant_type="refresh_token", refresh_token="x", client_secret="guess")
    refused(guess, "invalid_client", 401)


def test_a_client_without_the_refresh_grant_gets_no_refresh_token(world: World) -> None:
    world.enter()
    brief = world.add_client("brief", redirect_uris=[CALLBACK], grants=["authorization_code"])
    code = world.code(client_id="brief", scope="openid offline_access orders")
    body = world.redeem(code, brief).json()
    assert body["scope"] == "orders openid"
    assert "refresh_token" not in body
    body = world.redeem(world.code(scope="orders offline_access")).json()
    assert body["scope"] == "orders offline_access"
    assert body["refresh_token"]


def test_nobody_gives_more_than_their_roles_have(world: World) -> None:
    world.enter()
    wide = world.add_client("wide", redirect_uris=[CALLBACK], scopes=["orders", "publish", "admin"])
    body = world.redeem(world.code(client_id="wide", scope=None), wide).json()
    assert body["scope"] == "orders"
    told = sent_back(world.browser.get(world.request(client_id="wide", scope="admin publish")))
    assert told["error"] == "invalid_scope"
    with world.hub.database.write() as tx:
        accounts.set_roles(tx, world.who.id, ["publisher"], actor="operator", now=world.hub.now())
    # What was consented to stays what it was.
    assert world.refresh(body["refresh_token"], wide).json()["scope"] == "orders"
    body = world.redeem(world.code(client_id="wide", scope=None), wide).json()
    assert body["scope"] == "orders publish"


def test_a_person_or_a_program_that_is_shut_out_gets_nothing(world: World) -> None:
    world.enter()
    code, body = world.code(), world.redeem(world.code()).json()
    with world.hub.database.write() as tx:
        accounts.disable_user(tx, world.who.id, actor="operator", now=world.hub.now())
    refused(world.redeem(code), "invalid_grant")
    refused(world.refresh(body["refresh_token"]), "invalid_grant")
    assert not world.works(body["access_token"])
    with world.hub.database.write() as tx:
        accounts.disable_user(
            tx, world.who.id, disabled=False, actor="operator", now=world.hub.now()
        )
        accounts.disable_client(tx, "web-shop", actor="operator", now=world.hub.now())
    world.enter()
    assert page(world.browser.get(world.request()), 400).text
    refused(world.refresh(body["refresh_token"]), "invalid_client", 401)


def test_the_addresses_of_the_contract_answer_too(world: World) -> None:
    world.enter()
    address = world.request().replace("/oauth/authorize", "/admin/oauth/authorize")
    told = world.decide(address)
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    form |= {"code": told["code"], "code_verifier": VERIFIER}
    assert world.ask(path="/admin/oauth/token.json", **form).status_code == 200
    machine = world.ask(path="/admin/oauth/token", grant_type="client_credentials")
    assert machine.json()["scope"] == "entitlements orders"
