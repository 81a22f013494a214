"""Personal access tokens: secrets for CI, limited in scope, life and address range.

A token is `ept_` and 43 characters (256 random bits); only its SHA-256 is kept. It speaks for
its person, as long as the person may come in and the organisation is not blocked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, or_, select, update

from entrepot.core.accounts.directory import find_user, hash_secret
from entrepot.core.accounts.grant_tables import personal_tokens
from entrepot.core.accounts.principals import (
    OPERATOR,
    PUBLISHER,
    SCOPES,
    Principal,
    check_scopes,
    load_user,
)
from entrepot.core.accounts.tables import organisations, users
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx, take_turns
from entrepot.errors import Conflict, Invalid, NotFound, Unauthenticated
from entrepot.kit.ids import new_secret
from entrepot.kit.text import check_line

PREFIX = "ept_"
NAME_LENGTH_MAX = 100
DAYS_DEFAULT, DAYS_MAX = 90, 366
NETWORKS_MAX = 20
LIVE_MAX = 50  # of a person
ENDED_KEPT_MAX = 50  # of a person, for the list; older ones are forgotten
_VALUE_LENGTH = len(PREFIX) + 43


@dataclass(frozen=True, slots=True)
class NewPersonalToken:
    """A token that was made; `value` is shown this once."""

    id: int
    value: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KnownToken:
    """Whom a token speaks for now; `use_is_news`: its last use is to be noted."""

    id: int
    who: Principal
    expires_at: datetime
    use_is_news: bool


def is_personal_token(value: str) -> bool:
    """Whether a bearer token is one of these, to be looked up and not verified as a JWT."""
    return value.startswith(PREFIX)


def scopes_of_roles(roles: frozenset[str]) -> tuple[str, ...]:
    """The scopes that are of any use to a person with `roles`, in their fixed order."""
    closed = set()
    if not roles & {PUBLISHER, OPERATOR}:
        closed.add("publish")
    if OPERATOR not in roles:
        closed.add("admin")
    return tuple(scope for scope in SCOPES if scope not in closed)


def make_personal_token(
    tx: Tx,
    user_id: int,
    *,
    name: str,
    scopes: Sequence[str],
    days: int = DAYS_DEFAULT,
    networks: Sequence[str] = (),
    actor: str,
    now: datetime,
) -> NewPersonalToken:
    """Make a token of a person, for `days` (1 to 366) and from `networks`; none: from anywhere.

    Invalid names what is wrong: a name, a scope that the person does not have, days, a range.
    Conflict: the person has 50 tokens that are alive.
    """
    take_turns(tx, f"personal tokens of {user_id}")
    who = load_user(tx, user_id)
    label = check_line(name, field="name", length_max=NAME_LENGTH_MAX)
    if not 1 <= days <= DAYS_MAX:
        raise Invalid(f"A token lives 1 to {DAYS_MAX} days.", field="days")
    wanted, ranges = _scopes(who, scopes), check_networks(networks)
    _make_room(tx, user_id, now=now)
    value = PREFIX + new_secret()
    expires_at = now + timedelta(days=days)
    number: int = tx.execute(
        insert(personal_tokens).returning(personal_tokens.c.id),
        {
            "user_id": user_id,
            "name": label,
            "token_hash": hash_secret(value),
            "scopes": wanted,
            "networks": ranges,
            "created_by": actor,
            "created_at": now,
            "expires_at": expires_at,
        },
    ).scalar_one()
    data = {"token": str(number), "name": label, "scopes": wanted, "networks": ranges}
    event = Event("personal-token.made", actor, who.label, who.organisation_id, data)
    record(tx, event, now=now)
    return NewPersonalToken(number, value, expires_at)


def _scopes(who: Principal, scopes: Sequence[str]) -> list[str]:
    wanted, allowed = check_scopes(scopes), scopes_of_roles(who.roles)
    if not wanted:
        raise Invalid(
            "A token needs a scope.", field="scopes", remedy=f"Choose of: {', '.join(allowed)}."
        )
    beyond = [scope for scope in wanted if scope not in allowed]
    if beyond:
        raise Invalid(
            f"The person does not have the scope {beyond[0]!r}.",
            field="scopes",
            remedy=f"Choose of: {', '.join(allowed)}.",
        )
    return wanted


def check_networks(networks: Sequence[str]) -> list[str]:
    """Address ranges in their shortest spelling; Invalid names the one at fault.

    Each is an address or a range in CIDR notation, IPv4 or IPv6 without a zone.
    """
    if len(networks) > NETWORKS_MAX:
        raise Invalid(f"A token has at most {NETWORKS_MAX} address ranges.", field="networks")
    return list(dict.fromkeys(_network(text.strip()) for text in networks))


def _network(text: str) -> str:
    try:
        wide = ip_network(text, strict=False)
    except ValueError as error:
        raise Invalid(
            f"{text[:50]!r} is not an address range.",
            field="networks",
            remedy="Write ranges as 192.0.2.0/24 or 2001:db8::/32, or single addresses.",
        ) from error
    told, _, _ = text.partition("/")
    mapped = isinstance(wide, IPv6Network) and wide.network_address.ipv4_mapped is not None
    if "%" in text or mapped or wide.network_address != ip_address(told):
        better = "the IPv4 range itself" if mapped else str(wide).partition("%")[0]
        raise Invalid(
            f"{text[:50]!r} is not the plain spelling of a range.",
            field="networks",
            remedy=f"Write {better}.",
        )
    return str(wide)


_LIVE = personal_tokens.c.revoked_at.is_(None)


def _make_room(tx: Tx, user_id: int, *, now: datetime) -> None:
    of_person = personal_tokens.c.user_id == user_id
    live = tx.execute(
        select(func.count())
        .select_from(personal_tokens)
        .where(of_person, _LIVE, personal_tokens.c.expires_at > now)
    ).scalar_one()
    if live >= LIVE_MAX:
        raise Conflict(
            f"There are {LIVE_MAX} personal access tokens already.",
            code="tokens-used-up",
            remedy="Revoke one that is no longer used.",
        )
    ended = or_(personal_tokens.c.revoked_at.is_not(None), personal_tokens.c.expires_at <= now)
    kept = (
        select(personal_tokens.c.id)
        .where(of_person, ended)
        .order_by(personal_tokens.c.id.desc())
        .limit(ENDED_KEPT_MAX)
    )
    tx.execute(delete(personal_tokens).where(of_person, ended, personal_tokens.c.id.not_in(kept)))


def list_personal_tokens(tx: Tx, user_id: int) -> list[Row[Any]]:
    """A person's tokens, the newest first: at most 50 that are alive and 50 that have ended.

    The columns of the table; nothing in them gives the value back.
    """
    return list(
        tx.execute(
            select(personal_tokens)
            .where(personal_tokens.c.user_id == user_id)
            .order_by(personal_tokens.c.id.desc())
        )
    )


def revoke_personal_token(
    tx: Tx, user_id: int, token_id: int, *, actor: str, now: datetime
) -> None:
    """End a token of a person: every process refuses it within 5 s. Again is no error.

    NotFound: the person has no token with this number.
    """
    mine = (personal_tokens.c.user_id == user_id, personal_tokens.c.id == token_id)
    row = tx.execute(select(personal_tokens).where(*mine)).one_or_none()
    if row is None:
        raise NotFound(f"There is no personal access token {token_id}.")
    changed = tx.execute(update(personal_tokens).where(*mine, _LIVE).values(revoked_at=now))
    if changed.rowcount:
        owner = find_user(tx, user_id).organisation_id
        data = {"token": str(token_id), "name": row.name}
        event = Event("personal-token.revoked", actor, f"user:{user_id}", owner, data)
        record(tx, event, now=now)


_KNOWN = Prepared(
    select(
        *personal_tokens.c[
            "id", "user_id", "scopes", "networks", "expires_at", "used_at", "revoked_at"
        ],
        organisations.c.blocked,
    )
    .join(users, users.c.id == personal_tokens.c.user_id)
    .join(organisations, organisations.c.id == users.c.organisation_id)
    .where(
        personal_tokens.c.token_hash
        == bindparam("token_hash", type_=personal_tokens.c.token_hash.type)
    )
)


def find_personal_token(
    tx: Tx, value: str, *, address: str, country: str | None = None, now: datetime
) -> KnownToken:
    """Whom a token speaks for, when it comes from `address`; Unauthenticated says why not."""
    row = None
    if len(value) == _VALUE_LENGTH:
        row = _KNOWN.one_or_none(tx, {"token_hash": hash_secret(value)})
    if row is None:
        raise Unauthenticated(
            "The personal access token is not one of this hub's.",
            code="token-invalid",
            remedy="Make a new one on the portal, under Personal tokens.",
        )
    _require_alive(row, now)
    if row.networks and not is_within(address, row.networks):
        raise Unauthenticated(
            f"The personal access token is not for use from the address {address}.",
            code="token-elsewhere",
            remedy="Use it from the address ranges it was made for, or make another one.",
        )
    who = load_user(tx, row.user_id, country=country, scopes=row.scopes)
    if row.blocked:
        raise Unauthenticated(
            "The organisation of this token's person is blocked.",
            code="account-disabled",
            remedy="Ask an operator of this hub.",
        )
    news = row.used_at is None or _minute(row.used_at) < _minute(now)
    return KnownToken(row.id, who, row.expires_at, news)


def _require_alive(row: Any, now: datetime) -> None:
    if row.revoked_at is not None:
        raise Unauthenticated(
            "The personal access token was revoked.",
            code="token-revoked",
            remedy="Make a new one on the portal, under Personal tokens.",
        )
    if row.expires_at <= now:
        raise Unauthenticated(
            f"The personal access token ended on {row.expires_at.date().isoformat()}.",
            code="token-expired",
            remedy="Make a new one on the portal, under Personal tokens.",
        )


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address lies in one of the ranges; what is no address lies in none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in ip_network(network) for network in networks)


def note_use(tx: Tx, token_id: int, *, now: datetime) -> None:
    """Keep the minute of a token's last use."""
    minute = _minute(now)
    used_at = personal_tokens.c.used_at
    tx.execute(
        update(personal_tokens)
        .where(personal_tokens.c.id == token_id, or_(used_at.is_(None), used_at < minute))
        .values(used_at=minute)
    )


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)
