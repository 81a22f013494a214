"""Lists of organisations, people and machines: the operator's view.

Each gives one page in a fixed order, and how many rows there are without the limit.
"""

from typing import Any

from sqlalchemy import Row, Select, func, select

from entrepot.core.accounts.tables import api_clients, organisations, users
from entrepot.db import Tx


def list_organisations(tx: Tx, *, skip: int = 0, take: int = 100) -> tuple[list[Row[Any]], int]:
    """Organisations by number."""
    return _page(tx, select(organisations).order_by(organisations.c.id), skip, take)


def list_users(
    tx: Tx, *, organisation_id: int | None = None, skip: int = 0, take: int = 100
) -> tuple[list[Row[Any]], int]:
    """People by number, of one organisation or of all, with `organisation_name`."""
    query = select(users, organisations.c.name.label("organisation_name")).join(organisations)
    if organisation_id is not None:
        query = query.where(users.c.organisation_id == organisation_id)
    return _page(tx, query.order_by(users.c.id), skip, take)


def list_clients(
    tx: Tx, *, organisation_id: int | None = None, skip: int = 0, take: int = 100
) -> tuple[list[Row[Any]], int]:
    """Machines by client id, of one organisation or of all, with `organisation_name`."""
    # Clients that came with the hub have no organisation.
    query = select(api_clients, organisations.c.name.label("organisation_name")).outerjoin(
        organisations
    )
    if organisation_id is not None:
        query = query.where(api_clients.c.organisation_id == organisation_id)
    return _page(tx, query.order_by(api_clients.c.client_id), skip, take)


def _page(tx: Tx, query: Select[Any], skip: int, take: int) -> tuple[list[Row[Any]], int]:
    total = tx.execute(select(func.count()).select_from(query.order_by(None).subquery()))
    return list(tx.execute(query.offset(skip).limit(take))), total.scalar_one()
