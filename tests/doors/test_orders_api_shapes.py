"""Golden shapes of the orders dialect: every object of the contract, field by field."""

from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from entrepot.core.catalogue import MEDIA_GROUPS
from entrepot.kit.text import format_instant
from tests import factories
from tests.doors.orders_world import IMAGES, ORDERS, PNG, URL, Shop, link, open_shop


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


def _minted(body: Any, file_name: str) -> str:
    """The path of an order's signed link, taken out of the order; it must be a Link."""
    found = body.pop("download_location")
    href = found.pop("href")
    assert found == {"title": file_name, "templated": False, "filename_properties": []}
    assert href.startswith(f"{URL}/dl/")
    assert href.endswith(f"/{file_name}")
    return str(href.removeprefix(URL))


def test_an_order_of_stored_files_is_complete_at_once(shop: Shop) -> None:
    asset = shop.add_asset(b"bytes of a picture")
    placed = shop.ask(
        "POST",
        ORDERS,
        json={
            "name": "Spring",
            "culture": "en-US",
            "order": {"zip_filename": "spring", "individual": {str(asset): {}}},
        },
    )
    assert placed.status_code == 201
    body = placed.json()
    number = body["order_id"]
    assert placed.headers["location"] == f"{URL}{ORDERS}/{number}"
    assert type(number) is int
    path = _minted(body, "spring.zip")
    now = format_instant(shop.time.now)
    me = link(f"/api/users/{shop.who.id}", "Ada Lovelace")
    size = body["progress"].pop("bytes_total")
    assert size > len(b"bytes of a picture")
    assert body == {
        "order_id": number,
        "name": "Spring",
        "target_count": 1,
        "has_conversions": False,
        "created_by": me,
        "created_on": now,
        "modified_by": me,
        "modified_on": now,
        "status": "Completed",
        "additional_info": None,
        "external_job_reference": link(f"/api/jobs/{number}", "The work behind the order."),
        "targets": link(f"{ORDERS}/{number}/targets", "The assets of the order."),
        "culture": "en-US",
        "progress": {"files_total": 1, "files_completed": 1, "files_failed": 0},
        "expires_on": format_instant(shop.time.pass_by(days=30)),
        "self": link(f"{ORDERS}/{number}", "The order."),
    }
    shop.time.pass_by(days=-30)
    sent = shop.ask("GET", path, token=None)
    assert (sent.status_code, sent.content[:4]) == (200, b"PK\x03\x04")


def test_an_order_that_waits_has_null_where_there_is_nothing(shop: Shop) -> None:
    asset = shop.add_asset()
    body = shop.order(asset, each=PNG)
    assert body["has_conversions"] is True
    assert body["status"] == "Pending"
    for field in ("name", "download_location", "additional_info", "culture", "expires_on"):
        assert body[field] is None, field
    assert body["progress"] == {
        "files_total": 1,
        "files_completed": 0,
        "files_failed": 0,
        "bytes_total": 0,
    }
    assert shop.get(f"{ORDERS}/{body['order_id']}") == body


def test_an_order_with_faults_says_what_failed(shop: Shop) -> None:
    broken, good = shop.add_asset(b"a"), shop.add_asset(b"b")
    number = shop.order(broken, good, each=PNG)["order_id"]
    shop.convert(number, failing=1)
    body = shop.get(f"{ORDERS}/{number}")
    assert body["status"] == "CompletedWithErrors"
    assert body["progress"]["files_failed"] == 1
    assert "1 of 2" in body["additional_info"]
    job = shop.get(f"/api/jobs/{number}")
    now = format_instant(shop.time.now)
    [error] = job.pop("errors")
    assert error.pop("asset_id") in (broken, good)
    assert error.pop("identifier")
    assert error.pop("rendition")
    assert error == {
        "code": "media-damaged",
        "message": "The file ends in its middle.",
        "remedy": "Replace the file by an undamaged one, then order it again.",
    }
    assert job == {
        "job_id": number,
        "state": "Completed",
        "condition": "Warning",
        "started_on": now,
        "completed_on": now,
        "file_count": 2,
        "files_completed": 1,
        "files_failed": 1,
        "order": link(f"{ORDERS}/{number}", "The order."),
        "self": link(f"/api/jobs/{number}", "The work behind the order."),
    }


def test_lists_are_pages_with_links_to_their_neighbours(shop: Shop) -> None:
    asset = shop.add_asset()
    numbers = [shop.order(asset)["order_id"] for _ in range(5)]
    page = shop.get(f"{ORDERS}?skip=2&take=2")
    assert [item["order_id"] for item in page["items"]] == [numbers[2], numbers[1]]
    assert page["items"][0] == shop.get(f"{ORDERS}/{numbers[2]}")
    del page["items"]
    assert page == {
        "total_items": 5,
        "returned_items": 2,
        "offset": 2,
        "next": link(f"{ORDERS}?skip=4&take=2"),
        "previous": link(f"{ORDERS}?skip=0&take=2"),
        "identifier": "download_orders",
        "self": link(f"{ORDERS}?skip=2&take=2"),
    }
    first, last = shop.get(f"{ORDERS}?take=2"), shop.get(f"{ORDERS}?skip=4&take=2")
    assert (first["previous"], last["next"]) == (None, None)
    assert [item["order_id"] for item in first["items"]] == numbers[:2:-1]
    walked, page = [], shop.get(f"{ORDERS}?take=2")
    while page is not None:
        walked += [item["order_id"] for item in page["items"]]
        page = page["next"] and shop.get(page["next"]["href"])
    assert walked == numbers[::-1]
    beyond = shop.get(f"{ORDERS}?skip=100")
    assert (beyond["items"], beyond["returned_items"], beyond["total_items"]) == ([], 0, 5)
    assert (beyond["next"], beyond["previous"]["href"]) == (None, f"{URL}{ORDERS}?skip=0&take=25")


def test_a_page_has_25_unless_told_and_at_most_100(shop: Shop) -> None:
    assets = [shop.add_asset() for _ in range(30)]
    number = shop.order(*assets)["order_id"]
    targets = shop.get(f"{ORDERS}/{number}/targets")
    assert (targets["returned_items"], targets["total_items"]) == (25, 30)
    assert shop.get(f"{ORDERS}/{number}/targets?take=100")["returned_items"] == 30
    for query, field in {
        "take=101": "take",
        "take=0": "take",
        "take=x": "take",
        "skip=-1": "skip",
        "skip=99999999999999999999": "skip",
        "SKIP=1.5": "skip",
    }.items():
        answer = shop.ask("GET", f"{ORDERS}?{query}")
        assert (answer.status_code, list(answer.json())) == (400, [field]), query


def test_targets_lead_to_the_assets(shop: Shop) -> None:
    assets = [shop.add_asset(titles={"en": f"Picture {n}"}) for n in range(2)]
    number = shop.order(*assets)["order_id"]
    page = shop.get(f"{ORDERS}/{number}/targets")
    first = {
        "entity": link(f"/api/entities/{assets[0]}", "Picture 0"),
        "self": link(f"{ORDERS}/{number}/targets/{assets[0]}"),
    }
    assert page["items"][0] == first
    assert shop.get(f"{ORDERS}/{number}/targets/{assets[0]}") == first
    del page["items"]
    assert page == {
        "total_items": 2,
        "returned_items": 2,
        "offset": 0,
        "next": None,
        "previous": None,
        "identifier": "download_order_targets",
        "self": link(f"{ORDERS}/{number}/targets?skip=0&take=25"),
        "order": link(f"{ORDERS}/{number}", "The order."),
    }


def test_an_entity_has_titles_group_and_renditions(shop: Shop) -> None:
    data = b"a picture"
    asset = shop.add_asset(
        data,
        file_name="sea.jpg",
        titles={"en": "Sea", "de": "Meer"},
        identifier="sea",
        facts={"width": 4},
    )
    shown = shop.get(f"/api/entities/{asset}")
    digests = factories.digests_of(data)
    assert shown == {
        "id": asset,
        "identifier": "sea",
        "title": {"en": "Sea", "de": "Meer"},
        "media_group": link("/api/mediagroups", IMAGES),
        "file_name": "sea.jpg",
        "content_type": "image/jpeg",
        "size": len(data),
        "sha256": digests.sha256,
        "facts": {"width": 4},
        "renditions": link(f"/api/entities/{asset}/renditions", "The renditions of the asset."),
        "self": link(f"/api/entities/{asset}", shown["self"]["title"]),
    }
    assert shown["self"]["title"] in ("Sea", "Meer")
    assert shop.get("/api/entities/sea") == shown
    document = shop.add_asset(content_type="application/pdf")
    page = shop.get("/api/entities")
    assert [item["id"] for item in page["items"]] == [asset, document]
    assert page["items"][0] == shown
    assert (page["identifier"], page["next"], page["previous"]) == ("entities", None, None)
    group = next(each for each in MEDIA_GROUPS if each.name == "Documents")
    for told in (group.identifier, group.name, group.identifier.lower(), str(group.number)):
        page = shop.get(f"/api/entities?mediaGroup={told}")
        assert [item["id"] for item in page["items"]] == [document]
        assert page["self"]["href"].endswith(f"?skip=0&take=25&mediaGroup={told}")


def test_renditions_of_an_asset_are_the_standard_ones_and_those_kept(shop: Shop) -> None:
    asset = shop.add_asset(b"a picture", file_name="sea.jpg")
    keep = {"label": "Wide sea", "culture": "de", "description": "For the header."}
    number = shop.order(asset, each=PNG | {"user_rendition_configuration": keep})["order_id"]
    shop.convert(number)
    shown = shop.get(f"/api/entities/{asset}/renditions")
    renditions = {each["name"]: each for each in shown["items"]}
    here = f"/api/entities/{asset}/renditions"
    assert shown["total_items"] == len(shown["items"]) == len(renditions)
    assert shown["self"] == link(here, "The renditions of the asset.")
    original, kept = renditions["downloadOriginal"], renditions["Wide sea"]
    assert original == {
        "name": "downloadOriginal",
        "kind": "standard",
        "extension": None,
        "content_type": "image/jpeg",
        "converted": False,
        "description": "Original",
        "culture": None,
        "size": len(b"a picture"),
        "download_location": link(f"{here}/downloadOriginal", "sea.jpg"),
    }
    href = kept["download_location"]["href"]
    assert href.startswith(f"{URL}{here}/kept:")
    assert kept == {
        "name": "Wide sea",
        "kind": "user",
        "extension": "png",
        "content_type": "image/png",
        "converted": True,
        "description": "For the header.",
        "culture": "de",
        "size": kept["size"],
        "download_location": link(href.removeprefix(URL), "sea_Wide sea.png"),
    }
    thumbnail = renditions["thumbnail"]
    assert (thumbnail["download_location"], thumbnail["size"]) == (None, None)
    assert (thumbnail["extension"], thumbnail["content_type"]) == ("jpg", "image/jpeg")
    assert "mp4" not in renditions


def test_users_are_of_ones_own_organisation(shop: Shop) -> None:
    me, other, foreign = shop.who, shop.colleague(), shop.stranger()
    for person in (me, other):
        assert shop.get(f"/api/users/{person.id}") == {
            "id": str(person.id),
            "display_name": "Ada Lovelace",
            "organisation": me.organisation_name,
            "self": link(f"/api/users/{person.id}", "Ada Lovelace"),
        }
    assert shop.ask("GET", f"/api/users/{foreign.id}").status_code == 404
    with shop.hub.database.write() as tx:
        machine, _ = factories.add_client(tx, me.organisation_id, scopes=("orders",))
    token = shop.token_of(machine)
    asset = shop.add_asset()
    answer = shop.ask("POST", ORDERS, token=token, json={"order": {"individual": {str(asset): {}}}})
    href = answer.json()["created_by"]["href"]
    assert href == f"{URL}/api/users/{machine.label}"
    assert shop.get(href)["display_name"] == "A machine"


def test_the_root_leads_to_every_resource(shop: Shop) -> None:
    root = shop.get("/api")
    assert set(root) == {"file_version", "product_version", "minimum_sdk_version", "routes"}
    routes = root["routes"]
    assert routes["download_orders"] == link(f"{ORDERS}{{?skip,take}}", templated=True)
    assert routes["download_orders_by_id"] == link(f"{ORDERS}/{{id}}", templated=True)
    assert routes["selection"]["href"].startswith(
        f"{URL}/api/selection/{{selectionPool}}/{{definitionName}}{{?subPoolId"
    )
    assert routes["presets"] == link("/api/presets")
    documented = shop.ask("GET", "/openapi.json", token=None).json()["paths"]

    def shape(path: str) -> str:
        plain = path.partition("{?")[0]
        return "/".join("{}" if part.startswith("{") else part for part in plain.split("/"))

    known = {shape(path) for path in documented}
    for name, route in routes.items():
        assert shape(route["href"].removeprefix(URL)) in known, name


def test_discovery_lists_what_can_be_asked_for(shop: Shop) -> None:
    groups = shop.get("/api/mediagroups")
    assert [group["id"] for group in groups["items"]] == [each.number for each in MEDIA_GROUPS]
    assert all(set(each) == {"id", "identifier", "default_renditions", "renditions"}
               for each in groups["items"])  # fmt: skip
    images = next(each for each in groups["items"] if each["identifier"] == IMAGES)
    assert images["default_renditions"] == ["downloadOriginal"]
    assert {"thumbnail", "preview"} <= set(images["renditions"])
    named = {"name", "title", "aliases", "media_groups"}
    for path in ("/api/renditions", "/api/presets"):
        found = shop.get(path)
        assert found["total_items"] == len(found["items"]) > 0
        assert all(set(each) == named for each in found["items"])
        assert found["self"] == link(path)
    renditions = {each["name"]: each for each in shop.get("/api/renditions")["items"]}
    assert renditions["downloadOriginal"]["aliases"] == ["Original"]
    assert renditions["downloadOriginal"]["media_groups"][IMAGES] == "original"
    presets = {each["name"]: each for each in shop.get("/api/presets")["items"]}
    assert IMAGES in presets["print"]["media_groups"]
    # Only what could be ordered is promised: there is no TIFF of a sound or an archive.
    assert not {"M.AssetMedia.Audio", "M.AssetMedia.Archives"} & set(
        presets["print"]["media_groups"]
    )
    assert set(presets["small-video"]["media_groups"]) == {"M.AssetMedia.Videos"}
    resolvers = shop.get("/api/itemnameresolvers")["items"]
    assert [each["id"] for each in resolvers if each["default"]] == ["standard"]
    assert all(set(each) == {"id", "title", "template", "default"} for each in resolvers)
