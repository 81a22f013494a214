"""Refresh tokens: each is exchanged once, for the next one (RFC 9700 section 4.14.2).

A token that comes again was stolen, or the one before it was: the family ends, whoever of the
two it is that asks. But a program that sends the same token in several requests at once races
only itself: one request wins, and those that had *come in before the exchange* are refused and
change nothing. There is no grace after it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select, update

from entrepot.core.accounts.families import Granted, revoke_family
from entrepot.core.accounts.grant_tables import refresh_tokens, token_families
from entrepot.core.accounts.hashing import hash_secret
from entrepot.db import Tx


@dataclass(frozen=True, slots=True)
class FoundRefresh:
    """A refresh token that may be exchanged, and what it gives."""

    token_hash: str
    granted: Granted


def find_refresh(
    tx: Tx, token: str, *, api_client_id: int, asked_at: datetime, now: datetime
) -> FoundRefresh | None:
    """What a refresh token of this client gives; None: unknown, another client's, over, used.

    `asked_at` is when the request came in: see above for what it decides about a used one.
    """
    token_hash = hash_secret(token)
    row = _find(tx, token_hash)
    if row is None or row.api_client_id != api_client_id:
        return None
    if row.used_at is not None:
        _refuse_used(tx, row, asked_at, now)
        return None
    if row.revoked_at is not None or row.expires_at <= now:
        return None
    granted = Granted(row.api_client_id, row.user_id, tuple(row.scopes), row.family_id)
    return FoundRefresh(token_hash, granted)


def spend_refresh(tx: Tx, found: FoundRefresh, *, asked_at: datetime, now: datetime) -> bool:
    """Use a refresh token up; False where another request was faster or the family has ended.

    Its family's row is locked first, so that it cannot be revoked at the same moment.
    """
    family = token_families.c.id == found.granted.family
    revoked = tx.execute(select(token_families.c.revoked_at).where(family).with_for_update())
    if revoked.scalar_one() is not None:
        return False
    used = tx.execute(
        update(refresh_tokens)
        .where(refresh_tokens.c.token_hash == found.token_hash, refresh_tokens.c.used_at.is_(None))
        .values(used_at=now)
    )
    if used.rowcount == 1:
        return True
    row = _find(tx, found.token_hash)
    if row is not None:
        _refuse_used(tx, row, asked_at, now)
    return False


def find_family(
    tx: Tx, token: str, *, used: bool = False, now: datetime
) -> Row[tuple[object, ...]] | None:
    """The living family of a refresh token, with the token's `scopes` and times.

    `used`: also of one that was exchanged already.
    """
    row = _find(tx, hash_secret(token))
    if row is None or row.revoked_at is not None or not (used or row.used_at is None):
        return None
    return row if row.expires_at > now else None


def _find(tx: Tx, token_hash: str) -> Row[tuple[object, ...]] | None:
    query = select(
        refresh_tokens,
        token_families.c.api_client_id,
        token_families.c.user_id,
        token_families.c.revoked_at,
    ).join(token_families)
    return tx.execute(query.where(refresh_tokens.c.token_hash == token_hash)).one_or_none()


def _refuse_used(tx: Tx, row: Row[tuple[object, ...]], asked_at: datetime, now: datetime) -> None:
    if asked_at > row.used_at:
        revoke_family(tx, row.family_id, why="reused", now=now)
