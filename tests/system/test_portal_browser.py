"""The portal in a real browser: sign in, make a token, accept a licence, download.

The main path runs without JavaScript. Each page is looked at in both colour schemes, at the
width of a telephone and of a desk: contrast, labels, headings, targets, and that nothing is
wider than the window. Screenshots are kept in the test's folder.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from entrepot.assembly import Hub, assemble, prepare
from entrepot.core import catalogue
from entrepot.core.accounts import CUSTOMER, ORGANISATION_ADMIN, verify_token
from entrepot.settings import from_env
from entrepot.web.server import build_app
from entrepot.web.zerocopy import uvicorn_options
from tests import factories

EMAIL = "ada@example.com"
TEXT = "\n\n".join(f"{n}. The licensee may use the software as agreed." for n in range(40))
FILE = b"the bytes of the release" * 1000
WIDTHS = (375, 1280)

# Every text that is seen: its size, its colour, and the colours behind it.
CHECKS = """
() => {
  const faults = [];
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const [one, two] = [luminance(parts(style.color)), luminance(ground(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${walker.currentNode.data}`);
    if (parseFloat(style.fontSize) < 12) faults.push(`too small: ${walker.currentNode.data}`);
  }
  for (const field of document.querySelectorAll("input:not([type=hidden]), textarea")) {
    if (!field.labels.length) faults.push(`no label: ${field.name || field.id}`);
  }
  for (const target of document.querySelectorAll("button, .button")) {
    const box = target.getBoundingClientRect();
    if (target.checkVisibility() && (box.height < 24 || box.width < 24)) {
      faults.push(`small target: ${target.textContent}`);
    }
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) faults.push(`heading skips a level: ${heading.textContent}`);
    level = next;
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (!document.title || !document.documentElement.lang) faults.push("no title or language");
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the window");
  return { texts, faults };
}
"""


@dataclass(frozen=True)
class Site:
    """A running hub with a licence-bound product."""

    hub: Hub
    url: str
    number: int


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = from_env(
            {
                "ENTREPOT_DATA": str(tmp_path / "data"),
                "ENTREPOT_SECRET_KEY": "T3st-0nly-secret.T3st-0nly-secret.42",
                "ENTREPOT_BIND": f"127.0.0.1:{port}",
                "ENTREPOT_RESERVE_BYTES": "1 MiB",
            },
            cores=1,
        )
        prepare(settings)
        hub = assemble(settings)
        number = _fill(hub)
        # The lifespan of the application closes the hub.
        with _serving(hub, listener):
            yield Site(hub, f"http://127.0.0.1:{port}", number)


def _fill(hub: Hub) -> int:
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx, "Acme")
        factories.add_user(
            tx,
            organisation,
            email=EMAIL,
            password=factories.PASSWORD,
            roles=(CUSTOMER, ORGANISATION_ADMIN),
        )
        catalogue.add_licence(
            tx, code="TERMS", name="The terms", text=TEXT, actor="operator", now=hub.now()
        )
        product = factories.add_product(tx, "TOOLS", name="Tools", licence_code="TERMS")
        factories.add_release(
            tx, product, name="1.0", files=[("tools 1.0.bin", FILE)], store=hub.blobs
        )
        return factories.grant(tx, organisation, product)


@contextlib.contextmanager
def _serving(hub: Hub, listener: socket.socket) -> Iterator[None]:
    options: dict[str, Any] = {**uvicorn_options(shutdown_seconds_max=5)}
    server = uvicorn.Server(uvicorn.Config(build_app(hub), lifespan="on", **options))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The browser's own sandbox needs rights that a container's root does not have.
        launched = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield launched
        launched.close()


def look(page: Page, folder: Path, name: str) -> None:
    """Check the page as it is shown at each width and in each scheme, and keep a picture."""
    page.wait_for_load_state()  # what was clicked is there before its style sheet is
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            seen = page.evaluate(CHECKS)
            assert seen["texts"] > 5
            assert seen["faults"] == [], f"{name}, {scheme}, {width}"
            page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)


def listen(context: BrowserContext) -> list[str]:
    """What the browser complains of from now on, such as a breach of the content policy."""
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    context.on("weberror", lambda error: said.append(str(error.error)))
    return said


def sign_in(page: Page) -> None:
    page.get_by_label("Mail address").fill(EMAIL)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


@pytest.mark.needs("chromium")
def test_the_main_path_works_without_javascript(
    site: Site, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(java_script_enabled=False, accept_downloads=True)
    said, page = listen(context), context.new_page()
    page.goto(f"{site.url}/")
    look(page, tmp_path, "welcome")

    # The licence page, as a command would open it, leads over the sign-in page back to itself.
    page.goto(f"{site.url}/licences/TERMS?revision=1&return=/entitlements/{site.number}")
    assert page.url.startswith(f"{site.url}/sign-in?next=")
    look(page, tmp_path, "sign-in")
    page.get_by_label("Mail address").fill(EMAIL)
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").inner_text().startswith("The mail address or the password")
    look(page, tmp_path, "sign-in-wrong")
    assert said.pop().startswith("Failed to load resource: the server responded with a status")
    sign_in(page)
    assert page.url.startswith(f"{site.url}/licences/TERMS?")
    look(page, tmp_path, "licence")
    page.get_by_role("button", name="Accept for Acme").click()
    assert "Go back to your command and continue" in page.get_by_role("status").inner_text()
    look(page, tmp_path, "licence-accepted")

    page.get_by_role("link", name="go on here").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Tools"
    look(page, tmp_path, "entitlement")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download tools 1.0.bin").click()
    taken = waiting.value
    assert taken.suggested_filename == "tools 1.0.bin"
    assert Path(taken.path()).read_bytes() == FILE

    page.get_by_role("link", name="Entitlements").first.click()
    look(page, tmp_path, "entitlements")
    page.get_by_role("link", name="Product codes").click()
    look(page, tmp_path, "product-codes")
    page.get_by_role("button", name="Sign out").click()
    assert page.url == f"{site.url}/"
    assert context.cookies() == []
    assert said == []
    assert len(list(tmp_path.glob("*.png"))) == 8 * 4
    context.close()


@pytest.mark.needs("chromium")
def test_a_token_is_made_and_copied(site: Site, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    said, page = listen(context), context.new_page()
    page.goto(f"{site.url}/token")
    sign_in(page)
    look(page, tmp_path, "token-before")
    page.get_by_role("button", name="Generate token").click()
    look(page, tmp_path, "token")
    token = page.get_by_label("Token", exact=True).input_value()
    claims = verify_token(site.hub.keys.current, token, issuer=site.url, now=site.hub.now())
    assert claims is not None
    assert claims["emails"] == [EMAIL]
    page.get_by_role("button", name="Copy the token").click()
    page.get_by_text("The token is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == token
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_text("The command is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == f"edmgr login token {token}"
    assert f"entrepot --url {site.url} login token -" in page.get_by_role("main").inner_text()

    (cookie,) = context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert page.evaluate("document.cookie") == ""
    assert said == []
    context.close()


@pytest.mark.needs("chromium")
def test_the_keyboard_is_enough_and_its_place_is_seen(site: Site, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{site.url}/product-codes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.goto(f"{site.url}/sign-in")
    assert page.evaluate("document.activeElement.id") == "email"
    page.keyboard.type(EMAIL)
    page.keyboard.press("Tab")
    page.keyboard.type(factories.PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Entitlements").wait_for()
    page.close()


@pytest.mark.needs("chromium")
def test_another_site_cannot_send_our_forms(site: Site, browser: Browser) -> None:
    """A page of another origin posts the sign-in form and the token form, as CSRF would."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/sign-in")
    sign_in(page)
    page.get_by_role("heading", name="Entitlements").wait_for()
    for path in ("token", "sign-in", "sign-out"):
        html = (
            f'<form method="post" action="{site.url}/{path}"><input name="email" value="{EMAIL}">'
            f'<input name="password" value="{factories.PASSWORD}"><button>Go</button></form>'
        )
        page.goto("about:blank")
        page.set_content(html)
        with page.expect_navigation() as waiting:
            page.get_by_role("button").click()
        answer = waiting.value
        assert answer is not None
        assert answer.status == 403
        assert re.search("not sent from a page of this hub", page.content())
    context.close()


@pytest.mark.needs("chromium")
def test_the_look_finds_what_is_wrong(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(
        "<h3>Deep</h3><p style='color:#999;background:#fff'>Pale</p><input name='nameless'>"
        "<button style='height:9px;padding:0;font-size:8px'>tiny</button>"
        "<div style='width:4000px'>wide</div>"
    )
    faults = " ".join(page.evaluate(CHECKS)["faults"])
    for expected in (
        *("contrast 2.8", "too small: tiny", "no label: nameless", "small target: tiny"),
        *("skips a level: Deep", "not one h1", "no title", "wider than the window"),
    ):
        assert expected in faults
    page.close()
