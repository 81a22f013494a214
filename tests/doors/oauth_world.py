"""A program, a person and a browser, for tests of the OAuth door."""

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from httpx import Response
from litestar.testing import TestClient

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import NewClient, Principal
from entrepot.web.server import build_app
from tests import factories
from tests.doors.portal import Browser, Document

CALLBACK = "https://app.example.com/callback?x=1"
LOOPBACK = "http://127.0.0.1:49152/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]
ISSUER = "http://127.0.0.1:8080"


@dataclass
class World:
    """A hub, a browser at it, a person who is signed in, and a confidential web program."""

    hub: Hub
    browser: Browser
    app: Any
    who: Principal
    web: NewClient

    def enter(self) -> None:
        """The person signs in."""
        self.browser.enter(self.who)

    def add_client(self, client_id: str, **values: Any) -> NewClient:
        """Another program of the person's organisation."""
        given: dict[str, Any] = {"name": client_id, "scopes": ["entitlements", "orders"]}
        with self.hub.database.write() as tx:
            return accounts.add_client(
                tx,
                client_id=client_id,
                organisation_id=self.who.organisation_id,
                box=self.hub.keys.box,
                actor="operator",
                now=self.hub.now(),
                **(given | values),
            )

    def request(self, **changed: str | None) -> str:
        """The address of an authorization request; None leaves a parameter out."""
        params: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.web.client_id,
            "redirect_uri": CALLBACK,
            "scope": "openid entitlements",
            "state": "st ate",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (params | changed).items() if value is not None}
        return "/oauth/authorize?" + urlencode(kept)

    def decide(self, address: str, decision: str = "allow") -> dict[str, str]:
        """Answer the consent page of a request; what the client is told."""
        form = self.browser.form_on(address, "/oauth/authorize")
        return sent_back(self.browser.submit(form, decision=decision))

    def decide_near(self, address: str) -> dict[str, str]:
        """The same for a program on the person's own machine."""
        form = self.browser.form_on(address, "/oauth/authorize")
        return sent_back(self.browser.submit(form, decision="allow"), LOOPBACK)

    def code(self, **changed: str | None) -> str:
        """A code for the web program, whether or not the person is asked."""
        address = self.request(**changed)
        answer = self.browser.get(address)
        told = sent_back(answer) if answer.status_code == 303 else self.decide(address)
        return told["code"]

    def ask(
        self, client: NewClient | None = None, /, path: str = "/oauth/token", **form: str
    ) -> Any:
        """A token request of a program, by default the web program."""
        program = client or self.web
        who = {"client_id": program.client_id}
        if program.secret:
            who["client_secret"] = program.secret
        kept = {name: value for name, value in (who | form).items() if value}
        return self.browser.http.post(path, data=kept)

    def redeem(self, code: str, client: NewClient | None = None, **changed: str) -> Any:
        """Redeem a code."""
        fields = {"redirect_uri": CALLBACK, "code_verifier": VERIFIER} | changed
        return self.ask(client, grant_type="authorization_code", code=code, **fields)

    def refresh(self, token: str, client: NewClient | None = None, **changed: str) -> Any:
        """Exchange a refresh token."""
        return self.ask(client, grant_type="refresh_token", refresh_token=token, **changed)

    def works(self, access_token: str) -> bool:
        """Whether an access token opens the entitlement API now, whatever was kept of it."""
        root = "/e-product-entitlement-customer/v1/entitlements"
        # In another process nothing is kept; here it is forgotten.
        self.app._edge.forget_tokens()
        answer = self.browser.http.get(root, headers={"authorization": f"Bearer {access_token}"})
        assert answer.status_code in {200, 401, 403}, answer.text
        return answer.status_code == 200


@contextlib.contextmanager
def oauth_world(
    hub: Hub, *, roles: Sequence[str] = ("customer",), client_id: str = "web-shop"
) -> Iterator[World]:
    """The world; at its end the application is closed, and the hub with it."""
    with hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx), roles=roles)
    app: Any = build_app(hub)
    with TestClient(app, base_url=ISSUER, raise_server_exceptions=False) as http:
        world = World(hub, Browser(hub, http, ISSUER), app, who, NewClient("", ""))
        world.web = world.add_client(client_id, redirect_uris=[CALLBACK, LOOPBACK])
        yield world


def sent_back(answer: Response, to: str = CALLBACK) -> dict[str, str]:
    """What the client is told by a redirect to its address."""
    assert answer.status_code == 303, answer.text
    address = urlsplit(answer.headers["location"])
    assert to.startswith(f"{address.scheme}://{address.netloc}{address.path}")
    assert answer.headers["cache-control"] == "no-store"
    told = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert told.pop("iss") == ISSUER
    return told


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


def page(answer: Response, status: int = 200) -> Document:
    """The page of an answer."""
    assert answer.status_code == status, answer.text
    return Document(answer.text)
