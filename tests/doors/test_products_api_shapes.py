"""The contract's calls, byte for byte where it shows them."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from tests import factories
from tests.doors.products_world import ROOT, URL, People, Shop, add_people, error_of, open_shop

MOMENT = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
KEYS = [
    *("id", "productId", "file", "title", "description", "sequence", "visibility"),
    *("createdOn", "createdBy", "modifiedOn", "modifiedBy"),
]


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


@pytest.fixture
def people(shop: Shop) -> People:
    return add_people(shop)


def data_uri(content: bytes, media_type: str = "text/plain") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def numbers(items: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(item["sequence"], item["id"]) for item in items]


def test_the_list_is_the_contract_s(shop: Shop, people: People) -> None:
    with shop.hub.database.write() as tx:
        number = factories.add_product_download(tx, "P1", file_name="be05aa4b.zip")
    product_id = shop.data("GET", "/P1/downloads.json", people.buyer)[0]["productId"]
    answer = shop.ask("GET", f"{ROOT}/{product_id}/downloads.json", people.buyer)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.json() == {
        "success": True,
        "status": 200,
        "data": [
            {
                "id": number,
                "productId": product_id,
                "file": f"{URL}/downloads/{number}/be05aa4b.zip",
                "title": None,
                "description": None,
                "sequence": 1,
                "visibility": "public",
                "createdOn": "2026-06-15T12:00:00+00:00",
                "createdBy": None,
                "modifiedOn": "2026-06-15T12:00:00+00:00",
                "modifiedBy": None,
            }
        ],
        "pagination": {"page": 1, "limit": 100, "total": 1, "totalPages": 1},
        "links": {
            "self": f"{URL}{ROOT}/{product_id}/downloads.json",
            "previous": None,
            "next": None,
        },
    }
    body = answer.text
    assert list(json.loads(body)) == ["success", "status", "data", "pagination", "links"]
    assert list(json.loads(body)["data"][0]) == KEYS
    # A code names the same product.
    by_code = shop.ask("GET", f"{ROOT}/P1/downloads.json", people.buyer).json()
    assert by_code["data"] == answer.json()["data"]


def test_create_show_update_and_remove(shop: Shop, people: People) -> None:
    """What the vendor's own client does, call by call."""
    token = people.publisher
    made = shop.data("POST", "/P1/downloads.json", token, {"file": data_uri(b"hello")}, status=201)
    assert list(made) == KEYS
    assert made["file"] == f"{URL}/downloads/{made['id']}/download.txt"
    assert (made["title"], made["visibility"], made["sequence"]) == (None, "public", 1)
    assert made["createdBy"] == made["modifiedBy"] == people.publisher_id
    assert re.fullmatch(MOMENT, made["createdOn"])
    one = f"/P1/downloads/{made['id']}.json"
    assert shop.data("GET", one, people.stranger) == made
    assert shop.bytes_of(made["file"]) == b"hello"

    # Only what is given changes; what is read-only may come along.
    changed = shop.data("PUT", one, token, {"title": "Read me", "id": 1, "createdOn": "x"})
    assert changed == made | {"title": "Read me", "modifiedOn": changed["modifiedOn"]}
    whole = shop.data("PUT", one, token, changed | {"description": "Two\nlines"})
    assert whole["description"] == "Two\nlines"
    assert shop.bytes_of(whole["file"]) == b"hello"
    renamed = shop.data("PUT", one, token, {"file": {"src": made["file"], "filename": "b.txt"}})
    assert renamed["file"] == f"{URL}/downloads/{made['id']}/b.txt"
    # The address from before leads there still.
    assert shop.bytes_of(made["file"]) == shop.bytes_of(renamed["file"]) == b"hello"
    replaced = shop.data("PUT", one, token, {"file": data_uri(b"other", "application/pdf")})
    assert replaced["file"].endswith("/download.pdf")
    assert shop.bytes_of(made["file"]) == b"other"
    cleared = shop.data("PUT", one, token, {"title": None, "visibility": "purchase"})
    assert (cleared["title"], cleared["visibility"]) == (None, "purchase")
    assert shop.data("PUT", one, token, {}) == cleared

    gone = shop.ask("DELETE", f"{ROOT}{one}", token)
    assert (gone.status_code, gone.content) == (204, b"")
    for method, json_body in (("GET", None), ("PUT", {"data": {}}), ("DELETE", None)):
        fault = error_of(shop.ask(method, f"{ROOT}{one}", token, json=json_body), 404)
        assert (fault["name"], fault["ref"]) == ("id", "error.not-found")
    assert shop.ask("GET", made["file"].removeprefix(URL)).status_code == 404


def test_a_created_one_tells_its_address(shop: Shop, people: People) -> None:
    body = {"data": {"file": {"src": data_uri(b"x"), "filename": "Größe 1.txt"}}}
    answer = shop.ask("POST", f"{ROOT}/P1/downloads.json", people.publisher, json=body)
    assert answer.status_code == 201
    location = answer.headers["location"]
    assert location == f"{URL}{ROOT}/P1/downloads/{answer.json()['data']['id']}.json"
    assert answer.json()["data"]["file"].endswith("/Gr%C3%B6%C3%9Fe%201.txt")
    found = shop.ask("GET", location.removeprefix(URL), people.publisher)
    assert found.json()["data"] == answer.json()["data"]


def test_sequence_and_placement(shop: Shop, people: People) -> None:
    token, path = people.publisher, "/P1/downloads.json"

    def add(**said: Any) -> int:
        made: int = shop.data("POST", path, token, {"file": "data:,x", **said}, status=201)["id"]
        return made

    def order() -> list[int]:
        items = shop.data("GET", path, token)
        assert [item["sequence"] for item in items] == list(range(1, len(items) + 1))
        return [item["id"] for item in items]

    def move(number: int, sequence: Any) -> list[int]:
        shop.data("PUT", f"/P1/downloads/{number}.json", token, {"sequence": sequence})
        return order()

    a, b, c = add(), add(sequence=None), add(sequence=1)
    assert order() == [c, a, b]
    d = add(sequence={"placement": "before", "id": b})
    e = add(sequence={"placement": "after", "id": c})
    assert order() == [c, e, a, d, b]
    assert move(b, {"placement": "first"}) == [b, c, e, a, d]
    assert move(c, {"placement": "last"}) == [b, e, a, d, c]
    assert move(b, {"placement": "after", "id": a}) == [e, a, b, d, c]
    assert move(d, 1) == [d, e, a, b, c]
    assert move(d, 999) == [e, a, b, c, d]
    assert shop.ask("DELETE", f"{ROOT}/P1/downloads/{a}.json", token).status_code == 204
    assert order() == [e, b, c, d]


def test_filters_in_both_spellings_paging_and_links(shop: Shop, people: People) -> None:
    visibilities = ["public", "contact", "purchase", "public", "public"]
    with shop.hub.database.write() as tx:
        made = [factories.add_product_download(tx, "P1", visibility=v) for v in visibilities]
        factories.add_product_download(tx, "P2")
    path = f"{ROOT}/P1/downloads.json"

    def ids(query: str) -> list[int]:
        answer = shop.ask("GET", f"{path}?{query}", people.stranger)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["links"]["self"].startswith(f"{URL}{path}")
        again = shop.ask("GET", body["links"]["self"].removeprefix(URL), people.stranger)
        assert again.content == answer.content
        return [item["id"] for item in body["data"]]

    a, b, c, d, e = made
    assert ids("") == made
    assert ids(f"id:in={a},{c}") == ids(f"id%3Ain={a}&id%3Ain={c}") == [a, c]
    assert ids(f"id%3ain={a}%2C{c}&id:in={e}") == [a, c, e]
    assert ids(f"id:min={b}&id:max={d}") == ids(f"id%3Aafter={a}&id%3Abefore={e}") == [b, c, d]
    assert ids(f"id:in={a},{b},{c}&id:after={a}&visibility=purchase") == [c]
    assert ids("visibility=public&limit=2&page=2") == [e]
    assert ids(f"id:after={2**63 - 1}") == ids("id:before=0") == ids("id:in=999999999") == []

    query = f"id%3Amin={a}&visibility=public&limit=2"
    first = shop.ask("GET", f"{path}?{query}", people.stranger).json()
    assert first["pagination"] == {"page": 1, "limit": 2, "total": 3, "totalPages": 2}
    kept = f"{URL}{path}?id:min={a}&visibility=public&limit=2"
    assert first["links"] == {"self": kept, "previous": None, "next": f"{kept}&page=2"}
    following = first["links"]["next"].removeprefix(URL)
    second = shop.ask("GET", following, people.stranger).json()
    assert second["links"] == {
        "self": f"{kept}&page=2",
        "previous": f"{kept}&page=1",
        "next": None,
    }
    beyond = shop.ask("GET", f"{path}?limit=2&page=9", people.stranger).json()
    assert (beyond["data"], beyond["links"]["next"]) == ([], None)
    assert beyond["links"]["previous"] == f"{URL}{path}?limit=2&page=3"
    nothing = shop.ask("GET", f"{ROOT}/SECRET/downloads.json", people.publisher).json()
    assert nothing["pagination"] == {"page": 1, "limit": 100, "total": 0, "totalPages": 0}
    assert (nothing["success"], nothing["data"]) == (True, [])


@pytest.mark.parametrize(
    ("query", "name", "ref"),
    [
        ("id:in=", "id:in", "parameter-invalid"),
        ("id:in=1,,2", "id:in", "parameter-invalid"),
        ("id%3Ain=1&id%3Ain=x", "id:in", "parameter-invalid"),
        ("id:in=" + ",".join("1" * 501), "id:in", "parameter-invalid"),
        ("id:min=-1", "id:min", "parameter-invalid"),
        ("id:max=1.5", "id:max", "parameter-invalid"),
        ("id:after=99999999999999999999", "id:after", "parameter-invalid"),
        ("id:before=%D9%A1", "id:before", "parameter-invalid"),
        ("visibility=all", "visibility", "parameter-invalid"),
        ("page=0", "page", "parameter-invalid"),
        ("limit=501", "limit", "parameter-invalid"),
        ("limit=abc", "limit", "parameter-invalid"),
        ("page=1&page=2", "page", "parameter-repeated"),
        ("visibilty=public", "visibilty", "parameter-unknown"),
        ("id:in=%FF", "query", "query-invalid"),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_bad_filter_is_named(shop: Shop, people: People, query: str, name: str, ref: str) -> None:
    answer = shop.ask("GET", f"{ROOT}/P1/downloads.json?{query}", people.stranger)
    fault = error_of(answer, 400)
    assert (fault["name"], fault["ref"]) == (name, f"error.{ref}")
    assert answer.json()["context"] == "parameters"
