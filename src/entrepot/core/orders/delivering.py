"""Whether an order's package may be handed out now, and what it consists of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select

from entrepot.core.entitlements import granted_products
from entrepot.core.orders.states import DELIVERED, OPEN
from entrepot.core.orders.tables import orders
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.errors import Denied, Gone, NotFound, Unavailable


@dataclass(frozen=True, slots=True)
class OrderPackage:
    """What the ZIP of an order is made from: the stored list of its entries."""

    order_id: int
    file_name: str  # of the ZIP
    package_sha256: str
    completed_at: datetime


_ORDER = Prepared(
    select(
        *orders.c["id", "organisation_id", "user_id", "api_client_id", "status", "zip_file_name"],
        *orders.c["product_ids", "package_sha256", "completed_at", "expires_at", "additional_info"],
    ).where(orders.c.id == bindparam("order_id", type_=Number))
)


def permitted_package(
    tx: Tx,
    order_id: int,
    *,
    user_id: int | None,
    api_client_id: int | None,
    organisation_id: int,
    country: str,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> OrderPackage:
    """The package of the caller's own order, by the predicate as it holds now.

    NotFound: no such order of this caller. Denied: the caller may have nothing at all now, or
    (`order-right-ended`) not the assets of every product that the order rests on. Gone
    (`order-ended`): it has expired, failed or was cancelled. Unavailable (`order-not-ready`):
    it is still at work.
    """
    row = _ORDER.one_or_none(tx, {"order_id": order_id})
    owner = (organisation_id, user_id, api_client_id)
    if row is None or (row.organisation_id, row.user_id, row.api_client_id) != owner:
        raise NotFound
    granted = granted_products(
        tx,
        organisation_id=organisation_id,
        user_id=user_id,
        api_client_id=api_client_id,
        country=country,
        embargoed=embargoed,
        now=now,
    )
    if not granted.issuperset(row.product_ids):
        raise Denied(
            "The right to some of the assets in this order has ended since it was placed.",
            code="order-right-ended",
            remedy="Place the order again: it then has what you may still have.",
        )
    if row.status in OPEN:
        raise Unavailable(
            "The order is still at work.",
            code="order-not-ready",
            remedy="Watch its progress, or ask again later.",
        )
    if row.status not in DELIVERED or row.package_sha256 is None or row.expires_at <= now:
        raise Gone(
            "The package of this order is no longer there.",
            code="order-ended",
            remedy="Place the order again, or retry it where it failed.",
        )
    return OrderPackage(row.id, row.zip_file_name, row.package_sha256, row.completed_at)


def permitted_orders(
    tx: Tx,
    order_ids: Collection[int],
    *,
    user_id: int | None,
    api_client_id: int | None,
    organisation_id: int,
    country: str,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> frozenset[int]:
    """Those of the caller's own orders whose assets the caller may all still have.

    As `permitted_package` decides it, at the cost of one for a page of orders.
    """
    try:
        granted = granted_products(
            tx,
            organisation_id=organisation_id,
            user_id=user_id,
            api_client_id=api_client_id,
            country=country,
            embargoed=embargoed,
            now=now,
        )
    except Denied:
        return frozenset()
    these = select(orders.c.id, orders.c.product_ids).where(orders.c.id.in_(order_ids))
    return frozenset(row.id for row in tx.execute(these) if granted.issuperset(row.product_ids))
