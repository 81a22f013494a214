"""People whom an identity provider vouches for: issuer and subject -> a user of the hub.

An account is never handed to whoever claims its mail address. A person who is new here gets one
of their own; an account that exists already is joined to the identity only where all of this holds:

1. the provider says that it has checked the address (`email_verified` is true),
2. a rule of the operator's names the address's domain for this provider,
3. the account belongs to the organisation that the rule names,
4. it has no role that a provider may not give (publisher, operator),
5. nobody else from this provider is joined to it: a mail address can be given to another person.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.directory import add_user, find_organisation, find_user, fold_email
from entrepot.core.accounts.ending import drop_invited_password
from entrepot.core.accounts.grant_tables import identities
from entrepot.core.accounts.principals import Principal, load_user
from entrepot.core.accounts.providers import ROLES, MembershipRule, Provider
from entrepot.core.accounts.tables import users
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from entrepot.kit.text import check_line

_ASK = "Ask whoever looks after your company's account here, or an operator of this hub."
_NAME_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider's verified ID token says of a person; `email` only if it has checked it."""

    subject: str
    email: str  # case-folded; '': none that counts
    given_name: str
    family_name: str
    claims: Mapping[str, Any]


def read_vouched(claims: Mapping[str, Any]) -> Vouched:
    """The person whom a verified ID token (`verify_id_token`) is about."""
    email, said = "", claims.get("email")
    # A word such as "true" is not enough: what some providers send so, others let people type.
    # ASCII alone, because folding would make one address of two that only look alike.
    if claims.get("email_verified") is True and isinstance(said, str) and said.isascii():
        with suppress(Invalid):
            email = fold_email(said)
    given, family = _name(claims.get("given_name")), _name(claims.get("family_name"))
    if not given and not family:
        given = _name(claims.get("name")) or email.partition("@")[0][:_NAME_LENGTH_MAX]
    return Vouched(str(claims["sub"]), email, given or family, family if given else "", claims)


def _name(value: object) -> str:
    """A name as it may stand in an account; '' where it may not."""
    try:
        return check_line(
            value[:_NAME_LENGTH_MAX] if isinstance(value, str) else "", field="name", empty=True
        )
    except Invalid:
        return ""


def admit(tx: Tx, provider: Provider, vouched: Vouched, *, now: datetime) -> Principal:
    """The user for whom `provider` vouches, made or joined at the first sign-in.

    The rules are asked at every sign-in: who is named by none any more stays out. Roles are those
    of the rule when the account is made, and changed in the hub afterwards. Denied says why not:
    sign-in-mail-unverified, sign-in-no-membership, sign-in-account-taken. Whoever was given the
    role publisher or operator since stays out: a provider's word is not enough for those.
    """
    rule = _require_membership(provider, vouched)
    organisation = _organisation(tx, rule)
    user_id = _find_identity(tx, provider, vouched)
    if user_id is None:
        user_id = _join_or_make(tx, provider, vouched, rule, organisation, now=now)
    # Whoever gives a role at this moment goes first, or ends the session that comes of this.
    tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))
    who = load_user(tx, user_id)
    if not who.roles <= set(ROLES):
        raise Denied(
            f"Your account publishes or runs this hub, and {provider.title} may not sign in to it.",
            code="sign-in-account-taken",
            remedy="Sign in with its password, or ask an operator of this hub to set one.",
        )
    if who.organisation_id != organisation.id:
        raise Denied(
            f"Your account belongs to {who.organisation_name}, "
            f"and {provider.title} now names another organisation for you.",
            code="sign-in-account-taken",
            remedy=_ASK,
        )
    own = (identities.c.issuer == provider.issuer) & (identities.c.subject == vouched.subject)
    tx.execute(update(identities).where(own).values(signed_in_at=now))
    return who


def _require_membership(provider: Provider, vouched: Vouched) -> MembershipRule:
    if not vouched.email:
        raise Denied(
            f"{provider.title} did not say that it has checked your mail address.",
            code="sign-in-mail-unverified",
            remedy=f"Confirm your address at {provider.title} and sign in again; "
            "if that does not help, tell an operator of this hub.",
        )
    rule = provider.membership(vouched.email, vouched.claims)
    if rule is None:
        raise Denied(
            f"{provider.title} knows you as {vouched.email}, "
            "but no organisation of this hub is open to you there.",
            code="sign-in-no-membership",
            remedy=_ASK,
        )
    return rule


def _organisation(tx: Tx, rule: MembershipRule) -> Row[Any]:
    """It must be there: founding one takes its country, on which export rules depend."""
    try:
        return find_organisation(tx, rule.organisation)
    except NotFound as error:
        raise Unavailable(
            f"The organisation that you would sign in to ({rule.organisation}) "
            "is not registered here.",
            code="sign-in-organisation-missing",
            remedy="Tell an operator of this hub: it is named in the identity providers' file.",
        ) from error


def _find_identity(tx: Tx, provider: Provider, vouched: Vouched) -> int | None:
    found: int | None = tx.execute(
        select(identities.c.user_id).where(
            identities.c.issuer == provider.issuer, identities.c.subject == vouched.subject
        )
    ).scalar_one_or_none()
    return found


def _join_or_make(
    tx: Tx,
    provider: Provider,
    vouched: Vouched,
    rule: MembershipRule,
    organisation: Row[Any],
    *,
    now: datetime,
) -> int:
    row = _find_by_mail(tx, vouched.email)
    try:
        with tx.begin_nested():
            if row is not None:
                _require_joinable(tx, provider, rule, row, organisation.id)
                user_id, kind = int(row.id), "identity.joined"
            else:
                user_id = _make(tx, vouched, rule, organisation.id, now=now)
                kind = "identity.added"
            values = {
                "issuer": provider.issuer,
                "subject": vouched.subject,
                "user_id": user_id,
                "created_at": now,
                "signed_in_at": now,
            }
            tx.execute(insert(identities), values)
            drop_invited_password(
                tx,
                user_id,
                why="joined",
                actor=f"user:{user_id}",
                organisation_id=organisation.id,
                now=now,
            )
    except (Conflict, IntegrityError) as error:
        # Another window of the same person was quicker.
        known = _find_identity(tx, provider, vouched)
        if known is None:
            raise _taken(provider) from error
        return known
    label = f"user:{user_id}"
    data = {"issuer": provider.issuer, "subject": vouched.subject}
    record(tx, Event(kind, label, label, organisation.id, data), now=now)
    return user_id


def _find_by_mail(tx: Tx, email: str) -> Row[Any] | None:
    try:
        return find_user(tx, email)
    except NotFound:
        return None


def _require_joinable(
    tx: Tx, provider: Provider, rule: MembershipRule, row: Row[Any], organisation_id: int
) -> None:
    """Rules 2 to 5 of the module's text; the first is `Vouched.email`."""
    # Two sign-ins must not both find the account free.
    tx.execute(select(users.c.id).where(users.c.id == row.id).with_for_update())
    others = tx.execute(
        select(identities.c.subject).where(
            identities.c.issuer == provider.issuer, identities.c.user_id == row.id
        )
    ).first()
    if (
        not rule.domain
        or row.organisation_id != organisation_id
        or not set(row.roles) <= set(ROLES)
        or row.disabled_at is not None
        or others is not None
    ):
        raise _taken(provider)


def _taken(provider: Provider) -> Denied:
    return Denied(
        "There is an account with your mail address here already, "
        f"and {provider.title} may not sign in to it.",
        code="sign-in-account-taken",
        remedy="Sign in with its password, or ask an operator of this hub.",
    )


def _make(
    tx: Tx, vouched: Vouched, rule: MembershipRule, organisation_id: int, *, now: datetime
) -> int:
    return add_user(
        tx,
        email=vouched.email,
        given_name=vouched.given_name,
        family_name=vouched.family_name,
        organisation_id=organisation_id,
        roles=rule.roles,
        password=None,
        actor="system",
        now=now,
    )
