"""Files of the rendition `metadata`: made from what the hub knows of an asset, not converted.

Each has the asset's own number in it, so none is shared and none is kept beyond its order.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, case, select, type_coerce, update

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue import hold_bytes
from entrepot.core.catalogue.tables import assets, blobs
from entrepot.core.conversions.metadata import AssetDescription, metadata_document
from entrepot.core.conversions.rules import METADATA_RECIPE
from entrepot.core.orders.progress import is_pending, report_progress
from entrepot.core.orders.tables import order_items, order_targets
from entrepot.db import Database, Tx
from entrepot.db.schema import Document, Number
from entrepot.kit.clock import Now

_PORTION = 100  # files stored, then settled in one transaction


@dataclass(frozen=True, slots=True)
class _Made:
    asset_id: int
    position: int
    digests: Digests


def make_metadata_files(database: Database, store: BlobStore, order_id: int, *, now: Now) -> None:
    """Settle every item that is a metadata file; nothing where the order has none.

    Raises StorageFull and Unavailable as the store does; what was settled stays so.
    """
    while True:
        with database.read() as tx:
            rows = tx.execute(_PENDING, {"order_id": order_id}).all()
        if not rows:
            return
        made = [
            _Made(row.asset_id, row.position, store.ingest(io.BytesIO(_document(row))))
            for row in rows
        ]
        with database.write() as tx:
            hold_bytes(tx, store, {each.digests for each in made}, now=now())
            _settle(tx, order_id, made)
            report_progress(tx, order_id, now=now())


# What was measured of the file counts while the asset still has that file.
_facts = case((assets.c.sha256 == order_targets.c.sha256, assets.c.facts))
_PENDING = (
    select(
        *order_items.c["asset_id", "position"],
        *order_targets.c["identifier", "title", "folder", "media_group", "file_name"],
        *order_targets.c["content_type", "sha256"],
        blobs.c.size,
        type_coerce(_facts, Document()).label("facts"),
    )
    .select_from(order_items)
    .join(
        order_targets,
        and_(
            order_targets.c.order_id == order_items.c.order_id,
            order_targets.c.asset_id == order_items.c.asset_id,
        ),
    )
    .join(blobs, blobs.c.sha256 == order_targets.c.sha256)
    .outerjoin(assets, assets.c.id == order_targets.c.asset_id)
    .where(
        order_items.c.order_id == bindparam("order_id", type_=Number),
        order_items.c.recipe_key == METADATA_RECIPE.key,
        is_pending,
    )
    .order_by(order_items.c.asset_id)
    .limit(_PORTION)
)


def _document(row: Any) -> bytes:
    return metadata_document(
        AssetDescription(
            id=row.asset_id,
            identifier=row.identifier,
            title=row.title,
            folder=row.folder,
            media_group=row.media_group,
            file_name=row.file_name,
            content_type=row.content_type,
            size=row.size,
            sha256=row.sha256,
            facts=row.facts or {},
        )
    )


def _settle(tx: Tx, order_id: int, made: Sequence[_Made]) -> None:
    for each in made:
        tx.execute(
            update(order_items)
            .where(
                order_items.c.order_id == order_id,
                order_items.c.asset_id == each.asset_id,
                order_items.c.position == each.position,
            )
            .values(
                state="done",
                result_sha256=each.digests.sha256,
                extension=METADATA_RECIPE.extension,
            )
        )
