"""Access tokens as the client sees them: opaque to send, readable to show (contract, section 4).

Nothing is verified here: only the hub can do that. Claims are for showing, for knowing when a
token ends, and for the country that a controlled download declares.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from entrepot.client.errors import InvalidUse

TOKEN_CHARS_MAX = 16_384
PERSONAL_PREFIX = (
    "ept_"  # personal tokens: the hub knows what they mean, they themselves say nothing
)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of itself; every part may be missing."""

    owner: str
    emails: tuple[str, ...]
    issuer: str
    expires_at: datetime | None
    country: str | None
    life_seconds: float | None = None  # from being made to its end
    scopes: tuple[str, ...] = ()
    subject: str = ""

    def expired(self, now: datetime, within_seconds: float = 0.0) -> bool:
        """Whether the token has ended, or will within so many seconds."""
        return self.expires_at is not None and (
            self.expires_at.timestamp() - now.timestamp() <= within_seconds
        )


def utc_text(instant: datetime) -> str:
    """In UTC, as the hub tells every time: 2026-01-31T12:00:00Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clean_token(text: str) -> str:
    """A pasted token without white space and `Bearer`. Raises InvalidUse."""
    token = text.strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip()
    if not token or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise InvalidUse("That is not a token: it is empty, too long or not plain ASCII.")
    if any(char.isspace() or not char.isprintable() for char in token):
        raise InvalidUse(
            "That is not a token: it holds spaces or line breaks.",
            remedy="Copy the whole token once more.",
        )
    return token


def read_claims(token: str) -> Claims:
    """The claims of a JWT, unverified; none of a personal token. Raises InvalidUse for others."""
    if token.startswith(PERSONAL_PREFIX):
        return Claims("", (), "", None, None)
    try:
        _, middle, _ = token.split(".")
        raw = middle.encode("ascii")
        payload = json.loads(base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)))
    except (ValueError, RecursionError) as error:
        raise InvalidUse(
            "That is not a token of a hub (a JWT has three parts).",
            remedy="Copy the whole token once more.",
        ) from error
    if not isinstance(payload, dict):
        raise InvalidUse("That is not a token of a hub.")
    return _claims(payload)


def claims_or_none(token: str) -> Claims | None:
    """The claims, or None for a token that cannot be read."""
    try:
        return read_claims(token)
    except InvalidUse:
        return None


def _claims(payload: dict[str, Any]) -> Claims:
    names = [payload.get("given_name"), payload.get("family_name")]
    emails = payload.get("emails")
    made, ends = _moment(payload.get("iat")), _moment(payload.get("exp"))
    return Claims(
        owner=" ".join(name for name in names if isinstance(name, str) and name),
        emails=tuple(e for e in emails if isinstance(e, str)) if isinstance(emails, list) else (),
        issuer=_str(payload.get("iss")) or "",
        expires_at=ends,
        country=_str(payload.get("ip_country")),
        scopes=tuple((_str(payload.get("scope")) or "").split()),
        subject=_str(payload.get("sub")) or "",
        life_seconds=(ends - made).total_seconds() if ends and made and made < ends else None,
    )


def _str(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
