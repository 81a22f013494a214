"""The stable address of a file: who gets a link, and what everybody else is told."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import select, update

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue, delivery
from entrepot.core.accounts.grant_tables import contacts
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements.tables import entitlements
from entrepot.core.events.tables import events
from entrepot.kit.countries import COUNTRY_NAMES
from entrepot.web.products_api._files import CONSENT
from tests import factories
from tests.doors.products_world import (
    BROWSER,
    FROM_HERE,
    ROOT,
    URL,
    People,
    Shop,
    add_people,
    error_of,
    open_shop,
)

FORM = {
    "name": "Ada Lovelace",
    "company": "Analytical Engines",
    "email": "Ada@Example.com",
    "country": "DE",
    "consent": "yes",
}


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


@pytest.fixture
def people(shop: Shop) -> People:
    return add_people(shop)


def add(shop: Shop, product: str, visibility: str, data: bytes = b"the bytes") -> str:
    """The stable address, below the hub."""
    with shop.hub.database.write() as tx:
        number = factories.add_product_download(
            tx,
            product,
            visibility=visibility,
            data=data,
            file_name="sheet.pdf",
            store=shop.hub.blobs,
        )
    return f"/downloads/{number}/sheet.pdf"


def session(shop: Shop, user_id: int) -> dict[str, str]:
    with shop.hub.database.write() as tx:
        who = accounts.load_user(tx, user_id)
        return {"cookie": f"entrepot={accounts.open_session(tx, who, now=shop.hub.now())}"}


def test_public_files_are_for_anybody_and_nobody_keeps_the_link(shop: Shop, people: People) -> None:
    path = add(shop, "SECRET", "public")
    for token in (None, people.publisher, people.buyer, people.stranger):
        for method in ("GET", "HEAD"):
            answer = shop.ask(method, path, token)
            assert (answer.status_code, answer.content) == (302, b"")
            assert answer.headers["cache-control"] == "private, no-store"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["location"].startswith(f"{URL}/dl/")
    first, second = (shop.ask("GET", path, headers=BROWSER) for _ in range(2))
    assert first.headers["location"] != second.headers["location"]
    assert first.headers["location"].startswith("/dl/")  # browsers stay on the host they came by
    got = shop.ask("GET", first.headers["location"])
    assert got.content == b"the bytes"
    assert got.headers["content-disposition"] == 'attachment; filename="sheet.pdf"'
    # The name in the path is for people.
    number = path.split("/")[2]
    assert shop.ask("GET", f"/downloads/{number}/anything").status_code == 302
    # A token that is shown must be good.
    assert error_of(shop.ask("GET", path, "nonsense"), 401)["ref"] == "error.token-invalid"
    with shop.hub.database.read() as tx:
        rows = tx.execute(select(leases.c.principal, leases.c.organisation_id)).all()
    assert {("anyone", 0)} < {tuple(row) for row in rows}


def test_contact_and_purchase_ask_for_more(shop: Shop, people: People) -> None:
    contact, purchase = add(shop, "P1", "contact"), add(shop, "P1", "purchase")
    secret = add(shop, "SECRET", "purchase")
    for path, token, status, ref in (
        (contact, None, 401, "contact-required"),
        (contact, people.stranger, 302, ""),
        (contact, people.buyer, 302, ""),
        (purchase, None, 401, "unauthenticated"),
        (purchase, people.stranger, 403, "purchase-required"),
        (purchase, people.publisher, 403, "purchase-required"),
        (purchase, people.buyer, 302, ""),
        (secret, None, 404, "not-found"),
        (secret, people.stranger, 404, "not-found"),
        (secret, people.buyer, 404, "not-found"),
        ("/downloads/999999/sheet.pdf", None, 404, "not-found"),
        ("/downloads/x/sheet.pdf", people.buyer, 404, "not-found"),
    ):
        answer = shop.ask("GET", path, token)
        assert answer.status_code == status, (path, answer.text)
        if status != 302:
            assert error_of(answer, status)["ref"] == f"error.{ref}"
            assert answer.headers["cache-control"] == "no-store"
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
    with shop.hub.database.write() as tx:
        house = factories.add_organisation(tx)
        machine, _ = factories.add_client(tx, house, scopes=("orders", "products.readonly"))
    refused = shop.ask("GET", contact, shop.token(machine, "orders"))
    assert error_of(refused, 403)["ref"] == "error.scope-required"
    assert shop.ask("GET", contact, shop.token(machine, "products.readonly")).status_code == 302


def test_what_an_entitlement_says_holds_for_its_downloads(shop: Shop, people: People) -> None:
    """The same rules as for an asset of the product, and a revocation ends links as well."""
    path = add(shop, "P1", "purchase")
    token, owner = people.buyer, people.buyer_organisation
    link = shop.ask("GET", path, token).headers["location"].removeprefix(URL)
    now = shop.hub.now()
    with shop.hub.database.write() as tx:
        tx.execute(update(entitlements).values(valid_to=now - timedelta(days=1)))
    assert error_of(shop.ask("GET", path, token), 403)["ref"] == "error.entitlement-expired"
    with shop.hub.database.write() as tx:
        factories.grant(tx, owner, "P1")
    assert shop.ask("GET", path, token).status_code == 302
    with shop.hub.database.write() as tx:
        accounts.block_organisation(tx, owner, blocked=True, actor="operator", now=now)
    public = add(shop, "P1", "public")
    for each in (path, public):
        fault = error_of(shop.ask("GET", each, token), 403)
        assert fault["ref"] == "error.organisation-blocked"
    assert shop.ask("GET", link).status_code == 403
    assert shop.ask("GET", public).status_code == 302


def test_an_embargo_holds_for_everybody(hub: Hub) -> None:
    proxy = {"trusted_proxies": (ip_network("127.0.0.1/32"),), "country_header": "X-Country"}
    with open_shop(hub, embargoed=("XK", "KP"), **proxy) as shop:
        people = add_people(shop)
        there = {"x-country": "KP"}
        for visibility in ("public", "contact", "purchase"):
            path = add(shop, "P1", visibility)
            for token in (None, people.buyer):
                answer = shop.ask("GET", path, token, headers=there)
                assert error_of(answer, 403)["ref"] == "error.country-embargoed"
        # A contact is held to the country it told as well.
        path = add(shop, "P1", "contact")
        posted = shop.ask("POST", path, data=FORM | {"country": "KP"}, headers=FROM_HERE)
        cookie = {"cookie": posted.headers["set-cookie"].partition(";")[0]}
        for headers in (cookie, cookie | {"x-country": "DE"}):
            refused = error_of(shop.ask("GET", path, headers=headers), 403)
            assert refused["ref"] == "error.country-embargoed"


def test_links_end_with_the_download_and_with_its_file(shop: Shop, people: People) -> None:
    path = add(shop, "P1", "public")
    one = f"{ROOT}/P1/downloads/{path.split('/')[2]}.json"
    link = shop.ask("GET", path).headers["location"].removeprefix(URL)
    body = {"data": {"file": "data:,other"}}
    assert shop.ask("PUT", one, people.publisher, json=body).status_code == 200
    assert shop.ask("GET", link).status_code == 410
    link = shop.ask("GET", path).headers["location"].removeprefix(URL)
    assert shop.ask("GET", link).content == b"other"
    assert shop.ask("DELETE", one, people.publisher).status_code == 204
    assert shop.ask("GET", path).status_code == 404


class _Inputs(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.inputs: dict[str, dict[str, Any]] = {}
        self.options: list[str] = []
        self.actions: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("input", "select"):
            self.inputs[str(found.get("name"))] = found
        if tag == "option":
            self.options.append(str(found["value"]))
            if "selected" in found:
                self.inputs["country"]["value"] = found["value"]
        if tag == "form":
            self.actions.append(str(found.get("action")))
        if tag == "a":
            self.addresses.append(str(found.get("href")))


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_browser_leaves_a_contact_once(shop: Shop, people: People) -> None:
    path, other = add(shop, "SECRET", "contact"), add(shop, "P1", "contact")
    page = shop.ask("GET", path, headers=BROWSER)
    assert page.status_code == 401
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "script-src" not in page.headers["content-security-policy"]
    seen = _Inputs(page.text)
    assert list(seen.inputs) == ["name", "company", "email", "country", "consent"]
    assert (seen.actions, f"/sign-in?next={path.replace('/', '%2F')}" in seen.addresses) == (
        [path],
        True,
    )
    assert CONSENT in page.text
    assert sorted(seen.options) == ["", *sorted(COUNTRY_NAMES)]
    assert '<option value="CI">Côte d’Ivoire</option>' in page.text

    refused = shop.ask("POST", path, data=FORM)
    assert refused.status_code == 403  # nobody says that the form is ours
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert shop.ask("POST", path, data=FORM, headers=foreign).status_code == 403
    public, bought = add(shop, "P1", "public"), add(shop, "P1", "purchase")
    for elsewhere in (public, bought, "/downloads/99999/sheet.pdf", "/downloads/x/sheet.pdf"):
        lost = shop.ask("POST", elsewhere, data=FORM, headers=FROM_HERE)
        assert (lost.status_code, "set-cookie" in lost.headers) == (404, False)
    for name, value in (
        *(("consent", ""), ("name", ""), ("company", " "), ("email", "ada"), ("country", "XX")),
        ("name", "a\u202eb"),
    ):
        bad = shop.ask("POST", path, data=FORM | {name: value}, headers=FROM_HERE)
        assert bad.status_code == 400, name
        assert _Inputs(bad.text).inputs[name]["aria-invalid"] == "true"
        assert "set-cookie" not in bad.headers
        kept = {key: each for key, each in FORM.items() if key not in (name, "consent")}
        shown = _Inputs(bad.text).inputs
        assert {key: shown[key]["value"] for key in kept} == kept
        assert ("checked" in shown["consent"]) == (name != "consent")

    sent = shop.ask("POST", path, data=FORM, headers=FROM_HERE)
    assert (sent.status_code, sent.headers["location"]) == (303, path)
    cookie = sent.headers["set-cookie"]
    assert re.match(r"entrepot-contact=[\w-]{43}; ", cookie)
    for attribute in ("HttpOnly", "Max-Age=31536000", "SameSite=lax", "Path=/"):
        assert attribute in cookie
    known = {"cookie": cookie.partition(";")[0]}
    for each in (path, other):
        assert shop.bytes_of(each, headers=known | BROWSER) == b"the bytes"
    assert shop.ask("GET", other, headers={"cookie": "entrepot-contact=x"}).status_code == 401
    assert shop.ask("GET", add(shop, "P1", "purchase"), headers=known).status_code == 401

    with shop.hub.database.read() as tx:
        [row] = tx.execute(select(contacts)).all()
        told = [str(each.data) for each in tx.execute(select(events)).all()]
    assert (row.name, row.email, row.country, row.consent) == (
        "Ada Lovelace",
        "ada@example.com",
        "DE",
        CONSENT,
    )
    assert cookie[17:60] not in str(row)  # only its hash
    assert not any("ada" in each.lower() for each in told)
    with shop.hub.database.read() as tx:
        [lease] = tx.execute(
            select(leases.c.principal).where(leases.c.user_id.is_(None)).distinct()
        )
    assert lease.principal == f"contact:{row.id}"
    with shop.hub.database.write() as tx:
        tx.execute(update(contacts).values(expires_at=shop.hub.now()))
    assert shop.ask("GET", path, headers=known).status_code == 401


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_flood_of_forms_is_held_up(shop: Shop, people: People) -> None:
    path = add(shop, "P1", "contact")
    statuses = [shop.ask("POST", path, data=FORM, headers=FROM_HERE).status_code for _ in range(21)]
    assert statuses == [303] * 20 + [429]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_browser_is_led_to_sign_in_and_to_the_licence(shop: Shop, people: People) -> None:
    with shop.hub.database.write() as tx:
        now = shop.hub.now()
        catalogue.add_licence(tx, code="EULA", name="Terms", text="You may.", actor="x", now=now)
        factories.add_product(tx, "LICENSED", licence_code="EULA")
        organisation = factories.add_organisation(tx)
        person = factories.add_user(tx, organisation)
        factories.grant(tx, organisation, "LICENSED")
    path = add(shop, "LICENSED", "purchase")
    page = shop.ask("GET", path, headers=BROWSER)
    assert page.status_code == 401
    assert f"/sign-in?next={path.replace('/', '%2F')}" in _Inputs(page.text).addresses
    signed_in = session(shop, person.id) | BROWSER
    page = shop.ask("GET", path, headers=signed_in)
    assert page.status_code == 403
    [licence] = [each for each in _Inputs(page.text).addresses if "licences" in each]
    assert licence.startswith("/licences/EULA?revision=1&return=%2Fdownloads%2F")
    assert shop.ask("GET", licence, headers=signed_in).status_code == 200
    stranger = shop.ask("GET", add(shop, "P1", "purchase"), headers=signed_in)
    assert stranger.status_code == 403
    assert "bought P1" in stranger.text
    missing, secret = (
        shop.ask("GET", each, headers=signed_in)
        for each in ("/downloads/999999/sheet.pdf", add(shop, "SECRET", "purchase"))
    )
    assert missing.status_code == 404
    assert missing.content == secret.content


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_was_taken_is_recorded_for_each_kind_of_visitor(shop: Shop, people: People) -> None:
    path = add(shop, "P1", "contact", b"x" * 100)
    public = add(shop, "P1", "public", b"y" * 100)
    sent = shop.ask("POST", path, data=FORM, headers=FROM_HERE)
    known = {"cookie": sent.headers["set-cookie"].partition(";")[0]}
    shop.bytes_of(path, headers=known)
    for _ in range(2):
        shop.bytes_of(public)
    shop.bytes_of(path, headers={"authorization": f"Bearer {people.stranger}"})
    shop.flush()
    with shop.hub.database.read() as tx:
        rows = delivery.list_downloads(tx)
    assert {row.kind for row in rows} == {"product-download"}
    assert {row.product_code for row in rows} == {"P1"}
    assert all(row.completed_at for row in rows)
    # Visitors whom nobody can tell apart are as many downloads.
    assert sorted(row.principal.partition(":")[0] for row in rows) == [
        "anyone",
        "anyone",
        "contact",
        "user",
    ]
    names = {row.organisation_name for row in rows}
    assert names == {None, "Those who did not"}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_portal_lists_what_a_product_shows(shop: Shop, people: People) -> None:
    paths = [add(shop, "P1", visibility) for visibility in ("public", "contact", "purchase")]
    hidden = add(shop, "SECRET", "public")
    codes = shop.ask("GET", "/product-codes", headers=BROWSER)
    assert "/product-codes/P1" in _Inputs(codes.text).addresses
    page = shop.ask("GET", "/product-codes/P1", headers=BROWSER)
    assert page.status_code == 200
    assert [each for each in _Inputs(page.text).addresses if "/downloads/" in each] == paths
    for code in ("SECRET", "NOWHERE", "p1"):
        refused = shop.ask("GET", f"/product-codes/{code}", headers=BROWSER)
        assert refused.status_code == 404
        assert hidden not in refused.text
    signed_in = session(shop, people.publisher_id) | BROWSER
    assert hidden in shop.ask("GET", "/product-codes/SECRET", headers=signed_in).text
    empty = shop.ask("GET", "/product-codes/P2", headers=BROWSER)
    assert "shows no files" in empty.text


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_refusals_are_recorded_of_programs_and_browsers(shop: Shop, people: People) -> None:
    """Not of those who show no credential at all: they were only asked for one."""
    path, contact = add(shop, "P1", "purchase"), add(shop, "P1", "contact")
    with shop.hub.database.write() as tx:
        person = factories.add_user(tx, factories.add_organisation(tx))
    signed_in = session(shop, person.id) | BROWSER
    assert shop.ask("GET", path, people.stranger).status_code == 403
    assert shop.ask("GET", path, headers=signed_in).status_code == 403
    for headers in ({}, BROWSER):
        assert shop.ask("GET", contact, headers=headers).status_code == 401
    with shop.hub.database.read() as tx:
        told = select(events).where(events.c.type.like("%denied")).order_by(events.c.id)
        rows = list(tx.execute(told))
    number = path.split("/")[2]
    assert [(row.type, row.subject, row.data["reason"]) for row in rows] == [
        ("link.denied", f"product-download:{number}", "purchase-required")
    ] * 2
    assert rows[1].actor == person.label
