"""Access tokens: RS256 JWTs in the profile of RFC 9068, good for one hour.

The claims are those of the entitlement contract, section 4: `iss` and `exp` always, `sub`
and `jti` as strings; `given_name`, `family_name`, `emails` and `ip_country` for people.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from entrepot.core.accounts.directory import find_user
from entrepot.core.accounts.keyring import Keyring
from entrepot.core.accounts.principals import SCOPES, Principal, load_client, load_user
from entrepot.db import Tx
from entrepot.errors import Unauthenticated
from entrepot.kit.ids import new_uuid

TOKEN_SECONDS = 3600
TOKEN_LENGTH_MAX = 8192
PORTAL_CLIENT_ID = "entrepot-portal"
_TYPE = "at+jwt"
# RFC 7515 section 3.1: base64url without padding. The library would forgive padding and spaces.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token, when it ends, and its id."""

    value: str
    expires_at: datetime
    scopes: tuple[str, ...]


def issue_token(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    issuer: str,
    scopes: tuple[str, ...] | None = None,
    client_id: str | None = None,
    now: datetime,
    seconds: int = TOKEN_SECONDS,
) -> AccessToken:
    """Sign a token for `who`; `scopes` None means all of the principal's.

    `client_id` names the program that asked, by default the portal for people.
    """
    from entrepot.core.accounts import _jose

    expires_at = now + timedelta(seconds=seconds)
    granted = tuple(scope for scope in SCOPES if scope in who.scopes) if scopes is None else scopes
    machine = who.label.removeprefix("client:") if who.kind == "client" else None
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": issuer,
        "sub": machine or str(who.id),
        "client_id": client_id or machine or PORTAL_CLIENT_ID,
        "kind": who.kind,
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
        "jti": new_uuid(),
        "scope": " ".join(granted),
        "ip_country": who.country,
    }
    if who.kind == "user":
        person = find_user(tx, who.id)
        claims |= {
            "given_name": person.given_name,
            "family_name": person.family_name,
            "emails": [person.email],
        }
    signer = keyring.signing_token_key(now)
    return AccessToken(_jose.sign(signer.kid, _TYPE, claims, signer.key), expires_at, granted)


def verify_token(
    keyring: Keyring, token: str, *, issuer: str, now: datetime
) -> dict[str, Any] | None:
    """The claims of a token that this hub signed and that holds now; None: unknown key id.

    Checks algorithm (RS256 only), `typ`, signature, `iss`, `aud` and `exp` (RFC 8725).
    Unauthenticated says what is wrong.
    """
    from entrepot.core.accounts import _jose

    if len(token) > TOKEN_LENGTH_MAX or not _COMPACT.fullmatch(token):
        raise _refused()
    try:
        header = _jose.read_header(token)
        # Not trusted beyond choosing a key of ours.
        kid = header.get("kid") if isinstance(header, dict) else None
        entry = keyring.token_keys.get(kid) if isinstance(kid, str) else None
        if entry is None:
            return None
        decoded = _jose.verify(token, entry.key, issuer=issuer, now=now)
    except _jose.TokenFault as fault:
        raise _refused(expired=fault.expired) from fault
    if decoded.header.get("typ") != _TYPE:
        raise _refused()
    return dict(decoded.claims)


def _refused(*, expired: bool = False) -> Unauthenticated:
    return Unauthenticated(
        "The access token has expired." if expired else "The access token is not valid.",
        code="token-expired" if expired else "token-invalid",
        remedy="Get a new token, for example on the token page, and sign in again.",
    )


def principal_of(tx: Tx, claims: dict[str, Any]) -> Principal:
    """Who a verified token speaks for, as the database has it now."""
    scopes = str(claims.get("scope", "")).split()
    country = claims.get("ip_country")
    subject = str(claims["sub"])
    if claims.get("kind") == "client":
        return load_client(tx, subject, country=country, scopes=scopes)
    return load_user(tx, int(subject), country=country, scopes=scopes)
