"""Deliveries over real connections: what a receiver gets, and what a bad receiver cannot do."""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from entrepot.assembly import Hub
from entrepot.core import webhooks
from entrepot.core.webhooks import WebhookSpec
from entrepot.core.webhooks.tables import webhooks as table
from entrepot.jobs import Halted
from entrepot.worker.webhooks import AT_ONCE_MAX, AT_ONCE_OF_FAILING, AT_ONCE_OF_ONE, Courier
from tests import factories
from tests.factories import OPERATOR

SECONDS_MAX = 60.0


class Receivers(ThreadingHTTPServer):
    """One server, whose answer depends on the path: a status, or how long it takes."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.at_once: dict[str, int] = {}
        self.most_at_once: dict[str, int] = {}
        self.lock = threading.Lock()
        self.let_go = threading.Event()
        self.turns = threading.Semaphore(0)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def bodies(self, path: str) -> list[bytes]:
        return [body for came, _, body in self.came if came == path]


class Answering(BaseHTTPRequestHandler):
    server: Receivers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        server = self.server
        with server.lock:
            server.came.append((self.path, headers, body))
            now = server.at_once.get(self.path, 0) + 1
            server.at_once[self.path] = now
            server.most_at_once[self.path] = max(now, server.most_at_once.get(self.path, 0))
        if self.path.startswith("/slow"):
            server.let_go.wait(SECONDS_MAX)
        if self.path.startswith("/turns"):
            server.turns.acquire(timeout=SECONDS_MAX)
        status = int(self.path.rpartition("/")[2]) if self.path[-1].isdigit() else 200
        with server.lock:
            server.at_once[self.path] -= 1
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("location", server.url("/elsewhere"))
        self.end_headers()
        if self.path == "/talks":
            self.wfile.write(b"x" * 300_000)

    def do_GET(self) -> None:
        self.server.came.append((self.path, {}, b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    server = Receivers()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.let_go.set()
    server.turns.release(1000)
    server.shutdown()
    server.server_close()


@pytest.fixture
def courier(hub: Hub) -> Iterator[Courier]:
    """Of a hub that may deliver to this machine; it looks when it is told to."""
    made = Courier(_near(hub, private=True), pause=lambda _: None)
    yield made
    made.stop()


def _near(hub: Hub, *, private: bool) -> Hub:
    return replace(hub, policy=replace(hub.policy, outbound_private=private))


def subscribe(
    hub: Hub, url: str, *patterns: str, organisation: int | None = None
) -> webhooks.NewWebhook:
    """A webhook, of an organisation of its own unless told."""
    with hub.database.write() as tx:
        organisation = organisation or factories.add_organisation(tx)
        spec = WebhookSpec(url, patterns or ("order/*",))
        return webhooks.add_webhook_for(
            tx, hub.keys.box, organisation, spec, everything=False, actor=OPERATOR, now=hub.now()
        )


def ping(hub: Hub, number: int, count: int = 1) -> list[str]:
    """Ids of so many deliveries."""
    ids = []
    for _ in range(count):
        with hub.database.write() as tx:
            ids.append(webhooks.ping_webhook(tx, number, actor=OPERATOR, now=hub.now()).id)
    return ids


def state(hub: Hub, delivery: str) -> Any:
    with hub.database.read() as tx:
        return webhooks.find_delivery(tx, delivery)


def reasons(hub: Hub, delivery: str) -> list[str]:
    with hub.database.read() as tx:
        return [each.reason for each in webhooks.list_attempts(tx, delivery)]


def look_until(courier: Courier, found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not found():
        assert time.monotonic() < deadline
        courier.look()
        time.sleep(0.02)


def test_a_receiver_gets_what_it_can_verify(
    hub: Hub, courier: Courier, receivers: Receivers
) -> None:
    made = subscribe(hub, receivers.url("/in"))
    [delivery] = ping(hub, made.id)
    look_until(courier, lambda: state(hub, delivery).state == "delivered")
    [(path, headers, body)] = receivers.came
    assert (path, headers["webhook-id"], headers["content-type"]) == (
        "/in",
        delivery,
        "application/json",
    )
    assert body == state(hub, delivery).body.encode()
    key = base64.b64decode(made.secret.removeprefix("whsec_"))
    content = f"{delivery}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    plain = hmac.new(made.secret.encode(), body, hashlib.sha256).digest()
    assert headers["x-entrepot-hmac-sha256"] == base64.b64encode(plain).decode()
    assert reasons(hub, delivery) == [""]
    verify = verify_as_documented()
    assert verify(made.secret, headers, body)
    assert not verify(made.secret, headers, body + b" ")
    assert not verify(made.secret, headers | {"webhook-timestamp": "1781524800"}, body)
    assert not verify(subscribe(hub, receivers.url("/other")).secret, headers, body)


def verify_as_documented() -> Any:
    """What the page shows to those who write receivers."""
    page = Path(__file__).parents[2] / "docs" / "howto" / "webhooks.md"
    found: dict[str, Any] = {}
    exec(page.read_text().partition("```python\n")[2].partition("```")[0], found)
    return found["verify"]


def test_bad_answers_are_told_and_none_is_followed(
    hub: Hub, courier: Courier, receivers: Receivers
) -> None:
    expected = {
        "/500": "The receiver answered 500.",
        "/302": "The receiver answered 302.",
        "/410": "The receiver answered 410.",
        "/talks": "",
    }
    sent: dict[str, tuple[int, str]] = {}
    for path in (*expected, "closed"):
        url = "http://127.0.0.1:1/" if path == "closed" else receivers.url(path)
        number = subscribe(hub, url).id
        [delivery] = ping(hub, number)
        sent[path] = (number, delivery)
    look_until(courier, lambda: all(reasons(hub, delivery) for _, delivery in sent.values()))
    assert {path: reasons(hub, sent[path][1])[0] for path in expected} == expected
    assert reasons(hub, sent["closed"][1])[0].startswith("remote-failed: ")
    assert state(hub, sent["/talks"][1]).state == "delivered"
    assert state(hub, sent["/410"][1]).state == "failed"
    assert not receivers.bodies("/elsewhere")
    with hub.database.read() as tx:
        assert webhooks.find_webhook(tx, sent["/410"][0]).disabled_at is not None
        assert webhooks.find_webhook(tx, sent["/500"][0]).failing_since is not None
        assert webhooks.find_webhook(tx, sent["/talks"][0]).failing_since is None


def test_what_the_hub_cannot_send_counts_as_an_attempt(
    hub: Hub, courier: Courier, receivers: Receivers
) -> None:
    """Else it would be due again every twenty seconds, for ever, and nobody would see why."""
    made = subscribe(hub, receivers.url("/hook"))
    [delivery] = ping(hub, made.id)
    with hub.database.write() as tx:
        broken = update(table).where(table.c.id == made.id)
        tx.execute(broken.values(secret=hub.keys.box.seal(b"\xff")))
    look_until(courier, lambda: bool(reasons(hub, delivery)))
    assert reasons(hub, delivery) == ["The hub could not send it."]
    assert state(hub, delivery).attempts == 1
    assert not receivers.came


def test_a_slow_receiver_does_not_hold_up_the_others(
    hub: Hub, courier: Courier, receivers: Receivers
) -> None:
    slow = subscribe(hub, receivers.url("/slow")).id
    waiting = ping(hub, slow, 10)
    quick = subscribe(hub, receivers.url("/quick")).id
    for _ in range(3):
        courier.look()
    done = ping(hub, quick, 10)
    look_until(courier, lambda: all(state(hub, each).state == "delivered" for each in done))
    assert {state(hub, each).state for each in waiting} == {"waiting"}
    assert receivers.most_at_once["/slow"] == AT_ONCE_OF_ONE
    receivers.let_go.set()
    look_until(courier, lambda: all(state(hub, each).state == "delivered" for each in waiting))
    assert len(receivers.bodies("/slow")) == 10  # none of them twice
    failing = subscribe(hub, receivers.url("/slow/500")).id
    ping(hub, failing, 8)
    with hub.database.write() as tx:
        tx.execute(update(table).where(table.c.id == failing).values(failing_since=hub.now()))
    look_until(courier, lambda: len(receivers.bodies("/slow/500")) > 1)
    assert receivers.most_at_once["/slow/500"] == AT_ONCE_OF_FAILING


def test_many_slow_receivers_of_one_organisation_do_not_starve_another(
    hub: Hub, courier: Courier, receivers: Receivers
) -> None:
    with hub.database.write() as tx:
        greedy = factories.add_organisation(tx)
    for number in range(AT_ONCE_MAX // AT_ONCE_OF_ONE + 1):
        slow = subscribe(hub, receivers.url(f"/turns/of{number}x"), organisation=greedy).id
        ping(hub, slow, AT_ONCE_OF_ONE + 2)
    look_until(courier, lambda: len(receivers.came) == AT_ONCE_MAX)
    [delivery] = ping(hub, subscribe(hub, receivers.url("/quick")).id)
    receivers.turns.release()
    look_until(courier, lambda: state(hub, delivery).state == "delivered")
    assert len(receivers.came) <= AT_ONCE_MAX + 2  # one place was free, and went to the other


def test_receivers_that_are_not_public_are_refused_at_delivery(
    hub: Hub, receivers: Receivers
) -> None:
    """The address was public, or allowed, when the webhook was made."""
    courier = Courier(_near(hub, private=False), pause=lambda _: None)
    sent = {}
    port = receivers.server_address[1]
    for url in (
        receivers.url("/in"),
        f"https://127.0.0.1:{port}/in",
        f"https://localhost:{port}/in",
        f"https://[::ffff:127.0.0.1]:{port}/in",
        "https://169.254.169.254/latest/meta-data",
    ):
        number = subscribe(hub, url).id
        [sent[url]] = ping(hub, number)
    look_until(courier, lambda: all(reasons(hub, each) for each in sent.values()))
    for each in sent.values():
        assert reasons(hub, each)[0].startswith("url-refused: ")
    assert receivers.came == []
    courier.stop()


def test_a_worker_that_ends_gives_back_what_is_under_way(
    hub: Hub, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrepot.worker.webhooks.STOP_SECONDS_MAX", 0.05)
    number = subscribe(hub, receivers.url("/slow")).id
    [delivery] = ping(hub, number)
    halting = threading.Event()

    def pause(seconds: float) -> None:
        if halting.wait(seconds):
            raise Halted

    courier = Courier(_near(hub, private=True), pause=pause)
    thread = threading.Thread(target=courier.run)
    thread.start()
    deadline = time.monotonic() + SECONDS_MAX
    while not receivers.bodies("/slow") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert state(hub, delivery).due_at > hub.now()
    halting.set()
    thread.join(SECONDS_MAX)
    courier.stop()
    assert state(hub, delivery).due_at <= hub.now()
    receivers.let_go.set()
    other = Courier(_near(hub, private=True), pause=lambda _: None)
    look_until(other, lambda: state(hub, delivery).state == "delivered")
    other.stop()
    assert set(receivers.bodies("/slow")) == {state(hub, delivery).body.encode()}
