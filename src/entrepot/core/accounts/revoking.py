"""Access tokens that end before their time: by their id, or with their family.

A signed token holds until it expires wherever only its signature is checked, so the hub asks
this list too: at the first use of a token in a process, and then at most every five seconds.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.grant_tables import revoked_tokens, token_families
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx


def revoke_access_token(
    tx: Tx, token_id: str, *, expires_at: datetime, actor: str, now: datetime
) -> None:
    """End the access token with this `jti`; the entry is kept for a day after it would end."""
    values = {"token_id": token_id, "revoked_at": now, "expires_at": expires_at}
    try:
        with tx.begin_nested():
            tx.execute(insert(revoked_tokens), values)
    except IntegrityError:
        return  # it had ended
    record(tx, Event("token.revoked", actor, f"token:{token_id}"), now=now)


_ENDED = Prepared(select(revoked_tokens).where(revoked_tokens.c.token_id == bindparam("token_id")))
_LIVING = Prepared(
    select(token_families.c.id).where(
        token_families.c.id == bindparam("family"), token_families.c.revoked_at.is_(None)
    )
)


def is_revoked(tx: Tx, claims: Mapping[str, Any]) -> bool:
    """Whether a verified token has been ended. One whose family is not there holds no more."""
    if _ENDED.one_or_none(tx, {"token_id": str(claims.get("jti", ""))}) is not None:
        return True
    family = claims.get("family")
    return family is not None and _LIVING.one_or_none(tx, {"family": str(family)}) is None
