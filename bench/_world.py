"""What the hub holds while it is measured, made by the real verbs; the bulk by SQLAlchemy Core."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue, delivery, entitlements, orders
from entrepot.core.accounts import Principal
from entrepot.core.accounts.tables import organisations
from entrepot.core.entitlements.tables import entitlements as entitlements_table
from entrepot.db import Tx

ACTOR = "operator"
CUSTOMERS = 500  # 500 organisations with 200 entitlements each: 100,000
ENTITLEMENTS_EACH = 200
PRODUCTS = 250
_DAY = timedelta(days=1)
_LEASES_AT_ONCE = 1000
CONTENTS_MAX = 1000
ASSETS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Customer:
    """The caller: its principal and a token of an hour."""

    who: Principal
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What its client sends along."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Offer:
    """One artifact that the customer may have, as numbers and ids."""

    entitlement: str
    release_id: str
    artifact_id: str
    file_name: str

    @property
    def path(self) -> str:
        """Of the artifact in the entitlement API."""
        root = "/e-product-entitlement-customer/v1/entitlements"
        release = f"{root}/{self.entitlement}/rights/download/releases/{self.release_id}"
        return f"{release}/artifact/{self.artifact_id}"


def add_customer(hub: Hub) -> Customer:
    """An organisation with one person, and that person's token."""
    now = hub.now()
    with hub.database.write() as tx:
        organisation = accounts.add_organisation(
            tx, name="Caller", country="DE", actor=ACTOR, now=now
        )
        user = accounts.add_user(
            tx,
            email="caller@example.com",
            given_name="Ada",
            family_name="Lovelace",
            organisation_id=organisation,
            roles=(accounts.CUSTOMER,),
            password=None,
            actor=ACTOR,
            now=now,
        )
        who = accounts.load_user(tx, user)
        token = accounts.issue_token(
            tx, hub.keys.current, who, issuer=hub.policy.public_url, now=now
        )
    return Customer(who, token.value)


def add_offer(hub: Hub, customer: Customer, file: Path) -> Offer:
    """A product whose one release has `file`, and an entitlement of the customer to it."""
    now = hub.now()
    with file.open("rb") as source:
        digests = hub.blobs.ingest(source)
    with hub.database.write() as tx:
        code = f"BENCH-{file.stem.upper()}"
        spec = catalogue.ProductSpec(code=code, name=f"Product {code}")
        product = catalogue.add_product(tx, spec, actor=ACTOR, now=now)
        release = catalogue.create_release(
            tx, product, catalogue.ReleaseSpec(name="1.0", quality="EAC"), actor=ACTOR, now=now
        )
        artifact = catalogue.add_artifact(
            tx, release, catalogue.ArtifactSpec(file_name=file.name), digests, actor=ACTOR, now=now
        )
        catalogue.make_available(tx, release, available_at=now, actor=ACTOR, now=now)
        given = entitlements.Grant(product=code, valid_from=now - _DAY)
        number = entitlements.grant(tx, customer.who.organisation_id, given, actor=ACTOR, now=now)
    return Offer(str(number), release, artifact, file.name)


def add_links(hub: Hub, customer: Customer, offer: Offer, count: int) -> list[str]:
    """Paths of `count` fresh links to the offer, each with a lease of its own."""
    paths: list[str] = []
    while len(paths) < count:
        with hub.database.write() as tx:
            for _ in range(min(_LEASES_AT_ONCE, count - len(paths))):
                issued = delivery.issue_artifact_link(
                    tx,
                    hub.keys.current,
                    customer.who,
                    number=offer.entitlement,
                    release_id=offer.release_id,
                    artifact_id=offer.artifact_id,
                    declared_country=None,
                    now=hub.now(),
                )
                paths.append(f"/dl/{issued.path}")
    return paths


def add_bulk(hub: Hub, customer: Customer) -> None:
    """100,000 entitlements in all, 200 of them the customer's."""
    now, dice = hub.now(), random.Random(7)
    with hub.database.write() as tx:
        products = [_add_product(tx, number, now) for number in range(PRODUCTS)]
        names = [{"name": f"Customer {n:03d}"} for n in range(CUSTOMERS - 1)]
        common = {"country": "US", "blocked": False, "created_at": now}
        tx.execute(insert(organisations), [name | common for name in names])
        others = tx.execute(
            organisations.select().where(organisations.c.id != customer.who.organisation_id)
        )
        owners = [customer.who.organisation_id, *(row.id for row in others)][:CUSTOMERS]
        rows = [
            _entitlement(owner, product, dice, now)
            for owner in owners
            for product in dice.sample(products, ENTITLEMENTS_EACH)
        ]
        # As they come in over the years: an organisation's rows do not lie side by side.
        dice.shuffle(rows)
        tx.execute(insert(entitlements_table), rows)
    if hub.database.dialect == "postgresql":
        with hub.database.write() as tx:
            tx.execute(text("ANALYZE"))  # what autovacuum does within a minute


def _add_product(tx: Tx, number: int, now: datetime) -> int:
    spec = catalogue.ProductSpec(
        code=f"PR{number:04d}",
        name=f"Example product {number} with a name of the usual length",
        us_eccn=("5E002", "3E991"),
    )
    return catalogue.add_product(tx, spec, actor=ACTOR, now=now)


def _entitlement(owner: int, product: int, dice: random.Random, now: datetime) -> dict[str, Any]:
    """Of ten: seven active (two of them with countries), two lapsed, one expired."""
    kind = dice.randrange(10)
    begun = now - dice.randrange(30, 1500) * _DAY
    maintained = now - 5 * _DAY if kind in (7, 8) else now + 300 * _DAY
    return {
        "organisation_id": owner,
        "product_id": product,
        "right_to": "download",
        "free": False,
        "qualities": ("EAC", "BET", "REL"),
        "valid_from": begun,
        "valid_to": now - _DAY if kind == 9 else None,
        "maintenance_from": None,
        "maintenance_to": maintained,
        "design_start": ["Foundry"],
        "allowed_countries": ("DE", "FR", "US") if kind < 2 else (),
        "compliance": "approved",
        "compliance_reason": None,
        "licence_revision_id": None,
        "sales_order_item": f"{dice.randrange(10**9)}",
        "activated_at": begun,
        "revoked_at": None,
        "created_at": begun,
        "changed_at": begun,
    }


def random_file(path: Path, size: int) -> Path:
    """A file of `size` random bytes."""
    block = 1 << 20
    with path.open("wb") as file:
        for start in range(0, size, block):
            file.write(os.urandom(min(block, size - start)))
    return path


def cycle(paths: Sequence[str], count: int) -> list[str]:
    """`count` paths, taken from `paths` in turn."""
    return [paths[n % len(paths)] for n in range(count)]


def add_stored_assets(hub: Hub, count: int, size: int) -> list[int]:
    """`count` public assets of `size` random bytes; contents repeat after CONTENTS_MAX files.

    Repeating keeps the disk out of it: every file has been stored and flushed once.
    """
    distinct = min(count, max(CONTENTS_MAX, 1))
    stored = [
        catalogue.StoredFile(hub.blobs.ingest(BytesIO(os.urandom(size))), "image/jpeg")
        for _ in range(distinct)
    ]
    numbers: list[int] = []
    while len(numbers) < count:
        first = len(numbers)
        batch = [
            (
                catalogue.AssetSpec(
                    file_name=f"photograph-{n:06d}.jpg",
                    identifier=f"p{n}-{size}",
                    visibility="public",
                ),
                stored[n % distinct],
            )
            for n in range(first, min(first + ASSETS_AT_ONCE, count))
        ]
        with hub.database.write() as tx:
            numbers += catalogue.add_assets(tx, batch, actor=ACTOR, now=hub.now())
    return numbers


def select_assets(hub: Hub, customer: Customer, assets: Sequence[int], pool: str) -> None:
    """Put assets into one of the customer's selections."""
    key = orders.parse_key(pool)
    change = orders.Change("add", assets)
    orders.change_selection(hub.database, customer.who, key, [change], now=hub.now)


def place(hub: Hub, customer: Customer, pool: str, order: dict[str, Any] | None = None) -> int:
    """Place an order of what is selected; returns its number."""
    body = {"order": order or {}, "target_selection": {"selectionPool": pool}}
    request = orders.parse_order_request(body)
    with hub.database.write() as tx:
        placed = orders.place_order(tx, customer.who, request, rules=hub.media, now=hub.now())
    return placed.order_id


def order_link_of(hub: Hub, customer: Customer, assets: Sequence[int]) -> str:
    """Path of a link to the ZIP of an order of `assets`, planned and packed here."""
    select_assets(hub, customer, assets, "bench")
    number = place(hub, customer, "bench")
    more = True
    while more:
        with hub.database.write() as tx:
            more = orders.plan_some(tx, number, now=hub.now())
    status = orders.complete_order(hub.database, hub.blobs, number, rules=hub.media, now=hub.now)
    if status != "Completed":
        raise RuntimeError(f"the order is {status}")
    with hub.database.write() as tx:
        issued = delivery.issue_order_link(
            tx,
            hub.keys.current,
            customer.who,
            order_id=number,
            generation=1,
            file_name="order.zip",
            now=hub.now(),
        )
    return f"/dl/{issued.path}"
