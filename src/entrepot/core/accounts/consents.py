"""Consents: which program may act for a person, and within which scopes, without asking again."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.families import revoke_families
from entrepot.core.accounts.grant_tables import consents
from entrepot.core.accounts.tables import api_clients
from entrepot.core.events import Event, record
from entrepot.db import Tx


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


def list_consents(tx: Tx, *, user_id: int) -> list[Row[tuple[object, ...]]]:
    """What a person has given to which programs: `client_id`, `name`, `scopes`, `given_at`."""
    query = select(
        api_clients.c.client_id, api_clients.c.name, consents.c.scopes, consents.c.given_at
    ).join(api_clients, api_clients.c.id == consents.c.api_client_id)
    return list(tx.execute(query.where(consents.c.user_id == user_id).order_by(api_clients.c.name)))


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
