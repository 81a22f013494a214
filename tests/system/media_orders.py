"""A customer who orders media over HTTP, and what can be seen from outside of how it went."""

import hashlib
import http.client
import io
import json
import socket
import sqlite3
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.system.hubs import Answer, Hub

ORDERS = "/api/downloadorders"
ENDED = ("Completed", "CompletedWithErrors", "Failed", "Cancelled", "Expired")
SECONDS_MAX = 60.0
Steps = list[dict[str, Any]]
T = TypeVar("T")


def steps(extension: str, **operations: Any) -> Steps:
    """A pipeline that ends in a file of this extension."""
    told = [{"type": name, "value": value} for name, value in operations.items()]
    return [*told, {"type": "fileExtension", "value": extension}]


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: int
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Shopper:
    """Somebody who orders, with a token, at a hub that listens at `bind`."""

    bind: str
    token: str

    def connect(self) -> http.client.HTTPConnection:
        host, port = self.bind.split(":")
        return http.client.HTTPConnection(host, int(port), timeout=SECONDS_MAX)

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with the token, on a connection of its own."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json-patch+json"
        with closing(self.connect()) as connection:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, target, data, sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())

    def select(self, pool: str, ids: Sequence[int]) -> dict[str, str]:
        """Pick assets; what names the selection in an order."""
        answer = self.ask(
            "PATCH", f"/api/selection/{pool}/M.Asset", [{"operation": "add", "value": list(ids)}]
        )
        assert answer.status == 200, answer
        assert answer.json()["total_items"] == len(ids)
        return {"selectionPool": pool, "definitionName": "M.Asset"}

    def place(self, order: Mapping[str, Any], **others: Any) -> dict[str, Any]:
        """Place an order, which must be accepted."""
        answer = self.ask("POST", ORDERS, {"order": order, **others})
        assert answer.status == 201, answer
        placed: dict[str, Any] = answer.json()
        assert answer.headers["location"] == placed["self"]["href"]
        return placed

    def convert(self, ids: Sequence[int], *pipelines: Steps, **others: Any) -> dict[str, Any]:
        """Order these assets, each by every pipeline and in no other form."""
        configured = {str(each): {"conversions": list(pipelines)} for each in ids}
        return self.place({"individual": configured}, download_order_type="Custom", **others)

    def look(self, order_id: int) -> dict[str, Any]:
        answer = self.ask("GET", f"{ORDERS}/{order_id}")
        assert answer.status == 200, answer
        shown: dict[str, Any] = answer.json()
        return shown

    def watch(self, order_id: int) -> Iterator[Event]:
        """The order's events as they come, to the end of the stream."""
        with closing(self.connect()) as connection:
            headers = {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream"}
            connection.request("GET", f"{ORDERS}/{order_id}/events", headers=headers)
            answer = connection.getresponse()
            assert answer.status in (200, 204), answer.status
            told: dict[str, str] = {}
            for line in iter(answer.readline, b""):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    told[name] = value
                elif "event" in told:
                    yield Event(int(told["id"]), told["event"], json.loads(told["data"]))
                    told = {}

    def wait(self, order_id: int, seconds: float = SECONDS_MAX) -> dict[str, Any]:
        """The order once it has ended."""
        return wait_for(
            lambda: shown if (shown := self.look(order_id))["status"] in ENDED else None, seconds
        )

    def finish(self, placed: Mapping[str, Any], status: str = "Completed") -> dict[str, Any]:
        """The order once it has ended as it should."""
        shown = self.wait(int(placed["order_id"]))
        assert shown["status"] == status, shown
        return shown

    def package(self, shown: Mapping[str, Any]) -> "Package":
        """The order's ZIP, in one piece."""
        answer = self.ask("GET", link_of(shown))
        assert answer.status == 200, answer
        return Package(answer.body)

    def jobs_errors(self, order_id: int) -> list[dict[str, Any]]:
        """What the job behind an order says of its errors."""
        answer = self.ask("GET", f"/api/jobs/{order_id}")
        assert answer.status == 200, answer
        errors: list[dict[str, Any]] = answer.json()["errors"]
        return errors


def link_of(shown: Mapping[str, Any]) -> str:
    """The path of an order's download link."""
    location = shown["download_location"]
    assert location is not None, shown
    return urlsplit(str(location["href"])).path


@dataclass
class Package:
    """An order's ZIP and what its papers say; opening it checks one against the other."""

    data: bytes
    manifest: dict[str, Any] = field(init=False)
    files: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        with zipfile.ZipFile(io.BytesIO(self.data)) as opened:
            assert opened.testzip() is None
            names = opened.namelist()
            assert len(set(names)) == len(names)
            self.files = {name: opened.read(name) for name in names}
        self.manifest = json.loads(self.files["manifest.json"])
        listed = {each["name"]: each for each in self.manifest["files"]}
        papers = {"order.json", "manifest.json"} | {"report.txt"} & self.files.keys()
        assert listed.keys() | papers == set(names)
        for name, told in listed.items():
            content = self.files[name]
            digest = hashlib.sha256(content).hexdigest()
            assert (len(content), digest) == (told["size"], told["sha256"]), name

    @property
    def report(self) -> str:
        return self.files["report.txt"].decode()

    def of(self, asset_id: int) -> dict[tuple[str, str], bytes]:
        """(rendition, extension) -> content, of one asset."""
        return {
            (each["rendition"], each["name"].rpartition(".")[2]): self.files[each["name"]]
            for each in self.manifest["files"]
            if each["asset_id"] == asset_id
        }


def fetch_in_two(shopper: Shopper, path: str, broken_at: int) -> tuple[bytes, Mapping[str, str]]:
    """Download `path` with the line torn at some byte, and go on by Range and If-Range."""
    connection = shopper.connect()
    connection.request("GET", path)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("accept-ranges")) == (200, "bytes")
    size, etag = int(answer.headers["content-length"]), answer.headers["etag"]
    assert size > broken_at, "too small to break off"
    first = answer.read(broken_at)
    assert connection.sock is not None
    # Not closed but reset, as by a network that is gone.
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sock.close()
    rest = shopper.ask("GET", path, headers={"Range": f"bytes={broken_at}-", "If-Range": str(etag)})
    assert rest.status == 206, rest
    assert rest.headers["content-range"] == f"bytes {broken_at}-{size - 1}/{size}"
    assert rest.headers["etag"] == etag
    return first + rest.body, rest.headers


def wait_for(look: Callable[[], T | None], seconds: float = SECONDS_MAX) -> T:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing within {seconds} s: {look()}")


def shopper(hub: Hub, email: str = "ada@halden.example") -> Shopper:
    """A person of the sandbox."""
    return Shopper(hub.bind, str(hub.user(email)["token"]))


def add_assets(hub: Hub, paths: Sequence[Path], *options: str) -> dict[str, int]:
    """Add files by the operator's command; file name -> number."""
    told = options or ("--public",)
    ran = hub.operate("assets", "add", *map(str, paths), *told, "--json")
    return {Path(each["path"]).name: int(each["id"]) for each in ran.objects()["assets"]}


def rows(hub: Hub, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What is in the embedded database of a running hub."""
    return _rows(hub.data, query, *values)


def _rows(data: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    uri = f"file:{data / 'entrepot.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=20)) as connection:
        return connection.execute(query, values).fetchall()


def workers(data: Path) -> list[int]:
    """The worker processes that are alive."""
    found = _rows(data, "SELECT pid FROM workers WHERE ended_at IS NULL")
    return [pid for (pid,) in found if Path(f"/proc/{pid}").exists()]


def temporary_files(data: Path) -> list[Path]:
    """What half-written results and uploads would leave."""
    return [
        path
        for path in data.rglob("*")
        if path.is_file() and ("incoming" in path.parts or path.name.startswith("tmp"))
    ]
