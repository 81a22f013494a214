"""Authorization codes (RFC 6749 section 4.1, RFC 7636): good for a minute, once.

Only a code's hash is kept. That a code counts once is an UPDATE that finds it unused; whoever
comes second ends what the first one got (RFC 9700 section 4.5, RFC 6749 section 4.1.2).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from entrepot.core.accounts.families import Granted, begin_family, new_family, revoke_family
from entrepot.core.accounts.grant_tables import authorization_codes
from entrepot.core.accounts.hashing import hash_secret
from entrepot.db import Tx
from entrepot.kit.ids import new_secret

CODE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """What a code stands for. `challenge` is PKCE's, S256; None: a legacy client sent none."""

    api_client_id: int
    user_id: int
    scopes: tuple[str, ...]
    redirect_uri: str | None
    challenge: str | None
    nonce: str | None
    signed_in_at: datetime


@dataclass(frozen=True, slots=True)
class FoundCode:
    """A code that may still be redeemed, and what it stands for."""

    code_hash: str
    request: CodeRequest


def issue_code(tx: Tx, request: CodeRequest, *, now: datetime) -> str:
    """A new code; 256 random bits, of which only the hash is kept."""
    code = new_secret()
    values = {
        "code_hash": hash_secret(code),
        "api_client_id": request.api_client_id,
        "user_id": request.user_id,
        "redirect_uri": request.redirect_uri,
        "scopes": list(request.scopes),
        "challenge": request.challenge,
        "nonce": request.nonce,
        "signed_in_at": request.signed_in_at,
        "created_at": now,
        "expires_at": now + timedelta(seconds=CODE_SECONDS),
    }
    tx.execute(insert(authorization_codes), values)
    return code


def find_code(tx: Tx, code: str, *, api_client_id: int, now: datetime) -> FoundCode | None:
    """What a code of this client stands for; None: unknown, another client's, over, or used.

    A used code ends the family that its first use made, also after its minute.
    """
    code_hash = hash_secret(code)
    row = tx.execute(
        select(authorization_codes).where(
            authorization_codes.c.code_hash == code_hash,
            authorization_codes.c.api_client_id == api_client_id,
        )
    ).one_or_none()
    if row is None:
        return None
    if row.used_at is not None:
        revoke_family(tx, row.family_id, why="replayed", now=now)
        return None
    if row.expires_at <= now:
        return None
    request = CodeRequest(
        row.api_client_id,
        row.user_id,
        tuple(row.scopes),
        row.redirect_uri,
        row.challenge,
        row.nonce,
        row.signed_in_at,
    )
    return FoundCode(code_hash, request)


def redeem_code(tx: Tx, found: FoundCode, *, now: datetime) -> Granted | None:
    """Use a code up and begin its family; None where another request was faster.

    That request's family ends then: two uses of one code mean that somebody has stolen it.
    """
    request, family = found.request, new_family()
    row = authorization_codes.c.code_hash == found.code_hash
    used = tx.execute(
        update(authorization_codes)
        .where(row, authorization_codes.c.used_at.is_(None), authorization_codes.c.expires_at > now)
        .values(used_at=now, family_id=family)
    )
    if used.rowcount != 1:
        former = tx.execute(select(authorization_codes.c.family_id).where(row)).scalar_one()
        if former is not None:  # else the person's programs were all ended at this moment
            revoke_family(tx, former, why="replayed", now=now)
        return None
    granted = Granted(request.api_client_id, request.user_id, request.scopes, family)
    begin_family(tx, granted, now=now)
    return granted
