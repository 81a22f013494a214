"""Signed documents on their way out: each is in memory once, however many read it how slowly.

The targets metadata of 10,000 releases has 1.5 MB (of 20,000, the most there may be, 3 MB); a
manifest has 250 bytes for each file and 64 for each 4 MiB of it, so 16 MB for a release of 1 TB.
Whoever reads slowly holds a piece of it in the connection, and shares the rest with all others.
"""

import hashlib
import threading
from weakref import WeakValueDictionary

from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

PIECE_BYTES = 64 * 1024


class SignedDocument:
    """The bytes of a document, and its SHA-256 in hex."""

    __slots__ = ("__weakref__", "body", "sha256")

    def __init__(self, body: bytes, sha256: str) -> None:
        self.body = body
        self.sha256 = sha256


class SignedDocuments:
    """Those that are on their way out now, by digest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._living: WeakValueDictionary[str, SignedDocument] = WeakValueDictionary()

    def share(self, text: str) -> SignedDocument:
        """The document that somebody else is reading already, or this one."""
        body = text.encode()
        sha256 = hashlib.sha256(body).hexdigest()
        with self._lock:
            found = self._living.get(sha256)
            if found is None:
                found = self._living[sha256] = SignedDocument(body, sha256)
            return found


class DocumentResponse(ASGIResponse):
    """Sends a document piece by piece, the next one when the connection has taken the last."""

    __slots__ = ("document",)

    def __init__(self, document: SignedDocument, headers: dict[str, str]) -> None:
        length = len(document.body)
        super().__init__(content_length=length, headers=headers, media_type="application/json")
        self.document = document

    async def send_body(self, send: Send, receive: Receive) -> None:  # noqa: ARG002
        """As many messages as there are pieces."""
        body = self.document.body
        for start in range(0, len(body), PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            more = start + PIECE_BYTES < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})
