"""Whose a lease is and what it is for, whether or not it holds: for the record of refusals."""

from dataclasses import dataclass

from sqlalchemy import select

from entrepot.core.delivery.tables import leases
from entrepot.db import Tx


@dataclass(frozen=True, slots=True)
class Lessee:
    """Who the link was given to, and its object as events name it."""

    principal: str
    organisation_id: int | None
    subject: str


def find_lessee(tx: Tx, lease_id: str) -> Lessee | None:
    """The lessee of a lease; None where there is no such lease (any more)."""
    row = tx.execute(select(leases).where(leases.c.id == lease_id)).one_or_none()
    if row is None:
        return None
    named = (
        ("order", row.order_id),
        ("asset", row.asset_id),
        ("product-download", row.product_download_id),
        ("artifact", row.artifact_id),
        ("release", row.release_id),
    )
    subject = next(f"{noun}:{number}" for noun, number in named if number is not None)
    return Lessee(row.principal, row.organisation_id or None, subject)
