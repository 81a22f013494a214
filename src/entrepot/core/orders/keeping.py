"""Keeping results of an order with their assets, where the customer asked for it.

In portions, before the order is completed: repeating it keeps nothing twice.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import and_, select, tuple_

from entrepot.core.catalogue.tables import assets, blobs
from entrepot.core.conversions.kept import Keeping, keep_rendition
from entrepot.core.conversions.recipes import recipe_from_document
from entrepot.core.conversions.results import Result
from entrepot.core.orders.tables import order_items, order_recipes, orders
from entrepot.db import Database, Tx
from entrepot.errors import Conflict
from entrepot.kit.clock import Now

_PORTION = 100


def keep_renditions(database: Database, order_id: int, *, now: Now) -> int:
    """Keep what was made and is to be kept; how many could not be, as their asset is full."""
    with database.read() as tx:
        order = tx.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    if order is None or not _keeps(order.plan):
        return 0
    refused, after = 0, (0, 0)
    while True:
        with database.write() as tx:
            rows = _portion(tx, order_id, after)
            refused += sum(not _keep(tx, order, row, now()) for row in rows)
        if len(rows) < _PORTION:
            return refused
        after = (rows[-1].asset_id, rows[-1].position)


def _keeps(plan: Any) -> bool:
    groups = [*plan["kinds"], *plan["single"]]
    return any(output["keep"] for group in groups for output in group["outputs"])


def _portion(tx: Tx, order_id: int, after: tuple[int, int]) -> Any:
    """The next results to keep, of assets that are still there."""
    key = tuple_(order_items.c.asset_id, order_items.c.position)
    return tx.execute(
        select(
            *order_items.c["asset_id", "position", "recipe_key", "keep_as"],
            *order_items.c["source_sha256", "result_sha256"],
            *order_recipes.c["recipe", "product_ids"],
            *blobs.c["size", "crc32"],
        )
        .select_from(order_items)
        .join(
            order_recipes,
            and_(
                order_recipes.c.order_id == order_items.c.order_id,
                order_recipes.c.recipe_key == order_items.c.recipe_key,
            ),
        )
        .join(blobs, blobs.c.sha256 == order_items.c.result_sha256)
        .join(assets, assets.c.id == order_items.c.asset_id)
        .where(
            order_items.c.order_id == order_id,
            order_items.c.state == "done",
            order_items.c.keep_as.is_not(None),
            assets.c.deleted_at.is_(None),
            key > after,
        )
        .order_by(order_items.c.asset_id, order_items.c.position)
        .limit(_PORTION)
    ).all()


def _keep(tx: Tx, order: Any, row: Any, now: datetime) -> bool:
    recipe = recipe_from_document(row.recipe)
    result = Result(
        row.result_sha256, recipe.extension, recipe.content_type, {}, row.size, row.crc32
    )
    try:
        keep_rendition(
            tx,
            Keeping(**row.keep_as),
            result,
            asset_id=row.asset_id,
            organisation_id=order.organisation_id,
            recipe_key=row.recipe_key,
            source_sha256=row.source_sha256,
            product_ids=row.product_ids,
            created_by=order.principal,
            now=now,
        )
    except Conflict:
        return False
    return True
