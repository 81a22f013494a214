"""The portal's pages: what is on them, what is not, and what every one of them carries."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal, principal_of, verify_token
from entrepot.core.delivery import redeem_link, verify_link
from entrepot.core.events.tables import events
from entrepot.db import Database
from tests import factories
from tests.doors.portal import Browser, Document, browsing, location

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@dataclass
class World:
    """An organisation with an entitlement, its release and file, and a stranger's product."""

    browser: Browser
    who: Principal
    organisation: int
    product: str
    number: int
    release: factories.Published

    @property
    def page(self) -> str:
        return f"/entitlements/{self.number}"


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx, "Acme")
        who = factories.add_user(tx, organisation)
        product = factories.add_product(tx, name=f"Tools {HOSTILE}")
        release = factories.add_release(
            tx, product, name="1.0", files=[("tools ü.bin", b"x" * 1536)]
        )
        number = factories.grant(tx, organisation, product)
    with browsing(hub) as browser:
        browser.enter(who)
        yield World(browser, who, organisation, product, number, release)


def test_the_first_page_lists_what_the_organisation_has(world: World) -> None:
    page = world.browser.read("/")
    assert world.product in page.text
    assert "Active" in page.text
    assert world.page in page.links
    assert f"Tools {HOSTILE}" in page.text
    assert "script" not in page.tags


def test_an_entitlement_shows_its_releases_and_files(world: World) -> None:
    page = world.browser.read(world.page)
    assert "tools ü.bin" in page.text
    assert "1.5 KiB" in page.text
    assert factories.digests_of(b"x" * 1536).sha256 in page.text
    assert f"Tools {HOSTILE}" in page.text
    assert page.tags.count("h1") == 1


def test_a_release_tells_its_lines_for_a_command_line(world: World) -> None:
    """Whatever a product is called, a line is one command; the address in it works as it stands."""
    hub, browser = world.browser.hub, world.browser
    with hub.database.write() as tx:
        product = factories.add_product(tx)
        factories.add_release(tx, product, name="2.0 $(rm)", repository="controlled-east")
        number = factories.grant(tx, world.organisation, product, allowed_countries=("DE",))
    page = browser.read(world.page)
    assert f"entrepot --url http://127.0.0.1:8080 download {world.product}@1.0\n" in page.text
    assert "$COUNTRY" not in page.text
    token = Document(browser.submit(browser.form_on("/token", "/token")).text).areas["token"]
    [line] = re.findall(r"curl -fsS.*", page.text)
    words = shlex.split(line)
    assert words[-3:] == ["|", "aria2c", "--metalink-file=-"]
    assert words[3] == "Authorization: Bearer $ENTREPOT_TOKEN"
    path = words[4].removeprefix("http://127.0.0.1:8080")
    answer = browser.http.get(path, headers={"Authorization": f"Bearer {token.strip()}"})
    assert (answer.status_code, "tools ü.bin" in answer.text) == (200, True)

    controlled = browser.read(f"/entitlements/{number}").text
    assert f"download '{product}@2.0 $(rm)' --country \"$COUNTRY\"" in controlled
    assert f"links '{product}@2.0 $(rm)' --country \"$COUNTRY\" | sh" in controlled
    assert '-H "declared-country-code: $COUNTRY"' in controlled


def test_a_download_is_a_fresh_link_each_time(world: World) -> None:
    hub = world.browser.hub
    found = set()
    for _ in range(2):
        where = location(world.browser.submit(world.browser.form_on(world.page, world.page)))
        _, door, token, name = where.split("/")
        assert (door, name) == ("dl", "tools%20%C3%BC.bin")
        link = verify_link(hub.keys.current.link_keys, token.encode(), name.encode(), now=hub.now())
        with hub.database.read() as tx:
            redeemed = redeem_link(tx, link.lease_id, now=hub.now())
        assert redeemed.artifact_id == world.release.artifact_ids[0]
        assert redeemed.principal == world.who.label
        assert link.expires_at - hub.now() <= timedelta(seconds=600)
        found.add(where)
    assert len(found) == 2


def test_a_controlled_file_asks_for_its_country(world: World) -> None:
    with world.browser.hub.database.write() as tx:
        product = factories.add_product(tx)
        factories.add_release(tx, product, repository="controlled-east")
        number = factories.grant(tx, world.organisation, product, allowed_countries=("DE",))
    page = world.browser.read(f"/entitlements/{number}")
    assert "Germany" in page.text
    assert "countries" in page.ids
    form = world.browser.form_on(f"/entitlements/{number}", "/entitlements")
    assert form.fields["country"] == ""
    assert world.browser.submit(form).status_code == 403
    assert world.browser.submit(form, country="XX").status_code == 400
    assert world.browser.submit(form, country="FR").status_code == 403
    assert location(world.browser.submit(form, country="de")).startswith("/dl/")


def test_a_lapsed_and_an_expired_entitlement_say_so(world: World) -> None:
    now = world.browser.hub.now()
    with world.browser.hub.database.write() as tx:
        lapsed = factories.grant(
            tx,
            world.organisation,
            world.product,
            maintenance_from=now - timedelta(days=900),
            maintenance_to=now - timedelta(days=1),
        )
        other = factories.add_product(tx)
        expired = factories.grant(tx, world.organisation, other, valid_to=now - timedelta(days=1))
    page = world.browser.read(f"/entitlements/{lapsed}")
    assert "Maintenance has ended." in page.text
    assert "tools ü.bin" in page.text
    page = world.browser.read(f"/entitlements/{expired}")
    assert "The entitlement ended on" in page.text
    assert "Renew it with the publisher." in page.text
    listed = world.browser.read("/").text
    assert "Lapsed" in listed
    assert "Expired" in listed


def test_a_group_leads_to_its_products(world: World) -> None:
    with world.browser.hub.database.write() as tx:
        group = factories.add_product(tx, members=(world.product,))
        number = factories.grant(tx, world.organisation, group)
    page = world.browser.read(f"/entitlements/{number}")
    (child,) = [link for link in page.links if link.startswith("/entitlements/")]
    form = world.browser.form_on(child, "/entitlements")
    assert location(world.browser.submit(form)).startswith("/dl/")


def test_long_lists_come_in_pages(world: World) -> None:
    with world.browser.hub.database.write() as tx:
        for _ in range(21):
            factories.add_release(tx, world.product)
            factories.grant(tx, world.organisation, factories.add_product(tx))
    for path in ("/", world.page):
        first, second = world.browser.read(path), world.browser.read(f"{path}?page=2")
        assert "Page 1 of 2" in first.text
        assert "Page 2 of 2" in second.text
        assert f"{path}?page=2" in first.links
        assert f"{path}?page=1" in second.links
    assert world.browser.get("/?page=99").status_code == 200
    for wrong in ("0", "-1", "x", "1e3", "99999999999999999999", "1000001"):
        assert world.browser.get(f"/?page={wrong}").status_code == 404


def test_what_is_not_yours_looks_like_what_is_not_there(world: World) -> None:
    with world.browser.hub.database.write() as tx:
        stranger = factories.add_organisation(tx)
        theirs = factories.grant(tx, stranger, world.product)
        draft = factories.add_release(tx, world.product, draft=True)
    browser = world.browser
    pages = [
        browser.get(path)
        for path in (
            f"/entitlements/{theirs}",
            "/entitlements/999999",
            "/entitlements/x",
            "/entitlements/%00",
            "/licences/NONE",
        )
    ]
    assert {page.status_code for page in pages} == {404}
    assert len({page.content for page in pages}) == 1
    form = browser.form_on(world.page, world.page)
    release, artifact = world.release.id, world.release.artifact_ids[0]
    posts = [
        browser.post(f"/entitlements/{number}/releases/{one}/artifacts/{other}", form.fields)
        for number, one, other in (
            (theirs, release, artifact),
            (world.number, draft.id, draft.artifact_ids[0]),
            (world.number, draft.id, artifact),
            (world.number, release, draft.artifact_ids[0]),
            (world.number, "x", "y"),
        )
    ]
    assert {post.content for post in posts} == {pages[0].content}


def test_an_address_of_no_door_is_a_page_for_browsers_only(world: World) -> None:
    browser = world.browser
    for path in ("/no/such/page", "/oauth/none", "/static"):
        page = browser.http.get(path, headers={"accept": "text/html,*/*;q=0.8"})
        assert page.status_code == 404
        assert "There is no such page, or it is not yours." in Document(page.text).text
        assert page.headers["cache-control"] == "no-store"
        problem = browser.http.get(path, headers={"accept": "*/*"})
        assert problem.status_code == 404
        assert problem.headers["content-type"].startswith("application/problem+json")
    wrong = browser.http.delete("/token", headers={"accept": "text/html"})
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["allow"]


def test_the_portal_is_not_in_the_api_document(world: World) -> None:
    paths = world.browser.get("/openapi.json").json()["paths"]
    assert "/oauth/token" in paths
    assert not [path for path in paths if path.startswith(("/entitlements", "/token", "/sign"))]


def test_a_visitor_sees_nothing_of_anybody(world: World) -> None:
    world.browser.http.cookies.clear()
    assert world.product not in world.browser.read("/").text
    for path in (world.page, "/token", "/licences/X"):
        assert location(world.browser.get(path)).startswith("/sign-in?next=")
    form_free = world.browser.post(f"{world.page}/releases/x/artifacts/y", {})
    assert location(form_free) == f"/sign-in?next=%2Fentitlements%2F{world.number}"


def test_product_codes_are_public_and_only_listed_ones(world: World) -> None:
    with world.browser.hub.database.write() as tx:
        hidden = factories.add_product(tx, listed=False)
    world.browser.http.cookies.clear()
    page = world.browser.read("/product-codes")
    assert world.product in page.text
    assert f"Tools {HOSTILE}" in page.text
    assert hidden not in page.text


def test_the_token_page_gives_a_token_that_works(world: World) -> None:
    hub, browser = world.browser.hub, world.browser
    before = browser.read("/token")
    assert before.areas == {}
    answer = browser.submit(browser.form_on("/token", "/token"))
    page = Document(answer.text)
    token = page.areas["token"].strip()
    claims = verify_token(hub.keys.current, token, issuer="http://127.0.0.1:8080", now=hub.now())
    assert claims is not None
    assert claims["emails"] == [world.who.email]
    assert claims["ip_country"] == "DE"
    with hub.database.read() as tx:
        assert principal_of(tx, claims) == world.who
    assert "entrepot --url http://127.0.0.1:8080 login token -" in page.text
    assert page.areas["edmgr"].strip() == f"edmgr login token {token}"
    assert str(hub.now().year) in page.text
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src 'self';" in answer.headers["content-security-policy"]


def test_a_token_of_the_page_ends_with_signing_out_everywhere(world: World) -> None:
    hub, browser = world.browser.hub, world.browser
    answer = browser.submit(browser.form_on("/token", "/token"))
    sent = {"authorization": f"Bearer {Document(answer.text).areas['token'].strip()}"}
    listed = "/e-product-entitlement-customer/v1/entitlements"
    assert browser.http.get(listed, headers=sent).status_code == 200
    form = next(form for form in browser.read("/programs").forms if "everywhere" in form.fields)
    assert location(browser.submit(form)) == "/"
    refused = browser.http.get(listed, headers=sent)
    assert (refused.status_code, refused.json()["reason"]) == (401, "token-revoked")
    assert location(browser.get("/token")).startswith("/sign-in")
    with hub.database.read() as tx:
        kinds = set(tx.execute(select(events.c.type)).scalars())
    assert {"family.revoked", "user.signed-out-everywhere"} <= kinds


def test_every_page_carries_the_headers_and_loads_only_its_own(world: World) -> None:
    browser = world.browser
    answers = [
        browser.get(path)
        for path in ("/", world.page, "/token", "/product-codes", "/entitlements/0", "/static/x")
    ]
    answers.append(browser.submit(browser.form_on("/token", "/token")))
    answers.append(browser.post("/token", {"x": ""}))
    answers.append(browser.post("/sign-in", {"email": "a@b", "password": "c"}))
    browser.http.cookies.clear()
    answers += [browser.get("/"), browser.get("/sign-in")]
    assert [answer.status_code for answer in answers] == [
        *[200] * 4,
        404,
        404,
        200,
        403,
        401,
        200,
        200,
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        kept = policy.replace("script-src 'self'; ", "")
        assert kept == (
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["referrer-policy"] == "same-origin"
        page = Document(answer.text)
        assert answer.text.startswith('<!doctype html>\n<html lang="en">')
        assert page.tags.count("h1") == page.tags.count("main") == 1
        assert len(page.ids) == len(set(page.ids))
        assert "style" not in page.tags
        assert all(link.startswith(("/", "#")) for link in page.links)
        for link in page.links:
            if link.startswith("/static/"):
                file = browser.get(link)
                assert file.status_code == 200
                assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_files_are_named_by_their_content(world: World) -> None:
    (sheet,) = [link for link in world.browser.read("/").links if link.endswith(".css")]
    assert re.fullmatch(r"/static/portal\.[0-9a-f]{12}\.css", sheet)
    assert world.browser.get(sheet).headers["content-type"] == "text/css; charset=utf-8"
    assert world.browser.get("/static/portal.000000000000.css").status_code == 404
    assert world.browser.get("/static/..%2f_pages.py").status_code == 404


def test_every_address_keeps_the_path_prefix(world: World) -> None:
    hub = world.browser.hub
    policy = replace(hub.policy, public_url="http://127.0.0.1:8080/get", path_prefix="/get")
    with browsing(replace(hub, policy=policy)) as browser:
        browser.enter(world.who)
        for path in ("/", world.page, "/token", "/product-codes", "/entitlements/0"):
            page = Document(browser.get(path).text)
            assert [link for link in page.links if not link.startswith(("/get/", "#"))] == []
            assert [form for form in page.forms if not form.action.startswith("/get/")] == []
        form = browser.form_on("/get" + world.page, "/get/entitlements")
        answer = browser.submit(form)
        assert location(answer).startswith("/get/dl/")
        browser.http.cookies.clear()
        assert location(browser.get("/token")) == "/get/sign-in?next=%2Ftoken"


def test_a_defect_is_a_page_that_tells_nothing(hub: Hub) -> None:
    from sqlalchemy import text

    with hub.database.write() as tx:
        tx.execute(text("ALTER TABLE products RENAME TO elsewhere"))
    with browsing(hub) as browser:
        answer = browser.get("/product-codes")
    assert answer.status_code in (500, 503)
    assert "elsewhere" not in Document(answer.text).text
    assert "no such table" not in answer.text


def test_a_database_that_does_not_answer_is_a_page_with_503(world: World) -> None:
    from sqlalchemy import create_engine

    world.browser.hub.database.engine.dispose()
    gone = create_engine(
        "postgresql+psycopg://127.0.0.1:1/none", connect_args={"connect_timeout": 1}
    )
    hub = replace(world.browser.hub, database=Database(gone))
    with browsing(hub) as browser:
        answer = browser.get("/product-codes")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "Not available now" in Document(answer.text).text
    gone.dispose()


def test_every_error_code_can_be_looked_up_where_problems_point_to(hub: Hub) -> None:
    with browsing(hub) as browser:
        page = browser.get("/docs/errors")
    assert page.status_code == 200
    for code in ("name-taken", "link-expired", "licence-required"):
        assert f'id="{code}"' in page.text
