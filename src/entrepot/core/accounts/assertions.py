"""Assertions (RFC 7523 section 2.1): a machine signs with its secret that it is itself.

The contract's: HS256, `iss` and `sub` the client id, `aud` the token endpoint, `exp` at most an
hour away. A `jti` is taken once. Nothing in the header chooses a key or an algorithm.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.clients import CLIENT_ID, JWT_BEARER, find_client
from entrepot.core.accounts.grant_tables import used_assertions
from entrepot.core.accounts.keyring import SecretBox
from entrepot.db import Tx
from entrepot.errors import NotFound

ASSERTION_SECONDS_MAX = 3600
ASSERTION_LENGTH_MAX = 8192
_SKEW_SECONDS = 5
_ID_LENGTH_MAX = 255
_SCOPE_LENGTH_MAX = 1000
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class AssertionFault(Exception):  # noqa: N818 - the message says what is wrong
    """An assertion that proves nothing."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """The program that has proved itself, and the scope that it wrote into the assertion."""

    client: Row[Any]
    scope: str


def claimed_issuer(assertion: str) -> str:
    """The `iss` of an assertion that nobody has checked; '' where it has none."""
    from entrepot.core.accounts import _jose

    if len(assertion) > ASSERTION_LENGTH_MAX or not _COMPACT.fullmatch(assertion):
        return ""
    issuer = _jose.read_claims(assertion).get("iss")
    return issuer if isinstance(issuer, str) and CLIENT_ID.fullmatch(issuer) else ""


def use_assertion(
    tx: Tx, box: SecretBox, assertion: str, *, audiences: Collection[str], now: datetime
) -> Asserted:
    """Check an assertion and use up its `jti`; AssertionFault.

    Who cannot sign learns nothing about clients: all such faults read alike.
    """
    from entrepot.core.accounts import _jose

    client = _find_signer(tx, claimed_issuer(assertion))
    if client is None:
        raise AssertionFault("The assertion is not signed by a client that may sign.")
    try:
        claims = _jose.verify_shared(assertion, box.unseal(client.assertion_key))
    except _jose.TokenFault as fault:
        raise AssertionFault("The assertion is not signed by a client that may sign.") from fault
    expires_at = _check(claims, client.client_id, audiences, now)
    _use_up(tx, claims, client, expires_at)
    scope = claims.get("scope", "")
    if not isinstance(scope, str) or len(scope) > _SCOPE_LENGTH_MAX:
        raise AssertionFault("scope is names with spaces between.")
    return Asserted(client, scope)


def _find_signer(tx: Tx, client_id: str) -> Row[Any] | None:
    try:
        row = find_client(tx, client_id)
    except NotFound:
        return None
    able = row.disabled_at is None and row.assertion_key and JWT_BEARER in row.grants
    return row if able else None


def _check(
    claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now: datetime
) -> datetime:
    second, audience = now.timestamp(), claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
    if any(isinstance(time, bool) or not isinstance(time, int | float) for time in times.values()):
        raise AssertionFault("exp, iat and nbf are seconds since 1970.")
    expires = times.get("exp", 0)
    if claims.get("sub") != client_id:
        raise AssertionFault("sub is the client id, as iss.")
    if not isinstance(audience, str) or audience not in audiences:
        raise AssertionFault("aud is the address of the token endpoint, and nothing else.")
    if not second - _SKEW_SECONDS < expires <= second + ASSERTION_SECONDS_MAX + _SKEW_SECONDS:
        raise AssertionFault("exp is missing, over, or more than an hour away.")
    if max(times.get("iat", 0), times.get("nbf", 0)) > second + _SKEW_SECONDS:
        raise AssertionFault("iat or nbf lies in the future.")
    return datetime.fromtimestamp(int(expires) + 1, UTC) + timedelta(seconds=_SKEW_SECONDS)


def _use_up(tx: Tx, claims: Mapping[str, Any], client: Row[Any], expires_at: datetime) -> None:
    token_id = claims.get("jti")
    if token_id is None:
        return
    if not isinstance(token_id, str) or not 0 < len(token_id) <= _ID_LENGTH_MAX:
        raise AssertionFault(f"jti has 1 to {_ID_LENGTH_MAX} characters.")
    if not token_id.isprintable():
        raise AssertionFault("jti has printable characters only.")
    values = {"api_client_id": client.id, "token_id": token_id, "expires_at": expires_at}
    try:
        with tx.begin_nested():
            tx.execute(insert(used_assertions), values)
    except IntegrityError as error:
        raise AssertionFault("An assertion with this jti was used before.") from error
