"""JSON calls: retries, time-outs, kept connections, errors, and a token that stays home."""

import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client import (
    BadAnswer,
    Client,
    ClientError,
    Denied,
    InvalidUse,
    LicenceNeeded,
    NotFound,
    NotSignedIn,
    Times,
    Unreachable,
)
from entrepot.client.answers import error_for
from entrepot.client.api import segment
from entrepot.client.connections import Address, _parse, parse_address, parse_hub_address
from entrepot.client.errors import Cancelled
from entrepot.client.retries import Backoff, retry_after_seconds
from tests.client.conftest import QUICK
from tests.client.hub import ARTIFACTS, ENTITLEMENT, GROUP, RELEASE, Fault, Hub, running_hub
from tests.ports import free_port


def test_objects_come_back_in_the_hubs_order_of_items_and_keys(hub: Hub, client: Client) -> None:
    found = client.entitlements()
    assert found == hub.entitlements()
    assert list(found[0]) == list(hub.entitlements()[0])
    assert client.releases(ENTITLEMENT) == [hub.release(ENTITLEMENT)]
    assert client.artifacts(ENTITLEMENT, RELEASE) == hub.release(ENTITLEMENT)["artifacts"]


def test_pages_and_search_are_asked_for_as_the_contract_says(hub: Hub, client: Client) -> None:
    assert [item["id"] for item in client.entitlements(page=2, limit=1)] == [GROUP]
    assert [item["id"] for item in client.entitlements(product="DS000B")] == [ENTITLEMENT]
    client.entitlements()
    client.releases(ENTITLEMENT, search={"latestAvailable": True})
    assert [request.query for request in hub.requests] == [
        {"offset": ["2"], "limit": ["1"]},
        {"search": ['{"product.id":"DS000B"}']},
        {},
        {"search": ['{"latestAvailable":true}']},
    ]


def test_a_base_with_a_path_prefix(hub: Hub) -> None:
    with (
        running_hub("/some/prefix") as deep,
        Client(deep.url + "/", deep.token, call_backoff=QUICK) as client,
    ):
        assert len(client.entitlements()) == 4
        assert "/some/prefix/dl/" in client.link(ENTITLEMENT, RELEASE, ARTIFACTS[0])


def test_one_connection_serves_many_calls(hub: Hub, client: Client) -> None:
    for _ in range(5):
        client.entitlement(ENTITLEMENT)
    assert len({request.peer for request in hub.requests}) == 1
    assert len(hub.requests) == 5


@pytest.mark.parametrize("kind", ["cut", "stall"])
def test_a_broken_call_is_made_again(hub: Hub, client: Client, kind: str) -> None:
    hub.api_faults = [Fault(kind), Fault(kind)]
    assert client.entitlement(ENTITLEMENT)["id"] == ENTITLEMENT


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_not_now_is_tried_again_and_given_up_after_some_attempts(
    hub: Hub, client: Client, status: int
) -> None:
    hub.api_faults = [Fault("status", status=status) for _ in range(3)]
    assert client.entitlement(ENTITLEMENT)["id"] == ENTITLEMENT
    hub.requests.clear()
    hub.api_faults = [Fault("status", status=status) for _ in range(9)]
    with pytest.raises(Unreachable, match=f"status {status}"):
        client.entitlement(ENTITLEMENT)
    assert len(hub.requests) == 4


def test_retry_after_is_waited_for(hub: Hub, client: Client) -> None:
    hub.api_faults = [Fault("status", status=503, headers={"Retry-After": "1"})]
    started = time.monotonic()
    client.entitlement(ENTITLEMENT)
    assert time.monotonic() - started >= 1


def test_a_hub_that_is_down_is_a_network_error_not_not_found() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", "t", call_backoff=QUICK) as client,
        pytest.raises(Unreachable, match="refused"),
    ):
        client.entitlements()


def test_a_hub_that_accepts_and_says_nothing_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        times = Times(connect_seconds=1, stall_seconds=0.2)
        started = time.monotonic()
        with (
            Client(url, "t", times=times, call_backoff=QUICK) as client,
            pytest.raises(Unreachable, match="in time"),
        ):
            client.entitlements()
        assert time.monotonic() - started < 60  # not the five minutes that a call may take


def test_a_call_that_waits_for_a_silent_hub_ends_when_it_is_stopped(hub: Hub) -> None:
    """The hub of the test says nothing for a minute, and would count as silent much later."""
    ended: list[Exception] = []
    patient = Times(stall_seconds=300, call_seconds=300)
    with Client(hub.url, hub.token, times=patient, call_backoff=QUICK) as client:
        assert client.entitlement(ENTITLEMENT)  # leaves a connection open: the next call takes it
        hub.api_faults = [Fault("stall")]

        def ask() -> None:
            try:
                client.entitlement(ENTITLEMENT)
            except ClientError as error:
                ended.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        while len(hub.requests) < 2:
            time.sleep(0.01)
        client.stop.set()
        asking.join(20)
        assert [type(error) for error in ended] == [Cancelled]


def test_errors_say_what_the_hub_says(hub: Hub, client: Client) -> None:
    hub.api_faults = [Fault("denied")]
    with pytest.raises(Denied) as denied:
        client.entitlement(ENTITLEMENT)
    assert denied.value.message == "Maintenance ended on 1 May."
    assert denied.value.reason == "maintenance-ended"
    assert denied.value.remedy == "The newest release you still own is 2022.1."
    with pytest.raises(NotFound, match="Not there"):
        client.entitlement("999")
    hub.api_faults = [Fault("answer", answer=b"<html>login</html>")]
    with pytest.raises(BadAnswer, match="not JSON"):
        client.entitlement(ENTITLEMENT)
    hub.api_faults = [Fault("status", status=400)]
    with pytest.raises(InvalidUse):
        client.entitlement(ENTITLEMENT)


def test_a_redirect_does_not_carry_the_token_away(hub: Hub, client: Client) -> None:
    with running_hub() as other:
        there = {"Location": f"{other.url}/e-product-entitlement-customer/v1/entitlements"}
        hub.api_faults = [Fault("status", status=302, headers=there)]
        with pytest.raises(BadAnswer, match="redirect"):
            client.entitlements()
        assert other.requests == []


@pytest.mark.parametrize(
    "value",
    ["http://127.0.0.1:1/", "//host/x", "..", ".", "", "a/b", "a?b", "a#b", "a b", "é", "x" * 201],
)
def test_an_id_cannot_change_where_the_token_goes(hub: Hub, client: Client, value: str) -> None:
    for call in (
        lambda: client.entitlement(value),
        lambda: client.release(ENTITLEMENT, value),
        lambda: client.link(ENTITLEMENT, RELEASE, value),
    ):
        with pytest.raises(InvalidUse, match="not an id"):
            call()
    assert hub.requests == []


@given(st.text(max_size=50))
def test_whatever_passes_as_an_id_is_one_segment(value: str) -> None:
    try:
        made = segment(value)
    except InvalidUse:
        return
    assert made == value
    assert not set(made) & set("/?#%:@\\ ")
    assert made not in ("", ".", "..")


def test_a_refused_token_is_renewed_once(hub: Hub) -> None:
    class Source:
        asked = 0

        def token(self) -> str:
            return "old"

        def renewed(self, refused: str) -> str | None:
            assert refused == "old"
            self.asked += 1
            return hub.token

    source = Source()
    with Client(hub.url, source, call_backoff=QUICK) as client:
        client.entitlement(ENTITLEMENT)
    assert source.asked == 1
    with Client(hub.url, "old", call_backoff=QUICK) as client, pytest.raises(NotSignedIn):
        client.entitlement(ENTITLEMENT)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "https://",
        "x",
        "",
        "https://u:p@host",
        "https://host:99999",
        "https://host/?q",
        "https://host/#f",
        "https://ho st",
        "https://host\n",
    ],
)
def test_a_url_that_is_no_hub_is_refused_without_echoing_a_password(url: str) -> None:
    with pytest.raises(InvalidUse) as caught:
        parse_hub_address(url)
    assert "u:p" not in caught.value.message


def test_addresses_have_one_spelling() -> None:
    assert parse_hub_address("HTTPS://Host.Example:443/a/").url == "https://host.example/a"
    assert parse_hub_address("http://[::1]:8080").url == "http://[::1]:8080"
    assert parse_address("http://127.0.0.1").is_loopback
    assert parse_address("http://[::1]").is_loopback
    assert not parse_address("http://127.0.0.1.example.com").is_loopback


PIECES = [
    *("http", "https", "HTTP", "://", "a", "Z", "h.example", "[::1]", "@", ":", "443", "99999"),
    *("/", "//", "..", "dl", "%41", "%", "?", "#", "q=1", "&", "\\", " ", "é", "~", "_", ".", "-"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.booleans())
def test_the_quick_way_to_take_a_url_apart_finds_what_the_long_one_does(
    rest: str, whole: bool
) -> None:
    url = f"http://h.example{rest}" if whole else rest

    def found(parse: Callable[[str], Address]) -> Address | str:
        try:
            return parse(url)
        except InvalidUse as error:
            return error.message

    assert found(parse_address) == found(_parse)


def test_a_proxy_gets_the_whole_url_and_loopback_never_does(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{hub.port}")
    with Client("http://hub.invalid", hub.token, call_backoff=QUICK) as far:
        assert far.entitlements()
    assert hub.requests[0].target.startswith("http://hub.invalid/e-product")
    assert hub.requests[0].headers["host"] == "hub.invalid"
    assert hub.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Client(hub.url, hub.token, call_backoff=QUICK) as near:
        assert near.entitlements()


def test_retry_after_in_both_forms() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after_seconds("7", now) == 7
    assert retry_after_seconds("Thu, 01 Jan 2026 12:00:30 GMT", now) == 30
    assert retry_after_seconds("Thu, 01 Jan 2026 11:00:00 GMT", now) == 0
    for nonsense in (None, "", "soon", "-1", "1.5", "²"):
        assert retry_after_seconds(nonsense, now) is None


@given(st.integers(1, 10_000))
def test_pauses_grow_up_to_a_limit(failures: int) -> None:
    backoff = Backoff(first_seconds=0.5, most_seconds=20)
    assert 0.25 <= backoff.seconds(failures) <= 20
    assert backoff.seconds(failures, 33) >= 33


@given(st.integers(300, 599), st.binary(max_size=200))
def test_every_answer_is_some_error(status: int, body: bytes) -> None:
    assert isinstance(error_for(status, body), ClientError)


@pytest.mark.parametrize(
    "details",
    [
        None,
        ["TERMS", 2],
        {"licence": "TERMS"},
        {"licence": "TERMS", "revision": True},
        {"licence": "TERMS", "revision": 0},
        {"licence": "TERMS", "revision": 10**9},
        {"licence": "TERMS@1; rm", "revision": 2},
        {"licence": "-x", "revision": 2},
        {"licence": 7, "revision": 2},
    ],
)
def test_no_licence_is_named_that_could_not_be_typed(details: Any) -> None:
    said = {"errorName": "download-error-eula-required", "details": details}
    error = error_for(403, json.dumps(said).encode())
    assert isinstance(error, LicenceNeeded)
    assert (error.licence, error.revision) == ("", 0)


@pytest.mark.parametrize("body", [[], {"items": 1}, {"items": [1]}, "x", None])
def test_answers_of_another_shape_are_bad_answers(hub: Hub, client: Client, body: Any) -> None:
    hub.api_faults = [Fault("answer", answer=body)]
    with pytest.raises(BadAnswer):
        client.entitlements()
