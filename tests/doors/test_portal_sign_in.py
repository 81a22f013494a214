"""Signing in and out: cookies, guesses, forms from elsewhere, where one lands afterwards."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal, disable_user, session_principal
from tests import factories
from tests.doors.portal import Browser, browsing, location
from tests.hashing import *  # noqa: F403 - a fixture

EMAIL = "ada@example.com"


@pytest.fixture
def person(hub: Hub, quick_hashes: None) -> Principal:
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx, "Babbage & Sons")
        return factories.add_user(tx, organisation, password=factories.PASSWORD, email=EMAIL)


@pytest.fixture
def browser(hub: Hub, person: Principal) -> Iterator[Browser]:
    hosts = hub.policy.allowed_hosts | {"hub.localhost"}
    with browsing(replace(hub, policy=replace(hub.policy, allowed_hosts=hosts))) as browser:
        yield browser


def credentials(**changed: str) -> dict[str, str]:
    return {"email": EMAIL, "password": factories.PASSWORD} | changed


def test_a_person_signs_in_and_out(browser: Browser) -> None:
    assert "Sign in" in browser.read("/").text
    form = browser.form_on("/sign-in", "/sign-in")
    assert set(form.fields) == {"email", "password"}
    answer = browser.submit(form, **credentials(email=" Ada@Example.com "))
    assert location(answer) == "/"
    page = browser.read("/")
    assert "Ada Lovelace" in page.text
    assert "Babbage & Sons" in page.text
    assert location(browser.get("/sign-in?next=/token")) == "/token"

    session = browser.http.cookies["entrepot"]
    out = browser.submit(page.forms[0])
    assert location(out) == "/"
    assert "entrepot" not in browser.http.cookies
    assert "Ada Lovelace" not in browser.read("/").text
    with browser.hub.database.read() as tx:
        assert session_principal(tx, session, now=browser.hub.now()) is None


def test_the_cookie_is_for_this_host_and_not_for_scripts(browser: Browser) -> None:
    cookie = browser.post("/sign-in", credentials()).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=lax", "path=/", "max-age=43200"} <= parts
    assert cookie.startswith("entrepot=")
    assert "secure" not in parts
    assert "domain" not in cookie.lower()


def test_with_https_the_cookie_is_secure_and_bound_to_the_host(hub: Hub, person: Principal) -> None:
    origin = "https://hub.example.com"
    policy = replace(hub.policy, public_url=f"{origin}/get", path_prefix="/get")
    policy = replace(policy, allowed_hosts=frozenset({"hub.example.com"}))
    with browsing(replace(hub, policy=policy), origin) as browser:
        answer = browser.post("/sign-in", credentials(next="/token"))
        assert location(answer) == "/get/token"
        cookie = answer.headers["set-cookie"]
        parts = {part.strip().lower() for part in cookie.split(";")}
        assert cookie.startswith("__Host-entrepot=")
        assert {"httponly", "samesite=lax", "path=/", "secure"} <= parts
        assert "Ada Lovelace" in browser.read("/").text


def test_without_https_the_cookie_keeps_to_the_prefix(hub: Hub, person: Principal) -> None:
    policy = replace(hub.policy, public_url="http://127.0.0.1:8080/get", path_prefix="/get")
    with browsing(replace(hub, policy=policy)) as browser:
        cookie = browser.post("/sign-in", credentials()).headers["set-cookie"]
        assert "path=/get;" in cookie.lower()


def test_a_wrong_password_and_an_unknown_address_look_the_same(browser: Browser) -> None:
    wrong = browser.post("/sign-in", credentials(password="not the password"))
    unknown = browser.post("/sign-in", credentials(email="eve@example.com"))
    assert wrong.status_code == unknown.status_code == 401
    assert "The mail address or the password is wrong." in wrong.text
    assert wrong.text == unknown.text.replace("eve@example.com", EMAIL)
    assert "set-cookie" not in wrong.headers
    assert factories.PASSWORD not in unknown.text


def test_after_five_guesses_the_account_waits(browser: Browser) -> None:
    for _ in range(5):
        assert browser.post("/sign-in", credentials(password="wrong")).status_code == 401
    answer = browser.post("/sign-in", credentials())
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) == 900
    assert "Too many failed attempts" in answer.text
    assert "entrepot" not in browser.http.cookies


def test_hostile_fields_are_only_wrong(browser: Browser) -> None:
    for email in ("", "\x00@\x00", "a\x00@example.com", "'; --", "x" * 60_000, "\U0001f600@x"):
        answer = browser.post("/sign-in", credentials(email=email))
        assert answer.status_code == 401
    long = browser.post("/sign-in", credentials(email="a@b", password="p" * 50_000))
    assert long.status_code == 401
    assert browser.post("/sign-in", {"x": ""}).status_code == 401
    assert browser.post("/sign-in", {"x": "y" * 70_000}).status_code == 400
    twice = browser.http.post(
        "/sign-in",
        content=b"email=a&email=b",
        headers={"origin": browser.origin, "content-type": "application/x-www-form-urlencoded"},
    )
    assert twice.status_code == 400


HOSTILE = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/x\r\nset-cookie: a=b",
    "/é",
    "/" + "x" * 9000,
    "",
)


def test_nobody_is_led_to_another_site(browser: Browser) -> None:
    for hostile in HOSTILE:
        assert location(browser.post("/sign-in", credentials(next=hostile))) == "/", hostile
    assert location(browser.post("/sign-in", credentials(next="/token?a=b"))) == "/token?a=b"
    browser.http.cookies.clear()
    page = browser.http.get("/sign-in", params={"next": "//evil.example"})
    assert "evil.example" not in page.text


def test_a_page_for_people_leads_to_the_sign_in_and_back(browser: Browser) -> None:
    where = location(browser.get("/licences/TOOLS?revision=2"))
    assert where == "/sign-in?next=%2Flicences%2FTOOLS%3Frevision%3D2"
    form = browser.form_on(where, "/sign-in")
    assert location(browser.submit(form, **credentials())) == "/licences/TOOLS?revision=2"


def test_forms_from_elsewhere_are_refused(browser: Browser) -> None:
    elsewhere: tuple[dict[str, str], ...] = (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:8081"},
        {"origin": "https://127.0.0.1:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    )
    for headers in elsewhere:
        answer = browser.post("/sign-in", credentials(), **headers)
        assert answer.status_code == 403, headers
        assert "This form was not sent from a page of this hub" in answer.text
        assert "entrepot" not in browser.http.cookies
    ours: tuple[dict[str, str], ...] = (
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "origin": ""},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"origin": "http://hub.localhost", "host": "hub.localhost"},
    )
    for headers in ours:
        assert location(browser.post("/sign-in", credentials(), **headers)) == "/", headers


def test_in_a_session_a_form_needs_its_token(browser: Browser, person: Principal) -> None:
    browser.enter(person)
    good = browser.form_on("/token", "/token").fields["form_token"]
    for fields in (
        {"x": ""},
        {"form_token": ""},
        {"form_token": good[:-1]},
        {"form_token": "é" * 64},
    ):
        assert browser.post("/token", fields).status_code == 403
    foreign = {"origin": "https://evil.example"}
    assert browser.post("/token", {"form_token": good}, **foreign).status_code == 403
    assert browser.post("/token", {"form_token": good}).status_code == 200
    first = browser.http.cookies["entrepot"]
    browser.enter(person)
    assert browser.http.cookies["entrepot"] != first
    assert browser.post("/token", {"form_token": good}).status_code == 403


def test_signing_in_again_ends_the_session_before(browser: Browser, person: Principal) -> None:
    browser.enter(person)
    first = browser.http.cookies["entrepot"]
    browser.post("/sign-in", credentials())
    assert browser.http.cookies["entrepot"] != first
    with browser.hub.database.read() as tx:
        assert session_principal(tx, first, now=browser.hub.now()) is None


def test_who_is_disabled_is_out_at_once(browser: Browser, person: Principal) -> None:
    browser.enter(person)
    assert "Ada Lovelace" in browser.read("/").text
    with browser.hub.database.write() as tx:
        disable_user(tx, person.id, actor="operator", now=browser.hub.now())
    assert location(browser.get("/token")).startswith("/sign-in")
    assert browser.post("/sign-in", credentials()).status_code == 401


def test_a_made_up_session_is_nobodys(browser: Browser) -> None:
    for value in ("x", "A" * 43, "A" * 4000):
        browser.http.cookies.set("entrepot", value)
        assert location(browser.get("/token")).startswith("/sign-in")
        browser.http.cookies.clear()
