"""The OAuth door: client credentials, keys, metadata, and every way to be refused."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    disable_client,
    find_client,
    principal_of,
    rotate_keys,
    verify_token,
)
from entrepot.web.http.edge import Edge
from entrepot.web.oauth import create_router
from tests import factories

TOKEN = "/oauth/token"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Door:
    """The door of a hub with one client."""

    hub: Hub
    http: TestClient[Litestar]
    client_id: str
    secret: str

    def ask(self, **form: str) -> Any:
        """A token request with the secret in the form; `form` adds and replaces."""
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.secret,
        }
        return self.http.post(TOKEN, data=fields | form)

    def ask_basic(self, user: str, password: str, **form: str) -> Any:
        """A token request with the secret in the header."""
        return self.http.post(
            TOKEN, data={"grant_type": "client_credentials"} | form, auth=(user, password)
        )

    def claims(self, token: str) -> dict[str, Any]:
        """What a token of the hub says; it must be genuine."""
        keys = self.hub.keys.current
        issuer = self.hub.policy.public_url
        claims = verify_token(keys, token, issuer=issuer, now=self.hub.now())
        assert claims is not None
        return claims


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx, country="FR")
        who, secret = factories.add_client(tx, organisation, scopes=("entitlements", "publish"))
    edge = Edge(hub)
    with TestClient(Litestar([create_router(edge)], logging_config=None)) as http:
        yield Door(hub, http, who.label.removeprefix("client:"), secret)
    edge.close()


def assert_fault(answer: Any, status: int, error: str) -> None:
    """RFC 6749 section 5.2, and nothing may be stored."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"] == error
    assert set(body) <= {"error", "error_description"}
    allowed = {chr(n) for n in range(0x20, 0x7F)} - {'"', "\\"}
    assert set(body["error_description"]) <= allowed
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("application/json")
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_the_secret_may_come_in_the_header(door: Door) -> None:
    answer = door.ask_basic(door.client_id, door.secret)
    assert door.claims(answer.json()["access_token"])["sub"] == door.client_id


def test_a_client_gets_a_token_with_all_its_scopes(door: Door) -> None:
    answer = door.ask()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert body == {
        "access_token": body["access_token"],
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "entitlements publish",
    }
    claims = door.claims(body["access_token"])
    assert claims["sub"] == claims["client_id"] == door.client_id
    assert claims["kind"] == "client"
    assert claims["ip_country"] == "FR"
    with door.hub.database.read() as tx:
        who = principal_of(tx, claims)
    assert who.label == f"client:{door.client_id}"
    assert who.scopes == {"entitlements", "publish"}


def test_one_scope_may_be_asked_for_and_repeats_do_not_matter(door: Door) -> None:
    answer = door.ask(scope="publish publish")
    assert answer.json()["scope"] == "publish"
    assert door.claims(answer.json()["access_token"])["scope"] == "publish"


def test_an_empty_scope_counts_as_left_out(door: Door) -> None:
    assert door.ask(scope="").json()["scope"] == "entitlements publish"


def test_a_scope_that_is_not_the_clients_is_refused(door: Door) -> None:
    for scope in ("admin", "entitlements admin", "nothing", 'x"\\y', "é"):
        assert_fault(door.ask(scope=scope), 400, "invalid_scope")


def test_other_grants_are_not_supported(door: Door) -> None:
    for grant in ("password", "implicit", 'a"\\\x00é'):
        fields = {"grant_type": grant, "username": "a@example.com", "password": "p" * 12}
        assert_fault(door.ask(**fields), 400, "unsupported_grant_type")


def test_the_grant_must_be_named(door: Door) -> None:
    assert_fault(door.ask(grant_type=""), 400, "invalid_request")


def test_a_client_that_is_not_registered_for_the_grant_is_refused(door: Door) -> None:
    from sqlalchemy import update

    from entrepot.core.accounts.tables import api_clients

    with door.hub.database.write() as tx:
        tx.execute(update(api_clients).values(grants=["device_code"]))
    assert_fault(door.ask(), 400, "unauthorized_client")


def test_every_failed_authentication_looks_the_same(door: Door) -> None:
    with door.hub.database.write() as tx:
        other, secret = factories.add_client(tx, find_client(tx, door.client_id).organisation_id)
        disabled = other.label.removeprefix("client:")
        disable_client(tx, disabled, actor="operator", now=door.hub.now())
    answers = [
        door.ask(client_secret="wrong"),
        door.ask(client_id="nobody"),
        door.ask(client_id="\x00"),
        door.ask(client_id=disabled, client_secret=secret),
        door.ask(client_secret=""),
        door.ask(client_id="", client_secret=""),
        door.ask_basic(door.client_id, "wrong"),
        door.ask_basic("nobody", door.secret),
        door.ask_basic(disabled, secret),
        door.http.post(
            TOKEN,
            data={"grant_type": "client_credentials"},
            headers={"authorization": "Basic /w=="},
        ),
        door.http.post(
            TOKEN,
            data={"grant_type": "client_credentials"},
            headers={"authorization": "Basic YQ=="},
        ),
    ]
    for answer in answers:
        assert_fault(answer, 401, "invalid_client")
        assert answer.content == answers[0].content


def test_two_ways_of_authenticating_at_once_are_refused(door: Door) -> None:
    both = door.ask_basic(door.client_id, door.secret, client_secret=door.secret)
    assert_fault(both, 400, "invalid_request")
    assert_fault(door.ask_basic(door.client_id, door.secret, client_id="x"), 400, "invalid_request")
    same = door.ask_basic(door.client_id, door.secret, client_id=door.client_id)
    assert same.status_code == 200


NO_FORMS = [
    (b"grant_type=client_credentials&grant_type=client_credentials", FORM),
    (b"grant_type=%ff", FORM),
    (b"\xff", FORM),
    (b"&".join(b"a%d=1" % n for n in range(65)), FORM),
    (b"a=" + b"x" * 65_536, FORM),
    (b'{"grant_type":"client_credentials"}', "application/json"),
    (b"", ""),
]


def test_what_is_no_form_is_refused(door: Door) -> None:
    for content, kind in NO_FORMS:
        answer = door.http.post(TOKEN, content=content, headers={"content-type": kind})
        assert_fault(answer, 400, "invalid_request")


def test_only_post_is_answered(door: Door) -> None:
    assert door.http.get(TOKEN).status_code == 405


def test_a_guesser_is_slowed_down_and_others_are_not(door: Door) -> None:
    for _ in range(20):
        assert_fault(door.ask(client_secret="wrong"), 401, "invalid_client")
    refused = door.ask()
    assert_fault(refused, 429, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    with door.hub.database.write() as tx:
        other, secret = factories.add_client(tx, find_client(tx, door.client_id).organisation_id)
    other_id = other.label.removeprefix("client:")
    assert door.ask(client_id=other_id, client_secret=secret).status_code == 200


def test_a_token_is_written_down_without_the_token(door: Door) -> None:
    from sqlalchemy import select

    from entrepot.core.events.tables import events

    token = door.ask().json()["access_token"]
    with door.hub.database.read() as tx:
        row = tx.execute(select(events).where(events.c.type == "token.issued")).one()
    assert row.actor == f"client:{door.client_id}"
    assert row.data == {"scopes": ["entitlements", "publish"]}
    assert token not in repr(row)


def test_the_keys_are_public_halves_and_both_are_there_after_a_rotation(door: Door) -> None:
    before = door.http.get("/.well-known/jwks.json")
    assert before.headers["cache-control"] == "max-age=300, public"
    (key,) = before.json()["keys"]
    assert set(key) == {"kty", "kid", "use", "alg", "n", "e"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    token = door.ask().json()["access_token"]
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"alg": "RS256", "kid": key["kid"], "typ": "at+jwt"}
    with door.hub.database.write() as tx:
        kid = rotate_keys(tx, door.hub.keys.box, "token", actor="operator", now=door.hub.now())
    door.hub.keys.refresh()
    after = door.http.get("/keys")
    assert {entry["kid"] for entry in after.json()["keys"]} == {key["kid"], kid}
    assert door.http.get("/.well-known/jwks.json").content == after.content
    assert door.claims(token)["sub"] == door.client_id


def test_the_metadata_names_what_exists(door: Door) -> None:
    answer = door.http.get("/.well-known/oauth-authorization-server")
    body = answer.json()
    assert body["issuer"] == "http://127.0.0.1:8080"
    assert "client_credentials" in body["grant_types_supported"]
    assert body["response_types_supported"] == ["code"]
    assert door.http.get("/.well-known/openid-configuration").json() == body
    assert door.http.get("/adfs/.well-known/openid-configuration").json() == body
    token_path = body["token_endpoint"].removeprefix(body["issuer"])
    keys_path = body["jwks_uri"].removeprefix(body["issuer"])
    assert door.http.get(keys_path).status_code == 200
    for scope in body["scopes_supported"]:
        status = door.ask(scope=scope).status_code
        assert status == (200 if scope in {"entitlements", "publish"} else 400)
    assert door.http.post(token_path).status_code == 400
    assert door.http.get("/.well-known/oauth-authorization-server/other").status_code == 404
    assert body["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "none",
    ]


def test_the_document_tells_the_form(door: Door) -> None:
    paths = door.http.app.openapi_schema.to_schema()["paths"]
    operation = paths["/oauth/token"]["post"]
    schema = operation["requestBody"]["content"][FORM]["schema"]
    assert set(schema["properties"]) > {"grant_type", "scope", "client_id", "client_secret"}
    assert set(operation["responses"]) >= {"200", "400", "401", "413", "429", "503"}
    assert {"/keys", "/.well-known/jwks.json"} <= set(paths)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(
    fields=st.dictionaries(
        st.sampled_from(["grant_type", "client_id", "client_secret", "scope", "x"]),
        st.text(max_size=20) | st.sampled_from(["client_credentials", "entitlements"]),
    ),
    authorization=st.binary(max_size=30)
    | st.binary(max_size=20).map(lambda raw: b"Basic " + base64.b64encode(raw)),
)
def test_nothing_that_is_sent_breaks_it(
    door: Door, fields: dict[str, str], authorization: bytes
) -> None:
    printable = bytes(byte for byte in authorization if byte >= 0x20 and byte != 0x7F)
    answer = door.http.post(
        TOKEN,
        data={name: value.encode("utf-8", "replace") for name, value in fields.items()},
        headers=[(b"authorization", printable)],
    )
    assert answer.status_code in {400, 401, 429}
    assert set(answer.json()) <= {"error", "error_description"}
