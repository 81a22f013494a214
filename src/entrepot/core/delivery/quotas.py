"""What an entitlement gives in all: so many downloads, bytes, addresses (DECISIONS: quota).

One *reservation* stands for one principal who takes one object, a file of a release or the
release's ZIP. It is made when the first byte of a body goes out; all ranges and all links of the
same principal and object share it for 24 hours. It is complete when the ranges sent since it
was begun cover the object. Until then it is given back after an hour without a byte; whoever
comes back to the object takes it up again, so that parts that add up to the whole count as one.

Exact with any number of processes: those that reserve of one entitlement take turns, and the
row is written by one statement that holds the counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from entrepot.core.delivery._coverage import covers, sent_ranges
from entrepot.core.delivery.tables import reservation_addresses, reservations
from entrepot.core.entitlements.tables import entitlements
from entrepot.db import Tx, take_turns
from entrepot.db.schema import Instant, Number
from entrepot.errors import Denied
from entrepot.kit.text import format_instant

SHARED_SECONDS = 24 * 3600
IDLE_SECONDS = 3600
# A range may have begun a moment before the one that reserved.
_SLACK = timedelta(minutes=1)
_MOMENT = timedelta(milliseconds=1)
_SHARED, _IDLE = timedelta(seconds=SHARED_SECONDS), timedelta(seconds=IDLE_SECONDS)

_limits = entitlements.c["downloads_max", "bytes_max", "addresses_max"]
_counted = reservations.c.given_back_at.is_(None)


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of an entitlement (None: none) and what of them is used.

    `returns_at`: when the first of what is used comes back, unless its download goes on;
    None where nothing does.
    """

    entitlement_id: int
    downloads_max: int | None
    bytes_max: int | None
    addresses_max: int | None
    downloads_used: int
    bytes_used: int
    addresses_used: int
    returns_at: datetime | None

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        limits = (self.downloads_max, self.bytes_max, self.addresses_max)
        return any(most is not None for most in limits)


@dataclass(frozen=True, slots=True)
class Taking:
    """Who takes what: `size` bytes in all, by which entitlement, from where."""

    entitlement_id: int
    principal: str
    object: str
    size: int
    address: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """`fresh`: it was made or taken up again for this request."""

    id: int
    fresh: bool


def find_quota(tx: Tx, entitlement_id: int, *, now: datetime) -> Quota:
    """The limits of a stored entitlement and what is used of them; 0 where none is set."""
    row = tx.execute(select(*_limits).where(entitlements.c.id == entitlement_id)).one()
    if all(most is None for most in row):
        return Quota(entitlement_id, None, None, None, 0, 0, 0, None)
    alive = _alive(entitlement_id, now)
    used = tx.execute(
        select(
            func.count().label("downloads"),
            func.coalesce(func.sum(reservations.c.bytes), 0).label("bytes"),
            func.min(reservations.c.last_byte_at)
            .filter(reservations.c.completed_at.is_(None))
            .label("oldest"),
        ).where(alive)
    ).one()
    addresses = tx.execute(
        select(func.count(reservation_addresses.c.address.distinct()))
        .join(reservations, reservations.c.id == reservation_addresses.c.reservation_id)
        .where(alive)
    ).scalar_one()
    returns_at = None if used.oldest is None else used.oldest + _IDLE
    return Quota(
        entitlement_id,
        row.downloads_max,
        row.bytes_max,
        row.addresses_max,
        used.downloads,
        int(used.bytes),
        int(addresses),
        returns_at,
    )


def _alive(entitlement_id: int, now: datetime) -> ColumnElement[bool]:
    """The reservations that count now, also where nobody has given back the others yet."""
    return and_(
        reservations.c.entitlement_id == entitlement_id,
        _counted,
        or_(reservations.c.completed_at.is_not(None), reservations.c.last_byte_at > now - _IDLE),
    )


def reserve(tx: Tx, taking: Taking, *, now: datetime) -> Reservation:
    """Reserve what is about to be sent, or share what is reserved; `now`: the request's start.

    Denied (`quota-exhausted`) where it does not fit; then nothing has changed, once the
    caller takes the transaction back. An entitlement without limits has room for everything.
    """
    number = taking.entitlement_id
    take_turns(tx, f"quota of {number}")
    _give_back_idle(tx, number, now=now)
    row = _newest(tx, number, taking.principal, taking.object)
    if row is not None and _is_shared(row, now):
        reservation = _share(tx, row, now=now)
    elif row is not None and row.completed_at is None:
        reservation = _take_up(tx, row, taking, now=now)
    else:
        reservation = _begin(tx, taking, now=now)
    _add_address(tx, reservation.id, taking, now=now)
    return reservation


def _give_back_idle(tx: Tx, entitlement_id: int, *, now: datetime) -> None:
    tx.execute(
        update(reservations)
        .where(
            reservations.c.entitlement_id == entitlement_id,
            _counted,
            reservations.c.completed_at.is_(None),
            reservations.c.last_byte_at <= now - _IDLE,
        )
        .values(given_back_at=now)
    )


def _newest(tx: Tx, entitlement_id: int, principal: str, named: str) -> Row[Any] | None:
    return tx.execute(
        select(reservations)
        .where(
            reservations.c.entitlement_id == entitlement_id,
            reservations.c.principal == principal,
            reservations.c.object == named,
        )
        .order_by(reservations.c.reserved_at.desc(), reservations.c.id.desc())
        .limit(1)
    ).one_or_none()


def _is_shared(row: Row[Any], now: datetime) -> bool:
    return row.given_back_at is None and row.reserved_at > now - _SHARED


def _room(taking: Taking, *, besides: int = 0) -> ColumnElement[bool]:
    """Whether one more download of so many bytes fits, the row `besides` not counted."""
    number = taking.entitlement_id
    other = reservations.alias("other")
    counted = (
        other.c.entitlement_id == number,
        other.c.given_back_at.is_(None),
        other.c.id != besides,
    )
    downloads = select(func.count()).select_from(other).where(*counted).scalar_subquery()
    taken = select(func.coalesce(func.sum(other.c.bytes), 0)).where(*counted).scalar_subquery()
    limits = entitlements.c
    return exists().where(
        limits.id == number,
        or_(limits.downloads_max.is_(None), limits.downloads_max > downloads),
        or_(limits.bytes_max.is_(None), limits.bytes_max >= taken + taking.size),
    )


def _begin(tx: Tx, taking: Taking, *, now: datetime) -> Reservation:
    values: dict[str, ColumnElement[Any]] = {
        "entitlement_id": literal(taking.entitlement_id, Number),
        "principal": literal(taking.principal),
        "object": literal(taking.object),
        "bytes": literal(taking.size, Number),
        "begun_at": literal(now, Instant),
        "reserved_at": literal(now, Instant),
        "last_byte_at": literal(now, Instant),
    }
    chosen = select(*values.values()).where(_room(taking))
    number = tx.execute(
        insert(reservations)
        .from_select(list(values), chosen, include_defaults=False)
        .returning(reservations.c.id)
    ).scalar_one_or_none()
    if number is None:
        raise _exhausted(tx, taking, now=now)
    return Reservation(number, fresh=True)


def _share(tx: Tx, row: Row[Any], *, now: datetime) -> Reservation:
    """Another body begins: who made the reservation no longer gives it back for want of a byte."""
    begins = max(now, row.reserved_at + _MOMENT)
    if row.completed_at is None and row.last_byte_at < begins:
        tx.execute(
            update(reservations).where(reservations.c.id == row.id).values(last_byte_at=begins)
        )
    return Reservation(row.id, fresh=False)


def _take_up(tx: Tx, row: Row[Any], taking: Taking, *, now: datetime) -> Reservation:
    """What was begun and given back, or has lasted for a day, goes on where it was."""
    changed = tx.execute(
        update(reservations)
        .where(reservations.c.id == row.id, _room(taking, besides=row.id))
        .values(given_back_at=None, reserved_at=now, last_byte_at=now)
    )
    if changed.rowcount != 1:
        raise _exhausted(tx, taking, now=now)
    # Its addresses count again, and there may be others now.
    quota = find_quota(tx, taking.entitlement_id, now=now)
    if quota.addresses_max is not None and quota.addresses_used > quota.addresses_max:
        raise exhausted(quota)
    return Reservation(row.id, fresh=True)


def _add_address(tx: Tx, reservation_id: int, taking: Taking, *, now: datetime) -> None:
    """Count where the bytes go: another address of a reservation may be one too many."""
    column = reservation_addresses.c
    mine = and_(column.reservation_id == reservation_id, column.address == taking.address)
    if tx.execute(select(exists().where(mine))).scalar_one():
        return
    used = (
        select(reservation_addresses.c.address)
        .join(reservations, reservations.c.id == reservation_addresses.c.reservation_id)
        .where(reservations.c.entitlement_id == taking.entitlement_id, _counted)
        .distinct()
        .subquery()
    )
    known = exists().where(used.c.address == taking.address)
    how_many = select(func.count()).select_from(used).scalar_subquery()
    limit = entitlements.c.addresses_max
    room = exists().where(
        entitlements.c.id == taking.entitlement_id, or_(limit.is_(None), limit > how_many, known)
    )
    chosen = select(literal(reservation_id, Number), literal(taking.address)).where(room)
    added = tx.execute(
        insert(reservation_addresses)
        .from_select(["reservation_id", "address"], chosen, include_defaults=False)
        .returning(column.reservation_id)
    )
    if added.one_or_none() is None:
        raise _exhausted(tx, taking, now=now)


def _exhausted(tx: Tx, taking: Taking, *, now: datetime) -> Denied:
    return exhausted(find_quota(tx, taking.entitlement_id, now=now))


def exhausted(quota: Quota) -> Denied:
    """The refusal: what there is, is used and is left of each limit, and when some comes back.

    `details` has `downloads_max`, `_used` and `_left`, the same of `bytes` and `addresses`, for
    the limits that are set; `returns_at` is empty where nothing comes back by itself.
    """
    limits = {
        "downloads": (quota.downloads_max, quota.downloads_used),
        "bytes": (quota.bytes_max, quota.bytes_used),
        "addresses": (quota.addresses_max, quota.addresses_used),
    }
    set_ = {name: (most, used) for name, (most, used) in limits.items() if most is not None}
    counts: dict[str, int] = {}
    for name, (most, used) in set_.items():
        counts[f"{name}_max"] = most
        counts[f"{name}_used"] = used
        counts[f"{name}_left"] = max(0, most - used)
    told = ", ".join(
        f"{counts[f'{name}_left']} of {most} {name}" for name, (most, _) in set_.items()
    )
    returns_at = "" if quota.returns_at is None else format_instant(quota.returns_at)
    when = (
        f"Some comes back at {returns_at} unless a download that is under way goes on; else ask"
        if returns_at
        else "Ask"
    )
    return Denied(
        f"The quota of the entitlement has no room for this: {told} left.",
        code="quota-exhausted",
        remedy=f"{when} the publisher for more.",
        details={"entitlement": quota.entitlement_id, "returns_at": returns_at, **counts},
    )


def require_room(
    tx: Tx, entitlement_id: int, principal: str, named: str, size: int = 0, *, now: datetime
) -> None:
    """Denied where a download of `named` could not begin now; reserves nothing.

    `named` is an object as transfers.py has it, or the beginning of one up to its `/`: of a ZIP
    whose layout is not known yet. For whoever issues a link; addresses are seen to later.
    """
    require_room_for_each(tx, entitlement_id, principal, {named: size}, now=now)


def require_room_for_each(
    tx: Tx, entitlement_id: int, principal: str, wanted: Mapping[str, int], *, now: datetime
) -> None:
    """As `require_room` for each object that `wanted` names, with its size, by itself."""
    quota = find_quota(tx, entitlement_id, now=now)
    downloads = quota.downloads_max is not None and quota.downloads_used >= quota.downloads_max
    column = reservations.c
    for named, size in wanted.items():
        too_large = quota.bytes_max is not None and quota.bytes_used + size > quota.bytes_max
        if not (downloads or too_large):
            continue
        taken_already = exists().where(
            _alive(entitlement_id, now),
            column.principal == principal,
            or_(column.object == named, column.object.startswith(f"{named}/", autoescape=True)),
            or_(column.completed_at.is_(None), column.reserved_at > now - _SHARED),
        )
        if not tx.execute(select(taken_already)).scalar_one():
            raise exhausted(quota)


def give_back(tx: Tx, reservation_id: int, *, now: datetime) -> None:
    """Take back a fresh reservation of which no byte went out."""
    tx.execute(
        update(reservations)
        .where(
            reservations.c.id == reservation_id,
            reservations.c.completed_at.is_(None),
            reservations.c.last_byte_at == reservations.c.reserved_at,
        )
        .values(given_back_at=now)
    )


def note_bytes(tx: Tx, reservation_ids: Sequence[int], *, now: datetime) -> None:
    """Keep alive what is being sent; what was given back before stays so."""
    tx.execute(
        update(reservations)
        .where(reservations.c.id.in_(reservation_ids), _counted, reservations.c.last_byte_at < now)
        .values(last_byte_at=now)
    )


def note_sent(
    tx: Tx,
    entitlement_id: int,
    principal: str,
    named: str,
    size: int,
    *,
    last_byte_at: datetime,
    now: datetime,
) -> None:
    """Bring a reservation up to date with the transfers recorded in this transaction.

    One that the ranges cover is complete, even where it was given back meanwhile: who has
    the whole has had a download.
    """
    row = _newest(tx, entitlement_id, principal, named)
    if row is None or row.completed_at is not None:
        return
    ranges = sent_ranges(tx, principal, named, row.begun_at - _SLACK)
    mine = update(reservations).where(reservations.c.id == row.id)
    if sum(length for _, length in ranges) >= size and covers(ranges, size):
        tx.execute(mine.values(completed_at=now, given_back_at=None, last_byte_at=last_byte_at))
    elif row.last_byte_at < last_byte_at:
        tx.execute(mine.values(last_byte_at=last_byte_at))
