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

from sqlalchemy import Row, Select, case, func, insert, select, update

from entrepot.core.accounts.tables import organisations
from entrepot.core.catalogue.tables import product_downloads, products, releases
from entrepot.core.delivery._coverage import covers, sent_ranges
from entrepot.core.delivery.quotas import note_sent
from entrepot.core.delivery.tables import downloads, transfers
from entrepot.core.events import Event, record
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
    return sum(_add_to_download(tx, sent, now=now) for sent in grouped.values())


_INSERT = Prepared(
    insert(transfers).inline(), [each.name for each in transfers.c if each.name != "id"]
)


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


def _add_to_download(tx: Tx, sent: Sequence[Transfer], *, now: datetime) -> bool:
    one = sent[0]
    started_at = min(transfer.started_at for transfer in sent)
    row = _open_download(tx, one, started_at)
    started_at = min(started_at, row.started_at)
    bytes_sent = row.bytes_sent + sum(transfer.length for transfer in sent)
    # Fewer bytes than the object has cannot cover it, in whatever ranges they went.
    turns_complete = (
        row.completed_at is None
        and bytes_sent >= one.of.size
        and covers(sent_ranges(tx, one.principal, one.of.object, started_at), one.of.size)
    )
    tx.execute(
        update(downloads)
        .where(downloads.c.id == row.id)
        .values(
            bytes_sent=bytes_sent,
            started_at=started_at,
            last_byte_at=max(row.last_byte_at, *(transfer.ended_at for transfer in sent)),
            completed_at=now if turns_complete else row.completed_at,
        )
    )
    if turns_complete:
        event = Event(
            "download.completed",
            one.principal,
            one.of.subject,
            one.organisation_id,
            {"download": row.id, "bytes": one.of.size},
        )
        record(tx, event, now=now)
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
    return turns_complete


def _open_download(tx: Tx, one: Transfer, started_at: datetime) -> Row[Any]:
    """The download that a transfer begun then belongs to, made where there is none."""
    shared = timedelta(seconds=SHARED_SECONDS)
    query = (
        select(downloads)
        .where(
            downloads.c.principal == one.principal,
            downloads.c.object == one.of.object,
            downloads.c.started_at > started_at - shared,
            downloads.c.started_at < started_at + shared,  # a batch may come late
        )
        .order_by(downloads.c.started_at.desc())
        .limit(1)
    )
    row = tx.execute(query).one_or_none()
    if row is not None:
        return row
    values = {
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
        "started_at": started_at,
        "last_byte_at": one.ended_at,
        "bytes_sent": 0,
    }
    return tx.execute(insert(downloads).returning(downloads), values).one()


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
