"""Organisations and people: the operator's verbs over them."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.ending import drop_invited_password, end_access, end_everything
from entrepot.core.accounts.grant_tables import identities
from entrepot.core.accounts.hashing import hash_secret as hash_secret
from entrepot.core.accounts.passwords import PasswordHash
from entrepot.core.accounts.principals import CUSTOMER, OPERATOR, PUBLISHER, check_roles
from entrepot.core.accounts.tables import organisations, users
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.kit.text import check_country, check_line

# No spaces, control characters or halves of surrogate pairs: databases refuse some of them.
_CHARACTER = r"[^@\s\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_EMAIL = re.compile(rf"{_CHARACTER}{{1,64}}@{_CHARACTER}{{1,189}}")


def fold_email(email: str) -> str:
    """The form under which an address is stored and looked up; Invalid where it is none."""
    folded = email.strip().casefold()
    if not _EMAIL.fullmatch(folded):
        raise Invalid(
            f"{email!r} is not a mail address.",
            field="email",
            remedy="Write it in full, as in ada@example.com.",
        )
    return folded


def add_organisation(tx: Tx, *, name: str, country: str, actor: str, now: datetime) -> int:
    """Register an organisation by its unique name; returns its number."""
    values = {
        "name": check_line(name, field="name"),
        "country": check_country(country, field="country"),
        "blocked": False,
        "created_at": now,
    }
    try:
        with tx.begin_nested():
            number: int = tx.execute(
                insert(organisations).returning(organisations.c.id), values
            ).scalar_one()
    except IntegrityError as error:
        raise Conflict(f"There is an organisation {name!r} already.", code="name-taken") from error
    record(tx, Event("organisation.added", actor, f"organisation:{number}", number), now=now)
    return number


def find_organisation(tx: Tx, reference: str | int) -> Row[Any]:
    """The organisation with this number or name; NotFound where there is none."""
    text = str(reference)
    number = parse_number(text)
    match = organisations.c.name == text if number is None else organisations.c.id == number
    row = tx.execute(select(organisations).where(match)).one_or_none()
    if row is None:
        raise NotFound(f"There is no organisation {text!r}.")
    return row


def block_organisation(
    tx: Tx, organisation_id: int, *, blocked: bool, actor: str, now: datetime
) -> None:
    """Stop (or allow again) every download of an organisation."""
    changed = tx.execute(
        update(organisations).where(organisations.c.id == organisation_id).values(blocked=blocked)
    )
    if changed.rowcount != 1:
        raise NotFound(f"There is no organisation {organisation_id}.")
    kind = "organisation.blocked" if blocked else "organisation.unblocked"
    record(tx, Event(kind, actor, f"organisation:{organisation_id}", organisation_id), now=now)


def add_user(
    tx: Tx,
    *,
    email: str,
    given_name: str,
    family_name: str,
    organisation_id: int,
    roles: Iterable[str] = (CUSTOMER,),
    password: PasswordHash | None,
    actor: str,
    now: datetime,
) -> int:
    """Register a person under a mail address; returns the number. No password: cannot sign in.

    `password` is as `hash_password` gives it, which is to be called before the transaction.
    """
    values = {
        "email": fold_email(email),
        "given_name": check_line(given_name, field="given_name"),
        "family_name": check_line(family_name, field="family_name", empty=True),
        "organisation_id": find_organisation(tx, organisation_id).id,
        "roles": check_roles(roles),
        "password_hash": password,
        "created_at": now,
    }
    try:
        with tx.begin_nested():
            number: int = tx.execute(insert(users).returning(users.c.id), values).scalar_one()
    except IntegrityError as error:
        raise Conflict(
            f"There is a user {values['email']} already.",
            code="email-taken",
            remedy="Use another address: each belongs to one account of this hub.",
        ) from error
    record(tx, Event("user.added", actor, f"user:{number}", organisation_id), now=now)
    return number


def find_user(tx: Tx, reference: str | int) -> Row[Any]:
    """The person with this number or mail address; NotFound where there is none."""
    text = str(reference)
    number = parse_number(text)
    match = users.c.email == fold_email(text) if number is None else users.c.id == number
    row = tx.execute(select(users).where(match)).one_or_none()
    if row is None:
        raise NotFound(f"There is no user {text!r}.")
    return row


def set_password(
    tx: Tx, user_id: int, password: PasswordHash, *, actor: str, now: datetime
) -> None:
    """Replace a password; every open session and every program's token of the person ends.

    After one that came by invitation consents and personal tokens end as well: the administrator
    who made the invitation may have made them. `password` is as `hash_password` gives it, which
    is to be called before the transaction.
    """
    row = find_user(tx, user_id)
    values = {"password_hash": password, "password_invited": False}
    tx.execute(update(users).where(users.c.id == user_id).values(**values))
    end = end_everything if row.password_invited else end_access
    end(tx, user_id, now=now)
    record(tx, Event("user.password-set", actor, f"user:{user_id}", row.organisation_id), now=now)


def set_roles(tx: Tx, user_id: int, roles: Iterable[str], *, actor: str, now: datetime) -> None:
    """Replace the roles of a person.

    With the first role that an administrator of an organisation may not give, a password that
    came by invitation ends (`drop_invited_password`), and for a person whom an identity provider
    vouches for all that may have been opened by its word.
    """
    tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
    row, names = find_user(tx, user_id), check_roles(roles)
    tx.execute(update(users).where(users.c.id == user_id).values(roles=names))
    event = Event("user.roles-set", actor, f"user:{user_id}", row.organisation_id, {"roles": names})
    record(tx, event, now=now)
    staff = {PUBLISHER, OPERATOR}
    if not staff.intersection(names):
        return
    drop_invited_password(
        tx, user_id, why="promoted", actor=actor, organisation_id=row.organisation_id, now=now
    )
    known = select(exists().where(identities.c.user_id == user_id))
    if not staff.intersection(row.roles) and tx.execute(known).scalar_one():
        end_everything(tx, user_id, now=now)


def disable_user(tx: Tx, user_id: int, *, disabled: bool = True, actor: str, now: datetime) -> None:
    """Shut a person out (tokens and links die within seconds), or let the person in again."""
    row = find_user(tx, user_id)
    tx.execute(
        update(users)
        .where(users.c.id == user_id)
        .values(disabled_at=now if disabled else None, disabled_by=actor if disabled else None)
    )
    if disabled:
        end_access(tx, user_id, now=now)
    kind = "user.disabled" if disabled else "user.enabled"
    record(tx, Event(kind, actor, f"user:{user_id}", row.organisation_id), now=now)
