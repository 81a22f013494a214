"""A small real HTTP server that plays the contract, and misbehaves on request.

It speaks HTTP/1.1 on 127.0.0.1, port 0, keeps connections open, and records every request.
"""

import base64
import hashlib
import io
import json
import ssl
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

ROOT = "/e-product-entitlement-customer/v1/entitlements"
STALL_SECONDS = 60.0  # how long it says nothing where it is told to: by far longer than who waits
ENTITLEMENT, GROUP, LICENSED, EMPTY = "169189", "169190", "169191", "169192"
RELEASE = "d2650553-3806-4c0e-92d7-2e46fd468074"
ARTIFACTS = [f"7db814ee-c1e3-4d68-a65d-a7e6b437e1e{n}" for n in range(4)]


def make_token(
    *, ends_in_seconds: float = 3600, country: str = "GB", serial: int = 0, subject: str = ""
) -> str:
    """A token in the form of a JWT; the hub of these tests compares it as a string."""
    claims = {
        "iss": "https://hub.test",
        "exp": int(time.time() + ends_in_seconds),
        "given_name": "Ada",
        "family_name": "Lovelace",
        "emails": ["ada@example.com"],
        "ip_country": country,
        "jti": str(serial),
        **({"sub": subject} if subject else {}),
    }
    parts = [{"alg": "RS256", "kid": "1"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*coded, b"c2lnbmF0dXJl"]).decode()


Answers: TypeAlias = tuple[int, dict[str, Any]] | list[tuple[int, dict[str, Any]]]


@dataclass
class Fault:
    """What happens to one request for bytes instead of a good answer."""

    kind: str  # cut stall status flip trickle short no-length redirect ignore-range silence
    at: int = 0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    answer: Any = None


@dataclass
class File:
    name: str | None
    data: bytes
    repository: str = "ipw"
    sha256: str | None = "right"
    md5: str | None = "right"
    size: int | None = -1

    def describe(self, artifact_id: str) -> dict[str, Any]:
        described: dict[str, Any] = {
            "id": artifact_id,
            "name": "Installer 1.10",
            "description": "Linux installer",
            "type": "Software",
            "fileName": self.name,
            "fileSize": len(self.data) if self.size == -1 else self.size,
            "md5": hashlib.md5(self.data).hexdigest() if self.md5 == "right" else self.md5,
            "sha256": hashlib.sha256(self.data).hexdigest()
            if self.sha256 == "right"
            else self.sha256,
            "repository": self.repository,
        }
        return {key: value for key, value in described.items() if value is not None}


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""
    target: str = ""
    peer: int = 0


class Hub:
    """The state of the hub: its world, its faults, and what it was asked."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.tokens = {make_token()}
        self.token = next(iter(self.tokens))
        self.files: list[File] = [File("installer.tar.gz", bytes(range(256)) * 4000)]
        self.faults: list[Fault] = []  # one is taken by each request for bytes
        self.api_faults: list[Fault] = []  # one is taken by each API call
        self.licence_url = "https://hub.test/licence/7"
        self.identity: dict[str, Any] | None = None  # what it says of itself to anybody
        self.licence_accepted = False
        self.licence_revision = 1
        self.takes_acceptances = True
        self.link_url: str | None = None
        self.dead_links: set[str] = set()
        self.links_die_after_use = False
        self.ignores_ranges = False
        self.metalink_status = 404  # 200: links to several artifacts in one document
        self.zip_files: list[File] | None = None  # what the ZIP holds, where not `files`
        # By grant type, or by the last word of the path; of several answers each is given once.
        self.grants: dict[str, Answers] = {}
        self.requests: list[Request] = []
        self.minted = 0
        self.lock = threading.Lock()
        self.released = threading.Event()  # ends every stall
        self.port = 0
        self.public: str | None = None  # where others find it, if not at its port
        # Signed metadata (Repository.answer), where anything is signed; and what it is called.
        self.signed: Callable[[str], tuple[int, bytes]] | None = None
        self.tags_lists = False  # with an ETag, and 304 where it is named
        self.search_lies = False  # the first entitlement, whatever was asked for
        self.code, self.release_name = "DS000B", "2022.2"

    @property
    def url(self) -> str:
        return f"{self.public or f'http://127.0.0.1:{self.port}'}{self.prefix}"

    def product(self, code: str = "DS000B", name: str = "Development Studio") -> dict[str, Any]:
        return {"id": code, "name": name, "uri": f"https://hub.test/{code}"}

    def entitlements(self) -> list[dict[str, Any]]:
        children = [
            {"id": f"20{n}", "product": {**self.product(f"09{n}0", f"Child {n}"), "process": "7"}}
            for n in range(5)
        ]
        plain = {
            "id": ENTITLEMENT,
            "product": self.product(self.code),
            "status": "active",
            "rightTo": "download",
            "validFrom": "2024-01-01",
            "characteristics": {"free": False, "grouped": False, "virtual": False},
            "rights": {"qualities": [{"quality": "EAC"}, {"quality": "REL"}]},
            "compliance": {"usECCN": ["5E002"], "allowedCountries": [{"id": "gb", "uri": "u"}]},
            "history": {"createdAt": "2024-01-01T00:00:00.000Z"},
            "zz": {"b": 1, "a": "é"},
            "virtualEntitlements": [],
        }
        group = {
            **plain,
            "id": GROUP,
            "product": self.product("0099", "Group of [bold]things[/bold]"),
            "characteristics": {"grouped": True},
            "virtualEntitlements": children,
        }
        return [
            plain,
            group,
            {**plain, "id": LICENSED, "product": self.product("LIC1", "Licensed")},
            {**plain, "id": EMPTY, "product": self.product("EMP1", "Empty")},
        ]

    def release(self, entitlement_id: str) -> dict[str, Any]:
        return {
            "id": RELEASE,
            "entitlement": {"id": entitlement_id},
            "name": self.release_name,
            "revision": "r1p10",
            "patch": "00",
            "majorVersion": "1.10",
            "minorVersion": "0099",
            "quality": "REL",
            "type": "Full",
            "availableAt": "2022-10-01T12:00:00.000Z",
            "artifacts": [
                file.describe(artifact_id)
                for file, artifact_id in zip(self.files, ARTIFACTS, strict=False)
            ],
        }

    def zip(self) -> bytes:
        """All files of the release as the hub packs them."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as made:
            for file in self.files if self.zip_files is None else self.zip_files:
                made.writestr(zipfile.ZipInfo(file.name or ""), file.data)
        return packed.getvalue()

    def asked(self, ending: str) -> list[Request]:
        with self.lock:
            return [request for request in self.requests if request.path.endswith(ending)]

    def byte_requests(self) -> list[Request]:
        with self.lock:
            return [request for request in self.requests if "/dl/" in request.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    timeout = 30
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The tests read what was recorded instead."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._record(parts.path, parse_qs(parts.query), b"")
        path = parts.path
        if not path.startswith(self.hub.prefix):
            return self._json(404, {"errorCode": 404, "errorDescription": "outside the prefix"})
        path = path[len(self.hub.prefix) :]
        if path.startswith("/dl/"):
            return self._bytes(path)
        if path == "/.well-known/oauth-authorization-server" and self.hub.identity is not None:
            return self._json(200, self.hub.identity)
        if not path.startswith(ROOT):
            return self._json(404, {"errorCode": 404, "errorDescription": "no such page"})
        if path.startswith(f"{ROOT}/manifests/"):
            return self._metadata(path)
        with self.hub.lock:
            fault = self.hub.api_faults.pop(0) if self.hub.api_faults else None
        if fault is not None and self._api_fault(fault):
            return None
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.hub.tokens:
            return self._json(401, {"errorCode": 401, "errorDescription": "Token not valid."})
        return self._api(path[len(ROOT) :].strip("/").split("/"), parse_qs(parts.query))

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._record(self.path, {}, body)
        path = urlsplit(self.path).path.removeprefix(self.hub.prefix + ROOT).strip("/").split("/")
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.hub.tokens:
            return self._json(401, {"errorCode": 401, "errorDescription": "Token not valid."})
        return self._licence(path[0], json.loads(body))

    def _licence(self, entitlement_id: str, told: dict[str, Any]) -> None:
        """The licence TERMS of LICENSED, and what somebody who names a revision is told."""
        hub, url = self.hub, self.hub.licence_url
        if entitlement_id != LICENSED or not hub.takes_acceptances:
            return self._json(404, {"errorCode": 404, "errorDescription": "Not there."})
        if told and (told.get("licence", "TERMS"), told["revision"]) != (
            "TERMS",
            hub.licence_revision,
        ):
            said = {"errorCode": 409, "errorDescription": "Another.", "reason": "licence-other"}
            return self._json(409, said)
        hub.licence_accepted = hub.licence_accepted or bool(told)
        said = {
            "licence": "TERMS",
            "name": "The terms",
            "revision": hub.licence_revision,
            "sha256": hashlib.sha256(b"Be nice.").hexdigest(),
            "agreementUrl": url,
            "accepted": hub.licence_accepted,
            "acceptedBy": ["me"] if hub.licence_accepted else [],
            "text": "Be nice.",
        }
        return self._json(200, said)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self._record(self.path, parse_qs(body.decode()), body)
        kind = form.get("grant_type") or self.path.rpartition("/")[2]
        with self.hub.lock:
            told = self.hub.grants.get(kind, (400, {"error": "unsupported_grant_type"}))
            if isinstance(told, list):
                told = told.pop(0) if len(told) > 1 else told[0]
        self._json(*told)

    def _record(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        with self.hub.lock:
            headers = {key.lower(): value for key, value in self.headers.items()}
            self.hub.requests.append(
                Request(self.command, path, query, headers, body, self.path, self.client_address[1])
            )

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def _api_fault(self, fault: Fault) -> bool:
        if fault.kind == "status":
            said = {"errorCode": fault.status, "errorDescription": f"status {fault.status}"}
            self._json(fault.status, said, fault.headers)
        elif fault.kind == "denied":
            said = {
                "errorCode": 403,
                "errorDescription": "Maintenance ended on 1 May.",
                "reason": "maintenance-ended",
                "remedy": "The newest release you still own is 2022.1.",
            }
            self._json(403, said)
        elif fault.kind == "answer":
            self._json(200, fault.answer)
        elif fault.kind == "cut":
            self.close_connection = True
        elif fault.kind == "stall":
            self.hub.released.wait(STALL_SECONDS)
            self.close_connection = True
        elif fault.kind == "revoke":
            self.hub.tokens.clear()
            return False
        elif fault.kind == "none":
            return False
        return True

    def _metadata(self, path: str) -> None:
        if self.hub.signed is None:
            return self._json(404, {"errorCode": 404, "errorDescription": "Nothing is signed."})
        status, body = self.hub.signed(path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def _api(self, path: list[str], query: dict[str, list[str]]) -> None:
        found = self.hub.entitlements()
        if path == [""]:
            return self._list(found, query)
        mine = [item for item in found if item["id"] == path[0]]
        if not mine:
            return self._json(404, {"errorCode": 404, "errorDescription": "Not there."})
        release = self.hub.release(path[0])
        if path[1:] == ["licence"]:
            return self._licence(path[0], {})
        if path[1:4] != ["rights", "download", "releases"]:
            return self._json(200, mine[0])
        if len(path) == 4:
            return self._list([] if path[0] in (EMPTY, GROUP) else [release], query)
        if path[4] != RELEASE:
            return self._json(404, {"errorCode": 404, "errorDescription": "Not there."})
        if len(path) == 5:
            return self._json(200, release)
        if path[5] == "zip":
            return self._link([*path, "", "http"], None)
        if path[5] == "metalink":
            return self._metalink(release, query)
        artifacts = [item for item in release["artifacts"] if item["id"] == path[6]]
        if not artifacts:
            return self._json(
                404, {"errorCode": 404, "errorDescription": "Not there.", "reason": "not-found"}
            )
        if len(path) == 7:
            return self._json(200, artifacts[0])
        return self._link(path, artifacts[0])

    def _list(self, items: list[dict[str, Any]], query: dict[str, list[str]]) -> None:
        search = json.loads(query.get("search", ["{}"])[0])
        if "product.id" in search and self.hub.search_lies:
            items = items[:1]
        elif "product.id" in search:
            items = [item for item in items if item["product"]["id"] == search["product.id"]]
        total = len(items)
        if "offset" in query:
            page, limit = int(query["offset"][0]), int(query["limit"][0])
            items = items[(page - 1) * limit : page * limit]
        told = {"totalNumberOfItems": total, "items": items}
        tag = f'"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"'
        if not self.hub.tags_lists:
            self._json(200, told)
        elif self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
        else:
            self._json(200, told, {"ETag": tag})

    def _link(self, path: list[str], artifact: dict[str, Any] | None) -> None:
        hub = self.hub
        if path[7] == "fasp":
            said = {"errorCode": 501, "errorDescription": "No Aspera server here."}
            spec = hub.grants.get("fasp", (501, said))
            assert isinstance(spec, tuple)
            return self._json(*spec)
        if path[0] == LICENSED and not hub.licence_accepted:
            return self._json(
                403,
                {
                    "errorCode": 403,
                    "errorName": "download-error-eula-required",
                    "errorDescription": "Accept the licence of Licensed first.",
                    "agreementUrl": hub.licence_url,
                    "details": {"licence": "TERMS", "revision": hub.licence_revision},
                },
            )
        repositories = [file.repository for file in hub.files]
        if artifact is not None:
            repositories = [artifact["repository"]]
        controlled = any("controlled" in repository for repository in repositories)
        if controlled and self.headers.get("declared-country-code") != "GB":
            said = {"errorCode": 403, "errorDescription": "Country.", "remedy": "Declare GB."}
            return self._json(403, said)
        with hub.lock:
            hub.minted += 1
            number = hub.minted
        if artifact is None:
            said = {"downloadUrl": f"{hub.url}/dl/{number}-zip/file", "fileName": "DS-1.zip"}
            return self._json(200, {**said, "message": "", "fileSize": len(hub.zip())})
        url = f"{hub.url}/dl/{number}-{ARTIFACTS.index(artifact['id'])}/file"
        said = {"downloadUrl": hub.link_url or url, "message": f"Url for {artifact['id']}"}
        return self._json(200, said)

    def _metalink(self, release: dict[str, Any], query: dict[str, list[str]]) -> None:
        hub, files = self.hub, []
        if hub.metalink_status != 200:
            return self._json(hub.metalink_status, {"errorCode": hub.metalink_status})
        for artifact_id in query["artifacts"][0].split(","):
            number = ARTIFACTS.index(artifact_id)
            told = release["artifacts"][number]
            url = f"{hub.url}/dl/m{number}-{number}/file"
            files.append(
                f'<file name="{told["fileName"]}"><hash type="sha-256">{told["sha256"]}</hash>'
                f'<hash type="md5">{told["md5"]}</hash><url>{url}</url></file>'
            )
        whole = f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{"".join(files)}</metalink>'
        return self._json(200, whole.encode())

    def _bytes(self, path: str) -> None:
        hub = self.hub
        link = path.split("/")[2]
        with hub.lock:
            dead = link in hub.dead_links
            if hub.links_die_after_use:
                hub.dead_links.add(link)
            fault = hub.faults.pop(0) if hub.faults and not dead else None
        if dead:
            return self._json(410, {"errorCode": 410, "errorDescription": "The link has ended."})
        which = link.partition("-")[2]
        data = hub.zip() if which == "zip" else hub.files[int(which)].data
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        begin, end = 0, len(data)
        wanted = self.headers.get("Range", "")
        fresh = self.headers.get("If-Range", etag) == etag
        ignore = hub.ignores_ranges or (fault is not None and fault.kind == "ignore-range")
        partial = bool(wanted) and fresh and not ignore
        if partial:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), int(last) + 1 if last else end
        if fault is not None and fault.kind in ("status", "redirect"):
            said = {"errorCode": fault.status, "errorDescription": f"status {fault.status}"}
            return self._json(fault.status, said, fault.headers)
        if fault is not None and fault.kind == "silence":
            self.hub.released.wait(STALL_SECONDS)
            self.close_connection = True
            return None
        body = data[begin:end]
        self.send_response(206 if partial else 200)
        if fault is None or fault.kind != "no-length":
            length = len(body) - (1 if fault is not None and fault.kind == "short" else 0)
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
        if partial:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.send_header("ETag", etag)
        self.end_headers()
        return self._body(body, fault)

    def _body(self, body: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault is not None else ""
        at = fault.at if fault is not None else 0
        if kind == "cut":
            self.wfile.write(body[:at])
            self.close_connection = True
        elif kind == "stall":
            self.wfile.write(body[:at])
            self.hub.released.wait(STALL_SECONDS)
            self.close_connection = True
        elif kind == "flip":
            self.wfile.write(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        elif kind == "trickle":
            self.wfile.write(body[:at])
            for index in range(at, len(body)):
                if self.hub.released.wait(0.05):
                    break
                self.wfile.write(body[index : index + 1])
            self.close_connection = True
        elif kind == "short":
            self.wfile.write(body[:-1])
        else:
            self.wfile.write(body)
            if kind == "no-length":
                self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def running_hub(prefix: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """A hub that listens until the block ends; with `tls` it speaks nothing else."""
    hub = Hub(prefix)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.port = server.server_address[1]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
