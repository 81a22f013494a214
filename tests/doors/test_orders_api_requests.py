"""What the orders dialect takes in: bodies in every spelling, selections, and what it refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.orders import SELECTION_IDS_MAX, placing
from entrepot.core.orders.requests import INDIVIDUAL_MAX
from entrepot.web.orders_api import _bodies
from tests import factories
from tests.doors.orders_world import (
    IMAGES,
    NOT_FOUND,
    ORDERS,
    ORIGINAL,
    PNG,
    URL,
    Shop,
    invalid,
    open_shop,
    refused,
)

SELECTION = "/api/selection/pool"


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub) as opened:
        yield opened


def test_any_json_media_type_is_taken_and_unknown_fields_are_ignored(shop: Shop) -> None:
    asset = shop.add_asset()
    shop.select(asset)
    body = {
        "order": {"global": {}, "colour": "red", "individual": None},
        "target_selection": {
            "selectionPool": "pool",
            "subPoolId": "0",
            "definitionName": "M.Asset",
        },
        "download_order_type": "standard",
        "item_name_resolver_id": None,
        "whatever": {"a": [1]},
    }
    for media_type in (
        "application/json-patch+json",
        "application/json; charset=utf-8",
        "text/json",
        "application/vnd.example+json",
        "application/octet-stream",
    ):
        answer = shop.ask(
            "POST",
            ORDERS,
            content=json.dumps(body).encode(),
            headers={"content-type": media_type},
        )
        assert answer.status_code == 201, (media_type, answer.text)
        assert answer.json()["target_count"] == 1
    assert shop.ask("POST", ORDERS, content=json.dumps(body).encode()).status_code == 201


def test_ids_are_numbers_or_texts(shop: Shop) -> None:
    one, two, three = (shop.add_asset(identifier=f"id-{n}") for n in range(3))
    change: list[Any] = [{"operation": "add", "value": [one, str(two), two]}]
    assert shop.ask("PATCH", SELECTION, json=change).json()["total_items"] == 2
    individual = {str(one): ORIGINAL, "id-2": ORIGINAL}
    placed = shop.ask("POST", ORDERS, json={"order": {"individual": individual}})
    number = placed.json()["order_id"]
    targets = shop.get(f"{ORDERS}/{number}/targets")["items"]
    assert [each["self"]["href"] for each in targets] == [
        f"{URL}{ORDERS}/{number}/targets/{asset}" for asset in (one, three)
    ]
    assert shop.ask("GET", f"{ORDERS}/{number}/targets/{two}").content == NOT_FOUND


def test_a_bad_order_is_told_by_the_path_of_its_key_and_nothing_else(shop: Shop) -> None:
    asset = str(shop.add_asset())
    shop.select(int(asset))
    pool = {"target_selection": {"selectionPool": "pool"}}

    def refusal(body: Any, field: str) -> str:
        return invalid(shop.ask("POST", ORDERS, json=body), field)

    refusal({}, "order")
    refusal([], "order_request")
    refusal({"order": {}}, "target_selection")
    assert "individual" in refusal({"order": {"individual": {}}}, "target_selection")
    refusal({"order": {"individual": {"999999": ORIGINAL}}}, "order.individual.999999")
    other = str(shop.add_asset())
    outside = {"order": {"individual": {other: ORIGINAL}}} | pool
    assert "not in the selection" in refusal(outside, f"order.individual.{other}")
    refusal({"order": {"global": {"M.AssetMedia.Smells": {}}}} | pool,
            "order.global.M.AssetMedia.Smells")  # fmt: skip
    refusal({"order": {}, "target_selection": {}}, "target_selection.selectionPool")
    refusal({"order": {}, "item_name_resolver_id": "none"} | pool, "item_name_resolver_id")
    refusal({"order": {}, "download_order_type": "Rush"} | pool, "download_order_type")
    custom = {"order": {}, "download_order_type": "Custom"}
    assert "configured" in refusal(custom | pool, "order.global")

    def of_images(**config: Any) -> Any:
        return {"order": {"global": {IMAGES: config}}} | pool

    here = f"order.global.{IMAGES}"
    assert "downloadOriginal" in refusal(of_images(renditions=["big"]), f"{here}.renditions[0]")
    refusal(of_images(presets=["x"]), f"{here}.presets[0]")
    told = refusal(of_images(renditions=["mp4"]), f"{here}.renditions[0]")
    assert "image/jpeg" in told
    steps = [{"type": "fileExtension", "value": "mp4"}]
    answer = shop.ask("POST", ORDERS, json=of_images(conversions=[steps]))
    assert answer.status_code == 400
    [(field, told)] = answer.json().items()
    assert field.startswith(f"{here}.conversions[0]")
    assert "image/jpeg" in told
    nothing = of_images(conversions=[[{"type": "fileExtension", "value": {}}]])
    answer = shop.ask("POST", ORDERS, json=nothing)
    assert answer.status_code == 400
    [(field, told)] = answer.json().items()
    assert field.startswith(f"{here}.conversions[0][0]")
    with_object = of_images(conversions=[[{"type": "fileExtension", "value": {"value": "png"}}]])
    assert shop.ask("POST", ORDERS, json=with_object).status_code == 201
    assert shop.get(ORDERS)["total_items"] == 1


def test_what_is_no_json_is_told_so(shop: Shop) -> None:
    for content in (b"", b"{", b"\xff", b'{"a":', b"[" * 5000, b"nul"):
        for method, path in (("POST", ORDERS), ("PATCH", SELECTION)):
            told = invalid(shop.ask(method, path, content=content), "request")
            assert "JSON" in told, content
    long: Any = {"order": {"individual": {"x" * 5000: {}}}}
    answer = shop.ask("POST", ORDERS, json=long)
    assert answer.status_code == 400
    assert max(map(len, answer.json())) <= 300


def test_a_client_id_that_is_sent_must_be_the_tokens(shop: Shop) -> None:
    with shop.hub.database.write() as tx:
        machine, _ = factories.add_client(tx, shop.who.organisation_id, scopes=("orders",))
    client_id = machine.label.removeprefix("client:")
    token = shop.token_of(machine)
    for header in ("X-Client-Id", "client_id", "CLIENT_ID"):
        for sent, status in ((client_id, 200), ("", 200), ("another", 401)):
            answer = shop.ask("GET", ORDERS, token=token, headers={header: sent})
            assert answer.status_code == status, (header, sent)
    both = {"X-Client-Id": client_id, "client_id": "another"}
    refused(shop.ask("GET", ORDERS, token=token, headers=both), 401, "client-mismatch")
    through = shop.token_of(shop.who, client_id="a-program")
    for sent, status in (("a-program", 200), (client_id, 401)):
        answer = shop.ask("GET", ORDERS, token=through, headers={"X-Client-Id": sent})
        assert answer.status_code == status


def test_who_asks_is_decided_before_what(shop: Shop) -> None:
    for method, path in (
        ("GET", ORDERS),
        ("POST", ORDERS),
        ("GET", "/api"),
        ("GET", "/api/jobs/1"),
    ):
        answer = shop.ask(method, path, token=None)
        refused(answer, 401, "token-missing")
        assert answer.headers["www-authenticate"] == "Bearer"
        answer = shop.ask(method, path, token="garbage")
        refused(answer, 401, "token-invalid")
        assert answer.headers["www-authenticate"].startswith("Bearer error=")
        narrow = shop.token_of(shop.who, ("entitlements",))
        assert "orders" in refused(shop.ask(method, path, token=narrow), 403, "scope-required")
    gone = shop.colleague()
    token = shop.token_of(gone)
    with shop.hub.database.write() as tx:
        accounts.disable_user(tx, gone.id, actor="operator", now=shop.hub.now())
    refused(shop.ask("GET", ORDERS, token=token), 401, "account-disabled")


def test_what_is_not_there_and_what_is_not_yours_are_the_same_bytes(shop: Shop) -> None:
    asset = shop.add_asset()
    number = shop.order(asset)["order_id"]
    others = [shop.token_of(shop.colleague()), shop.token_of(shop.stranger())]
    paths = [
        ("GET", f"{ORDERS}/{number}"),
        ("DELETE", f"{ORDERS}/{number}"),
        ("POST", f"{ORDERS}/{number}/retry"),
        ("GET", f"{ORDERS}/{number}/targets"),
        ("GET", f"{ORDERS}/{number}/targets/{asset}"),
        ("GET", f"{ORDERS}/{number}/events"),
        ("GET", f"/api/jobs/{number}"),
    ]
    for method, path in paths:
        for token in others:
            answer = shop.ask(method, path, token=token)
            assert (answer.status_code, answer.content) == (404, NOT_FOUND), (method, path)
        for missing in ("999999", "0", "x", "9" * 30, "1.0", "%00"):
            nowhere = path.replace(str(number), missing)
            answer = shop.ask(method, nowhere)
            assert (answer.status_code, answer.content) == (404, NOT_FOUND), (method, nowhere)
    stranger = others[1]
    for path in (f"/api/entities/{asset}", f"/api/entities/{asset}/renditions",
                 f"/api/entities/{asset}/renditions/downloadOriginal", "/api/entities/999",
                 "/api/users/999999", f"/api/users/{shop.who.id}"):  # fmt: skip
        answer = shop.ask("GET", path, token=stranger)
        assert (answer.status_code, answer.content) == (404, NOT_FOUND), path
    assert shop.get(ORDERS, token=others[0])["items"] == []


def test_addresses_and_methods_that_are_none_answer_in_this_dialects_shape(shop: Shop) -> None:
    for path in (
        "/api/nothing",
        "/api/downloadorders/1/nothing",
        "/api/jobs",
        "/api/entities/1/x/y",
    ):
        for html in ({}, {"accept": "text/html"}):
            answer = shop.ask("GET", path, headers=html)
            assert answer.content == NOT_FOUND, path
            assert answer.headers["x-error-code"] == "not-found"
    for method, path in (("PUT", ORDERS), ("PATCH", f"{ORDERS}/1"), ("POST", "/api/entities"),
                         ("DELETE", "/api"), ("GET", f"{ORDERS}/1/retry")):  # fmt: skip
        answer = shop.ask(method, path)
        refused(answer, 405, "method-not-allowed")
        assert answer.headers["allow"]
    # Other doors below /api keep a shape of their own.
    for path in ("/api/admin", "/api/admin/v1/nothing"):
        answer = shop.ask("GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json", path
    assert shop.ask("GET", "/api/").status_code == 200
    assert shop.ask("HEAD", ORDERS).content == b""


def test_as_many_unfinished_orders_as_there_may_be(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = shop.add_asset()
    monkeypatch.setattr(placing, "OPEN_ORDERS_MAX", 1)
    number = shop.order(asset, each=PNG)["order_id"]
    answer = shop.ask("POST", ORDERS, json={"order": {"individual": {str(asset): PNG}}})
    refused(answer, 429, "orders-full")
    assert int(answer.headers["retry-after"]) > 0
    shop.ask("DELETE", f"{ORDERS}/{number}")
    shop.order(asset, each=PNG)


def test_a_right_that_fails_now_is_a_403_with_reason_and_remedy(shop: Shop) -> None:
    asset = shop.add_asset()
    body = {"order": {"individual": {str(asset): ORIGINAL}}}
    with shop.hub.database.write() as tx:
        accounts.block_organisation(
            tx,
            shop.who.organisation_id,
            blocked=True,
            actor="operator",
            now=shop.hub.now(),
        )
    for method, path in (
        ("POST", ORDERS),
        ("GET", "/api/entities"),
        ("GET", f"/api/entities/{asset}"),
        ("GET", f"/api/entities/{asset}/renditions/Original"),
    ):
        answer = shop.ask(method, path, json=body if method == "POST" else None)
        told = refused(answer, 403, "organisation-blocked")
        assert "publisher" in told.lower()


def test_selections_belong_to_a_caller_by_pool_definition_and_sub_pool(shop: Shop) -> None:
    a, b, c = (shop.add_asset() for _ in range(3))
    assert shop.select(c, a) == 2
    assert shop.select(b, query="?subPoolId=7") == 1
    assert shop.select(b, query="?definitionName=M.Other") == 1
    here = f"{SELECTION}/M.Asset"
    mine: dict[str, Any] = {
        "selection_pool": "pool",
        "definition_name": "M.Asset",
        "sub_pool_id": None,
        "total_items": 2,
        "items": [a, c],
        "self": {"href": URL + here, "title": None, "templated": False, "filename_properties": []},
    }
    assert shop.get(here) == mine
    assert shop.get(f"{here}?skip=1&take=1")["items"] == [c]
    sub = shop.get(f"{here}?subPoolId=7")
    assert (sub["sub_pool_id"], sub["items"]) == (7, [b])
    assert sub["self"]["href"].endswith("?subPoolId=7")
    listed = shop.get(SELECTION)["items"]
    assert [(each["definition_name"], each["sub_pool_id"]) for each in listed] == [
        ("M.Asset", None),
        ("M.Asset", 7),
        ("M.Other", None),
    ]
    assert all(each["items"] == [] for each in listed)
    named = shop.get(f"{SELECTION}?definitionNames=M.Other,M.None")["items"]
    assert [each["definition_name"] for each in named] == ["M.Other"]
    for who in (shop.colleague(), shop.stranger()):
        assert shop.get(here, token=shop.token_of(who))["items"] == []
    change = [{"operation": "remove", "value": [c]}, {"operation": "add", "value": [b]}]
    changed = shop.ask("PATCH", here, json=change)
    assert changed.json() == {
        "selection_pool": "pool",
        "definition_name": "M.Asset",
        "sub_pool_id": None,
        "total_items": 2,
    }
    assert shop.get(here)["items"] == [a, b]
    for _ in range(2):
        answer = shop.ask("DELETE", here)
        assert (answer.status_code, answer.content) == (204, b"")
    assert shop.ask("DELETE", f"{SELECTION}?subPoolId=7").status_code == 204
    assert [each["definition_name"] for each in shop.get(SELECTION)["items"]] == ["M.Other"]
    odd = "/api/selection/%C3%BCber%20b/M.A%26b"
    shop.ask("PATCH", odd, json=[{"operation": "add", "value": [a]}])
    shown = shop.get(odd)
    assert shop.get(shown["self"]["href"]) == shown


def test_a_bad_change_of_a_selection_changes_nothing(shop: Shop) -> None:
    asset = shop.add_asset()
    change: list[Any] = [{"operation": "add", "value": [asset]}]
    for body, field in (
        ({}, "operations"),
        ([], "operations"),
        ([{"operation": "add"}], "[0].value"),
        ([{"operation": "swap", "value": []}], "[0].operation"),
        ([*change, {"operation": "add", "value": [999999]}], "[1].value"),
        ([{"operation": "add", "value": ["x"]}], "[0].value"),
        ([1], "[0].value"),
    ):
        invalid(shop.ask("PATCH", SELECTION, json=body), field)
    invalid(shop.ask("PATCH", f"{SELECTION}?subPoolId=-1", json=change), "subPoolId")
    invalid(shop.ask("PATCH", f"/api/selection/{'x' * 101}", json=change), "selectionPool")
    invalid(shop.ask("GET", f"{SELECTION}/M.Asset?take=0"), "take")
    assert shop.get(f"{SELECTION}/M.Asset")["items"] == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_selection_as_large_as_can_be_goes_in_one_request(shop: Shop) -> None:
    asset = shop.add_asset()
    ids = [str(10**18 + n) for n in range(SELECTION_IDS_MAX - 1)]
    content = json.dumps([{"operation": "remove", "value": [asset, *ids]}]).encode()
    assert len(content) > shop.hub.policy.body_bytes_max
    answer = shop.ask("PATCH", SELECTION, content=content)
    assert (answer.status_code, answer.json()["total_items"]) == (200, 0)
    more = json.dumps([{"operation": "remove", "value": list(range(1, SELECTION_IDS_MAX + 2))}])
    told = invalid(shop.ask("PATCH", SELECTION, content=more.encode()), "[0].value")
    assert str(SELECTION_IDS_MAX) in told


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_bodies_beyond_the_limit_are_refused_in_this_dialects_shape(shop: Shop) -> None:
    for method, path, limit in (
        ("POST", ORDERS, _bodies.BODY_BYTES_MAX),
        ("PATCH", SELECTION, _bodies.BODY_BYTES_MAX),
        ("PATCH", f"{SELECTION}/M.Asset", _bodies.BODY_BYTES_MAX),
    ):
        answer = shop.ask(method, path, content=b" " * (limit + 1))
        assert str(limit) in refused(answer, 413, "body-too-large")
    at_most = b" " * (_bodies.BODY_BYTES_MAX - 2) + b"{}"
    invalid(shop.ask("POST", ORDERS, content=at_most), "order")


def test_an_order_with_as_many_assets_configured_one_by_one_as_can_be(shop: Shop) -> None:
    limit = INDIVIDUAL_MAX
    asset = shop.add_asset()
    config = {
        "renditions": ["downloadOriginal", "downloadPreview"],
        "conversions": [
            [{"type": "resize", "value": {"width": 1200, "fit": "inside"}},
             {"type": "fileExtension", "value": "webp"}]
        ],
        "user_rendition_configuration": {"label": "Wide", "description": "x" * 99},
    }  # fmt: skip
    individual = {str(asset + n): config for n in range(limit)}
    content = json.dumps({"order": {"individual": individual}}).encode()
    assert len(content) > 2 * shop.hub.policy.body_bytes_max
    answer = shop.ask("POST", ORDERS, content=content)
    # All of it was read: of what is not there the first are told.
    told = answer.json()
    assert (answer.status_code, answer.headers["x-error-code"]) == (400, "assets-unknown")
    assert list(told) == [f"order.individual.{asset + n}" for n in range(1, 21)]
    assert told[f"order.individual.{asset + 1}"].startswith(f"There is no asset '{asset + 1}'")
    individual[str(asset + limit)] = config
    answer = shop.ask("POST", ORDERS, json={"order": {"individual": individual}})
    assert str(limit) in invalid(answer, "order.individual")
