"""A TUF repository that a client asks over HTTP, and that its author can make lie.

Every role is built anew from plain values by `publish`, signed with keys that a test may swap,
and served from 127.0.0.1 as a hub serves it. A lie is told by changing values, keys, versions,
or the very bytes, before they are served.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

PRODUCT, PUBLISHER = "DS000B", "Example Semiconductors"
RELEASE = "d2650553-3806-4c0e-92d7-2e46fd468074"
ARTIFACT = "7db814ee-c1e3-4d68-a65d-a7e6b437e1ef"
CHUNK_BYTES = 4 << 20
_BASE = f"/e-product-entitlement-customer/v1/entitlements/manifests/{PRODUCT}"
_ROLES = ("root", "targets", "snapshot", "timestamp")
NOT_FOUND = (404, b'{"errorCode":404,"errorDescription":"Not there.","reason":"not-found"}')


def manifest(data: bytes = b"release", **changes: Any) -> bytes:
    """The manifest of the one release, which has one file."""
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    told = {
        "kind": "entrepot-release-manifest",
        "format": 1,
        "publisher": PUBLISHER,
        "product": {"code": PRODUCT, "name": "Development Studio"},
        "release": {"id": RELEASE, "name": "2022.2"},
        "licence": {"code": "TOOLS", "revision": 2, "sha256": "0" * 64},
        "chunkBytes": CHUNK_BYTES,
        "files": [
            {
                "artifactId": ARTIFACT,
                "name": "studio.tgz",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "chunks": "".join(hashlib.sha256(each).hexdigest() for each in chunks),
            }
        ],
    } | changes
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


class Repository:
    """The metadata as values; `served` is what is on the wire, by name."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.keys = {role: [CryptoSigner.generate_ed25519()] for role in _ROLES}
        self.thresholds = dict.fromkeys(_ROLES, 1)
        self.versions = dict.fromkeys(_ROLES, 1)
        self.lives = dict.fromkeys(_ROLES, timedelta(days=1))
        self.documents = {RELEASE: manifest()}
        self.served: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.endless_roots: Callable[[int], bytes] | None = None
        self._old_root_keys: list[CryptoSigner] = []
        self.publish_root()
        self.publish()

    # What the publisher signs.

    def publish_root(self) -> bytes:
        """Sign the root of this version and serve it."""
        root = Root(
            version=self.versions["root"],
            expires=self.now + self.lives["root"],
            consistent_snapshot=True,
        )
        for role in _ROLES:
            for signer in self.keys[role]:
                root.add_key(signer.public_key, role)
            root.roles[role].threshold = self.thresholds[role]
        signers = list(dict.fromkeys([*self._old_root_keys, *self.keys["root"]]))
        data = _signed(root, signers)
        self.served["root.json"] = self.served[f"{root.version}.root.json"] = data
        return data

    def rotate(self, *roles: str) -> bytes:
        """A new root, signed by the old keys and the new, with new keys for these roles."""
        self._old_root_keys = self.keys["root"]
        for role in roles:
            self.keys[role] = [CryptoSigner.generate_ed25519()]
        self.versions["root"] += 1
        return self.publish_root()

    def targets(self) -> bytes:
        files = {
            f"{release}.json": TargetFile.from_data(f"{release}.json", document, ["sha256"])
            for release, document in self.documents.items()
        }
        return self._sign("targets", Targets, targets=files)

    # What the hub signs.

    def publish(self) -> None:
        """Sign targets, snapshot and timestamp of these versions and serve them."""
        targets = self.targets()
        snapshot = self._sign(
            "snapshot",
            Snapshot,
            meta={
                "targets.json": MetaFile.from_data(self.versions["targets"], targets, ["sha256"])
            },
        )
        self.served[f"{self.versions['targets']}.targets.json"] = targets
        self.served[f"{self.versions['snapshot']}.snapshot.json"] = snapshot
        self.publish_timestamp(snapshot)
        for release, document in self.documents.items():
            self.served[f"{hashlib.sha256(document).hexdigest()}.{release}.json"] = document

    def publish_timestamp(self, snapshot: bytes) -> None:
        named = MetaFile.from_data(self.versions["snapshot"], snapshot, ["sha256"])
        self.served["timestamp.json"] = self._sign("timestamp", Timestamp, snapshot_meta=named)

    def advance(self, *roles: str) -> None:
        """The next version of these roles (all but the root where none is named), and serve."""
        for role in roles or _ROLES[1:]:
            self.versions[role] += 1
        self.publish()

    def _sign(self, role: str, kind: type[Any], **values: Any) -> bytes:
        expires = self.now + self.lives[role]
        return _signed(
            kind(version=self.versions[role], expires=expires, **values), self.keys[role]
        )

    def answer(self, path: str) -> tuple[int, bytes]:
        name = path.removeprefix(_BASE).rpartition("/")[2]
        self.asked.append(name)
        if self.endless_roots is not None and name.endswith(".root.json"):
            return 200, self.endless_roots(int(name.split(".")[0]))
        data = self.served.get(name) if path.startswith(_BASE) else None
        return NOT_FOUND if data is None else (200, data)


def _signed(signed: Any, signers: list[CryptoSigner]) -> bytes:
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


@contextmanager
def served(repository: Repository) -> Iterator[str]:
    """The URL of a hub that serves the repository."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = repository.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
