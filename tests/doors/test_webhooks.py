"""Webhooks over HTTP: the dialect's calls and the admin API's, and receivers that are refused."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from entrepot.core import webhooks
from tests.doors.admin_world import (
    MISSING,
    URL,
    Desk,
    add_caller,
    add_machine,
    open_desk,
    refused,
    token_of,
)

HOOKS = f"{URL}/api/v2/webhooks"
RECEIVER = "https://93.184.215.14/hooks"  # an address, so that nothing is looked up


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


def faults(answer: Any, status: int) -> dict[str, str]:
    """`name` -> `ref` of the dialect's error body."""
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (status, False, status), body
    return {fault["name"]: fault["ref"] for fault in body["errors"]}


def test_a_publishers_machine_keeps_webhooks_of_the_catalogue(desk: Desk) -> None:
    who = add_machine(desk.hub, "shop", ["publisher"], ["products"])
    token = token_of(desk.hub, who)
    sent = {"data": {"events": ["product/*"], "url": RECEIVER}}
    made = desk.ask("POST", f"{HOOKS}.json", token=token, json=sent)
    assert made.status_code == 201, made.text
    data = made.json()["data"]
    number = data["id"]
    assert made.headers["location"] == f"{HOOKS}/{number}.json"
    assert (data["url"], data["events"], data["disabledOn"]) == (RECEIVER, ["product/*"], None)
    assert len(base64.b64decode(data["secret"].removeprefix("whsec_"))) == 32
    shown = desk.ask("GET", made.headers["location"], token=token).json()
    assert shown == {"success": True, "status": 200, "data": data | {"secret": None}}
    assert desk.ask("GET", f"{HOOKS}.json", token=token).json()["data"] == [shown["data"]]

    path = f"{HOOKS}/{number}.json"
    sent = {"data": {"events": ["release/available", "product/*"], "description": "Shop"}}
    changed = desk.ask("PUT", path, token=token, json=sent)
    assert changed.json()["data"]["events"] == ["product/*", "release/available"]
    assert changed.json()["data"]["description"] == "Shop"
    assert changed.json()["data"]["url"] == RECEIVER
    rotated = desk.ask("POST", f"{HOOKS}/{number}/rotation.json", token=token)
    assert rotated.json()["data"]["secret"] not in (None, data["secret"])
    gone = desk.ask("DELETE", path, token=token)
    assert (gone.status_code, gone.content) == (204, b"")
    assert faults(desk.ask("GET", path, token=token), 404) == {"id": "error.not-found"}
    with desk.hub.database.read() as tx:
        assert webhooks.list_webhooks(tx) == ([], 0)


def test_what_is_wrong_with_a_webhook_is_told_in_the_dialect(desk: Desk) -> None:
    token = token_of(desk.hub, add_machine(desk.hub, "shop", ["publisher"], ["products"]))

    def ask(data: Any, method: str = "POST", path: str = f"{HOOKS}.json") -> Any:
        return desk.ask(method, path, token=token, json={"data": data})

    good = {"events": ["product/*"], "url": RECEIVER}
    assert faults(ask({}), 422) == {"events": "error.events-invalid", "url": "error.url-invalid"}
    assert faults(ask(good | {"events": ["orders/*"]}), 422) == {"events": "error.events-invalid"}
    assert faults(ask(good | {"events": "product/*", "x": 1}), 422) == {
        "events": "error.events-invalid",
        "x": "error.property-unknown",
    }
    # All at once: what cannot be read, what is missing, and what cannot be meant.
    several = ask({"events": ["product/*", "product/chnaged", "orders/*"], "description": 7})
    assert faults(several, 422) == {
        "description": "error.description-invalid",
        "events": "error.events-invalid",
        "url": "error.url-invalid",
    }
    told = [each["message"] for each in several.json()["errors"]]
    assert len(told) == 4
    assert any("Did you mean product/changed?" in each for each in told)
    wrong = {"events": ["product-download/*"], "url": "http://192.0.2.1/"}
    assert faults(ask(wrong), 422) == {
        "events": "error.events-invalid",
        "url": "error.url-refused",
    }
    assert faults(desk.ask("POST", f"{HOOKS}.json", token=token, content=b"{"), 400)
    assert faults(ask(good | {"events": ["order/*"]}), 403)
    for url in (
        "http://93.184.215.14/hooks",
        "https://127.0.0.1:8443/hooks",
        "https://localhost/hooks",
        "https://192.168.7.7/",
        "https://[fd00::1]/",
        "https://user@93.184.215.14/",
        "ftp://93.184.215.14/",
        "elsewhere",
    ):
        assert faults(ask(good | {"url": url}), 422) == {"url": "error.url-refused"}, url
    assert faults(ask(good | {"url": "https://no-such-host.invalid/"}), 422) == {
        "url": "error.url-refused"
    }
    assert faults(ask({}, "PUT", f"{HOOKS}/1.json"), 404)
    assert faults(desk.ask("GET", f"{HOOKS}/x.json", token=token), 404)


def test_an_organisation_sees_its_own_webhooks_alone(desk: Desk) -> None:
    ours = add_machine(desk.hub, "ours", ["customer"], ["orders"])
    theirs = add_machine(desk.hub, "theirs", ["customer"], ["orders"])
    customer = add_caller(desk.hub, "customer")
    sent = {"data": {"events": ["order/completed"], "url": RECEIVER}}
    made = desk.ask("POST", f"{HOOKS}.json", token=token_of(desk.hub, ours), json=sent)
    number = made.json()["data"]["id"]
    other = token_of(desk.hub, theirs)
    missing = desk.ask("GET", f"{HOOKS}/999999.json", token=other)
    for method, path, body in (
        ("GET", f"{HOOKS}/{number}.json", None),
        ("PUT", f"{HOOKS}/{number}.json", sent),
        ("DELETE", f"{HOOKS}/{number}.json", None),
        ("POST", f"{HOOKS}/{number}/rotation.json", None),
    ):
        answer = desk.ask(method, path, token=other, json=body)
        assert (answer.status_code, answer.content) == (404, missing.content)
    assert desk.ask("GET", f"{HOOKS}.json", token=other).json()["data"] == []
    person = desk.ask("GET", f"{HOOKS}.json", token=token_of(desk.hub, customer))
    assert faults(person, 403) == {"request": "error.role-required"}
    assert faults(desk.ask("GET", f"{HOOKS}.json", token=None), 401)


def test_operators_keep_webhooks_and_see_their_deliveries(desk: Desk) -> None:
    body = {"url": RECEIVER, "events": ["*"], "description": "Everything"}
    answer = desk.ask("POST", "/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    number, path = made["id"], f"/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    shown = desk.ask("GET", answer.headers["location"]).json()
    assert (shown["everything"], shown["organisation_id"]) == (True, desk.operator.organisation_id)
    assert "secret" not in shown
    assert desk.ask("GET", "/webhooks").json() == {"total": 1, "items": [shown]}

    pinged = desk.ask("POST", f"{path}/ping").json()
    assert (pinged["type"], pinged["state"], pinged["attempts"]) == ("webhook/pinged", "waiting", 0)
    listed = desk.ask("GET", f"{path}/deliveries?state=waiting").json()
    assert (listed["total"], listed["items"]) == (1, [pinged])
    assert desk.ask("GET", f"{path}/deliveries?state=failed").json()["total"] == 0
    refused(desk.ask("GET", f"{path}/deliveries?state=lost"), 400, "invalid", "state")

    now = desk.hub.now()
    with desk.hub.database.write() as tx:
        [sent] = webhooks.claim_deliveries(tx, number, take=5, now=now)
        attempted = webhooks.Attempted(500, "The receiver answered 500.", 7, now)
        webhooks.settle(tx, sent, attempted, now=now)
    one = desk.ask("GET", f"{path}/deliveries/{sent.id}").json()
    assert (one["attempts"], one["state"]) == (1, "waiting")
    assert one["body"] == sent.body.decode()
    assert [(each["status"], each["milliseconds"]) for each in one["log"]] == [(500, 7)]
    desk.done("POST", f"{path}/deliveries/{sent.id}/redeliver")
    assert desk.ask("GET", f"{path}/deliveries/{sent.id}").json()["attempts"] == 0
    refused(desk.ask("GET", f"{path}/deliveries/msg_none"), 404, "not-found")

    patched = desk.ask("PATCH", path, json={"events": ["order/*"]}).json()
    assert (patched["events"], patched["description"]) == (["order/*"], "Everything")
    assert desk.ask("POST", f"{path}/rotation").json()["secret"] != made["secret"]
    desk.done("POST", f"{path}/disable")
    assert desk.ask("GET", path).json()["disabled_at"] is not None
    refused(desk.ask("POST", f"{path}/ping"), 409, "webhook-disabled")
    desk.done("POST", f"{path}/enable")
    desk.done("DELETE", path)
    refused(desk.ask("GET", path), 404, "not-found")
    private = body | {"url": "https://10.0.0.1/"}
    refused(desk.ask("POST", "/webhooks", json=private), 400, "url-refused", "url")
    both = desk.ask("POST", "/webhooks", json=private | {"events": ["order/done"]})
    refused(both, 400, "invalid", "events")
    assert both.json()["details"].keys() == {"events", "url"}
    assert "order/completed" in both.json()["remedy"]
    refused(desk.ask("GET", f"/webhooks/{MISSING}"), 404, "not-found")


def test_the_log_is_read_in_pages_and_streamed(desk: Desk) -> None:
    for name in ("Ada", "=cmd|' /C calc'!A0"):
        desk.made("/organisations", {"name": name, "country": "DE"})
    mine = f"/events?actor={desk.operator.label}"
    page = desk.ask("GET", mine).json()
    assert [each["type"] for each in page["items"]] == ["organisation.added"] * 2
    newest, oldest = page["items"]
    assert newest["id"] > oldest["id"]
    assert page["next"] is None
    first = desk.ask("GET", f"{mine}&take=1").json()
    assert (first["items"], first["next"]) == ([newest], newest["id"])
    rest = desk.ask("GET", f"{mine}&take=1&before={first['next']}").json()
    assert rest["items"] == [oldest]
    behind = desk.ask("GET", f"{mine}&after={oldest['id']}").json()
    assert behind["items"] == [newest]
    assert desk.ask("GET", f"{mine}&type=user.*").json()["items"] == []
    refused(desk.ask("GET", f"{mine}&type=user.add"), 400, "invalid", "type")
    assert len(desk.ask("GET", f"{mine}&type=organisation.*").json()["items"]) == 2
    number = newest["organisation_id"]
    of = desk.ask("GET", f"{mine}&organisation={number}&subject=organisation:{number}").json()
    assert of["items"] == [newest]
    assert desk.ask("GET", f"{mine}&since={newest['at']}&until=2100-01-01").json()["items"]
    assert desk.ask("GET", f"{mine}&until=2001-01-01").json()["items"] == []

    lines = desk.ask("GET", f"{mine}&format=jsonl")
    assert lines.headers["content-type"].startswith("application/jsonl")
    assert len(lines.text.splitlines()) == 2
    table = desk.ask("GET", f"{mine}&format=csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[0].startswith("id,at,type,actor,")
    assert "attachment" in table.headers["content-disposition"]
    for query, field in (
        ("after=x", "after"),
        ("take=0", "take"),
        ("since=never", "since"),
        ("format=xml", "format"),
        ("type=.", "type"),
        ("type=.&format=jsonl", "type"),  # before the stream begins: afterwards it could only break
        ("type=.&format=csv", "type"),
        ("organisation=nobody", "organisation"),
    ):
        answer = desk.ask("GET", f"/events?{query}")
        assert (answer.status_code, answer.json()["field"]) == (400, field)
