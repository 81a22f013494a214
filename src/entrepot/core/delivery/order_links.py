"""Links to an order's ZIP, which whoever watches the order gets with every look at it.

They are minted in buckets: within one (half of a link's life, 5 minutes) the same principal
gets the very same link, so that what shows it keeps its ETag, and only the first look in a
bucket writes a lease. Lease id and expiry follow from order, generation, principal, country
and bucket, so every process mints the same link without asking another one. A link is good
from its bucket's beginning for `seconds`, hence for half of them at least. An order that was
retried has another generation, and so at once another link: the former one, which a process
may hold for 5 s more, can still lead to the former package.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.core import orders
from entrepot.core.accounts import Keyring, LinkKey, Principal
from entrepot.core.delivery._signing import LEASE_BYTES, sign_link
from entrepot.core.delivery.links import LINK_SECONDS_MAX, IssuedLink
from entrepot.core.delivery.tables import leases
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx
from entrepot.kit.clock import from_millis, to_millis
from entrepot.kit.context import request_id

_KNOWN = Prepared(
    select(leases.c.id).where(leases.c.id == bindparam("lease_id", type_=leases.c.id.type))
)


def link_bucket(now: datetime, *, seconds: int = LINK_SECONDS_MAX) -> datetime:
    """When the bucket that holds `now` began: a link shown since then is the same.

    Part of the ETag, and a lower bound of the Last-Modified, of whatever shows the link.
    """
    length = max(min(seconds, LINK_SECONDS_MAX) * 500, 500)
    return from_millis(to_millis(now) // length * length)


def order_link(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    order_id: int,
    generation: int,
    file_name: str,
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> IssuedLink | None:
    """This bucket's link for `who`, by reading alone; None: `issue_order_link` is to be asked.

    The caller has looked the order up for `who` and found that there is something to download.
    """
    link = _mint(keyring, who, (order_id, generation), file_name, seconds, now)
    known = _KNOWN.one_or_none(tx, {"lease_id": link.lease_id})
    return None if known is None else link


def issue_order_link(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    order_id: int,
    generation: int,
    file_name: str,
    embargoed: Sequence[str] = (),
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> IssuedLink:
    """This bucket's link for `who`, its lease written where it was not; idempotent.

    NotFound, Denied or Gone as `orders.permitted_package` says.
    """
    orders.permitted_package(
        tx,
        order_id,
        user_id=who.user_id,
        api_client_id=who.api_client_id,
        organisation_id=who.organisation_id,
        country=who.country,
        embargoed=embargoed,
        now=now,
    )
    link = _mint(keyring, who, (order_id, generation), file_name, seconds, now)
    values: dict[str, Any] = {
        "id": link.lease_id,
        "principal": who.label,
        "user_id": who.user_id,
        "api_client_id": who.api_client_id,
        "organisation_id": who.organisation_id,
        "order_id": order_id,
        "country": who.country,
        "issued_at": now,
        "expires_at": link.expires_at,
        "request_id": request_id.get(),
    }
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    written = insert(leases).values(values).on_conflict_do_nothing().returning(leases.c.id)
    if tx.execute(written).first() is not None:
        event = Event(
            "link.issued",
            who.label,
            f"order:{order_id}",
            who.organisation_id,
            {"country": who.country},
        )
        record(tx, event, now=now)
    return link


def _mint(
    keyring: Keyring,
    who: Principal,
    order: tuple[int, int],
    file_name: str,
    seconds: int,
    now: datetime,
) -> IssuedLink:
    begun = link_bucket(now, seconds=seconds)
    key = _key_of(keyring, begun, now)
    # The lease's id is no secret, but nobody should be able to make it collide either.
    number, generation = order
    said = (
        f"order link/{number}/{generation}/{who.label}/{who.country}/{to_millis(begun)}/{seconds}"
    )
    lease_id = hmac.digest(key.secret, said.encode(), "sha256")[:LEASE_BYTES].hex()
    expires_at = begun + timedelta(seconds=min(seconds, LINK_SECONDS_MAX))
    path = sign_link(key, lease_id=lease_id, expires_at=expires_at, file_name=file_name)
    return IssuedLink(path, lease_id, expires_at)


def _key_of(keyring: Keyring, begun: datetime, now: datetime) -> LinkKey:
    """The key that signed when the bucket began: a rotation does not change its links.

    Where none did, the hub is younger than the bucket, and its first key signs.
    """
    if any(key.signs_from <= begun for key in keyring.link_keys.values()):
        return keyring.signing_link_key(begun)
    return keyring.signing_link_key(now)
