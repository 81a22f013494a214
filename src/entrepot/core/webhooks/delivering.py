"""Attempts to deliver: which are due, what is sent, and what became of it.

A worker claims a delivery by moving the time at which it is due behind the longest time that an
attempt takes. So no two send the same at once, save where a worker was frozen for that long; and
what a killed worker had claimed is due again within twenty seconds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, insert, select, update

from entrepot.core.accounts import SecretBox
from entrepot.core.accounts.tables import api_clients, organisations
from entrepot.core.events import Event, record
from entrepot.core.webhooks.planning import active
from entrepot.core.webhooks.signing import signed_headers
from entrepot.core.webhooks.subscriptions import disable_webhook
from entrepot.core.webhooks.tables import attempts, deliveries, webhooks
from entrepot.db import Prepared, Tx
from entrepot.errors import NotFound

ATTEMPT_SECONDS_MAX = 15.0
CLAIM_SECONDS = 20
# What is waited before the second attempt, the third, ...; after the last the delivery has failed.
DELAYS_SECONDS = (5, 30, 2 * 60, 10 * 60, 3600, 6 * 3600, 24 * 3600)
ATTEMPTS_MAX = len(DELAYS_SECONDS) + 1
JITTER = 0.2  # of the delay, either way
FAILING_DAYS_MAX = 3
GONE = 410
_REASON_LENGTH_MAX = 300


@dataclass(frozen=True, slots=True)
class Due:
    """A webhook that something is to be sent to; `failing`: its last attempt failed."""

    id: int
    organisation_id: int
    failing: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery that this process has claimed, with all that an attempt needs."""

    id: str
    webhook_id: int
    attempts: int
    url: str
    body: bytes
    secret: str
    former_secret: str | None
    former_until: datetime | None
    assertion_key: str | None

    def headers(self, box: SecretBox, *, now: datetime) -> list[tuple[str, str]]:
        """What is sent beside the body; the signatures hold for this attempt."""
        counting = [box.unseal(self.secret).decode()]
        if self.former_secret and self.former_until and now < self.former_until:
            counting.append(box.unseal(self.former_secret).decode())
        legacy = box.unseal(self.assertion_key) if self.assertion_key else counting[0].encode()
        return [
            ("content-type", "application/json"),
            *signed_headers(
                self.id, self.body, secrets_counting=counting, legacy_key=legacy, now=now
            ),
        ]


@dataclass(frozen=True, slots=True)
class Attempted:
    """What became of an attempt: the status of an answer, or None and the reason why not."""

    status: int | None
    reason: str
    milliseconds: int
    at: datetime

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has it: 200 to 299, within the time."""
        return self.status is not None and 200 <= self.status < 300


def _due() -> Prepared:
    due = (
        deliveries.c.webhook_id == webhooks.c.id,
        deliveries.c.state == "waiting",
        deliveries.c.due_at <= bindparam("now", type_=deliveries.c.due_at.type),
    )
    since = select(func.min(deliveries.c.due_at)).where(*due).scalar_subquery()
    return Prepared(
        select(*webhooks.c["id", "organisation_id", "failing_since"])
        .join(organisations, organisations.c.id == webhooks.c.organisation_id)
        .outerjoin(api_clients, api_clients.c.id == webhooks.c.api_client_id)
        .where(active(), exists().where(*due))
        .order_by(since, webhooks.c.id)
    )


_DUE = _due()  # asked for four times a second


def list_due(tx: Tx, *, now: datetime) -> list[Due]:
    """Webhooks that have something due; healthy ones first, and what is due for longest."""
    found = [
        Due(row.id, row.organisation_id, row.failing_since is not None)
        for row in _DUE.all(tx, {"now": now})
    ]
    return sorted(found, key=lambda each: each.failing)


def claim_deliveries(tx: Tx, webhook_id: int, *, take: int, now: datetime) -> list[Outgoing]:
    """Take at most `take` of what is due to one webhook, the longest waiting first."""
    due = (
        select(deliveries.c.id)
        .where(
            deliveries.c.webhook_id == webhook_id,
            deliveries.c.state == "waiting",
            deliveries.c.due_at <= now,
        )
        .order_by(deliveries.c.due_at)
        .limit(take)
        .with_for_update(skip_locked=True)
    )
    ids = list(tx.execute(due).scalars())
    if not ids:
        return []
    query = (
        select(
            *deliveries.c["id", "webhook_id", "attempts"],
            *webhooks.c["url", "secret", "former_secret", "former_until"],
            api_clients.c.assertion_key,
            deliveries.c.body,
        )
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .outerjoin(api_clients, api_clients.c.id == webhooks.c.api_client_id)
        .where(deliveries.c.id.in_(ids))
    )
    claimed = [
        Outgoing(**dict(row) | {"body": row["body"].encode()})
        for row in tx.execute(query).mappings()
    ]
    until = now + timedelta(seconds=CLAIM_SECONDS)
    tx.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(due_at=until))
    return claimed


def hand_back(tx: Tx, claimed: Sequence[str], *, now: datetime) -> None:
    """Make what was claimed due again: this process ends before it knows what became of it."""
    tx.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(list(claimed)), deliveries.c.state == "waiting")
        .values(due_at=now)
    )


def settle(tx: Tx, sent: Outgoing, attempted: Attempted, *, now: datetime) -> None:
    """Write down what became of an attempt, and when the next one is."""
    count = sent.attempts + 1
    values: dict[str, Any] = {"attempts": count}
    if attempted.succeeded:
        values |= {"state": "delivered", "due_at": None, "ended_at": now}
    elif attempted.status == GONE or count >= ATTEMPTS_MAX:
        values |= {"state": "failed", "due_at": None, "ended_at": now}
    else:
        values["due_at"] = now + delay_before(count + 1)
    changed = tx.execute(
        update(deliveries)
        .where(deliveries.c.id == sent.id, deliveries.c.state == "waiting")
        .values(**values)
    )
    if changed.rowcount == 0:
        return  # removed meanwhile, or another process has delivered it
    row = {
        "delivery_id": sent.id,
        "at": attempted.at,
        "milliseconds": attempted.milliseconds,
        "status": attempted.status,
        "reason": attempted.reason[:_REASON_LENGTH_MAX],
    }
    tx.execute(insert(attempts), row)
    _mark(tx, sent.webhook_id, attempted, now)


def delay_before(attempt: int) -> timedelta:
    """How long to wait before the attempt of this number, from 2 on; not the same each time."""
    seconds = DELAYS_SECONDS[attempt - 2]
    return timedelta(seconds=seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311


def _mark(tx: Tx, webhook_id: int, attempted: Attempted, now: datetime) -> None:
    """Note that the receiver works, or since when it does not; end what fails for days."""
    mine = webhooks.c.id == webhook_id
    if attempted.succeeded:
        recovered = update(webhooks).where(mine, webhooks.c.failing_since.is_not(None))
        tx.execute(recovered.values(failing_since=None))
        return
    fails = update(webhooks).where(mine, webhooks.c.failing_since.is_(None))
    tx.execute(fails.values(failing_since=now))
    since = tx.execute(select(webhooks.c.failing_since).where(mine)).scalar_one()
    why = ""
    if attempted.status == GONE:
        why = "The receiver answered 410: it does not want to be told any more."
    elif now - since >= timedelta(days=FAILING_DAYS_MAX):
        why = f"No attempt has succeeded for {FAILING_DAYS_MAX} days."
    if why:
        _disable(tx, webhook_id, why, now)


def _disable(tx: Tx, webhook_id: int, why: str, now: datetime) -> None:
    try:
        disable_webhook(tx, webhook_id, why=why, actor="system", now=now)
    except NotFound:
        return  # removed meanwhile


def find_delivery(tx: Tx, delivery_id: str, *, webhook_id: int | None = None) -> Row[Any]:
    """One delivery; NotFound where there is none, or none of that webhook."""
    query = select(deliveries).where(deliveries.c.id == delivery_id)
    if webhook_id is not None:
        query = query.where(deliveries.c.webhook_id == webhook_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id!r}.")
    return row


def redeliver(
    tx: Tx, delivery_id: str, *, webhook_id: int | None = None, actor: str, now: datetime
) -> None:
    """Send it once more, now, under the same id, with all attempts that a new one has."""
    row = find_delivery(tx, delivery_id, webhook_id=webhook_id)
    tx.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(state="waiting", attempts=0, due_at=now, ended_at=None)
    )
    told = {"delivery": delivery_id}
    record(tx, Event("webhook.redelivered", actor, f"webhook:{row.webhook_id}", data=told), now=now)
