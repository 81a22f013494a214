"""How a delivery proves where it comes from.

Standard Webhooks 1.0: `webhook-signature` is a list, with spaces between, of `v1,` and the
base64 of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, one for each secret that
counts. Beside it stands what the products dialect asks for, base64(HMAC-SHA256(body, key)), in
the header LEGACY_HEADER. Its key is the client secret, where the webhook was made by a client that
signs assertions with it, else the text of the webhook's secret as it was shown.
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32
LEGACY_HEADER = "X-Entrepot-Hmac-SHA256"


def new_secret() -> str:
    """A secret as receivers keep it: `whsec_` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def new_message_id() -> str:
    """An id of a delivery, the same at each of its attempts."""
    return f"msg_{secrets.token_hex(12)}"


def signed_headers(
    message_id: str,
    body: bytes,
    *,
    secrets_counting: Sequence[str],
    legacy_key: bytes,
    now: datetime,
) -> list[tuple[str, str]]:
    """The headers of one attempt; the newest of `secrets_counting` comes first."""
    timestamp = str(int(now.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    return [
        ("webhook-id", message_id),
        ("webhook-timestamp", timestamp),
        (
            "webhook-signature",
            " ".join(f"v1,{_sign(_key_of(secret), content)}" for secret in secrets_counting),
        ),
        (LEGACY_HEADER, _sign(legacy_key, body)),
    ]


def _key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))


def _sign(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
