"""Looking at orders: one, many, their targets, their jobs, their events, who placed them.

A caller sees the orders that it placed itself, and no others: not even an organisation-admin
sees a colleague's, since an order names what somebody chose. What is not there and what is not
the caller's are the same NotFound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from entrepot.core.accounts import Principal
from entrepot.core.accounts.tables import api_clients, users
from entrepot.core.events.tables import events
from entrepot.core.orders.states import DELIVERED
from entrepot.core.orders.tables import order_items, order_targets, orders
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.ids import INT64_MAX, parse_number

PAGE_SIZE, PAGE_SIZE_MAX = 25, 100
EVENTS_TAKE = 100
ERRORS_MAX = 100


@dataclass(frozen=True, slots=True)
class Person:
    """Who placed or changed an order: a person or a machine of the same organisation.

    `reference` is what `find_person` takes: a person's number, or `client:<client id>`. What the
    hub changed by itself is shown as the one who placed the order.
    """

    reference: str
    display_name: str
    organisation_id: int
    organisation_name: str


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its owner sees it. Counts are of files; `bytes_total` of the files in the ZIP."""

    id: int
    name: str | None
    zip_file_name: str
    type: str
    culture: str | None
    resolver_id: str | None
    status: str
    generation: int
    has_conversions: bool
    target_count: int
    files_total: int
    files_completed: int
    files_failed: int
    bytes_total: int
    additional_info: str | None
    created_by: Person
    modified_by: Person
    created_at: datetime
    modified_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None

    @property
    def is_downloadable(self) -> bool:
        """Whether there is a package to make a link to."""
        return self.status in DELIVERED


@dataclass(frozen=True, slots=True)
class Target:
    """An asset of an order, as it was when the order was placed."""

    asset_id: int
    identifier: str
    title: Mapping[str, str]
    media_group: str
    file_name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why a file of an order is missing."""

    asset_id: int
    identifier: str
    rendition: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class JobView:
    """An order as a job: its state in the vendor's words, counts, and the first 100 errors."""

    order_id: int
    status: str
    state: str  # Pending | InProgress | Completed | Failed | Cancelled
    condition: str  # Success | Warning | Error | Pending
    started_at: datetime | None
    completed_at: datetime | None
    files_total: int
    files_completed: int
    files_failed: int
    errors: Sequence[ItemError]


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order; `id` grows with each, `data` has status and counts."""

    id: int
    at: datetime
    type: str
    data: Mapping[str, Any]


_SHOWN = orders.c[
    "id",
    "name",
    "zip_file_name",
    "type",
    "culture",
    "resolver_id",
    "status",
    "generation",
    "has_conversions",
    "target_count",
    "files_total",
    "files_completed",
    "files_failed",
    "bytes_total",
    "additional_info",
    "created_at",
    "modified_at",
    "started_at",
    "completed_at",
    "expires_at",
]


def order_view(tx: Tx, who: Principal, order_id: int) -> OrderView:
    """The order; NotFound where there is none of the caller's with this id."""
    return _view(_row(tx, who, order_id), who)


def list_orders(
    tx: Tx, who: Principal, *, skip: int = 0, take: int = PAGE_SIZE
) -> tuple[list[OrderView], int]:
    """The caller's orders, newest first, and how many there are in all."""
    mine = _mine(who)
    query = select(*_SHOWN).where(*mine).order_by(orders.c.id.desc())
    total = tx.execute(select(func.count()).select_from(orders).where(*mine)).scalar_one()
    rows = tx.execute(_paged(query, skip, take))
    return [_view(row, who) for row in rows], int(total)


def list_targets(
    tx: Tx, who: Principal, order_id: int, *, skip: int = 0, take: int = PAGE_SIZE
) -> tuple[list[Target], int]:
    """The order's assets by ascending id, and how many there are in all."""
    row = _row(tx, who, order_id)
    query = _TARGETS.where(order_targets.c.order_id == order_id)
    found = tx.execute(_paged(query.order_by(order_targets.c.asset_id), skip, take))
    return [Target(*each) for each in found], int(row.target_count)


def find_target(tx: Tx, who: Principal, order_id: int, asset_id: int) -> Target:
    """One asset of the order; NotFound where it has none with this id."""
    _row(tx, who, order_id)
    found = tx.execute(
        _TARGETS.where(order_targets.c.order_id == order_id, order_targets.c.asset_id == asset_id)
    ).one_or_none()
    if found is None:
        raise NotFound
    return Target(*found)


_TARGETS = select(
    *order_targets.c["asset_id", "identifier", "title", "media_group", "file_name", "content_type"]
)
_STATES = {
    "CompletedWithErrors": ("Completed", "Warning"),
    "Completed": ("Completed", "Success"),
    "Expired": ("Completed", "Success"),
    "Failed": ("Failed", "Error"),
    "Cancelled": ("Cancelled", "Warning"),
    "InProgress": ("InProgress", "Pending"),
    "Pending": ("Pending", "Pending"),
}


def job_view(tx: Tx, who: Principal, order_id: int) -> JobView:
    """How the order's work stands, with the first errors."""
    row = _row(tx, who, order_id)
    failed = (
        select(
            order_items.c.asset_id,
            order_targets.c.identifier,
            order_items.c.rendition,
            order_items.c.error_code,
            order_items.c.error,
        )
        .join(
            order_targets,
            (order_targets.c.order_id == order_items.c.order_id)
            & (order_targets.c.asset_id == order_items.c.asset_id),
        )
        .where(order_items.c.order_id == order_id, order_items.c.state == "failed")
        .order_by(order_items.c.asset_id, order_items.c.position)
        .limit(ERRORS_MAX)
    )
    state, condition = _STATES[row.status]
    return JobView(
        order_id=row.id,
        status=row.status,
        state=state,
        condition=condition,
        started_at=row.started_at,
        completed_at=row.completed_at,
        files_total=row.files_total,
        files_completed=row.files_completed,
        files_failed=row.files_failed,
        errors=[ItemError(*each) for each in tx.execute(failed)] if row.files_failed else [],
    )


def list_order_events(
    tx: Tx, who: Principal, order_id: int, *, after: int = 0, take: int = EVENTS_TAKE
) -> list[OrderEvent]:
    """What happened to the order after the event `after`, oldest first.

    Events of one order are numbered in the order in which they happened and become visible in
    that order too (states.py), so a listener may go on from the last number that it has seen.
    """
    _row(tx, who, order_id)
    query = (
        select(events.c.id, events.c.at, events.c.type, events.c.data)
        .where(
            events.c.subject == f"order:{order_id}",
            events.c.id > after,
            # Links to its ZIP are told of under its name too; they are not its progress.
            events.c.type.startswith("order."),
        )
        .order_by(events.c.id)
        .limit(take)
    )
    return [OrderEvent(*each) for each in tx.execute(query)]


def find_person(tx: Tx, who: Principal, reference: str) -> Person:
    """A person (by number) or machine (`client:<client id>`) of the caller's organisation."""
    query: Select[Any]
    if reference.startswith("client:"):
        query = select(api_clients.c.name).where(
            api_clients.c.client_id == reference.removeprefix("client:"),
            api_clients.c.organisation_id == who.organisation_id,
        )
    else:
        query = select((users.c.given_name + " " + users.c.family_name).label("name")).where(
            users.c.id == (parse_number(reference) or 0),
            users.c.organisation_id == who.organisation_id,
        )
    name = tx.execute(query).scalar_one_or_none()
    if name is None:
        raise NotFound
    return Person(reference, name.strip(), who.organisation_id, who.organisation_name)


def _row(tx: Tx, who: Principal, order_id: int) -> Any:
    row = tx.execute(select(*_SHOWN).where(orders.c.id == order_id, *_mine(who))).one_or_none()
    if row is None:
        raise NotFound
    return row


def _mine(who: Principal) -> tuple[ColumnElement[bool], ...]:
    return orders.c.principal == who.label, orders.c.organisation_id == who.organisation_id


def _paged(query: Select[Any], skip: int, take: int) -> Select[Any]:
    return query.offset(min(skip, INT64_MAX)).limit(min(take, PAGE_SIZE_MAX))


def _view(row: Any, who: Principal) -> OrderView:
    reference = str(who.id) if who.kind == "user" else who.label
    owner = Person(reference, who.display_name, who.organisation_id, who.organisation_name)
    # Only its owner sees an order, and what the hub changes it changes for the owner.
    return OrderView(**row._mapping, created_by=owner, modified_by=owner)
