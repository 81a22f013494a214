"""Revocation, introspection, userinfo, assertions, and passwords by setting."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import JWT_BEARER, MSAL_CLIENT_ID, NewClient
from entrepot.core.accounts.tables import sign_in_attempts
from tests import factories
from tests.doors.oauth_world import CALLBACK, ISSUER, World, claims_of, oauth_world

REVOKE, INTROSPECT, USERINFO = "/oauth/revoke", "/oauth/introspect", "/oauth/userinfo"


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with oauth_world(hub) as made:
        made.enter()
        yield made


def tokens(world: World, **changed: str) -> dict[str, Any]:
    body: dict[str, Any] = world.redeem(world.code(**changed)).json()
    return body


def error(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json()["error_description"]
    name: str = answer.json()["error"]
    return name


def tell(world: World, token: str, client: NewClient | None = None) -> dict[str, Any]:
    answer = world.ask(client, path=INTROSPECT, token=token)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    return told


def test_a_refresh_token_is_revoked_with_all_its_family(world: World) -> None:
    body = tokens(world)
    other = tokens(world)
    gone = world.ask(path=REVOKE, token=body["refresh_token"])
    assert (gone.status_code, gone.json()) == (200, {})
    assert not world.works(body["access_token"])
    assert error(world.refresh(body["refresh_token"])) == "invalid_grant"
    assert world.works(other["access_token"])
    # Another copy of the program may have exchanged the token meanwhile.
    newer = world.refresh(other["refresh_token"]).json()
    assert world.ask(path=REVOKE, token=other["refresh_token"]).status_code == 200
    assert not world.works(newer["access_token"])
    assert error(world.refresh(newer["refresh_token"])) == "invalid_grant"


def test_an_access_token_is_revoked_alone(world: World) -> None:
    body = tokens(world)
    hint = {"token_type_hint": "refresh_token"}  # wrong, and not believed
    assert world.ask(path=REVOKE, token=body["access_token"], **hint).status_code == 200
    assert not world.works(body["access_token"])
    assert world.works(world.refresh(body["refresh_token"]).json()["access_token"])


def test_revoking_what_is_no_token_is_no_error_and_of_others_is(world: World) -> None:
    for token in ("x", "a.b.c", "é", tokens(world)["id_token"]):
        assert world.ask(path=REVOKE, token=token).status_code == 200
    assert error(world.ask(path=REVOKE)) == "invalid_request"
    body, other = tokens(world), world.add_client("other", redirect_uris=[CALLBACK])
    for token in (body["access_token"], body["refresh_token"]):
        assert error(world.ask(other, path=REVOKE, token=token)) == "invalid_grant"
    assert world.works(body["access_token"])
    nobody = NewClient("web-shop", "wrong")
    assert error(world.ask(nobody, path=REVOKE, token="x"), 401) == "invalid_client"


def test_a_public_client_revokes_its_own(world: World) -> None:
    app = world.add_client("app", redirect_uris=[CALLBACK], public=True)
    body = world.redeem(world.code(client_id="app"), app).json()
    assert world.ask(app, path=REVOKE, token=body["refresh_token"]).status_code == 200
    assert not world.works(body["access_token"])


def test_introspection_tells_what_a_token_is_good_for(world: World) -> None:
    body = tokens(world)
    told = tell(world, body["access_token"])
    claims = claims_of(body["access_token"])
    assert told == {
        "active": True,
        "scope": "entitlements openid",
        "client_id": "web-shop",
        "username": world.who.email,
        "token_type": "Bearer",
        **{name: claims[name] for name in ("exp", "iat", "sub", "aud", "iss", "jti")},
    }
    other = world.add_client("other")
    assert tell(world, body["access_token"], other) == told  # as a resource server would ask
    refresh = tell(world, body["refresh_token"])
    assert (refresh["active"], refresh["client_id"]) == (True, "web-shop")
    assert "token_type" not in refresh
    assert tell(world, body["refresh_token"], other) == {"active": False}
    machine = world.ask(grant_type="client_credentials").json()["access_token"]
    assert tell(world, machine)["sub"] == "web-shop"


def test_introspection_of_what_holds_no_more_says_so_alone(world: World) -> None:
    body = tokens(world)
    world.refresh(body["refresh_token"])
    head, claims, signature = body["access_token"].split(".")
    for token in (
        "x",
        "a.b.c",
        body["refresh_token"],
        body["id_token"],
        f"{head}.{claims}.{signature[:-4]}AAAA",
        "é",
    ):
        assert tell(world, token) == {"active": False}
    with world.hub.database.write() as tx:
        accounts.disable_user(tx, world.who.id, actor="operator", now=world.hub.now())
    assert tell(world, body["access_token"]) == {"active": False}


def test_introspection_is_for_clients_with_a_secret(world: World) -> None:
    app = world.add_client("app", redirect_uris=[CALLBACK], public=True)
    assert error(world.ask(app, path=INTROSPECT, token="x"), 401) == "invalid_client"
    assert error(world.browser.http.post(INTROSPECT, data={"token": "x"}), 401) == "invalid_client"
    assert error(world.ask(path=INTROSPECT)) == "invalid_request"


def test_userinfo_tells_who_the_token_is_of(world: World) -> None:
    def ask(token: str | None, method: str = "GET") -> Any:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return world.browser.http.request(method, USERINFO, headers=headers)

    body = tokens(world, scope="openid profile email")
    expected = {
        "sub": str(world.who.id),
        "name": "Ada Lovelace",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "email": world.who.email,
    }
    assert ask(body["access_token"]).json() == expected
    assert ask(body["access_token"], "POST").json() == expected
    assert body["scope"] == "openid profile email"
    assert not world.works(body["access_token"])  # 403: no scope of the hub's
    machine = world.ask(grant_type="client_credentials").json()["access_token"]
    plain = tokens(world, scope="orders")["access_token"]
    for token, status, name in (
        (None, 401, "invalid_token"),
        ("x", 401, "invalid_token"),
        (body["id_token"], 401, "invalid_token"),
        (machine, 403, "insufficient_scope"),
        (plain, 403, "insufficient_scope"),
    ):
        answer = ask(token)
        assert error(answer, status) == name
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["cache-control"] == "no-store"


def assertion(client: NewClient, now: int, **changed: Any) -> str:
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": f"{ISSUER}/oauth/token",
        "exp": now + 300,
    }
    key = OctKey.import_key(client.secret)
    return jwt.encode({"alg": "HS256"}, claims | changed, key, algorithms=["HS256"])


def test_a_machine_signs_that_it_is_itself(world: World) -> None:
    signing = world.add_client("signing", grants=[JWT_BEARER])
    now = int(world.hub.now().timestamp())

    def ask(text: str, **form: str) -> Any:
        fields = {"grant_type": JWT_BEARER, "assertion": text} | form
        return world.browser.http.post("/oauth/token", data=fields)

    body = ask(assertion(signing, now)).json()
    assert (body["scope"], body["expires_in"]) == ("entitlements orders", 3600)
    assert "refresh_token" not in body
    assert claims_of(body["access_token"])["sub"] == "signing"
    assert world.works(body["access_token"])
    for path in ("/admin/oauth/token", "/admin/oauth/token.json"):
        assert ask(assertion(signing, now, aud=ISSUER + path)).status_code == 200
    assert ask(assertion(signing, now, scope="orders")).json()["scope"] == "orders"
    assert ask(assertion(signing, now), scope="orders").json()["scope"] == "orders"
    assert ask(assertion(signing, now, client_id="x"), client_id="signing").status_code == 200
    narrow = assertion(signing, now, scope="orders")
    assert error(ask(narrow, scope="entitlements")) == "invalid_scope"
    assert error(ask(assertion(signing, now, scope="ördérs"), scope="orders")) == "invalid_scope"
    assert error(ask(assertion(signing, now, scope="admin"))) == "invalid_scope"
    assert error(ask(assertion(signing, now), client_id="web-shop")) == "invalid_request"
    once = assertion(signing, now, jti="once")
    assert ask(once).status_code == 200
    assert error(ask(once)) == "invalid_grant"
    assert error(ask("")) == "invalid_request"
    assert error(ask(assertion(signing, now, aud="https://other.example"))) == "invalid_grant"
    assert error(ask(assertion(world.web, now))) == "invalid_grant"  # not registered for it
    # The secret still works as one, but only for the grants that the client has.
    assert error(world.ask(signing, grant_type="client_credentials")) == "unauthorized_client"


def test_who_guesses_at_assertions_is_slowed_down(world: World) -> None:
    signing = world.add_client("signing", grants=[JWT_BEARER])
    now = int(world.hub.now().timestamp())
    fields = {"grant_type": JWT_BEARER}
    wrong = assertion(NewClient("signing", "x" * 43), now)
    for _ in range(20):
        answer = world.browser.http.post("/oauth/token", data=fields | {"assertion": wrong})
        assert error(answer) == "invalid_grant"
    right = fields | {"assertion": assertion(signing, now)}
    assert error(world.browser.http.post("/oauth/token", data=right), 429)


def password(world: World, **form: str) -> Any:
    """What MSAL sends for edmgr."""
    fields = {
        "grant_type": "password",
        "client_id": MSAL_CLIENT_ID,
        "scope": f"openid {MSAL_CLIENT_ID} offline_access",
        "username": "pat@example.com",
        "password": factories.PASSWORD,
    }
    return world.browser.http.post("/oauth/token", data=fields | form)


def test_passwords_are_taken_by_setting_only(hub: Hub) -> None:
    with oauth_world(hub) as world:
        assert error(password(world)) == "unsupported_grant_type"
        with hub.database.read() as tx:
            assert not tx.execute(select(sign_in_attempts)).all()  # not even looked at
    switched = replace(hub, policy=replace(hub.policy, password_grant=True))
    with hub.database.write() as tx:
        accounts.ensure_clients(tx, password_grant=True, now=hub.now())
    with oauth_world(switched, client_id="shop") as world:
        with hub.database.write() as tx:
            who = factories.add_user(
                tx,
                world.who.organisation_id,
                password=factories.PASSWORD,
                email="pat@example.com",
            )
        metadata = world.browser.http.get("/adfs/.well-known/openid-configuration").json()
        assert "password" in metadata["grant_types_supported"]
        body = password(world).json()
        assert body["scope"].endswith("openid offline_access")
        assert claims_of(body["id_token"])["sub"] == str(who.id)
        assert world.works(body["access_token"])
        msal = NewClient(MSAL_CLIENT_ID, "")
        assert world.refresh(body["refresh_token"], msal).status_code == 200
        assert error(password(world, client_id="shop"), 401) == "invalid_client"
        assert error(password(world, client_id=accounts.COMMAND_CLIENT_ID)) == "unauthorized_client"
        assert error(password(world, username="")) == "invalid_grant"
        for _ in range(5):
            assert error(password(world, password="wrong")) == "invalid_grant"
        assert error(password(world), 429) == "temporarily_unavailable"


def test_answers_are_never_stored_and_no_other_site_may_read_them(world: World) -> None:
    paths = ["/oauth/token", REVOKE, INTROSPECT, "/oauth/device_authorization", USERINFO]
    for path in paths:
        answer = world.browser.http.post(path, headers={"origin": "https://evil.example"})
        assert answer.status_code in {400, 401}
        assert answer.headers["cache-control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert error(answer, answer.status_code)
