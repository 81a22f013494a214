"""The SDK's orders and selections against a hub that misbehaves."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.client import (
    BadAnswer,
    Client,
    Denied,
    InvalidUse,
    NotFound,
    NotSignedIn,
    OrderEnded,
    Stop,
    Times,
    Unreachable,
    Wishes,
)
from tests.client.conftest import QUICK
from tests.client.orders_hub import TOKEN, Fault, OrdersHub, event, running_orders_hub

TIMES = Times(connect_seconds=5, stall_seconds=5, call_seconds=10)
WEBP = [{"type": "fileExtension", "value": "webp"}]


@pytest.fixture
def orders_hub() -> Iterator[OrdersHub]:
    with running_orders_hub() as hub:
        yield hub


@pytest.fixture
def client(orders_hub: OrdersHub) -> Iterator[Client]:
    with Client(
        orders_hub.url, TOKEN, times=TIMES, call_backoff=QUICK, transfer_backoff=QUICK
    ) as client:
        yield client


def placed(hub: OrdersHub) -> dict[str, Any]:
    """The body of the one order that was placed."""
    [seen] = hub.asked("POST", "/downloadorders")
    body: dict[str, Any] = json.loads(seen.body)
    return body


def test_selections_are_changed_in_parts_and_read_in_pages(
    client: Client, orders_hub: OrdersHub
) -> None:
    many = client.selections
    assert many.add("kit", ["dunes", "2", 3]) == 3
    assert many.add("kit", range(100_001, 160_001)) == 60_003
    assert len(orders_hub.asked("PATCH", "/kit/M.Asset")) == 3
    assert many.add("kit", [4], sub_pool=9) == 1
    assert list(many.ids("kit", sub_pool=9)) == [4]
    assert list(many.ids("kit")) == [1, 2, 3, *range(100_001, 160_001)]
    assert many.remove("kit", range(100_001, 160_001)) == 3
    assert many.page("kit", skip=1, take=1)["items"] == [2]
    many.clear("kit")
    assert list(many.ids("kit")) == []
    with pytest.raises(NotFound, match="no asset 'nothing'"):
        many.add("kit", ["nothing"])
    for pool in ("", "a/b", "..", "a?b"):
        with pytest.raises(InvalidUse):
            many.clear(pool)
    with pytest.raises(InvalidUse):
        many.add("kit", [])


def test_an_order_of_named_assets_configures_each(client: Client, orders_hub: OrdersHub) -> None:
    order = client.orders.create(
        ["dunes", 2, "2"],
        renditions=["Original"],
        conversions=[WEBP],
        individual={5: Wishes(presets=["print"], keep_as={"label": "L"})},
        name="Kit",
        zip_name="kit.zip",
        resolver="by-group",
        culture="en-US",
        order_type="Custom",
    )
    assert order["order_id"] == 7
    every = {"renditions": ["Original"], "conversions": [WEBP]}
    own = {"presets": ["print"], "user_rendition_configuration": {"label": "L"}}
    assert placed(orders_hub) == {
        "order": {"individual": {"dunes": every, "2": every, "5": own}, "zip_filename": "kit.zip"},
        "name": "Kit",
        "item_name_resolver_id": "by-group",
        "culture": "en-US",
        "download_order_type": "Custom",
    }


def test_what_is_for_one_group_reaches_it_alone(client: Client, orders_hub: OrdersHub) -> None:
    groups = {"M.AssetMedia.images": Wishes(presets=["web"])}
    client.orders.create(["dunes", "film"], groups=groups)
    assert placed(orders_hub)["order"] == {
        "individual": {"dunes": {"presets": ["web"]}, "film": {}}
    }
    orders_hub.seen.clear()
    client.orders.create(selection="kit", sub_pool=3, renditions=["Original"], groups=groups)
    body = placed(orders_hub)
    told = {"selectionPool": "kit", "definitionName": "M.Asset", "subPoolId": 3}
    assert body["target_selection"] == told
    whole = body["order"]["global"]
    assert len(whole) == 7
    assert whole["M.AssetMedia.Images"] == {"renditions": ["Original"], "presets": ["web"]}
    assert whole["M.AssetMedia.Audio"] == {"renditions": ["Original"]}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"assets": [1], "selection": "kit"},
        {"assets": range(1, 10_002)},
        {"selection": "kit", "groups": {"Pictures": Wishes(presets=["web"])}},
    ],
)
def test_what_cannot_be_meant_is_not_sent(
    client: Client, orders_hub: OrdersHub, asked: dict[str, Any]
) -> None:
    with pytest.raises(InvalidUse):
        client.orders.create(**asked)
    assert orders_hub.seen == []


def test_an_order_is_never_placed_twice(client: Client, orders_hub: OrdersHub) -> None:
    faults: list[Fault] = [(0, {}, None), (502, {}, b"<html>"), (500, {}, {"Message": "A defect."})]
    for fault in faults:
        orders_hub.faults, orders_hub.seen = [fault], []
        with pytest.raises(Unreachable):
            client.orders.create([1])
        assert len(orders_hub.asked("POST", "/downloadorders")) == 1
    orders_hub.faults = [(503, {}, {"Message": "Busy."}), (429, {"Retry-After": "0"}, {})]
    assert client.orders.create([1])["order_id"] == 7, "nothing had been done: it is sent again"


def test_refusals_are_told_in_the_words_of_the_hub(client: Client, orders_hub: OrdersHub) -> None:
    faults = {f"order.individual.{n}": f"Fault {n}." for n in range(12)}
    cases: list[tuple[int, Any, type[Exception], str]] = [
        (400, faults, InvalidUse, "order.individual.0: Fault 0.\n"),
        (400, faults, InvalidUse, "and 2 more$"),
        (400, {"request": "No JSON."}, InvalidUse, "^No JSON.$"),
        (400, [], InvalidUse, "does not understand"),
        (401, {"Message": "Ended."}, NotSignedIn, "Ended"),
        (403, {"Message": "Not yours."}, Denied, "Not yours"),
        (404, {"Message": "Look at /api."}, NotFound, "^There is no order 7, or it is not yours.$"),
        (409, {"Message": "It is Completed."}, Denied, "It is Completed"),
        (413, {"Message": 7}, InvalidUse, "more than the hub takes"),
        (301, b"", BadAnswer, "redirect"),
        (418, {"Message": "Tea."}, BadAnswer, "418"),
    ]
    for status, body, kind, words in cases:
        orders_hub.faults = [(status, {"X-Error-Code": "the-code"}, body)]
        with pytest.raises(kind, match=words):
            client.orders.retry(7)
    orders_hub.faults = [(200, {}, [])]
    with pytest.raises(BadAnswer):
        client.orders.show(7)


def test_all_orders_are_listed_once(client: Client, orders_hub: OrdersHub) -> None:
    orders_hub.orders = 250
    listed = [order["order_id"] for order in client.orders.list()]
    assert listed == list(range(250, 0, -1))
    assert len(client.orders.list(page=1, limit=3)) == 3
    assert len(orders_hub.asked("GET", "/downloadorders")) == 4


def test_a_watch_goes_on_where_its_line_was_cut(client: Client, orders_hub: OrdersHub) -> None:
    """What is older than the first look at the order is not told again."""
    orders_hub.modified = 5
    first = event(1, "Failed", 0, at=2) + event(2, "Pending", 1, at=5, generation=2)
    crlf = event(4, "InProgress", 3, at=7, generation=2).replace(b"\n", b"\r\n")
    orders_hub.streams = [
        [b"retry: 2000\n\n" + first, event(3, "InProgress", 2, at=6)[:30], None],
        [b": still here\n\n", event(3, "InProgress", 2, at=6, generation=2), crlf, None],
        [event(5, "Completed", 4, at=8, generation=2)],
    ]
    now = {"status": "InProgress", "done": 2, "modified": 6}
    orders_hub.looks = [{}, now, now, {"status": "Completed", "done": 4, "modified": 8}]
    events = list(client.orders.watch(7))
    told = [(one.id, one.status, one.files_completed, one.generation) for one in events]
    assert told == [
        (None, "Pending", 0, None),
        (2, "Pending", 1, 2),
        (3, "InProgress", 2, 2),
        (4, "InProgress", 3, 2),
        (5, "Completed", 4, 2),
    ]
    assert [one.ended for one in events] == [False] * 4 + [True]
    asked = orders_hub.asked("GET", "/events")
    assert [one.headers.get("last-event-id") for one in asked] == [None, "2", "4"]


def test_what_the_first_look_has_told_is_not_told_again_by_the_stream(
    client: Client, orders_hub: OrdersHub
) -> None:
    placed, working = event(1, "Pending", 0, at=1), event(2, "InProgress", 0, at=2)
    orders_hub.streams = [[placed, working, event(3, "Completed", 4, at=3)]]
    orders_hub.looks = [{}, {"status": "Completed", "done": 4}]
    told = [(one.id, one.kind) for one in client.orders.watch(7)]
    assert told == [(None, "placed"), (2, "progress"), (3, "completed")]


def test_a_watch_can_begin_behind_an_event(client: Client, orders_hub: OrdersHub) -> None:
    orders_hub.streams = [[event(4, "InProgress", 3, at=0), event(5, "Completed", 4, at=0)]]
    orders_hub.looks = [{}, {"status": "Completed", "done": 4}]
    assert [one.id for one in client.orders.watch(7, after=3)] == [4, 5]
    assert orders_hub.asked("GET", "/events")[0].headers["last-event-id"] == "3"


@pytest.mark.parametrize(
    "refused",
    [
        [(404, {}, {"Message": "No such page."})],
        [(429, {"X-Error-Code": "streams-full"}, {"Message": "Too many."})],
        [(200, {}, b"<html>")],
        [[b"data: no JSON\n\n"]],
        [[None], [b": hello\n\n"], (502, {}, b"")],  # nothing gets through, three times in a row
        [[b"x" * (1 << 21)]],
    ],
)
def test_where_no_stream_gets_through_the_order_is_polled(
    client: Client, orders_hub: OrdersHub, refused: list[Any]
) -> None:
    orders_hub.streams = list(refused)
    working = {"status": "InProgress", "done": 1}
    still: list[dict[str, Any]] = [{} for _ in refused]
    ended = {"status": "CompletedWithErrors", "done": 3}
    orders_hub.looks = [{}, *still, {}, working, {}, {}, ended]
    events = list(client.orders.watch(7, poll_seconds=0.01))
    told = [(one.status, one.files_completed) for one in events]
    assert told == [("Pending", 0), ("InProgress", 1), ("CompletedWithErrors", 3)]
    looks = orders_hub.asked("GET", "/downloadorders/7")
    assert looks[-1].headers["if-none-match"].startswith('"')
    assert len(orders_hub.asked("GET", "/events")) == len(refused)


def test_a_watch_outlasts_a_hub_that_is_away_and_ends_with_one_that_stays_away(
    client: Client, orders_hub: OrdersHub
) -> None:
    away: Fault = (503, {}, {"Message": "Starting."})
    orders_hub.faults = [away, away, away]
    orders_hub.streams = [(204, {}, None)]
    orders_hub.looks = [{}, {"status": "Cancelled"}]
    assert [one.status for one in client.orders.watch(7)] == ["Pending", "Cancelled"]
    orders_hub.faults = [away] * 4
    with pytest.raises(Unreachable, match="Starting"):
        list(client.orders.watch(7))
    orders_hub.faults = [(404, {}, {})]
    with pytest.raises(NotFound):
        list(client.orders.watch(7))


def test_an_order_that_has_ended_is_told_in_one_event(
    client: Client, orders_hub: OrdersHub
) -> None:
    orders_hub.status = "Expired"
    assert [one.kind for one in client.orders.watch(7)] == ["expired"]
    assert orders_hub.asked("GET", "/events") == []


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("Pending", Denied, "entrepot order watch 7"),
        ("InProgress", Denied, "entrepot order watch 7"),
        ("Failed", OrderEnded, "entrepot order watch 7"),
        ("Cancelled", OrderEnded, "entrepot order retry 7"),
        ("Expired", OrderEnded, "Place it again"),
    ],
)
def test_without_a_package_it_is_told_what_to_do(
    client: Client, orders_hub: OrdersHub, status: str, kind: type[Denied], words: str
) -> None:
    orders_hub.status = status
    with pytest.raises(kind) as caught:
        client.orders.link(7)
    assert type(caught.value) is kind
    assert words in caught.value.remedy


def test_a_watch_can_be_stopped(orders_hub: OrdersHub) -> None:
    stop = Stop()
    orders_hub.streams = [[event(2, "InProgress", 1, at=9)] * 2]
    with Client(orders_hub.url, TOKEN, times=TIMES, stop=stop) as client:
        events = client.orders.watch(7)
        next(events)
        stop.set()
        with pytest.raises(Exception, match="Stopped"):
            next(events)
