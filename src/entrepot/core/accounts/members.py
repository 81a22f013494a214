"""What an administrator of an organisation may do: with its own members, and nobody else.

People with the role publisher or operator are the operator's to change, whatever organisation
they belong to: else one could become one of them by way of a colleague.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from entrepot.core.accounts.directory import (
    add_user,
    disable_user,
    find_user,
    hash_secret,
    set_roles,
)
from entrepot.core.accounts.grant_tables import identities, invitations
from entrepot.core.accounts.passwords import PasswordHash
from entrepot.core.accounts.personal_tokens import list_personal_tokens, revoke_personal_token
from entrepot.core.accounts.principals import (
    CUSTOMER,
    OPERATOR,
    ORGANISATION_ADMIN,
    Principal,
    check_roles,
    load_client,
    load_user,
    require_role,
)
from entrepot.core.accounts.tables import users
from entrepot.core.events import Event, record
from entrepot.db import Tx, take_turns
from entrepot.errors import Conflict, Denied, Gone, Invalid, NotFound, Unauthenticated
from entrepot.kit.ids import new_secret

MEMBER_ROLES = (CUSTOMER, ORGANISATION_ADMIN)
MEMBERS_MAX = 1000
INVITATION_DAYS = 7
_SCOPE = "entitlements"  # that every session of a person carries


@dataclass(frozen=True, slots=True)
class Member:
    """A colleague as the administrator sees them; `tokens` are personal tokens, newest first."""

    row: Row[Any]
    changeable: bool
    invitable: bool  # has no way to sign in yet
    tokens: list[Row[Any]]


def list_members(
    tx: Tx, who: Principal, *, skip: int = 0, take: int = 100
) -> tuple[list[Row[Any]], int]:
    """The people of the administrator's organisation by number, and how many there are."""
    _require_admin(who)
    mine = users.c.organisation_id == who.organisation_id
    total = tx.execute(select(func.count()).select_from(users).where(mine)).scalar_one()
    page = select(users).where(mine).order_by(users.c.id).offset(skip).limit(take)
    return list(tx.execute(page)), int(total)


def find_member(tx: Tx, who: Principal, number: int) -> Member:
    """One of the administrator's organisation; NotFound for anybody else's."""
    row = _member(tx, who, number)
    return Member(
        row,
        changeable=_is_theirs(row) and row.id != who.user_id,
        invitable=_is_theirs(row) and _cannot_sign_in(tx, row),
        tokens=list_personal_tokens(tx, row.id),
    )


def invite_member(
    tx: Tx,
    who: Principal,
    *,
    email: str,
    given_name: str,
    family_name: str = "",
    roles: Iterable[str] = (CUSTOMER,),
    now: datetime,
) -> tuple[int, str]:
    """Add a colleague; returns the number and the secret of a one-time invitation.

    Conflict: the address is taken, here or elsewhere, or there are 1,000 members.
    """
    _require_admin(who)
    take_turns(tx, f"members of {who.organisation_id}")
    _, total = list_members(tx, who, take=1)
    if total >= MEMBERS_MAX:
        raise Conflict(
            f"The organisation has {MEMBERS_MAX} members.",
            code="members-used-up",
            remedy="Ask an operator of this hub.",
        )
    number = add_user(
        tx,
        email=email,
        given_name=given_name,
        family_name=family_name,
        organisation_id=who.organisation_id,
        roles=_grantable(roles),
        password=None,
        actor=who.label,
        now=now,
    )
    return number, _invite(tx, who, number, now=now)


def invite_again(tx: Tx, who: Principal, number: int, *, now: datetime) -> str:
    """A new invitation for a colleague who cannot sign in yet; the one before ends.

    Conflict where they can: nobody takes over an account by an invitation to it.
    """
    row = _changeable(tx, who, number)
    if not _cannot_sign_in(tx, row):
        raise Conflict(
            "This member can sign in already.",
            code="already-set-up",
            remedy="Ask an operator of this hub for a new password.",
        )
    return _invite(tx, who, number, now=now)


def _invite(tx: Tx, who: Principal, number: int, *, now: datetime) -> str:
    secret = new_secret()
    take_turns(tx, f"invitation of {number}")  # a person has one, and two may be asked for at once
    tx.execute(delete(invitations).where(invitations.c.user_id == number))
    values = {
        "user_id": number,
        "token_hash": hash_secret(secret),
        "created_by": who.label,
        "created_at": now,
        "expires_at": now + timedelta(days=INVITATION_DAYS),
    }
    tx.execute(insert(invitations), values)
    event = Event("user.invited", who.label, f"user:{number}", who.organisation_id)
    record(tx, event, now=now)
    return secret


def find_invitation(tx: Tx, secret: str, *, now: datetime) -> Row[Any]:
    """The person whom an invitation is for; Gone where it does not hold (any more).

    It holds as long as whoever made it may make one: nobody who was shut out comes back by an
    invitation of their own.
    """
    row = tx.execute(
        select(users, invitations.c.created_by)
        .join(invitations, invitations.c.user_id == users.c.id)
        .where(
            invitations.c.token_hash == hash_secret(secret),
            invitations.c.expires_at > now,
            users.c.disabled_at.is_(None),
            users.c.password_hash.is_(None),
        )
    ).one_or_none()
    # The administrator may have kept the link: whoever became more since, or came in by an
    # identity provider, is not theirs to enter.
    if row is None or not _is_theirs(row) or not _cannot_sign_in(tx, row):
        raise _ended()
    if not _still_invites(tx, row.created_by, row.organisation_id):
        raise _ended()
    return row


def _still_invites(tx: Tx, maker: str, organisation_id: int) -> bool:
    kind, _, name = maker.partition(":")
    try:
        who = load_user(tx, int(name)) if kind == "user" else load_client(tx, name)
    except Unauthenticated:
        return False
    return ORGANISATION_ADMIN in who.roles and who.organisation_id == organisation_id


def accept_invitation(tx: Tx, secret: str, password: PasswordHash, *, now: datetime) -> str:
    """Set the first password of the person invited, once; returns their mail address.

    `password` is as `hash_password` gives it, which is to be called before the transaction.
    """
    row = find_invitation(tx, secret, now=now)
    # Whoever joins or promotes the person at this moment goes first, and then it has ended.
    tx.execute(select(users.c.id).where(users.c.id == row.id).with_for_update())
    row = find_invitation(tx, secret, now=now)
    # Counts once, whoever else holds the same link at this moment.
    used = tx.execute(delete(invitations).where(invitations.c.token_hash == hash_secret(secret)))
    if used.rowcount != 1:
        raise _ended()
    values = {"password_hash": password, "password_invited": True}
    tx.execute(update(users).where(users.c.id == row.id).values(**values))
    event = Event("user.password-set", f"user:{row.id}", f"user:{row.id}", row.organisation_id)
    record(tx, event, now=now)
    return str(row.email)


def _ended() -> Gone:
    return Gone(
        "This invitation was used, replaced or has ended.",
        code="invitation-ended",
        remedy="Sign in, or ask the administrator of your organisation for a new one.",
    )


def set_member_roles(
    tx: Tx, who: Principal, number: int, roles: Iterable[str], *, now: datetime
) -> None:
    """Replace the roles of a colleague, by customer and organisation-admin alone."""
    row = _changeable(tx, who, number)
    set_roles(tx, row.id, _grantable(roles), actor=who.label, now=now)


def set_member_disabled(
    tx: Tx, who: Principal, number: int, *, disabled: bool, now: datetime
) -> None:
    """Shut a colleague out (sessions, tokens and links end within seconds), or let in again.

    Whom an operator has shut out only an operator lets in again (Denied). Shutting such a one
    out once more is refused as well: it would be the administrator's word then.
    """
    row = _changeable(tx, who, number)
    if row.disabled_at is not None and not _shut_out_by_colleague(tx, row):
        raise Denied(
            "An operator of this hub has shut this member out.",
            code="member-protected",
            remedy="Ask an operator of this hub.",
        )
    if disabled:
        tx.execute(delete(invitations).where(invitations.c.user_id == row.id))
    disable_user(tx, row.id, disabled=disabled, actor=who.label, now=now)


def revoke_member_token(
    tx: Tx, who: Principal, number: int, token_id: int, *, now: datetime
) -> None:
    """End a personal token of a colleague, whatever the colleague's roles."""
    row = _member(tx, who, number)
    revoke_personal_token(tx, row.id, token_id, actor=who.label, now=now)


def _require_admin(who: Principal) -> None:
    require_role(who, ORGANISATION_ADMIN, scope=_SCOPE)


def _member(tx: Tx, who: Principal, number: int) -> Row[Any]:
    _require_admin(who)
    try:
        row = find_user(tx, number)
    except NotFound:
        raise NotFound from None  # the same words as for somebody else's
    if row.organisation_id != who.organisation_id:
        raise NotFound
    return row


def _is_theirs(row: Row[Any]) -> bool:
    return set(row.roles) <= set(MEMBER_ROLES)


def _changeable(tx: Tx, who: Principal, number: int) -> Row[Any]:
    # Whoever promotes the person at this moment goes first, and then they are not theirs.
    tx.execute(select(users.c.id).where(users.c.id == number).with_for_update(key_share=True))
    row = _member(tx, who, number)
    if row.id == who.user_id:
        raise Denied(
            "Administrators do not change themselves.",
            code="own-account",
            remedy="Ask another administrator, or an operator of this hub.",
        )
    if not _is_theirs(row):
        raise Denied(
            "This member publishes or runs the hub.",
            code="member-protected",
            remedy="Ask an operator of this hub.",
        )
    return row


def _shut_out_by_colleague(tx: Tx, row: Row[Any]) -> bool:
    kind, _, number = str(row.disabled_by or "").partition(":")
    if kind != "user":
        return False
    by = tx.execute(select(users).where(users.c.id == int(number))).one_or_none()
    return by is not None and by.organisation_id == row.organisation_id and OPERATOR not in by.roles


def _grantable(roles: Iterable[str]) -> list[str]:
    wanted = check_roles(roles)
    beyond = [role for role in wanted if role not in MEMBER_ROLES]
    if beyond or not wanted:
        raise Invalid(
            f"The role {beyond[0]!r} is the operator's to give." if beyond else "Choose a role.",
            field="roles",
            remedy=f"Choose of: {', '.join(MEMBER_ROLES)}.",
        )
    return wanted


def _cannot_sign_in(tx: Tx, row: Row[Any]) -> bool:
    if row.password_hash is not None:
        return False
    known = select(func.count()).select_from(identities).where(identities.c.user_id == row.id)
    return tx.execute(known).scalar_one() == 0
