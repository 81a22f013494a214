"""Bodies that come a byte at a time: every door that reads one stops waiting, over real sockets."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.web.http import incoming, receiving
from entrepot.web.server import build_app
from tests import factories
from tests.doors.admin_world import token_of
from tests.web.live_server import Live, Reader, Reply, running

FORM = "application/x-www-form-urlencoded"
LENGTH = 100_000  # announced; what comes of it never gets there
SECONDS_MAX = 20.0


@pytest.fixture
def live(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setattr(receiving, "BODY_SECONDS_MAX", 0.4)
    quick = partial(receiving.Pace, rate_bytes_min=2048, seconds=0.4)
    monkeypatch.setattr(incoming, "Pace", quick)
    app = build_app(hub)
    with running(app) as served:
        yield served
    app._edge.close()


def begin(
    live: Live, target: str, token: str = "", kind: str = "application/json"
) -> socket.socket:
    """A connection with a head on it that announces a body."""
    method, path = target.split(" ")
    sock = live.connect()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}"]
    lines.append("Origin: http://127.0.0.1:8080")
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"Content-Length: {LENGTH}", "", ""]
    sock.sendall("\r\n".join(lines).encode())
    return sock


def trickle(sock: socket.socket, piece: bytes = b" ") -> Reply:
    """The reply to a body that goes on a byte at a time."""
    deadline = time.monotonic() + SECONDS_MAX
    while not select.select([sock], [], [], 0.02)[0]:
        assert time.monotonic() < deadline, "the hub goes on waiting"
        sock.sendall(piece)
    return Reader(sock).reply()


def test_no_door_waits_for_a_body_without_an_end(live: Live, hub: Hub, tmp_path: Path) -> None:
    with hub.database.write() as tx:
        home = factories.add_organisation(tx)
        who = factories.add_user(tx, home, roles=accounts.ROLES)
        product = factories.add_product(tx)
        draft = factories.add_release(tx, product, draft=True, store=hub.blobs)
        number = factories.grant(tx, home, product)
    token = token_of(hub, who)
    entitlement = f"/e-product-entitlement-customer/v1/entitlements/{number}"
    multipart = "multipart/form-data; boundary=x"
    doors = [
        ("POST /api/admin/v1/products", token, "application/json"),
        (f"POST /api/admin/v1/releases/{draft.id}/artifacts?file_name=new.bin", token, "a/b"),
        ("POST /api/v2/webhooks.json", token, "application/json"),
        (f"POST /api/v2/products/{product}/downloads.json", token, "application/json"),
        (f"POST /api/v2/products/{product}/downloads.json", token, multipart),
        ("POST /api/downloadorders", token, "application/json"),
        (f"PUT {entitlement}/licence", token, "application/json"),
        ("POST /oauth/token", "", FORM),
        ("POST /sign-in", "", FORM),
    ]
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with contextlib.ExitStack() as stack:
        waiting = [(stack.enter_context(begin(live, *door)), door[0]) for door in doors]
        for sock, target in waiting:
            status, fields, body = trickle(sock)
            assert status == 408, (target, status, body)
            assert fields["connection"] == "close", target
            if target == "POST /api/downloadorders":
                assert fields["x-error-code"] == "body-late"
            elif target not in ("POST /sign-in", "POST /oauth/token"):
                assert "body-late" in json.dumps(json.loads(body)), target
    left = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert not [path for path in left if "sqlite" not in path.name]


def test_a_file_that_comes_at_the_least_rate_is_taken(
    live: Live, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many times the span in which it is looked at, and a machine may stall in one."""
    monkeypatch.setattr(incoming, "Pace", partial(receiving.Pace, rate_bytes_min=256, seconds=0.4))
    with hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx), roles=accounts.ROLES)
        draft = factories.add_release(tx, factories.add_product(tx), draft=True, store=hub.blobs)
    path = f"POST /api/admin/v1/releases/{draft.id}/artifacts?file_name=new.bin"
    with begin(live, path, token_of(hub, who), "a/b") as sock:
        for _ in range(20):
            sock.sendall(b"x" * (LENGTH // 20))
            time.sleep(0.05)
        assert Reader(sock).reply()[0] == 201
