"""Forgetting grants that can do nothing any more, guesses that count no more, and visitors whose
contact was kept for as long as they agreed to.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Table, delete, select

from entrepot.core.accounts.grant_tables import (
    authorization_codes,
    contacts,
    device_codes,
    refresh_tokens,
    revoked_tokens,
    token_families,
    used_assertions,
)
from entrepot.core.accounts.signing_in import purge_attempts
from entrepot.db import Tx

# A code that comes again within this time still ends what it was exchanged for.
CODES_KEPT = timedelta(hours=1)
# What a token came by, and what ended it, is known for so long after its end: a file that began
# to come before may still come (see `Edge.look_again`).
TOKENS_KEPT = timedelta(days=1)


def purge_grants(tx: Tx, *, take: int, now: datetime) -> int:
    """Delete at most `take` rows of each kind; returns the most that one kind had.

    Families go with all their refresh tokens, when the youngest of these has ended.
    """
    return max(
        _purge(tx, authorization_codes, ("code_hash",), now - CODES_KEPT, take),
        _purge(tx, device_codes, ("code_hash",), now - CODES_KEPT, take),
        _purge(tx, revoked_tokens, ("token_id",), now - TOKENS_KEPT, take),
        _purge(tx, used_assertions, ("api_client_id", "token_id"), now, take),
        _purge(tx, refresh_tokens, ("token_hash",), now, take),
        _purge(tx, token_families, ("id",), now - TOKENS_KEPT, take),
        _purge(tx, contacts, ("id",), now, take),
        purge_attempts(tx, take=take, now=now),
    )


def _purge(tx: Tx, table: Table, key: Sequence[str], before: datetime, take: int) -> int:
    columns: list[Column[Any]] = [table.c[name] for name in key]
    ended = select(*columns).where(table.c.expires_at < before).limit(take)
    found = tx.execute(ended).all()
    if not found:
        return 0
    if len(columns) == 1:
        tx.execute(delete(table).where(columns[0].in_([row[0] for row in found])))
    else:
        for row in found:
            match = [column == value for column, value in zip(columns, row, strict=True)]
            tx.execute(delete(table).where(*match))
    return len(found)
