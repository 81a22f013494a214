"""Media assets over the admin API: in by their bytes, changed, replaced, listed, deleted."""

from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from tests import factories
from tests.doors.admin_world import Desk, content_digest, open_desk, refused

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


def add(desk: Desk, query: str = "file_name=a.png&visibility=public", data: bytes = PNG) -> Any:
    answer = desk.ask("POST", f"/assets?{query}", content=data)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert desk.ask("GET", answer.headers["location"]).json() == body
    return body


def test_an_asset_comes_in_as_what_its_bytes_say(desk: Desk) -> None:
    desk.made("/products", {"code": "P1", "name": "One"})
    added = add(
        desk,
        "file_name=Morgen%20Licht.pdf&title=Morgenlicht&culture=de&folder=a/b&identifier=x-1"
        "&product=P1",
    )
    assert {
        name: added[name] for name in added if name not in ("id", "created_at", "changed_at")
    } == {
        "identifier": "x-1",
        "title": {"de": "Morgenlicht"},
        "folder": "a/b",
        "media_group": "Images",
        "file_name": "Morgen Licht.pdf",
        "content_type": "image/png",
        "size": len(PNG),
        "md5": factories.digests_of(PNG).md5,
        "sha256": factories.digests_of(PNG).sha256,
        "facts": {},
        "visibility": "entitled",
        "product_id": desk.ask("GET", "/products/P1").json()["id"],
        "product_code": "P1",
    }
    assert desk.ask("GET", "/assets/x-1").json() == added
    refused(
        desk.ask("POST", "/assets?file_name=b.png&identifier=x-1&product=P1", content=b"b"),
        409,
        "identifier-taken",
    )


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("visibility=public", 400, "invalid", "file_name"),
        ("file_name=a.png", 400, "invalid", "product"),
        ("file_name=a.png&product=NONE", 400, "invalid", "product"),
        ("file_name=a.png&visibility=secret", 400, "invalid", "visibility"),
        ("file_name=../a&visibility=public", 400, "file-name", "file_name"),
        ("file_name=a&visibility=public&folder=a//b", 400, "file-name", "folder"),
        ("file_name=a&visibility=public&identifier=7", 400, "invalid", "identifier"),
        ("file_name=a&visibility=public&title=x&culture=!", 400, "invalid", "title"),
        ("file_name=a&visibility=public&name=x", 400, "parameter-unknown", "name"),
    ],
)
def test_what_is_wrong_is_refused_before_the_body_is_kept(
    desk: Desk, query: str, status: int, code: str, field: str
) -> None:
    refused(desk.ask("POST", f"/assets?{query}", content=PNG), status, code, field)
    assert list(desk.hub.blobs.listing()) == []


def test_other_bytes_than_announced_are_not_kept(desk: Desk) -> None:
    headers = {"content-digest": content_digest(b"other")}
    path = "/assets?file_name=a.png&visibility=public"
    answer = desk.ask("POST", path, content=PNG, headers=headers)
    refused(answer, 400, "digest-mismatch", "content-digest")
    assert list(desk.hub.blobs.listing()) == []
    assert desk.ask("GET", "/assets").json() == {"total": 0, "items": []}


def test_an_asset_is_changed_in_part(desk: Desk) -> None:
    desk.made("/products", {"code": "P1", "name": "One"})
    added = add(desk)
    path = f"/assets/{added['id']}"
    changed = desk.ask("PATCH", path, json={"title": {"EN-us": "Light", "de": "Licht"}}).json()
    assert changed["title"] == {"de": "Licht", "en-US": "Light"}
    assert changed["visibility"] == "public"
    to_product = {"visibility": "entitled", "product": "P1", "folder": "x"}
    changed = desk.ask("PATCH", path, json=to_product).json()
    assert (changed["visibility"], changed["product_code"], changed["folder"]) == (
        "entitled",
        "P1",
        "x",
    )
    assert changed["sha256"] == added["sha256"]
    refused(desk.ask("PATCH", path, json={"product": None}), 400, "invalid", "product")
    refused(desk.ask("PATCH", path, json={"product": "NONE"}), 400, "invalid", "product")
    refused(desk.ask("PATCH", path, json={"title": {}}), 400, "invalid", "title")
    refused(desk.ask("PATCH", path, json={"identifier": "x"}), 400, "invalid", "identifier")
    refused(desk.ask("PATCH", "/assets/999", json={}), 404, "not-found")


def test_another_file_takes_the_place_of_the_first(desk: Desk) -> None:
    added = add(desk, "file_name=a.csv&visibility=public", b"1,2\n")
    path = f"/assets/{added['id']}/file"
    replaced = desk.ask("PUT", path, content=b"3,4\n")
    assert replaced.status_code == 200, replaced.text
    body = replaced.json()
    # The name it has still tells a table from another text.
    assert (body["content_type"], body["file_name"], body["id"]) == (
        "text/csv",
        "a.csv",
        added["id"],
    )
    body = desk.ask("PUT", f"{path}?file_name=b.png", content=PNG).json()
    assert (body["content_type"], body["file_name"], body["media_group"]) == (
        "image/png",
        "b.png",
        "Images",
    )
    refused(desk.ask("PUT", f"{path}?file_name=nul", content=PNG), 400, "file-name", "file_name")
    refused(desk.ask("PUT", "/assets/999/file", content=PNG), 404, "not-found")


def test_lists_are_filtered_and_paged(desk: Desk) -> None:
    desk.made("/products", {"code": "P1", "name": "One"})
    first = add(desk)
    second = add(desk, "file_name=b.txt&product=P1&folder=a/b", b"text")

    def found(query: str = "") -> list[int]:
        body = desk.ask("GET", f"/assets?{query}").json()
        return [each["id"] for each in body["items"]]

    assert found() == [first["id"], second["id"]]
    assert found("group=Documents") == [second["id"]]
    assert found("product=P1") == [second["id"]]
    assert found("folder=a") == [second["id"]]
    assert found("visibility=public") == [first["id"]]
    assert found("skip=1&take=1") == [second["id"]]
    assert desk.ask("GET", "/assets?take=1").json()["total"] == 2
    refused(desk.ask("GET", "/assets?group=Stones"), 400, "invalid", "group")
    refused(desk.ask("GET", "/assets?visibility=x"), 400, "invalid", "visibility")
    refused(desk.ask("GET", "/assets?product=NONE"), 400, "invalid", "product")


def test_a_deleted_asset_is_gone(desk: Desk) -> None:
    added = add(desk, "file_name=a.png&visibility=public&identifier=one")
    desk.done("DELETE", "/assets/one")
    for method, path in (("GET", "/assets/one"), ("DELETE", f"/assets/{added['id']}")):
        refused(desk.ask(method, path), 404, "not-found")
    assert desk.ask("GET", "/assets").json()["total"] == 0
