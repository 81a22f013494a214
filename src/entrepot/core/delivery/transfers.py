"""Who took what: every response body, and when its parts add up to a whole download.

What was sent is named `artifact:<uuid>`, or for a ZIP `release:<uuid>/<layout>` and
`order:<number>/<layout>` with the beginning of the layout's digest: ranges of two different
ZIPs, before and after a retry of the order, never add up to one. A file of an asset is
`asset:<number>/<digest>` with the beginning of its own, and a product download
`product-download:<number>/<digest>`, where nobody is signed in with the lease behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Row, Select, bindparam, case, func, insert, select, update

from entrepot.core.accounts.tables import organisations
from entrepot.core.catalogue.tables import product_downloads, products, releases
from entrepot.core.delivery._coverage import covers, sent_ranges
from entrepot.core.delivery.quotas import note_sent
from entrepot.core.delivery.tables import downloads, transfers
from entrepot.core.events import Event, record_all
from entrepot.db import Prepared, Tx, take_turns

SHARED_SECONDS = 24 * 3600
AGENT_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a link leads to, as the record names it; `size` in bytes.

    An artifact has all but the last three, a release taken whole no `artifact_id` either, an
    order's ZIP only `order_id`, a file of an asset only `asset_id` and, unless it is public,
    `entitlement_id`; so does a product download with its number.
    """

    object: str
    file_name: str
    size: int
    entitlement_id: int | None = None
    release_id: str | None = None
    artifact_id: str | None = None
    order_id: int | None = None
    asset_id: int | None = None
    product_download_id: int | None = None
    limited: bool = False  # the entitlement has a quota: what is sent is reserved of it

    @property
    def subject(self) -> str:
        """As events name it."""
        return self.object.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes of one object that one request handed to the network.

    `length` bytes from `first_byte`. `whole`: the request sent all that it set out to send.
    """

    lease_id: str
    principal: str
    organisation_id: int
    of: Delivery
    first_byte: int
    length: int
    started_at: datetime
    ended_at: datetime
    whole: bool
    address: str
    agent: str


def record_transfers(tx: Tx, batch: Sequence[Transfer], *, now: datetime) -> int:
    """Write a batch of transfers and bring the downloads up to date.

    All requests of one principal for one object within 24 hours make up one download; it is
    complete once the ranges sent cover the object. Returns how many became complete.
    Batches of several processes are written one after the other, in any order.
    """
    if not batch:
        return 0
    take_turns(tx, "record of transfers")
    _INSERT.run_many(tx, map(_values, batch))
    grouped: dict[tuple[str, str], list[Transfer]] = {}
    for transfer in batch:
        grouped.setdefault((transfer.principal, transfer.of.object), []).append(transfer)
    fresh: list[_Fresh] = []
    changed: list[dict[str, Any]] = []
    complete: list[Event] = []
    for sent in grouped.values():
        started_at = min(transfer.started_at for transfer in sent)
        row = _open_download(tx, sent[0], started_at)
        if row is None:
            enough = sum(transfer.length for transfer in sent) >= sent[0].of.size
            whole = enough and _is_covered(tx, sent, started_at)
            fresh.append(_Fresh(sent, started_at, whole))
            continue
        values, turns_complete = _added(tx, row, sent, started_at, now=now)
        changed.append(values)
        if turns_complete:
            complete.append(_completed(sent[0], row.id))
    if changed:
        tx.execute(_CHANGE, changed)
    _NEW_DOWNLOAD.run_many(tx, (_download_values(each, now) for each in fresh))
    for each in fresh:
        if each.complete:
            row = _open_download(tx, each.sent[0], each.started_at)
            complete.append(_completed(each.sent[0], row.id))
    record_all(tx, complete, now=now)
    for sent in grouped.values():
        _note_of_quota(tx, sent, now=now)
    return len(complete)


_INSERT = Prepared(
    insert(transfers).inline(), [each.name for each in transfers.c if each.name != "id"]
)
_NEW_DOWNLOAD = Prepared(
    insert(downloads).inline(), [each.name for each in downloads.c if each.name != "id"]
)
_OPEN = Prepared(
    select(*downloads.c["id", "started_at", "last_byte_at", "completed_at", "bytes_sent"])
    .where(
        downloads.c.principal == bindparam("principal", type_=downloads.c.principal.type),
        downloads.c.object == bindparam("object", type_=downloads.c.object.type),
        downloads.c.started_at > bindparam("after", type_=downloads.c.started_at.type),
        downloads.c.started_at < bindparam("before", type_=downloads.c.started_at.type),
    )
    .order_by(downloads.c.started_at.desc())
    .limit(1)
)
_CHANGE = (
    update(downloads)
    .where(downloads.c.id == bindparam("changed"))
    .values(
        {
            name: bindparam(name)
            for name in ("bytes_sent", "started_at", "last_byte_at", "completed_at")
        }
    )
)


@dataclass(frozen=True, slots=True)
class _Fresh:
    """The first transfers of a download, and whether they are all of it."""

    sent: Sequence[Transfer]
    started_at: datetime
    complete: bool


def _values(transfer: Transfer) -> dict[str, Any]:
    return {
        "lease_id": transfer.lease_id,
        "principal": transfer.principal,
        "organisation_id": transfer.organisation_id,
        "entitlement_id": transfer.of.entitlement_id,
        "object": transfer.of.object,
        "first_byte": transfer.first_byte,
        "length": transfer.length,
        "started_at": transfer.started_at,
        "ended_at": transfer.ended_at,
        "whole": transfer.whole,
        "address": transfer.address,
        "agent": transfer.agent[:AGENT_LENGTH_MAX],
    }


def _added(
    tx: Tx, row: Any, sent: Sequence[Transfer], started_at: datetime, *, now: datetime
) -> tuple[dict[str, Any], bool]:
    """What a download is to be with these transfers, and whether that makes it complete."""
    one = sent[0]
    started_at = min(started_at, row.started_at)
    bytes_sent = row.bytes_sent + sum(transfer.length for transfer in sent)
    # Fewer bytes than the object has cannot cover it, in whatever ranges they went.
    turns_complete = (
        row.completed_at is None and bytes_sent >= one.of.size and _is_covered(tx, sent, started_at)
    )
    values = {
        "changed": row.id,
        "bytes_sent": bytes_sent,
        "started_at": started_at,
        "last_byte_at": max(row.last_byte_at, *(transfer.ended_at for transfer in sent)),
        "completed_at": now if turns_complete else row.completed_at,
    }
    return values, turns_complete


def _is_covered(tx: Tx, sent: Sequence[Transfer], since: datetime) -> bool:
    """Whether these, or all requests since then together, have sent the whole object.

    A small file goes by one request, and then there is nothing to look up.
    """
    one = sent[0]
    ours = [(transfer.first_byte, transfer.length) for transfer in sent]
    return covers(ours, one.of.size) or covers(
        sent_ranges(tx, one.principal, one.of.object, since), one.of.size
    )


def _completed(one: Transfer, download_id: int) -> Event:
    return Event(
        "download.completed",
        one.principal,
        one.of.subject,
        one.organisation_id,
        {"download": download_id, "bytes": one.of.size},
    )


def _note_of_quota(tx: Tx, sent: Sequence[Transfer], *, now: datetime) -> None:
    one = sent[0]
    if one.of.limited and one.of.entitlement_id is not None:
        note_sent(
            tx,
            one.of.entitlement_id,
            one.principal,
            one.of.object,
            one.of.size,
            last_byte_at=max(transfer.ended_at for transfer in sent),
            now=now,
        )


def _open_download(tx: Tx, one: Transfer, started_at: datetime) -> Any:
    """The download that a transfer begun then belongs to; None where there is none."""
    shared = timedelta(seconds=SHARED_SECONDS)
    bound = {
        "principal": one.principal,
        "object": one.of.object,
        "after": started_at - shared,
        "before": started_at + shared,  # a batch may come late
    }
    return _OPEN.one_or_none(tx, bound)


def _download_values(fresh: _Fresh, now: datetime) -> dict[str, Any]:
    one = fresh.sent[0]
    return {
        "principal": one.principal,
        "organisation_id": one.organisation_id,
        "entitlement_id": one.of.entitlement_id,
        "artifact_id": one.of.artifact_id,
        "release_id": one.of.release_id,
        "order_id": one.of.order_id,
        "asset_id": one.of.asset_id,
        "product_download_id": one.of.product_download_id,
        "object": one.of.object,
        "file_name": one.of.file_name,
        "size": one.of.size,
        "started_at": fresh.started_at,
        "completed_at": now if fresh.complete else None,
        "last_byte_at": max(transfer.ended_at for transfer in fresh.sent),
        "bytes_sent": sum(transfer.length for transfer in fresh.sent),
    }


def list_downloads(
    tx: Tx,
    *,
    artifact_id: str | None = None,
    organisation_id: int | None = None,
    skip: int = 0,
    take: int = 100,
) -> list[Row[Any]]:
    """Who took what, newest first, with the names of organisation, product and release.

    `kind` is artifact, release, order, asset or product-download; what a kind does not have is
    None, and so are the names of what was deleted since, and of the organisation of visitors who
    are not signed in.
    """
    kind = case(
        (downloads.c.order_id.is_not(None), "order"),
        (downloads.c.asset_id.is_not(None), "asset"),
        (downloads.c.product_download_id.is_not(None), "product-download"),
        (downloads.c.artifact_id.is_(None), "release"),
        else_="artifact",
    )
    names = (
        kind.label("kind"),
        organisations.c.name.label("organisation_name"),
        products.c.code.label("product_code"),
        releases.c.name.label("release_name"),
    )
    query = _chosen(select(downloads, *names), artifact_id, organisation_id)
    joined = (
        query.outerjoin(organisations, organisations.c.id == downloads.c.organisation_id)
        .outerjoin(releases, releases.c.id == downloads.c.release_id)
        .outerjoin(product_downloads, product_downloads.c.id == downloads.c.product_download_id)
        .outerjoin(
            products,
            products.c.id == func.coalesce(releases.c.product_id, product_downloads.c.product_id),
        )
    )
    return list(tx.execute(joined.order_by(downloads.c.id.desc()).offset(skip).limit(take)))


def count_downloads(
    tx: Tx, *, artifact_id: str | None = None, organisation_id: int | None = None
) -> int:
    """How many `list_downloads` would give without a limit."""
    query = select(func.count()).select_from(downloads)
    return tx.execute(_chosen(query, artifact_id, organisation_id)).scalar_one()


_Chosen = TypeVar("_Chosen", bound=Select[Any])


def _chosen(query: _Chosen, artifact_id: str | None, organisation_id: int | None) -> _Chosen:
    if artifact_id is not None:
        query = query.where(downloads.c.artifact_id == artifact_id)
    if organisation_id is not None:
        query = query.where(downloads.c.organisation_id == organisation_id)
    return query
