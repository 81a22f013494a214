"""Signed links: what the path of a link carries, and the MAC over all of it.

The token is 80 characters of base64url, 60 bytes without padding, so every character
carries meaning and each link has exactly one spelling:

    version 1 | key id 4 | expiry, ms since 1970 7 | lease 16 | HMAC-SHA256 32   (bytes)

The MAC covers the 28 bytes before it and the file name exactly as the path spells it.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from entrepot.core.accounts import LinkKey
from entrepot.errors import Denied, Gone
from entrepot.kit.clock import from_millis, to_millis

TOKEN_LENGTH = 80
LEASE_BYTES = 16
BATCH_DIGITS = 4  # of a lease's id: its number among those that were issued together
_VERSION = 1
_HEAD = 1 + 4 + 7 + LEASE_BYTES
# Into the alphabet that binascii knows; of its own, what we do not use is no character at all.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/\0\0\0")


@dataclass(frozen=True, slots=True)
class SignedLink:
    """What a genuine link says."""

    lease_id: str
    expires_at: datetime


def sign_link(key: LinkKey, *, lease_id: str, expires_at: datetime, file_name: str) -> str:
    """The path of a link below the links door: `<token>/<file name>`, percent-encoded."""
    head = (
        bytes([_VERSION])
        + bytes.fromhex(key.kid)
        + to_millis(expires_at).to_bytes(7, "big")
        + bytes.fromhex(lease_id)
    )
    name = quote(file_name, safe="")
    token = base64.urlsafe_b64encode(head + _mac(key, head, name.encode()))
    return f"{token.decode()}/{name}"


def key_id_of(token: bytes) -> str | None:
    """The key id that a token names, not trusted beyond choosing a key; None: not a token."""
    raw = _decode(token)
    return None if raw is None else raw[1:5].hex()


def verify_link(
    keys: Mapping[str, LinkKey], token: bytes, name: bytes, *, now: datetime
) -> SignedLink:
    """Check a link's raw path segments; Denied when it is not genuine, Gone when it is over.

    Only a genuine link learns that it is over: a forged one is refused as forged.
    """
    raw = _decode(token)
    key = None if raw is None else keys.get(raw[1:5].hex())
    if raw is None or key is None or raw[0] != _VERSION:
        raise invalid_link()
    head, mac = raw[:_HEAD], raw[_HEAD:]
    if not hmac.compare_digest(mac, _mac(key, head, name)):
        raise invalid_link()
    expires_at = from_millis(int.from_bytes(head[5:12], "big"))
    if expires_at <= now:
        raise Gone(
            "This link has expired: links are good for ten minutes.",
            code="link-expired",
            remedy="Ask the API or the portal for a new link; a download can be resumed with it.",
        )
    return SignedLink(head[12:].hex(), expires_at)


def invalid_link() -> Denied:
    """The one answer to everything that is not a link of ours."""
    return Denied(
        "This is not a valid link.",
        code="link-invalid",
        remedy="Use the link exactly as it was handed out (without a query), or get a new one.",
    )


def _decode(token: bytes) -> bytes | None:
    if len(token) != TOKEN_LENGTH:
        return None
    try:
        return binascii.a2b_base64(token.translate(_TO_STANDARD), strict_mode=True)
    except binascii.Error:
        return None


def _mac(key: LinkKey, head: bytes, name: bytes) -> bytes:
    return hmac.digest(key.secret, head + b"/" + name, "sha256")


def batch_of(lease_id: str) -> str:
    """What the ids of leases that were issued together begin with."""
    return lease_id[:-BATCH_DIGITS]


def next_of(lease_id: str) -> str:
    """The id that a lease has which was issued right after it; perhaps there is none."""
    return f"{int(lease_id, 16) + 1:0{2 * LEASE_BYTES}x}"
