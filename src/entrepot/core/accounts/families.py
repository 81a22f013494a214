"""Families: all tokens that came from one consent of one person to one program.

A family begins when a code is redeemed. Every access token in it carries the claim `family`,
every refresh token belongs to it, and revoking the family ends them all (RFC 9700, 4.14.2).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from sqlalchemy import ColumnElement, Table, insert, update

from entrepot.core.accounts.grant_tables import (
    authorization_codes,
    device_codes,
    refresh_tokens,
    token_families,
)
from entrepot.core.accounts.hashing import hash_secret
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.kit.ids import new_secret

REFRESH_SECONDS = 30 * 86_400  # of each refresh token; every exchange begins them anew
_ACCESS_SECONDS_MAX = 3600  # an access token of a family outlives it by nothing

Why: TypeAlias = Literal["asked", "reused", "replayed"]


@dataclass(frozen=True, slots=True)
class Granted:
    """What one person has given one program: numbers of both, scopes, and the family."""

    api_client_id: int
    user_id: int
    scopes: tuple[str, ...]
    family: str


def new_family() -> str:
    """An id for a family: 128 random bits, hexadecimal."""
    return secrets.token_hex(16)


def begin_family(tx: Tx, granted: Granted, *, now: datetime) -> None:
    """Write a family down; it lasts as long as an access token unless it gets refresh tokens."""
    values = {
        "id": granted.family,
        "api_client_id": granted.api_client_id,
        "user_id": granted.user_id,
        "scopes": list(granted.scopes),
        "created_at": now,
        "expires_at": now + timedelta(seconds=_ACCESS_SECONDS_MAX),
    }
    tx.execute(insert(token_families), values)


def begin_own_family(
    tx: Tx, user_id: int, scopes: Sequence[str], *, expires_at: datetime, now: datetime
) -> str:
    """A family of the one token that a person makes without any program; returns its id."""
    family = new_family()
    values = {
        "id": family,
        "user_id": user_id,
        "scopes": list(scopes),
        "created_at": now,
        "expires_at": expires_at,
    }
    tx.execute(insert(token_families), values)
    return family


def add_refresh_token(tx: Tx, family: str, scopes: Sequence[str], *, now: datetime) -> str:
    """A new refresh token of a family, good for 30 days; only its hash is kept."""
    token, expires_at = new_secret(), now + timedelta(seconds=REFRESH_SECONDS)
    values = {
        "token_hash": hash_secret(token),
        "family_id": family,
        "scopes": list(scopes),
        "created_at": now,
        "expires_at": expires_at,
    }
    tx.execute(insert(refresh_tokens), values)
    tx.execute(
        update(token_families)
        .where(token_families.c.id == family)
        .values(expires_at=expires_at + timedelta(seconds=_ACCESS_SECONDS_MAX))
    )
    return token


def revoke_family(tx: Tx, family: str, *, why: Why, now: datetime) -> bool:
    """End every token of a family; False where it had ended or there is none."""
    return _revoke(tx, token_families.c.id == family, why, now) == 1


def revoke_families(
    tx: Tx, *, user_id: int, api_client_id: int | None = None, now: datetime
) -> int:
    """End all of a person's families, or those with one program; returns how many ended.

    Codes that have not been redeemed end first: each would begin another family.
    """
    for codes in (authorization_codes, device_codes):
        unused = _of(codes, user_id, api_client_id) & codes.c.used_at.is_(None)
        tx.execute(update(codes).where(unused, codes.c.expires_at > now).values(expires_at=now))
    return _revoke(tx, _of(token_families, user_id, api_client_id), "asked", now)


def _of(table: Table, user_id: int, api_client_id: int | None) -> ColumnElement[bool]:
    match = table.c.user_id == user_id
    if api_client_id is not None:
        match &= table.c.api_client_id == api_client_id
    return match


def _revoke(tx: Tx, match: ColumnElement[bool], why: Why, now: datetime) -> int:
    ended = tx.execute(
        update(token_families)
        .where(match, token_families.c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_why=why)
        .returning(token_families.c.id, token_families.c.user_id)
    ).all()
    for row in ended:
        # Those that somebody used twice are what an operator wants to find.
        actor = "system" if why != "asked" else f"user:{row.user_id}"
        event = Event("family.revoked", actor, f"family:{row.id}", data={"reason": why})
        record(tx, event, now=now)
    return len(ended)
