"""Races over HTTP: a hub of two web processes on either database, and requests all at once."""

import base64
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest

from entrepot.assembly import Hub as Inside
from entrepot.daemon.desk import Desk
from tests.databases import empty_database, postgresql_server  # noqa: F401 - a fixture
from tests.system.hubs import Answer, Hub, running_hub

T = TypeVar("T")
TOGETHER_SECONDS_MAX = 60


@dataclass(frozen=True)
class Ring:
    """A running hub, and the same from the inside."""

    hub: Hub
    inside: Inside

    def post(self, path: str, *, client: tuple[str, str], **fields: str) -> Answer:
        """A form, sent by a program with its secret."""
        host, port = self.hub.bind.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        secret = base64.b64encode(":".join(client).encode()).decode()
        headers = {
            "Authorization": f"Basic {secret}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        try:
            connection.request("POST", path, body=urlencode(fields), headers=headers)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Of the hub's database."""
        with self.inside.database.read() as tx:
            return [tuple(row) for row in tx.exec_driver_sql(query)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def ring(
    request: pytest.FixtureRequest, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ring]:
    """The hub that all tests share, and by soak one on PostgreSQL."""
    if request.param == "sqlite":
        with Desk({"data": str(hub.data)}).hub() as inside:
            yield Ring(hub, inside)
        return
    with empty_database("postgresql", request, tmp_path) as url:
        monkeypatch.setenv("ENTREPOT_DATABASE_URL", url)
        with (
            running_hub(tmp_path / "data", database_url=url) as other,
            Desk({"data": str(other.data)}).hub() as inside,
        ):
            yield Ring(other, inside)


def together(verbs: Sequence[Callable[[], T]]) -> list[T]:
    """The outcomes of calls that all begin at the same moment."""
    gate = threading.Barrier(len(verbs))

    def call(verb: Callable[[], T]) -> T:
        gate.wait(TOGETHER_SECONDS_MAX)
        return verb()

    with ThreadPoolExecutor(len(verbs)) as pool:
        return list(pool.map(call, verbs))


def error_of(answer: Answer) -> str:
    """The `error` of a refusal (RFC 6749 section 5.2)."""
    assert answer.status == 400, answer
    said: dict[str, str] = json.loads(answer.body)
    return said["error"]
