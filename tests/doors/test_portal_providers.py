"""Signing in by an identity provider, from button to session; and what a provider or anybody in
between may try. The provider is a real one on loopback."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from httpx import Response
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core.accounts import find_user
from entrepot.core.accounts.grant_tables import identities
from entrepot.core.accounts.providers import MembershipRule, Provider
from entrepot.core.accounts.tables import sessions
from entrepot.core.events.tables import events
from entrepot.web.portal import _openid
from tests import factories
from tests.doors.portal import Browser, browsing, location
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, running_provider

CALLBACK = "http://127.0.0.1:8080/sign-in/acme/callback"


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    with running_provider(CALLBACK) as provider:
        yield provider


@pytest.fixture
def browser(hub: Hub, provider: OpenIdProvider) -> Iterator[Browser]:
    with hub.database.write() as tx:
        factories.add_organisation(tx, "Acme")
    trusted = Provider(
        name="acme",
        title="Acme <staff>",
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        scopes=("openid", "email", "profile"),
        private_network=True,
        members=(MembershipRule("Acme", ("customer",), domain="acme.example"),),
    )
    with browsing(
        replace(hub, policy=replace(hub.policy, identity_providers=(trusted,)))
    ) as browser:
        yield browser


def begin(browser: Browser, path: str = "/sign-in/acme") -> str:
    """Where the hub sends the browser."""
    return location(browser.get(path))


def visit(address: str) -> str:
    """What the provider makes of it: where it sends the browser back to."""
    answer = httpx.get(address, follow_redirects=False)
    assert answer.status_code == 302, answer.text
    back = str(answer.headers["location"])
    assert back.startswith(CALLBACK)
    return back.removeprefix("http://127.0.0.1:8080")


def sign_in(browser: Browser) -> Response:
    return browser.get(visit(begin(browser)))


def refused(browser: Browser, answer: Response, status: int, text: str) -> None:
    """A page that says why, no session, and the begun sign-in is over."""
    assert answer.status_code == status, answer.text
    assert text in answer.text
    assert "entrepot" not in browser.http.cookies
    assert "entrepot-sign-in" not in browser.http.cookies


def test_a_person_signs_in_by_the_button_and_is_known_the_next_time(
    browser: Browser, provider: OpenIdProvider
) -> None:
    page = browser.read("/sign-in?next=/token")
    assert "Sign in with Acme <staff>" in page.text
    button = next(link for link in page.links if link.startswith("/sign-in/acme"))
    away = begin(browser, button)
    asked = dict(parse_qsl(urlsplit(away).query))
    assert asked["tenant"] == "1"
    assert asked["scope"] == "openid email profile"
    assert "prompt" not in asked
    answer = browser.get(visit(away))
    assert location(answer) == "/token"
    again = next(x for x in browser.read("/sign-in?again=").links if x.startswith("/sign-in/acme"))
    assert parse_qsl(urlsplit(begin(browser, again)).query)[-1] == ("prompt", "login")
    assert "Ada Byron" in browser.read("/token").text
    with browser.hub.database.read() as tx:
        row = find_user(tx, "ada@acme.example")
        assert (row.roles, row.password_hash) == (["customer"], None)
        (known,) = tx.execute(select(identities)).all()
        assert (known.issuer, known.subject, known.user_id) == (provider.issuer, "ada-7", row.id)
        assert tx.execute(select(sessions.c.issuer)).scalars().all() == [provider.issuer]
    provider.person["email"] = "countess@acme.example"
    assert location(sign_in(browser)) == "/"
    with browser.hub.database.read() as tx:
        assert len(tx.execute(select(identities)).all()) == 1
        assert len(tx.execute(select(sessions)).all()) == 1  # the earlier one has ended
    assert provider.asked.count("/keys") == 1
    assert provider.asked.count("/.well-known/openid-configuration") == 1


def test_the_browsers_half_is_for_this_host_and_not_for_scripts(browser: Browser) -> None:
    answer = browser.get("/sign-in/acme?next=//evil.example")
    cookie = answer.headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=lax", "path=/", "max-age=600"} <= parts
    assert cookie.startswith("entrepot-sign-in=")
    assert location(browser.get(visit(location(answer)))) == "/"
    # A long request of a program comes through; one that no cookie can hold is left out.
    long = "/oauth/authorize?state=" + "".join(f"{n:03}" for n in range(700))
    assert location(browser.get(visit(begin(browser, f"/sign-in/acme?next={long}")))) == long
    random = "/?" + secrets.token_urlsafe(3600)
    answer = browser.get(f"/sign-in/acme?next={random}")
    assert len(answer.headers["set-cookie"]) < 4096
    assert location(browser.get(visit(location(answer)))) == "/"
    assert browser.get("/sign-in/nobody").status_code == 404
    assert browser.get("/sign-in/nobody/callback").status_code == 404


FORGED: tuple[dict[str, Any], ...] = (
    {"claims": {"nonce": "of-another-sign-in"}},
    {"claims": {"nonce": None}},
    {"claims": {"aud": "another-program"}},
    {"claims": {"aud": [CLIENT_ID, "another-program"]}},
    {"claims": {"azp": "another-program"}},
    {"claims": {"iss": "https://accounts.example"}},
    {"claims": {"exp": 1}},
    {"claims": {"exp": None}},
    {"claims": {"iat": 1}},
    {"claims": {"iat": 99_999_999_999}},
    {"claims": {"sub": None}},
    {"claims": {"sub": 7}},
    {"algorithm": "none"},
    {"algorithm": "HS256"},
    {"header": {"alg": "RS384"}},
    {"header": {"typ": "at+jwt"}},
    {"header": {"crit": ["x"], "x": 1}},
    {"signed_by": "stolen", "header": {"kid": "first"}},
    {"signed_by": "unpublished"},
)


def test_an_id_token_that_proves_nothing_opens_no_session(
    browser: Browser, provider: OpenIdProvider
) -> None:
    for forged in FORGED:
        before = {name: getattr(provider, name) for name in forged}
        for name, value in forged.items():
            setattr(provider, name, value)
        refused(browser, sign_in(browser), 401, "does not prove who you are")
        for name, value in before.items():
            setattr(provider, name, value)
    # Whoever makes key ids up has the keys fetched once a minute, not once a token.
    assert provider.asked.count("/keys") == 1
    with browser.hub.database.read() as tx:
        assert tx.execute(select(identities)).all() == []
    provider.algorithm, provider.header = "ES256", {"kid": None}
    provider.claims = {"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}
    assert location(sign_in(browser)) == "/"


def test_a_key_that_the_provider_changed_to_is_looked_up(
    browser: Browser, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert location(sign_in(browser)) == "/"
    provider.published, provider.signed_by = ["second"], "second"
    monkeypatch.setattr(_openid, "KEYS_REFRESH_SECONDS_MIN", 0.0)  # a minute later
    assert location(sign_in(browser)) == "/"
    assert provider.asked.count("/keys") == 2


def test_an_answer_of_another_issuer_or_without_its_name_is_refused(
    browser: Browser, provider: OpenIdProvider
) -> None:
    for iss in ("https://accounts.example", f"{provider.issuer}/", None):
        provider.response = {"iss": iss}
        refused(browser, sign_in(browser), 401, "does not prove who you are")
    assert "/token" not in provider.asked  # the code went nowhere
    provider.response = {"error": "access_denied", "code": None}
    refused(browser, sign_in(browser), 401, "did not sign you in")


def test_a_sign_in_belongs_to_the_browser_that_began_it(
    browser: Browser, provider: OpenIdProvider, hub: Hub
) -> None:
    back = visit(begin(browser))
    own = browser.http.cookies["entrepot-sign-in"]
    stale = "was not begun in this browser"
    for cookie in ("", "x", own[:-2], "é"):
        browser.http.cookies.clear()
        headers = [(b"cookie", b"entrepot-sign-in=" + cookie.encode())] if cookie else []
        refused(browser, browser.http.get(back, headers=headers), 403, stale)
    query = dict(parse_qsl(urlsplit(back).query))
    path = urlsplit(back).path
    for changed in (
        urlencode(query | {"state": "another"}),
        urlencode({name: value for name, value in query.items() if name != "state"}),
        f"{urlencode(query)}&state={query['state']}",
    ):
        browser.http.cookies.set("entrepot-sign-in", own, domain="127.0.0.1")
        refused(browser, browser.get(f"{path}?{changed}"), 403, stale)
    assert "/token" not in provider.asked
    browser.http.cookies.set("entrepot-sign-in", own, domain="127.0.0.1")
    assert location(browser.get(back)) == "/"
    browser.http.cookies.delete("entrepot")
    browser.http.cookies.set("entrepot-sign-in", own, domain="127.0.0.1")
    refused(browser, browser.get(back), 401, "does not prove")  # the code was used
    later = replace(browser.hub, now=lambda: hub.now() + timedelta(seconds=601))
    late = visit(begin(browser))
    own = browser.http.cookies["entrepot-sign-in"]
    with browsing(later) as same:
        same.http.cookies.set("entrepot-sign-in", own, domain="127.0.0.1")
        refused(same, same.get(late), 403, stale)


def test_a_mail_address_that_nobody_checked_makes_and_joins_no_account(
    browser: Browser, provider: OpenIdProvider, hub: Hub
) -> None:
    for verified in (False, None, "true", 1):
        provider.claims = {"email_verified": verified}
        refused(browser, sign_in(browser), 403, "did not say that it has checked")
    provider.claims = {"email": "ada@elsewhere.example"}
    refused(browser, sign_in(browser), 403, "no organisation of this hub is open to you")
    with hub.database.write() as tx:
        victim = factories.add_user(
            tx, factories.add_organisation(tx), email="otto@acme.example", password=None
        )
    provider.claims = {"email": "Otto@ACME.example"}
    refused(browser, sign_in(browser), 403, "There is an account with your mail address")
    with hub.database.read() as tx:
        assert tx.execute(select(identities)).all() == []
        assert find_user(tx, victim.id).disabled_at is None
        told = tx.execute(select(events).where(events.c.type == "sign-in.failed")).all()
    assert {row.subject for row in told} == {"provider:acme"}
    assert {row.data["reason"] for row in told} == {
        "sign-in-mail-unverified",
        "sign-in-no-membership",
        "sign-in-account-taken",
    }


@pytest.mark.parametrize(
    "told",
    [
        {"issuer": "https://accounts.example"},
        {"token_endpoint": "http://169.254.169.254/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"id_token_signing_alg_values_supported": ["HS256", "none"]},
    ],
)
def test_metadata_that_cannot_be_right_leads_nowhere(
    browser: Browser, provider: OpenIdProvider, told: dict[str, Any]
) -> None:
    provider.metadata = told
    refused(browser, browser.get("/sign-in/acme"), 503, "cannot be used for signing in just now")
    assert browser.get("/sign-in").status_code == 200


def test_a_provider_that_is_down_is_not_asked_again_at_once(
    browser: Browser, provider: OpenIdProvider
) -> None:
    provider.status = 500
    for _ in range(5):
        answer = browser.get("/sign-in/acme")
        refused(browser, answer, 503, "cannot be used for signing in just now")
        assert answer.headers["retry-after"] == "60"
    assert len(provider.asked) == 1


def test_returns_are_counted_like_guesses(browser: Browser, provider: OpenIdProvider) -> None:
    back = visit(begin(browser))
    own = browser.http.cookies["entrepot-sign-in"]
    statuses = []
    for _ in range(52):
        browser.http.cookies.set("entrepot-sign-in", own, domain="127.0.0.1")
        statuses.append(browser.get(f"{back}&code_=1".replace("code=", "code=no")).status_code)
    assert statuses == [401] * 50 + [429] * 2
    assert provider.asked.count("/token") == 50
