"""A small real HTTP server that plays the orders API, and misbehaves on request."""

import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

TOKEN = "orders-token"
FILES = {"Images/a.jpg": b"a" * 70_000, "Images/b.jpg": bytes(range(256)) * 900}
Headers: TypeAlias = dict[str, str]
Fault: TypeAlias = tuple[int, Headers, Any]  # status, headers, body; status 0 hangs up


def moment(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000Z"


def event(number: int, status: str, done: int, *, at: int, generation: int = 1) -> bytes:
    """One message of a stream."""
    kinds = {"Pending": "placed", "InProgress": "progress", "CompletedWithErrors": "completed"}
    data = {
        "status": status,
        "generation": generation,
        "files_total": 4,
        "files_completed": done,
        "files_failed": 0,
        "at": moment(at),
    }
    kind = kinds.get(status, status.lower())
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def packed(
    files: Mapping[str, bytes],
    *,
    order_id: int = 7,
    listed: Mapping[str, bytes] | None = None,
    missing: Sequence[Mapping[str, Any]] = (),
    report: str = "",
) -> bytes:
    """An order's ZIP; `listed` is what its manifest claims, where that is not the truth."""
    told = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in (files if listed is None else listed).items()
    ]
    manifest = {"order_id": order_id, "files": told, "missing": list(missing)}
    papers = {"order.json": b"{}", "manifest.json": json.dumps(manifest).encode()}
    if report:
        papers["report.txt"] = report.encode()
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as made:
        for name, data in {**files, **papers}.items():
            made.writestr(zipfile.ZipInfo(name), data)
    return sink.getvalue()


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    body: bytes


@dataclass
class OrdersHub:
    """One order (number 7), selections, two assets; and what goes wrong, taken in turn."""

    port: int = 0
    status: str = "Pending"
    done: int = 0
    modified: int = 1
    archive: bytes = b""
    weak: bool = False
    cut_at: list[int] = field(default_factory=list)  # of answers with bytes
    faults: list[Fault] = field(default_factory=list)  # of answers below /api, but for events
    # Of requests for events: pieces to send, or an answer. None ends a connection in the middle.
    streams: list[list[bytes | None] | Fault] = field(default_factory=list)
    # What comes true with each look at the order, one after the other.
    looks: list[dict[str, Any]] = field(default_factory=list)
    orders: int = 1
    failure: str = "x"  # the code of why a file could not be made
    assets: dict[str, tuple[int, str]] = field(
        default_factory=lambda: {"dunes": (1, "Images"), "film": (2, "Videos")}
    )
    selected: dict[str, set[int]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def order(self, number: int = 7) -> dict[str, Any]:
        ready = self.status in ("Completed", "CompletedWithErrors")
        link = {"href": f"{self.url}/dl/x/kit.zip", "title": "kit.zip"} if ready else None
        return {
            "order_id": number,
            "name": "Kit \x1b[31m",
            "status": self.status,
            "target_count": 2,
            "download_location": link,
            "additional_info": "2 of 4 files could not be made." if "With" in self.status else None,
            "progress": {
                "files_total": 4,
                "files_completed": self.done,
                "files_failed": 0,
                "bytes_total": 9,
            },
            "modified_on": moment(self.modified),
        }

    def asked(self, method: str, ending: str) -> list[Seen]:
        with self.lock:
            return [one for one in self.seen if one.method == method and one.path.endswith(ending)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: OrdersHub
    timeout = 30
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The tests read what was recorded instead."""

    def _answer(self) -> None:
        hub, parts = self.hub, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        headers = {key.lower(): value for key, value in self.headers.items()}
        with hub.lock:
            hub.seen.append(Seen(self.command, parts.path, query, headers, body))
        if parts.path.startswith("/dl/"):
            return self._bytes()
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"Message": "Sign in."})
        if parts.path.endswith("/events"):
            return self._stream()
        if hub.faults:
            status, more, told = hub.faults.pop(0)
            if not status:
                self.close_connection = True
                return None
            return self._send(status, told, more)
        return self._api(parts.path.split("/")[2:], query, body)

    def __getattr__(self, name: str) -> Any:
        """One method for all of do_GET, do_POST, ..."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _send(self, status: int, told: Any, headers: Headers | None = None) -> None:
        body = (
            b"" if told is None else told if isinstance(told, bytes) else json.dumps(told).encode()
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def _api(self, path: list[str], query: dict[str, str], body: bytes) -> None:
        hub = self.hub
        if path[0] == "entities":
            if len(path) == 1:
                return self._assets(query)
            number, group = hub.assets.get(path[1], (0, ""))
            if not number:
                return self._send(404, {"Message": "Not there."}, {"X-Error-Code": "not-found"})
            href = f"{hub.url}/api/mediagroups/M.AssetMedia.{group}"
            return self._send(200, {"id": number, "media_group": {"href": href}})
        if path[0] == "selection":
            return self._selection(path[1], query, body)
        if path[0] == "jobs":
            error = {"asset_id": 1, "identifier": "dunes", "rendition": "web"}
            told = {"code": hub.failure, "message": "Torn.", "remedy": "Mend it."}
            return self._send(200, {"errors": [{**error, **told}]})
        if len(path) == 1 and self.command == "GET":
            return self._page(query)
        if self.command == "GET" and hub.looks:
            for name, value in hub.looks.pop(0).items():
                setattr(hub, name, value)
        if self.command == "DELETE":
            hub.status = "Cancelled"
        shown = hub.order()
        etag = f'"{hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == etag:
            return self._send(304, None, {"ETag": etag})
        created = self.command == "POST"
        return self._send(201 if created else 200, shown, {"ETag": etag})

    def _assets(self, query: dict[str, str]) -> None:
        wanted = query.get("mediaGroup")
        skip, take = int(query["skip"]), int(query["take"])
        items = [
            {"id": number, "identifier": name, "file_name": f"{name}.bin", "size": 1234}
            for name, (number, group) in self.hub.assets.items()
            if wanted in (None, group)
        ]
        self._send(200, {"items": items[skip : skip + take]})

    def _page(self, query: dict[str, str]) -> None:
        """Each page begins one order too early: one was placed meanwhile."""
        hub = self.hub
        skip, take = int(query["skip"]), int(query["take"])
        begin = max(0, skip - 1)
        numbers = list(range(hub.orders, 0, -1))[begin : begin + take]
        more = {"href": "more"} if begin + take < hub.orders else None
        self._send(200, {"items": [hub.order(number) for number in numbers], "next": more})

    def _selection(self, pool: str, query: dict[str, str], body: bytes) -> None:
        ids = self.hub.selected.setdefault(f"{pool}{query.get('subPoolId', '')}", set())
        if self.command == "DELETE":
            ids.clear()
            return self._send(204, None)
        if self.command == "PATCH":
            for change in json.loads(body):
                {"add": ids.update, "remove": ids.difference_update}[change["operation"]](
                    change["value"]
                )
            return self._send(200, {"total_items": len(ids)})
        skip = int(query["skip"])
        page = sorted(ids)[skip : skip + int(query["take"])]
        return self._send(200, {"total_items": len(ids), "items": page})

    def _stream(self) -> None:
        """In chunks, as the hub does; without anything left to play it hangs up."""
        told = self.hub.streams.pop(0) if self.hub.streams else [None]
        if isinstance(told, tuple):
            status, headers, value = told
            return self._send(status, value, headers)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in told:
            if piece is None:
                self.close_connection = True
                return None
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(0.005)
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _bytes(self) -> None:
        hub, data, begin = self.hub, self.hub.archive, 0
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        wanted = self.headers.get("Range", "")
        if wanted and self.headers.get("If-Range", etag) == etag:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f"W/{etag}" if hub.weak else etag)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if hub.cut_at:
            self.wfile.write(data[begin : hub.cut_at.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(data[begin:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def running_orders_hub() -> Iterator[OrdersHub]:
    """A hub that listens until the block ends."""
    hub = OrdersHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
