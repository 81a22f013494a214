"""Consent and device pages in a real browser, which holds redirects to the page's policy."""

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from entrepot.core import accounts
from entrepot.core.accounts import COMMAND_CLIENT_ID
from tests.system.test_portal_browser import Site, browser, listen, look, sign_in, site

__all__ = ["browser", "site"]
CALLBACK = "https://app.example.com/callback"


def add_program(site: Site) -> None:
    with site.hub.database.write() as tx:
        accounts.add_client(
            tx,
            client_id="shop",
            name="The shop",
            organisation_id=accounts.find_organisation(tx, "Acme").id,
            scopes=["entitlements", "orders"],
            redirect_uris=[CALLBACK],
            actor="operator",
            now=site.hub.now(),
        )


def request(site: Site) -> str:
    params = {
        "response_type": "code",
        "client_id": "shop",
        "redirect_uri": CALLBACK,
        "scope": "openid email entitlements",
        "state": "s",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }
    return f"{site.url}/oauth/authorize?{urlencode(params)}"


def arrived(page: Page) -> dict[str, list[str]]:
    """What the program was told; the browser is at its address."""
    page.get_by_text("the shop's own page").wait_for()
    address = urlsplit(page.url)
    assert (address.netloc, address.path) == ("app.example.com", "/callback")
    return parse_qs(address.query)


@pytest.mark.needs("chromium")
def test_a_browser_follows_the_way_to_a_program_and_back(
    site: Site, browser: Browser, tmp_path: Path
) -> None:
    add_program(site)
    context = browser.new_context(java_script_enabled=False)
    context.route(
        "https://app.example.com/**", lambda route: route.fulfill(body="the shop's own page")
    )
    said, page = listen(context), context.new_page()
    page.goto(request(site))
    sign_in(page)
    look(page, tmp_path, "consent")
    page.get_by_role("button", name="Allow", exact=True).click()
    assert arrived(page)["code"]
    # Consented: at once. (Playwright answers for the other site after a form only.)
    again = context.request.get(request(site), max_redirects=0)
    assert again.headers["location"].startswith(f"{CALLBACK}?code=")
    # Signed out, and with a consent of before: the sign-in form must not lead to the program
    # without a page in between, which the browser would refuse.
    page.goto(f"{site.url}/")
    page.get_by_role("button", name="Sign out").click()
    page.goto(request(site))
    sign_in(page)
    page.get_by_role("button", name="Do not allow").click()
    assert arrived(page)["error"] == ["access_denied"]
    assert said == []
    context.close()


@pytest.mark.needs("chromium")
def test_a_device_is_signed_in_from_a_browser(site: Site, browser: Browser, tmp_path: Path) -> None:
    hub = site.hub
    with hub.database.write() as tx:
        number = accounts.find_client(tx, COMMAND_CLIENT_ID).id
        made = accounts.issue_device(
            tx, api_client_id=number, scopes=["entitlements", "offline_access"], now=hub.now()
        )
    context = browser.new_context(java_script_enabled=False)
    said, page = listen(context), context.new_page()
    page.goto(f"{site.url}/device")
    sign_in(page)
    look(page, tmp_path, "device")
    page.get_by_label("The code that the device shows").fill(made.user_code.lower())
    page.get_by_role("button", name="Continue").click()
    look(page, tmp_path, "device-decide")
    page.get_by_role("button", name="Allow", exact=True).click()
    assert "signed in" in page.get_by_role("status").inner_text()
    look(page, tmp_path, "device-done")
    assert said == []
    with hub.database.write() as tx:
        now = hub.now()
        granted = accounts.redeem_device(
            tx, made.device_code, api_client_id=number, asked_at=now, now=now
        )
    assert isinstance(granted, accounts.Granted)
    context.close()
