"""Reading and accepting a licence: for oneself, for the organisation, and who may not."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from entrepot.assembly import Hub
from entrepot.core import catalogue
from entrepot.core.accounts import CUSTOMER, ORGANISATION_ADMIN, Principal
from entrepot.core.entitlements import acceptance, permitted_licence
from tests import factories
from tests.doors.portal import Browser, browsing, location

TEXT = "TERMS <script>alert(1)</script> & more\n\n  indented </pre><h1>x</h1>\n{{ 7 * 7 }}"
PAGE = "/licences/TERMS?revision=1"


@dataclass
class World:
    """A product under a licence; a member and an administrator of the organisation."""

    browser: Browser
    member: Principal
    admin: Principal
    number: int
    organisation: int

    def standing(self, who: Principal) -> tuple[bool, bool]:
        with self.browser.hub.database.read() as tx:
            text = permitted_licence(tx, who, "TERMS", 1)
            found = acceptance(tx, who, text.id)
        return found.by_person, found.by_organisation

    def download_form(self) -> str:
        return f"/entitlements/{self.number}"


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx, "Acme <b>")
        member = factories.add_user(tx, organisation)
        admin = factories.add_user(tx, organisation, roles=(CUSTOMER, ORGANISATION_ADMIN))
        catalogue.add_licence(
            tx, code="TERMS", name="The <i>terms</i>", text=TEXT, actor="operator", now=hub.now()
        )
        product = factories.add_product(tx, licence_code="TERMS")
        factories.add_release(tx, product)
        number = factories.grant(tx, organisation, product)
    with browsing(hub) as browser:
        yield World(browser, member, admin, number, organisation)


def test_the_text_is_shown_as_text(world: World) -> None:
    world.browser.enter(world.member)
    page = world.browser.read(PAGE)
    assert TEXT in page.text
    assert "The <i>terms</i>" in page.text
    assert "script" not in page.tags
    assert page.tags.count("h1") == 1
    assert "API clients" in page.text


def test_a_member_accepts_for_oneself_and_the_download_goes_on(world: World) -> None:
    browser = world.browser
    browser.enter(world.member)
    download = browser.form_on(world.download_form(), "/entitlements")
    licence = location(browser.submit(download))
    assert licence == f"/licences/TERMS?revision=1&return=%2Fentitlements%2F{world.number}"
    page = browser.read(licence)
    assert "Not accepted yet." in page.text
    forms = [form for form in page.forms if form.action == "/licences/TERMS"]
    assert [form.fields["accepted_for"] for form in forms] == ["me"]
    back = location(browser.submit(forms[0]))
    assert back == licence
    page = browser.read(back)
    assert "You have accepted this licence." in page.text
    assert "Go back to your command and continue" in page.text
    assert f"/entitlements/{world.number}" in page.links
    assert "Ada Lovelace" in page.text
    assert [form.action for form in page.forms] == ["/sign-out"]
    assert world.standing(world.member) == (True, False)
    assert world.standing(world.admin) == (False, False)
    assert location(browser.submit(download)).startswith("/dl/")


def test_an_administrator_accepts_for_everybody(world: World) -> None:
    browser = world.browser
    browser.enter(world.admin)
    forms = {
        form.fields["accepted_for"]: form
        for form in browser.read(PAGE).forms
        if "accepted_for" in form.fields
    }
    assert set(forms) == {"me", "organisation"}
    browser.submit(forms["organisation"])
    browser.submit(forms["organisation"])
    assert world.standing(world.admin) == (True, True)
    assert world.standing(world.member) == (False, True)
    browser.enter(world.member)
    page = browser.read(PAGE)
    assert "Your organisation has accepted this licence." in page.text
    assert page.text.count("Ada Lovelace for Acme <b>") == 1
    download = browser.form_on(world.download_form(), "/entitlements")
    assert location(browser.submit(download)).startswith("/dl/")


def test_a_member_cannot_accept_for_the_organisation(world: World) -> None:
    world.browser.enter(world.member)
    form = world.browser.form_on(PAGE, "/licences")
    answer = world.browser.submit(form, accepted_for="organisation")
    assert answer.status_code == 403
    assert "Only an administrator accepts" in answer.text
    assert world.standing(world.member) == (False, False)


def test_a_wrong_form_is_refused(world: World) -> None:
    world.browser.enter(world.member)
    form = world.browser.form_on(PAGE, "/licences")
    assert world.browser.submit(form, accepted_for="everybody").status_code == 400
    assert world.browser.submit(form, form_token="x").status_code == 403
    for revision in ("", "0", "2", "x", "99999999999", "-1"):
        assert world.browser.submit(form, revision=revision).status_code == 404
    assert world.standing(world.member) == (False, False)


def test_strangers_do_not_learn_of_the_licence(world: World) -> None:
    with world.browser.hub.database.write() as tx:
        stranger = factories.add_user(tx, factories.add_organisation(tx))
    world.browser.enter(stranger)
    theirs, none = world.browser.get(PAGE), world.browser.get("/licences/NONE")
    assert theirs.status_code == none.status_code == 404
    assert theirs.content == none.content
    token = world.browser.read("/").forms[0].fields["form_token"]
    fields = {"form_token": token, "revision": "1", "accepted_for": "me"}
    assert world.browser.post("/licences/TERMS", fields).status_code == 404


def test_a_later_revision_is_accepted_anew(world: World) -> None:
    browser = world.browser
    browser.enter(world.member)
    browser.submit(browser.form_on(PAGE, "/licences"))
    with browser.hub.database.write() as tx:
        catalogue.revise_licence(
            tx, code="TERMS", text="NEW TERMS", actor="operator", now=browser.hub.now()
        )
    assert "You have accepted this licence." in browser.read(PAGE).text
    newest = browser.read("/licences/TERMS")
    assert "NEW TERMS" in newest.text
    assert "Not accepted yet." in newest.text


def test_the_way_back_stays_here(world: World) -> None:
    world.browser.enter(world.member)
    form = world.browser.form_on(PAGE, "/licences")
    for hostile in ("//evil.example", "https://evil.example", "/\\evil.example"):
        page = world.browser.http.get("/licences/TERMS", params={"return": hostile})
        assert "evil.example" not in page.text
        where = location(world.browser.submit(form, **{"return": hostile}))
        assert "evil" not in where
