"""Consents: which program may act for a person, and within which scopes, without asking again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, select, union_all, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.families import revoke_families
from entrepot.core.accounts.grant_tables import consents, token_families
from entrepot.core.accounts.tables import api_clients
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import NotFound


def has_consented(tx: Tx, *, user_id: int, api_client_id: int, scopes: Iterable[str]) -> bool:
    """Whether the person has given this program all of `scopes` before."""
    return set(scopes) <= set(_given(tx, user_id, api_client_id) or ())


def give_consent(
    tx: Tx, *, user_id: int, api_client_id: int, scopes: Iterable[str], now: datetime
) -> None:
    """Remember what a person has given a program, beside what was given before."""
    values = {"user_id": user_id, "api_client_id": api_client_id, "given_at": now}
    wanted = list(dict.fromkeys(scopes))
    try:
        with tx.begin_nested():
            tx.execute(insert(consents), values | {"scopes": wanted})
    except IntegrityError:  # given before, or in another tab just now
        former = _given(tx, user_id, api_client_id) or []
        together = list(dict.fromkeys([*former, *wanted]))
        change = update(consents).where(_of(user_id, api_client_id))
        tx.execute(change.values(scopes=together, given_at=now))
    subject = _client_label(tx, api_client_id)
    data = {"scopes": wanted}
    record(tx, Event("consent.given", f"user:{user_id}", subject, data=data), now=now)


@dataclass(frozen=True, slots=True)
class Program:
    """A program that may act for a person now: by remembered consent, by live tokens, or both."""

    api_client_id: int
    client_id: str
    name: str
    scopes: tuple[str, ...]
    since: datetime


def list_programs(tx: Tx, *, user_id: int, now: datetime) -> list[Program]:
    """Which programs may act for a person, by name; `since` is the latest time it was given."""
    given = select(
        consents.c.api_client_id, consents.c.scopes, consents.c.given_at.label("since")
    ).where(consents.c.user_id == user_id)
    signed_in = select(
        token_families.c.api_client_id, token_families.c.scopes, token_families.c.created_at
    ).where(
        token_families.c.user_id == user_id,
        token_families.c.revoked_at.is_(None),
        token_families.c.expires_at > now,
    )
    each = union_all(given, signed_in).subquery()
    query = select(each, api_clients.c.client_id, api_clients.c.name).join(
        api_clients, api_clients.c.id == each.c.api_client_id
    )
    found: dict[int, Program] = {}
    for row in tx.execute(query.order_by(api_clients.c.name, each.c.since)):
        former = found.get(row.api_client_id)
        scopes = dict.fromkeys([*(former.scopes if former else ()), *row.scopes])
        found[row.api_client_id] = Program(
            row.api_client_id, row.client_id, row.name, tuple(scopes), row.since
        )
    return list(found.values())


def end_program(tx: Tx, *, user_id: int, client_id: str, now: datetime) -> None:
    """Take a program's consent and its tokens for the person back; NotFound: it has none."""
    for program in list_programs(tx, user_id=user_id, now=now):
        if program.client_id == client_id:
            withdraw_consent(tx, user_id=user_id, api_client_id=program.api_client_id, now=now)
            return
    raise NotFound


def withdraw_consent(tx: Tx, *, user_id: int, api_client_id: int, now: datetime) -> None:
    """Take back what was given: the program's tokens for the person end with it."""
    tx.execute(delete(consents).where(_of(user_id, api_client_id)))
    revoke_families(tx, user_id=user_id, api_client_id=api_client_id, now=now)
    subject = _client_label(tx, api_client_id)
    record(tx, Event("consent.withdrawn", f"user:{user_id}", subject), now=now)


def _given(tx: Tx, user_id: int, api_client_id: int) -> list[str] | None:
    found: list[str] | None = tx.execute(
        select(consents.c.scopes).where(_of(user_id, api_client_id))
    ).scalar_one_or_none()
    return found


def _of(user_id: int, api_client_id: int) -> ColumnElement[bool]:
    return (consents.c.user_id == user_id) & (consents.c.api_client_id == api_client_id)


def _client_label(tx: Tx, api_client_id: int) -> str:
    name = select(api_clients.c.client_id).where(api_clients.c.id == api_client_id)
    return f"client:{tx.execute(name).scalar_one()}"
