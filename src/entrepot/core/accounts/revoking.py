"""Access tokens that end before their time: by their id, or with their family.

A signed token holds until it expires wherever only its signature is checked, so the hub asks
this list too: at the first use of a token in a process, and then at most every five seconds.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.grant_tables import revoked_tokens, token_families
from entrepot.core.events import Event, record
from entrepot.db import Tx


def revoke_access_token(
    tx: Tx, token_id: str, *, expires_at: datetime, actor: str, now: datetime
) -> None:
    """End the access token with this `jti`; the entry is kept until the token would end."""
    values = {"token_id": token_id, "revoked_at": now, "expires_at": expires_at}
    try:
        with tx.begin_nested():
            tx.execute(insert(revoked_tokens), values)
    except IntegrityError:
        return  # it had ended
    record(tx, Event("token.revoked", actor, f"token:{token_id}"), now=now)


def is_revoked(tx: Tx, claims: Mapping[str, Any]) -> bool:
    """Whether a verified token has been ended. One whose family is not there holds no more."""
    token_id = str(claims.get("jti", ""))
    if tx.execute(select(1).where(revoked_tokens.c.token_id == token_id)).first():
        return True
    family = claims.get("family")
    if family is None:
        return False
    living = select(1).where(
        token_families.c.id == str(family), token_families.c.revoked_at.is_(None)
    )
    return tx.execute(living).first() is None
