"""Webhooks over real processes: receiver and worker are killed, and no event is lost."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.assembly import Hub as Inside
from entrepot.core.events import Event, record
from entrepot.daemon.desk import Desk
from tests.databases import empty_database, postgresql_server  # noqa: F401 - a fixture
from tests.system.hubs import Hub, free_port, running_hub
from tests.system.media_orders import wait_for

RECEIVER = Path(__file__).with_name("receiver.py")
FIRST_SECONDS_MAX = 30.0  # on an idle hub it is less than one; the machine may be busy
ALL_SECONDS_MAX = 90.0


@contextlib.contextmanager
def receiving(port: int, path: Path, seconds: float = 0) -> Iterator[None]:
    """A receiver in a process of its own, killed with -9 at the end."""
    command = [sys.executable, str(RECEIVER), str(port), str(path), str(seconds)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(lambda: _answers(port))
            yield
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def came(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Id of a message -> every time that it came."""
    found = defaultdict(list)
    for line in path.read_text().splitlines() if path.exists() else ():
        one = json.loads(line)
        found[one["headers"]["webhook-id"]].append(one)
    return found


def subjects(path: Path) -> set[str]:
    """What was told of so far."""
    return {json.loads(each[0]["body"])["data"]["subject"] for each in came(path).values()}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def told_hub(
    request: pytest.FixtureRequest, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """A sandbox that may deliver to this machine."""
    if request.param == "sqlite":
        with running_hub(data, web_processes="1", outbound_private="on") as hub:
            yield hub
        return
    with empty_database("postgresql", request, tmp_path) as url:
        monkeypatch.setenv("ENTREPOT_DATABASE_URL", url)
        with running_hub(
            tmp_path / "other", database_url=url, web_processes="1", outbound_private="on"
        ) as hub:
            yield hub


def happen(inside: Inside, first: int, last: int) -> set[str]:
    """Events of these numbers; the subjects that are to be told of."""
    for number in range(first, last + 1):
        with inside.database.write() as tx:
            event = Event("product.changed", "operator", f"product:{number}")
            record(tx, event, now=inside.now())
    return {f"product:{number}" for number in range(first, last + 1)}


def test_every_event_arrives_though_receiver_and_worker_are_killed(
    told_hub: Hub, tmp_path: Path
) -> None:
    path, port = tmp_path / "came.jsonl", free_port()
    url = f"http://127.0.0.1:{port}/hooks"
    organisation = told_hub.world["users"][0]["organisation"]
    made = told_hub.operate(
        *("webhooks", "add", url, "--organisation", organisation),
        *("--event", "product/*", "--everything", "--json"),
    ).objects()
    with Desk({"data": str(told_hub.data)}).hub() as inside:
        with receiving(port, path):
            began = time.time()
            expected = happen(inside, 1, 1)
            wait_for(lambda: subjects(path) == expected, FIRST_SECONDS_MAX)
            [[first]] = came(path).values()
            assert first["at"] - began < FIRST_SECONDS_MAX
            expected |= happen(inside, 2, 20)
            wait_for(lambda: subjects(path) >= set(list(expected)[:5]))
        expected |= happen(inside, 21, 40)  # nobody listens
        with receiving(port, path, seconds=1):
            expected |= happen(inside, 41, 50)
            before = len(came(path))
            wait_for(lambda: len(came(path)) > before)
            [worker] = _column(inside, "SELECT pid FROM workers WHERE ended_at IS NULL")
            os.kill(worker, signal.SIGKILL)  # while answers are still to come
            expected |= happen(inside, 51, 60)
        with receiving(port, path):
            wait_for(lambda: subjects(path) == expected, ALL_SECONDS_MAX)
            delivered = "SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'"
            wait_for(lambda: _column(inside, delivered) == [0], ALL_SECONDS_MAX)
    messages = came(path)
    assert len(messages) == len(expected) == 60  # one id for each event, whatever happened
    for number, times in messages.items():
        assert len({one["body"] for one in times}) == 1
        for one in times:
            verify(one, number, made["secret"])


def _column(inside: Inside, query: str) -> list[int]:
    with inside.database.read() as tx:
        return list(tx.exec_driver_sql(query).scalars())


def verify(one: dict[str, Any], number: str, secret: str) -> None:
    """As docs/howto/webhooks.md has receivers do it."""
    headers, body = one["headers"], one["body"].encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{number}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert f"v1,{signature}" in headers["webhook-signature"].split(" ")
    assert abs(one["at"] - int(headers["webhook-timestamp"])) < 60
