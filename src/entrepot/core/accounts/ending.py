"""Ending at once what a person's account is open with, and what others than its person may hold.

Whoever made an invitation holds its link, and may have used it. So a password that was set by
invitation is good only for what its maker could reach anyway: it does not survive the day when
the account turns out to be somebody's own (an identity provider vouches for the person) or worth
more than the maker may give (publisher, operator), nor when an operator sets another. And
whoever runs an identity provider can sign in as the people that it vouches for: what they opened
does not survive the day when one of them publishes or runs the hub. decisions/0015.
"""

from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import delete, update

from entrepot.core.accounts.families import revoke_families
from entrepot.core.accounts.grant_tables import consents, personal_tokens
from entrepot.core.accounts.tables import sessions, users
from entrepot.core.events import Event, record
from entrepot.db import Tx

Why: TypeAlias = Literal["joined", "promoted"]


def end_access(tx: Tx, user_id: int, *, now: datetime) -> None:
    """End every session of a person, every program's tokens, and those of the token page.

    Personal access tokens stay: each is named, limited, and ended by itself.
    """
    tx.execute(delete(sessions).where(sessions.c.user_id == user_id))
    revoke_families(tx, user_id=user_id, now=now)


def end_everything(tx: Tx, user_id: int, *, now: datetime) -> None:
    """`end_access`, and with it consents and personal tokens: somebody else may hold them."""
    end_access(tx, user_id, now=now)
    tx.execute(delete(consents).where(consents.c.user_id == user_id))
    tx.execute(
        update(personal_tokens)
        .where(personal_tokens.c.user_id == user_id, personal_tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def sign_out_everywhere(tx: Tx, user_id: int, *, now: datetime) -> None:
    """`end_access` at the person's own wish."""
    end_access(tx, user_id, now=now)
    label = f"user:{user_id}"
    record(tx, Event("user.signed-out-everywhere", label, label), now=now)


def drop_invited_password(
    tx: Tx, user_id: int, *, why: Why, actor: str, organisation_id: int, now: datetime
) -> bool:
    """Take a password that came by invitation away, and all that was opened or made with it:
    sessions, programs and their consents, personal access tokens. False: it has no such password.

    To be called after what makes the difference was written (`accept_invitation` looks again
    under the row's lock).
    """
    dropped = tx.execute(
        update(users)
        .where(users.c.id == user_id, users.c.password_invited)
        .values(password_hash=None, password_invited=False)
    )
    if dropped.rowcount == 0:
        return False
    end_everything(tx, user_id, now=now)
    event = Event(
        "user.password-dropped", actor, f"user:{user_id}", organisation_id, {"reason": why}
    )
    record(tx, event, now=now)
    return True
