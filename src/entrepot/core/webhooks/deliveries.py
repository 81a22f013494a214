"""The log of deliveries, the test ping, and what keeps both from growing without end."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from entrepot.core.events import Event, record
from entrepot.core.events.tables import events
from entrepot.core.webhooks.delivering import find_delivery
from entrepot.core.webhooks.patterns import spell
from entrepot.core.webhooks.planning import delivery_values, write_body
from entrepot.core.webhooks.subscriptions import REMOVED, disable_webhook, find_webhook
from entrepot.core.webhooks.tables import attempts, deliveries, webhooks
from entrepot.db import Tx
from entrepot.errors import Conflict

DELIVERIES_KEPT = timedelta(days=30)
WAITING_MAX = 100_000
PURGE_TAKE = 500
STATES = ("waiting", "delivered", "failed")
_LISTED = [each for each in deliveries.c if each.name != "body"]


def list_deliveries(
    tx: Tx, webhook_id: int, *, state: str | None = None, skip: int = 0, take: int = 100
) -> tuple[list[Row[Any]], int]:
    """What was, is and will be sent to a webhook, newest first, and how many there are."""
    mine = [deliveries.c.webhook_id == webhook_id]
    if state is not None:
        mine.append(deliveries.c.state == state)
    query = select(*_LISTED).where(*mine).order_by(deliveries.c.event_id.desc())
    count = select(func.count()).select_from(deliveries).where(*mine)
    return list(tx.execute(query.offset(skip).limit(take))), tx.execute(count).scalar_one()


def list_attempts(tx: Tx, delivery_id: str) -> list[Row[Any]]:
    """Every attempt to send a delivery, oldest first."""
    query = select(attempts).where(attempts.c.delivery_id == delivery_id)
    return list(tx.execute(query.order_by(attempts.c.id)))


def ping_webhook(tx: Tx, number: int, *, actor: str, now: datetime) -> Row[Any]:
    """Have `webhook/pinged` sent to this webhook, whatever it asks for; the delivery."""
    row = find_webhook(tx, number)
    if row.disabled_at is not None:
        raise Conflict(
            "The webhook is disabled.",
            code="webhook-disabled",
            remedy="Enable it first.",
        )
    record(tx, Event("webhook.pinged", actor, f"webhook:{number}", row.organisation_id), now=now)
    happened = tx.execute(
        select(events)
        .where(events.c.subject == f"webhook:{number}", events.c.type == "webhook.pinged")
        .order_by(events.c.id.desc())
        .limit(1)
    ).one()
    spelt = spell(happened.type)
    values = delivery_values(number, happened.id, spelt, write_body(happened), now)
    tx.execute(insert(deliveries), values)
    return find_delivery(tx, values["id"])


def purge_deliveries(tx: Tx, *, take: int = PURGE_TAKE, now: datetime) -> int:
    """Delete at most `take` deliveries made 30 days ago, or of webhooks removed; how many."""
    old = (
        select(deliveries.c.id)
        .where(deliveries.c.created_at < now - DELIVERIES_KEPT)
        .order_by(deliveries.c.created_at)
        .limit(take)
    )
    gone = _delete(tx, list(tx.execute(old).scalars()))
    removed = list(
        tx.execute(select(webhooks.c.id).where(webhooks.c.disabled_why == REMOVED)).scalars()
    )
    for number in removed:
        if gone >= take:
            break
        theirs = select(deliveries.c.id).where(deliveries.c.webhook_id == number)
        gone += _delete(tx, list(tx.execute(theirs.limit(take - gone)).scalars()))
        if gone < take:
            tx.execute(delete(webhooks).where(webhooks.c.id == number))
    return gone


def _delete(tx: Tx, ids: list[str]) -> int:
    if not ids:
        return 0
    return tx.execute(delete(deliveries).where(deliveries.c.id.in_(ids))).rowcount


def disable_overfull(tx: Tx, *, now: datetime) -> list[int]:
    """Disable webhooks that more than WAITING_MAX deliveries wait for; their numbers."""
    query = select(webhooks.c.id).where(webhooks.c.disabled_at.is_(None))
    found = []
    for number in tx.execute(query).scalars().all():
        waiting = (
            select(deliveries.c.id)
            .where(deliveries.c.webhook_id == number, deliveries.c.state == "waiting")
            .offset(WAITING_MAX)
            .limit(1)
        )
        if tx.execute(waiting).first() is not None:
            why = f"More than {WAITING_MAX} deliveries wait for the receiver."
            disable_webhook(tx, number, why=why, actor="system", now=now)
            found.append(number)
    return found
