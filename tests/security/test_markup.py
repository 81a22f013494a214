"""What publishers, customers and strangers write is text on every page, never markup."""

from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue
from entrepot.web.server import build_app
from tests import factories

pytestmark = pytest.mark.anyio
EVIL = "\"'><script>evil()</script><img src=x onerror=evil()>{{7*7}}"
URL = "http://127.0.0.1:8080"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Markup(HTMLParser):
    """What a page loads, runs and sends, as a browser would see it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            address = value or ""
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.foreign.append(f"{tag} {name}")
            if name in ("src", "href", "action", "formaction") and not (
                address.startswith(("/", "#")) and not address.startswith(("//", "/\\"))
            ):
                self.foreign.append(f"{tag} {name}={address}")

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_what_others_write_is_text_on_every_page(hub: Hub) -> None:
    with hub.database.write() as tx:
        home = factories.add_organisation(tx, name=f"Home {EVIL}")
        number = accounts.add_user(
            tx,
            email="ada@example.com",
            given_name=EVIL,
            family_name=EVIL,
            organisation_id=home,
            roles=("customer", "organisation-admin"),
            password=None,
            actor="operator",
            now=hub.now(),
        )
        who = accounts.load_user(tx, number)
        catalogue.add_licence(tx, code="L", name=EVIL, text=EVIL, actor="operator", now=hub.now())
        product = factories.add_product(tx, name=EVIL, licence_code="L", listed=True)
        release_id = catalogue.create_release(
            tx,
            catalogue.find_product(tx, product).id,
            catalogue.ReleaseSpec(name=EVIL),
            actor="operator",
            now=hub.now(),
        )
        catalogue.add_artifact(
            tx,
            release_id,
            catalogue.ArtifactSpec("x' onclick='evil()'.txt", name=EVIL, description=EVIL),
            factories.digests_of(b"x"),
            actor="operator",
            now=hub.now(),
        )
        catalogue.make_available(tx, release_id, actor="operator", now=hub.now())
        entitlement = factories.grant(tx, home, product)
        session = accounts.open_session(tx, who, now=hub.now())
        accounts.make_personal_token(
            tx, number, name=EVIL, scopes=["orders"], actor="operator", now=hub.now()
        )
        _, invitation = accounts.invite_member(
            tx, who, email="'><b>@example.com", given_name=EVIL, family_name=EVIL, now=hub.now()
        )
    said = quote(EVIL, safe="")
    addresses = [
        *("/personal-tokens", "/members", f"/members/{number}", "/members?page=" + said),
        *(f"/invitation?token={invitation}", f"/invitation?token={said}", f"/members/{said}"),
        *("/", "/token", "/product-codes", "/licences/L", f"/entitlements/{entitlement}"),
        *(f"/licences/L?return=/{said}", f"/licences/{said}", f"/entitlements/{said}"),
        *(f"/?page={said}", f"/{said}", f"/static/{said}", f"/licences/L?return=//{said}"),
    ]
    transport = httpx.ASGITransport(app=build_app(hub))
    headers = {"accept": "text/html", "origin": URL}
    async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
        form = {"email": EVIL, "password": "x", "next": EVIL}
        pages = [
            await client.get(f"/sign-in?next=/{said}"),
            await client.post("/sign-in", data=form),
        ]
        client.cookies.set("entrepot", session)
        pages += [await client.get(address) for address in addresses]
    shown = ""
    for page in pages:
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src" not in page.headers["content-security-policy"]
        markup = Markup(page.text)
        assert markup.foreign == [], page.url
        assert "<script" not in page.text, page.url
        shown += markup.text
    assert shown.count(EVIL) >= 8  # they were all there, as text
