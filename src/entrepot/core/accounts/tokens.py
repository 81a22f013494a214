"""Access tokens: RS256 JWTs in the profile of RFC 9068, good for one hour; and ID tokens.

The claims are those of the entitlement contract, section 4: `iss` and `exp` always, `sub`
and `jti` as strings; `given_name`, `family_name`, `emails` and `ip_country` for people.

An ID token (OpenID Connect Core 1.0 section 2) tells a program who has signed in. Its `typ` and
`aud` are others, so that it never passes for an access token (RFC 8725 section 3.11).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from entrepot.core.accounts.directory import find_user
from entrepot.core.accounts.keyring import Keyring
from entrepot.core.accounts.principals import SCOPES, Principal, load_client, load_user
from entrepot.core.accounts.revoking import is_revoked
from entrepot.core.accounts.tables import api_clients
from entrepot.db import Tx
from entrepot.errors import Unauthenticated
from entrepot.kit.ids import new_uuid

TOKEN_SECONDS = 3600
TOKEN_LENGTH_MAX = 8192
PORTAL_CLIENT_ID = "entrepot-portal"
_TYPE = "at+jwt"
_ID_TYPE = "JWT"
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
    family: str | None = None,
    now: datetime,
    seconds: int = TOKEN_SECONDS,
) -> AccessToken:
    """Sign a token for `who`; `scopes` None means all of the principal's.

    `client_id` names the program that asked, by default the portal for people; `family` is
    what the token ends with (`families.py`).
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
    if family is not None:
        claims["family"] = family
    signer = keyring.signing_token_key(now)
    return AccessToken(_jose.sign(signer.kid, _TYPE, claims, signer.key), expires_at, granted)


def issue_id_token(
    tx: Tx,
    keyring: Keyring,
    user_id: int,
    *,
    issuer: str,
    client_id: str,
    scopes: Iterable[str],
    signed_in_at: datetime | None,
    nonce: str | None,
    now: datetime,
) -> str:
    """Sign an ID token for a program, good for an hour; `scopes` decide what it tells.

    `signed_in_at` is when the person signed in here, where that is known.
    """
    from entrepot.core.accounts import _jose

    given = {"nonce": nonce, "auth_time": signed_in_at and int(signed_in_at.timestamp())}
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": client_id,
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + TOKEN_SECONDS,
        **person_claims(tx, user_id, scopes),
        **{name: value for name, value in given.items() if value is not None},
    }
    signer = keyring.signing_token_key(now)
    return _jose.sign(signer.kid, _ID_TYPE, claims, signer.key)


def person_claims(tx: Tx, user_id: int, scopes: Iterable[str]) -> dict[str, str]:
    """`sub`, and what the scopes `profile` and `email` add (OpenID Connect Core section 5.4)."""
    person, wanted = find_user(tx, user_id), set(scopes)
    claims = {"sub": str(person.id)}
    if "profile" in wanted:
        claims |= {
            "name": f"{person.given_name} {person.family_name}".strip(),
            "given_name": person.given_name,
            "family_name": person.family_name,
        }
    if "email" in wanted:
        claims["email"] = person.email
    return claims


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
    """Who a verified token speaks for, as the database has it now.

    Unauthenticated where the token was revoked, or the person or the program is disabled.
    """
    if is_revoked(tx, claims):
        raise _ended()
    scopes = str(claims.get("scope", "")).split()
    country = claims.get("ip_country")
    subject = str(claims["sub"])
    if claims.get("kind") == "client":
        return load_client(tx, subject, country=country, scopes=scopes)
    who = load_user(tx, int(subject), country=country, scopes=scopes)
    # The portal, where people make tokens for themselves, is no client.
    program = api_clients.c.client_id == str(claims.get("client_id", ""))
    if tx.execute(select(1).where(program, api_clients.c.disabled_at.is_not(None))).first():
        raise _ended()
    return who


def _ended() -> Unauthenticated:
    return Unauthenticated(
        "The access token has been revoked.", code="token-revoked", remedy="Sign in again."
    )
