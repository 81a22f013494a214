"""Subscriptions: who wants to be told of what, where, and with which secret it is signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.core.accounts import Principal, SecretBox
from entrepot.core.accounts.tables import organisations
from entrepot.core.events import Event, record
from entrepot.core.events.tables import events
from entrepot.core.webhooks.patterns import check_patterns, hears_everything, require_owner
from entrepot.core.webhooks.signing import new_secret
from entrepot.core.webhooks.tables import progress, webhooks
from entrepot.db import Tx, take_turns
from entrepot.errors import Conflict, NotFound
from entrepot.kit.outbound import check_url, find_target, refuse_url
from entrepot.kit.text import check_line

WEBHOOKS_MAX = 20  # of one organisation
FORMER_SECRET_HOURS = 24
REMOVED = "removed"  # why it is disabled, until the last of its deliveries is purged
_LOOK_UP_SECONDS_MAX = 5.0
_THERE = or_(webhooks.c.disabled_why.is_(None), webhooks.c.disabled_why != REMOVED)


@dataclass(frozen=True, slots=True)
class WebhookSpec:
    """What its owner says of a webhook; `url` must have passed `check_receiver`."""

    url: str
    events: Sequence[str]
    description: str = ""


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A subscription made, or its secret made anew: the secret is shown this once."""

    id: int
    secret: str


def check_receiver(url: str, *, private: bool) -> None:
    """Invalid `url-refused` where deliveries may not go, also where the host is not known.

    Looks the host up, so it is called before the transaction. Each attempt to deliver checks
    again, with the very address that it connects to.
    """
    check_url(url, private=private)
    if "#" in url:
        raise refuse_url("The address has a fragment.")
    try:
        find_target(url, private=private, resolve=None, seconds=_LOOK_UP_SECONDS_MAX)
    except TimeoutError as error:
        raise refuse_url("The host of the address was not found in time.") from error


def add_webhook(
    tx: Tx, box: SecretBox, who: Principal, spec: WebhookSpec, *, now: datetime
) -> NewWebhook:
    """Subscribe for the caller's organisation; Denied where the caller may not hear of these."""
    patterns = check_patterns(spec.events)
    return _add(
        tx,
        box,
        who.organisation_id,
        spec,
        patterns,
        everything=hears_everything(who, patterns),
        api_client_id=who.api_client_id,
        actor=who.label,
        now=now,
    )


def add_webhook_for(
    tx: Tx,
    box: SecretBox,
    organisation_id: int,
    spec: WebhookSpec,
    *,
    everything: bool,
    actor: str,
    now: datetime,
) -> NewWebhook:
    """Subscribe for an organisation, as the operator does; to all events with `everything`."""
    patterns = check_patterns(spec.events)
    if not everything:
        require_owner(patterns)
    return _add(
        tx,
        box,
        organisation_id,
        spec,
        patterns,
        everything=everything,
        api_client_id=None,
        actor=actor,
        now=now,
    )


def _add(
    tx: Tx,
    box: SecretBox,
    organisation_id: int,
    spec: WebhookSpec,
    patterns: list[str],
    *,
    everything: bool,
    api_client_id: int | None,
    actor: str,
    now: datetime,
) -> NewWebhook:
    _require_room(tx, organisation_id)
    _begin_to_look(tx, now)
    secret = new_secret()
    values = {
        "organisation_id": organisation_id,
        "api_client_id": api_client_id,
        "everything": everything,
        "url": spec.url,
        "events": patterns,
        "description": check_line(spec.description, field="description", empty=True),
        "secret": box.seal(secret.encode()),
        "created_by": actor,
        "created_at": now,
        "changed_at": now,
    }
    number: int = tx.execute(insert(webhooks).returning(webhooks.c.id), values).scalar_one()
    told = {"events": patterns, "everything": everything}
    record(tx, Event("webhook.added", actor, f"webhook:{number}", organisation_id, told), now=now)
    return NewWebhook(number, secret)


def _require_room(tx: Tx, organisation_id: int) -> None:
    take_turns(tx, f"webhooks of {organisation_id}")
    mine = webhooks.c.organisation_id == organisation_id
    query = select(func.count()).select_from(webhooks).where(mine, _THERE)
    count = tx.execute(query).scalar_one()
    if count >= WEBHOOKS_MAX:
        raise Conflict(
            f"The organisation has {WEBHOOKS_MAX} webhooks already.",
            code="webhooks-too-many",
            remedy="Remove one, or let one of them listen to more events.",
        )


def _begin_to_look(tx: Tx, now: datetime) -> None:
    """What happens from here on is looked at, even where no worker has run yet."""
    make = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    newest = tx.execute(select(func.coalesce(func.max(events.c.id), 0))).scalar_one()
    values = {"id": 1, "event_id": newest, "looked_at": now}
    tx.execute(make(progress).on_conflict_do_nothing(), values)


_SHOWN = (
    *(each for each in webhooks.c if "secret" not in each.name and each.name != "former_until"),
    webhooks.c.former_until,
    organisations.c.name.label("organisation_name"),
)


def _shown() -> Select[Any]:
    owned = organisations.c.id == webhooks.c.organisation_id
    return select(*_SHOWN).join(organisations, owned).where(_THERE)


def list_webhooks(
    tx: Tx, *, organisation_id: int | None = None, skip: int = 0, take: int = 100
) -> tuple[list[Row[Any]], int]:
    """Webhooks by number, of all organisations or of one, without secrets, and how many."""
    query, count = _shown(), select(func.count()).select_from(webhooks).where(_THERE)
    if organisation_id is not None:
        query = query.where(webhooks.c.organisation_id == organisation_id)
        count = count.where(webhooks.c.organisation_id == organisation_id)
    rows = tx.execute(query.order_by(webhooks.c.id).offset(skip).limit(take)).all()
    return list(rows), tx.execute(count).scalar_one()


def find_webhook(tx: Tx, number: int, *, organisation_id: int | None = None) -> Row[Any]:
    """One, without its secrets; NotFound also where it is not the organisation's."""
    query = _shown().where(webhooks.c.id == number)
    if organisation_id is not None:
        query = query.where(webhooks.c.organisation_id == organisation_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        # An organisation learns nothing of the webhooks of others, not even by the words.
        raise (
            NotFound if organisation_id is not None else NotFound(f"There is no webhook {number}.")
        )
    return row


def change_webhook(
    tx: Tx,
    number: int,
    *,
    who: Principal | None = None,
    url: str | None = None,
    patterns: Sequence[str] | None = None,
    description: str | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Replace what is given. `who`: only of that caller's organisation, and as far as it may.

    The events of an operator's webhook can be changed, whose they are cannot. Whoever changes one
    that hears everything is asked for from then on, as if it were newly made (`makers.py`).
    """
    row = find_webhook(tx, number, organisation_id=who.organisation_id if who else None)
    values: dict[str, Any] = {"changed_at": now}
    if url is not None:
        values["url"] = url
    if description is not None:
        values["description"] = check_line(description, field="description", empty=True)
    if patterns is not None:
        values["events"] = check_patterns(patterns)
    if who is not None:
        # Whoever may not subscribe to what it hears may not send that elsewhere either.
        _require_hearing(who, row)
        if patterns is not None:
            values["everything"] = hears_everything(who, values["events"])
    if values.get("everything", row.everything) and (url is not None or patterns is not None):
        values["created_by"] = actor
    _update(tx, row, "webhook.changed", values, actor=actor, now=now)


def rotate_secret(
    tx: Tx, box: SecretBox, number: int, *, who: Principal | None = None, actor: str, now: datetime
) -> NewWebhook:
    """A new secret; the former one signs beside it for 24 hours, and no longer before that."""
    row = find_webhook(tx, number, organisation_id=who.organisation_id if who else None)
    if who is not None:
        _require_hearing(who, row)
    sealed = tx.execute(select(webhooks.c.secret).where(webhooks.c.id == number)).scalar_one()
    secret = new_secret()
    until = now + timedelta(hours=FORMER_SECRET_HOURS)
    values = {
        "secret": box.seal(secret.encode()),
        "former_secret": sealed,
        "former_until": until,
        "changed_at": now,
    }
    _update(tx, row, "webhook.secret-rotated", values, actor=actor, now=now)
    return NewWebhook(number, secret)


def disable_webhook(tx: Tx, number: int, *, why: str, actor: str, now: datetime) -> bool:
    """Deliver nothing any more, until it is enabled; False where it was disabled already.

    What waits is kept. What happens meanwhile is not delivered later.
    """
    row = find_webhook(tx, number)
    if row.disabled_at is not None:
        return False
    values = {"disabled_at": now, "disabled_why": why, "changed_at": now}
    _update(tx, row, "webhook.disabled", values, {"reason": why}, actor=actor, now=now)
    return True


def enable_webhook(tx: Tx, number: int, *, actor: str, now: datetime) -> None:
    """Deliver again, beginning with what waited."""
    row = find_webhook(tx, number)
    values = {"disabled_at": None, "disabled_why": None, "failing_since": None, "changed_at": now}
    _update(tx, row, "webhook.enabled", values, actor=actor, now=now)


def remove_webhook(
    tx: Tx, number: int, *, who: Principal | None = None, actor: str, now: datetime
) -> None:
    """End it for good; NotFound where it is not the caller's organisation's.

    Its deliveries may be many: they go with the next purge, and it with the last of them.
    """
    row = find_webhook(tx, number, organisation_id=who.organisation_id if who else None)
    if who is not None:
        _require_hearing(who, row)
    values = {
        "disabled_at": now,
        "disabled_why": REMOVED,
        "secret": "",
        "former_secret": None,
        "changed_at": now,
    }
    _update(tx, row, "webhook.removed", values, actor=actor, now=now)


def _require_hearing(who: Principal, row: Row[Any]) -> None:
    """Denied or NotFound unless `who` might subscribe to all that the webhook hears."""
    if not hears_everything(who, row.events) and row.everything:
        raise NotFound(f"There is no webhook {row.id}.")


def _update(
    tx: Tx,
    row: Row[Any],
    kind: str,
    values: dict[str, Any],
    data: dict[str, Any] | None = None,
    *,
    actor: str,
    now: datetime,
) -> None:
    tx.execute(update(webhooks).where(webhooks.c.id == row.id).values(**values))
    record(tx, Event(kind, actor, f"webhook:{row.id}", row.organisation_id, data or {}), now=now)
