"""One rendition of an asset, as a file by itself: no order, no ZIP."""

from collections.abc import Iterator

import pytest

from entrepot.assembly import Hub
from entrepot.core import catalogue, entitlements
from tests import factories
from tests.doors.orders_world import NOT_FOUND, PNG, URL, Shop, open_shop, refused


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


def test_a_stored_file_is_to_be_had_by_itself(shop: Shop) -> None:
    asset = shop.add_asset(b"a picture", file_name="sea.jpg", identifier="sea")
    for path in ("downloadOriginal", "Original", "original"):
        answer = shop.ask("GET", f"/api/entities/{asset}/renditions/{path}")
        assert answer.status_code == 302
        assert answer.headers["cache-control"] == "private, no-store"
        link = answer.headers["location"]
        assert link.startswith(f"{URL}/dl/")
        assert link.endswith("/sea.jpg")
        sent = shop.ask("GET", link, token=None)
        assert (sent.status_code, sent.content) == (200, b"a picture")
        assert sent.headers["content-type"] == "image/jpeg"
        assert sent.headers["etag"] == f'"{factories.digests_of(b"a picture").sha256}"'
    assert shop.leases() == 3
    other = shop.ask("GET", "/api/entities/sea/renditions/Original").headers["location"]
    part = shop.ask("GET", other, token=None, headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"pic")
    for name in ("mp4", "none", "kept:1", "%2e%2e", "x" * 300):
        answer = shop.ask("GET", f"/api/entities/{asset}/renditions/{name}")
        assert (answer.status_code, answer.content) == (404, NOT_FOUND), name


def test_a_rendition_is_to_be_had_by_itself_once_it_was_made(shop: Shop) -> None:
    asset = shop.add_asset(b"a picture", file_name="sea.jpg")
    here = f"/api/entities/{asset}/renditions"
    told = refused(shop.ask("GET", f"{here}/thumbnail"), 409, "rendition-not-made")
    assert "Place an order" in told
    keep = {"label": "Wide / sea", "culture": "de"}
    each = {"renditions": ["thumbnail"]} | PNG | {"user_rendition_configuration": keep}
    shop.convert(shop.order(asset, each=each)["order_id"])
    shown = shop.get(here)["items"]
    made = [item for item in shown if item["download_location"] and item["converted"]]
    assert {item["name"] for item in made} >= {"thumbnail", "Wide / sea"}
    for item in made:
        answer = shop.ask("GET", item["download_location"]["href"])
        assert answer.status_code == 302, item
        sent = shop.ask("GET", answer.headers["location"], token=None)
        assert sent.status_code == 200
        assert len(sent.content) == item["size"]
        assert sent.headers["content-type"] == item["content_type"]
        assert sent.headers["content-disposition"].count(item["extension"])
    # What an organisation keeps is for its own people only.
    public = shop.add_asset(b"public", product=None)
    shop.convert(shop.order(public, each=each)["order_id"])
    mine = [item for item in shop.get(f"/api/entities/{public}/renditions")["items"]
            if item["kind"] == "user"]  # fmt: skip
    assert mine
    stranger = shop.token_of(shop.stranger())
    theirs = shop.get(f"/api/entities/{public}/renditions", token=stranger)["items"]
    assert not [item for item in theirs if item["kind"] == "user"]
    for item in mine:
        answer = shop.ask("GET", item["download_location"]["href"], token=stranger)
        assert (answer.status_code, answer.content) == (404, NOT_FOUND)


def test_a_link_to_an_asset_asks_the_right_again(shop: Shop) -> None:
    asset = shop.add_asset(b"a picture")
    path = f"/api/entities/{asset}/renditions/Original"

    def issued() -> str:
        return shop.ask("GET", path).headers["location"]

    link, unused = issued(), issued()
    assert shop.ask("GET", link, token=None).status_code == 200
    with shop.hub.database.write() as tx:
        entitlements.revoke(tx, shop.entitlement, actor="operator", now=shop.time.now)
    assert shop.ask("GET", unused, token=None).status_code == 403
    refused(shop.ask("GET", path), 403, "entitlement-revoked")
    with shop.hub.database.write() as tx:
        factories.grant(tx, shop.who.organisation_id, shop.product)
    third = issued()
    with shop.hub.database.write() as tx:
        catalogue.delete_asset(tx, asset, actor="operator", now=shop.time.now)
    assert shop.ask("GET", third, token=None).status_code == 410
    assert shop.ask("GET", path).content == NOT_FOUND
    shop.time.pass_by(seconds=601)
    assert shop.ask("GET", link, token=None).status_code == 410


def test_who_took_an_asset_is_on_record(shop: Shop) -> None:
    asset = shop.add_asset(b"a picture", file_name="sea.jpg")
    link = shop.ask("GET", f"/api/entities/{asset}/renditions/Original").headers["location"]
    shop.ask("GET", link, token=None)
    shop.loop.run_until_complete(shop.app._links._recorder.flush())
    with shop.hub.database.write() as tx:
        operator = factories.add_user(tx, shop.who.organisation_id, roles=("operator",))
    page = shop.get("/api/admin/v1/downloads", token=shop.token_of(operator))
    [taken] = page["items"]
    assert (taken["kind"], taken["asset_id"], taken["file_name"]) == ("asset", asset, "sea.jpg")
    assert (taken["size"], taken["bytes_sent"]) == (9, 9)
    assert taken["completed_at"]
