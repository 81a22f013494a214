"""A hub with a customer who orders, for the tests of orders: real database, real store."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from entrepot.blobs import LocalBlobStore
from entrepot.core import catalogue, orders
from entrepot.core.accounts import Principal
from entrepot.core.catalogue import hold_bytes
from entrepot.core.catalogue.tables import assets
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.results import Result, remember_result
from entrepot.core.conversions.rules import MediaRules, load_media_rules
from entrepot.core.events.tables import events
from entrepot.core.orders import OrderPackage, PackageEntry, PlacedOrder, SelectionKey
from entrepot.core.orders import tables as t
from entrepot.db import Database
from tests import factories
from tests.factories import NOW

RULES = load_media_rules(None)
POOL = SelectionKey("pool")
PNG = {"conversions": [[{"type": "fileExtension", "value": "png"}]]}
IMAGES = "M.AssetMedia.Images"


def body(order: Mapping[str, Any] | None = None, **root: Any) -> dict[str, Any]:
    """A request for the selection in POOL, with the part `order` and other fields."""
    selection = {"target_selection": {"selectionPool": "pool"}}
    return {"order": dict(order or {}), **selection, **root}


@dataclass(slots=True)
class World:
    """One customer with a product of its own; `now` stands still until it is moved."""

    database: Database
    store: LocalBlobStore
    who: Principal
    product: str
    entitlement: int
    now: datetime = NOW
    rules: MediaRules = field(default=RULES)

    def clock(self) -> datetime:
        return self.now

    def later(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now

    def add_asset(self, data: bytes = b"", **values: Any) -> int:
        """A picture of the customer's product, unless told otherwise; its bytes are stored."""
        given: dict[str, Any] = {"product": self.product, "content_type": "image/jpeg"} | values
        with self.database.write() as tx:
            return factories.add_asset(tx, data=data, store=self.store, **given)

    def select(self, *ids: int, who: Principal | None = None) -> int:
        return orders.change_selection(
            self.database, who or self.who, POOL, [orders.Change("add", ids)], now=self.clock
        )

    def place(
        self, request: Mapping[str, Any], *, who: Principal | None = None, on: bool = True
    ) -> PlacedOrder:
        with self.database.write() as tx:
            return orders.place_order(
                tx,
                who or self.who,
                orders.parse_order_request(request),
                rules=self.rules,
                conversions_on=on,
                lives_days=30,
                now=self.now,
            )

    def order(self, order: Mapping[str, Any] | None = None, **root: Any) -> PlacedOrder:
        return self.place(body(order, **root))

    def plan(self, order_id: int, take: int = 1000) -> None:
        more = True
        while more:
            with self.database.write() as tx:
                more = orders.plan_some(tx, order_id, take=take, now=self.now)

    def pending(self, order_id: int) -> list[orders.PendingConversion]:
        with self.database.read() as tx:
            return orders.list_pending(tx, order_id, take=1000)

    def begin(self, order_id: int, one: orders.PendingConversion) -> bool:
        with self.database.write() as tx:
            return orders.begin_conversion(
                tx, order_id, one.source_sha256, one.recipe_key, now=self.now
            )

    def make(self, source_sha256: str, recipe: Recipe) -> Result:
        """What a converter would have left: bytes of its own, remembered as the result."""
        made = f"{source_sha256} as {recipe.extension}".encode()
        digests = self.store.ingest(io.BytesIO(made))
        with self.database.write() as tx:
            hold_bytes(tx, self.store, [digests], now=self.now)
            return remember_result(
                tx, source_sha256, recipe, digests=digests, facts={}, now=self.now
            )

    def settle(self, order_id: int, one: orders.PendingConversion) -> None:
        result = self.make(one.source_sha256, one.recipe)
        with self.database.write() as tx:
            orders.settle_conversion(
                tx, order_id, one.source_sha256, one.recipe_key, result, now=self.now
            )

    def fail(self, order_id: int, one: orders.PendingConversion) -> None:
        with self.database.write() as tx:
            orders.fail_conversion(
                tx,
                order_id,
                one.source_sha256,
                one.recipe_key,
                code="media-damaged",
                message="The file ends in its middle.",
                now=self.now,
            )

    def complete(self, order_id: int) -> str | None:
        return orders.complete_order(
            self.database, self.store, order_id, rules=self.rules, now=self.clock
        )

    def package(self, order_id: int, who: Principal | None = None) -> OrderPackage:
        asking = who or self.who
        with self.database.read() as tx:
            return orders.permitted_package(
                tx,
                order_id,
                user_id=asking.user_id,
                api_client_id=asking.api_client_id,
                organisation_id=asking.organisation_id,
                country=asking.country,
                now=self.now,
            )

    def entries(self, order_id: int) -> dict[str, PackageEntry]:
        """The package's entries by name, the papers included, in their order."""
        listed = self.read(self.package(order_id).package_sha256)
        return {entry.name: entry for entry in orders.decode_package(listed)}

    def files(self, order_id: int) -> list[str]:
        """The names of what was ordered, in the package's order."""
        return [
            name
            for name in self.entries(order_id)
            if name not in ("order.json", "manifest.json", "report.txt")
        ]

    def read(self, sha256: str) -> bytes:
        with self.store.open(sha256) as stored:
            return stored.read()

    def paper(self, order_id: int, name: str) -> Any:
        data = self.read(self.entries(order_id)[name].sha256)
        return json.loads(data) if name.endswith(".json") else data.decode()

    def view(self, order_id: int) -> orders.OrderView:
        with self.database.read() as tx:
            return orders.order_view(tx, self.who, order_id)

    def items(self, order_id: int) -> list[Any]:
        with self.database.read() as tx:
            query = select(t.order_items).where(t.order_items.c.order_id == order_id)
            ordered = query.order_by(t.order_items.c.asset_id, t.order_items.c.position)
            return list(tx.execute(ordered))

    def told(self, order_id: int) -> list[str]:
        """The types of the order's events, oldest first."""
        with self.database.read() as tx:
            query = select(events.c.type).where(events.c.subject == f"order:{order_id}")
            return list(tx.execute(query.order_by(events.c.id)).scalars())

    def change_asset(self, asset_id: int, **values: Any) -> None:
        """Set columns of an asset's row, as publishers may have made them."""
        with self.database.write() as tx:
            tx.execute(update(assets).where(assets.c.id == asset_id).values(**values))

    def delete_asset(self, asset_id: int) -> None:
        with self.database.write() as tx:
            catalogue.delete_asset(tx, asset_id, actor=factories.OPERATOR, now=self.now)

    def colleague(self) -> Principal:
        """Another person of the same organisation."""
        with self.database.write() as tx:
            return factories.add_user(tx, self.who.organisation_id)


def make_world(database: Database, folder: Path) -> World:
    """A world with nothing selected in it."""
    store = LocalBlobStore(folder / "blobs", reserve_bytes=1)
    store.prepare()
    with database.write() as tx:
        organisation = factories.add_organisation(tx)
        who = factories.add_user(tx, organisation)
        product = factories.add_product(tx)
        entitlement = factories.grant(tx, organisation, product)
    return World(database, store, who, product, entitlement)
