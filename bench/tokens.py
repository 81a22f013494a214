"""Tokens: CPU of issuing one (client credentials) and of telling what one is good for."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench._authlib import CLIENT_ID, SECRET, basic
from bench._cpu import median
from bench._figures import Figure, Report
from bench._hub import free_port, running_hub
from bench._load import fetch, post
from bench._requests import ROUNDS, cpu_per_request
from bench._world import ACTOR
from entrepot.assembly import Hub
from entrepot.core import accounts

REQUESTS = 500
TOKEN, INTROSPECT = "/oauth/token", "/oauth/introspect"
ASKING = b"grant_type=client_credentials&scope=entitlements"
SHAPE = (
    "`POST /oauth/token` (client credentials, Basic, one scope) and `POST /oauth/introspect` of "
    "one such token, RS256 by a key of 2048 bits; 8 keep-alive connections, "
    f"{REQUESTS} requests a sample, the hub on SQLite and the peer in turn. The peer is a bare "
    "Authlib server on uvicorn: its one client in memory, no database, and so none of the limit "
    "on guesses, the record of what was issued with its durable commit, the look-up of the "
    "account and of what was revoked, which the hub's figures hold."
)
_ROOT = Path(__file__).resolve().parent.parent


def measure() -> Report:
    """The hub and the peer in turn, issuing and telling."""
    with running_hub(seed) as hub, _peer() as (pid, port):
        ours = (hub.pid, hub.port, basic(*hub.seeded))
        peer = (pid, port, basic(CLIENT_ID, SECRET))
        samples: dict[tuple[str, str], list[float]] = {}
        for number in range(ROUNDS + 1):
            for name, server in (("hub", ours), ("peer", peer)):
                for what, spent in _round(*server):
                    if number:  # the first round warms up
                        samples.setdefault((name, what), []).append(spent * 1e6)
    return Report(SHAPE, [_figure(what, samples) for what in ("issued", "introspected")])


def seed(hub: Hub) -> tuple[str, str]:
    """A machine's client id and secret."""
    now = hub.now()
    with hub.database.write() as tx:
        organisation = accounts.add_organisation(
            tx, name="Caller", country="DE", actor=ACTOR, now=now
        )
        made = accounts.add_client(
            tx,
            client_id="bench",
            name="Bench",
            organisation_id=organisation,
            scopes=["entitlements"],
            actor=ACTOR,
            now=now,
        )
    return made.client_id, made.secret


def _round(pid: int, port: int, authorization: str) -> Iterator[tuple[str, float]]:
    headers = {
        "Authorization": authorization,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    asking = post(TOKEN, ASKING, headers=headers)
    answer = msgspec.json.decode(fetch(port, asking))
    telling = post(INTROSPECT, f"token={answer['access_token']}".encode(), headers=headers)
    told = msgspec.json.decode(fetch(port, telling))
    if not told["active"] or told["scope"] != "entitlements":
        raise RuntimeError(f"not what was issued: {told}")
    yield "issued", cpu_per_request(pid, port, [asking] * REQUESTS)
    yield "introspected", cpu_per_request(pid, port, [telling] * REQUESTS)


@contextlib.contextmanager
def _peer() -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench._authlib", str(port)], cwd=_ROOT)
    headers = {"Authorization": basic(CLIENT_ID, SECRET)}
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                fetch(port, post(TOKEN, ASKING, headers=headers))
                break
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(10)


def _figure(what: str, samples: dict[tuple[str, str], list[float]]) -> Figure:
    ours, peers = samples["hub", what], samples["peer", what]
    ratio = median([our / peer for our, peer in zip(ours, peers, strict=True)])
    return Figure(
        f"token {what}",
        median(ours),
        "us CPU a request",
        tuple(ours),
        peer=f"bare Authlib {median(peers):.0f} us: {ratio:.2f} times that",
    )
