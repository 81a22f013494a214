"""Limits on the rate of requests over HTTP: who is counted, and 429 in each door's own shape."""

from collections.abc import Iterator, Mapping

import httpx
import pytest

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal, open_session
from tests import factories
from tests.doors.entitlement_world import ROOT, Door, open_door

BURST = 3


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    # One a minute comes back: none while a test runs.
    with open_door(hub, requests_per_minute=1, requests_burst=BURST) as opened:
        yield opened


def people(door: Door, count: int) -> list[Principal]:
    with door.hub.database.write() as tx:
        organisation = factories.add_organisation(tx)
        return [
            factories.add_user(tx, organisation, roles=("customer", "operator"))
            for _ in range(count)
        ]


def used_up(
    door: Door,
    path: str,
    token: str | None = None,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """The answer that says 429, after as many that do not as the burst has."""
    for left in range(BURST - 1, -1, -1):
        answer = door.ask(path, token, method=method, headers=headers)
        assert answer.status_code < 429, answer.text
        assert answer.headers["ratelimit"].startswith(f'"requests";r={left};t=')
        assert answer.headers["ratelimit-policy"] == f'"requests";q={BURST};w={BURST * 60}'
    answer = door.ask(path, token, method=method, headers=headers)
    assert answer.status_code == 429
    wait = answer.headers["retry-after"]
    assert 1 <= int(wait) <= 60
    assert answer.headers["ratelimit"] == f'"requests";r=0;t={wait}'
    return answer


def test_a_principal_is_counted_whatever_its_token_and_door(door: Door) -> None:
    one, other = people(door, 2)
    tokens = [door.token(one), door.token(one, ("entitlements", "orders", "admin"))]
    assert (
        door.ask("/api/admin/v1/users", tokens[0]).headers["ratelimit"].startswith('"requests";r=2')
    )
    assert door.get("/", tokens[1]).headers["ratelimit"].startswith('"requests";r=1')
    assert (
        door.ask("/api/downloadorders", tokens[1]).headers["ratelimit"].startswith('"requests";r=0')
    )
    assert door.get("/", tokens[1]).status_code == 429
    assert door.get("/", door.token(other)).status_code == 200


def test_each_door_refuses_in_its_own_words(door: Door) -> None:
    first, second, third, fourth = people(door, 4)
    told = used_up(door, f"{ROOT}/", door.token(first)).json()
    assert (told["errorCode"], told["reason"]) == (429, "too-many-requests")
    answer = used_up(door, "/api/admin/v1/users", door.token(second))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "too-many-requests"
    answer = used_up(door, "/api/downloadorders", door.token(third))
    assert answer.headers["x-error-code"] == "too-many-requests"
    assert answer.json()["Message"].startswith("Too many requests.")
    answer = used_up(door, "/api/v2/products/1/downloads.json", door.token(fourth))
    assert (answer.json()["success"], answer.json()["status"]) == (False, 429)
    assert answer.json()["errors"][0]["ref"] == "error.too-many-requests"


def test_a_session_is_its_person_and_anybody_else_an_address(door: Door) -> None:
    [who] = people(door, 1)
    with door.hub.database.write() as tx:
        session = open_session(tx, who, now=door.hub.now())
    page = used_up(door, "/", headers={"cookie": f"entrepot={session}"})
    assert "text/html" in page.headers["content-type"]
    assert "Too many requests" in page.text
    assert door.get("/", door.token(who)).status_code == 429  # the same bucket
    answer = used_up(door, "/oauth/token", method="POST", headers={"authorization": "Bearer x"})
    assert answer.json()["error"] == "temporarily_unavailable"
    for path in ("/", "/product-codes", f"{ROOT}/", "/openapi.json"):
        assert door.ask(path).status_code == 429


def test_bad_tokens_and_sessions_are_counted_by_address(door: Door) -> None:
    for number in range(BURST):
        assert door.get("/", f"ept_{'x' * 42}{number}").status_code == 401
    assert door.get("/", "ept_other").status_code == 429
    assert door.ask("/", headers={"cookie": "entrepot=made-up"}).status_code == 429


def test_nobody_escapes_by_a_made_up_credential(door: Door) -> None:
    headers = {"authorization": "Basic eDp5", "cookie": "entrepot=made-up", "origin": "x"}
    asked = ("/sign-in", "/invitation", "/oauth/token", "/sign-in", "/oauth/revoke")
    statuses = [door.ask(path, method="POST", headers=headers).status_code for path in asked]
    assert [status == 429 for status in statuses] == [False] * BURST + [True] * 2


def test_links_probes_and_static_files_are_not_counted(door: Door) -> None:
    for _ in range(BURST + 2):
        for path in ("/healthz", "/readyz", "/dl/x/y", "/static/portal.0.css", "/keys"):
            answer = door.ask(path)
            assert answer.status_code != 429
            assert "ratelimit" not in answer.headers


def test_off_means_no_limit_and_no_headers(hub: Hub) -> None:
    assert hub.policy.requests_per_minute == 0
    with open_door(hub, requests_burst=1) as door:
        for _ in range(5):
            answer = door.ask("/")
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
