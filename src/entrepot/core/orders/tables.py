"""Selections, orders, and what an order is made of."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from entrepot.db.schema import Document, Flag, Instant, Number, metadata

selections = Table(
    "selections",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("principal", Text, nullable=False),  # user:<number> or client:<client id>
    Column("pool", Text, nullable=False),
    Column("definition_name", Text, nullable=False),
    Column("sub_pool_id", Number, nullable=False),  # 0: none
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("principal", "pool", "definition_name", "sub_pool_id"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

selected_assets = Table(
    "selected_assets",
    metadata,
    Column(
        "selection_id", Number, ForeignKey("selections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("asset_id", Number, primary_key=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

orders = Table(
    "orders",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("principal", Text, nullable=False),
    Column("user_id", Number),
    Column("api_client_id", Number),
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False),
    Column("country", Text, nullable=False),  # of the caller when the order was placed
    Column("name", Text),
    Column("zip_file_name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("culture", Text),
    Column("resolver_id", Text),
    Column("request", Document, nullable=False),  # the part `order` of the body, as sent
    Column("plan", Document, nullable=False),  # what becomes of each kind of target (planning.py)
    Column("status", Text, nullable=False),
    Column("planned", Flag, nullable=False),  # every target has its items
    Column("planned_to", Number, nullable=False),  # asset id up to which targets have them
    Column("generation", Integer, nullable=False),  # 1, and one more for each retry
    Column("job_id", Text),  # of the durable engine; null: nothing had to be done later
    Column("priority", Integer, nullable=False),
    Column("has_conversions", Flag, nullable=False),
    Column("target_count", Number, nullable=False),
    Column("left_out", Number, nullable=False),  # selected, but deleted or not permitted
    Column("files_total", Number, nullable=False),
    Column("files_completed", Number, nullable=False),
    Column("files_failed", Number, nullable=False),
    Column("bytes_total", Number, nullable=False),
    Column("product_ids", Document, nullable=False),  # whose entitlements it rests on
    Column("package_sha256", Text, ForeignKey("blobs.sha256")),  # list of the ZIP's entries
    Column("additional_info", Text),
    Column("created_at", Instant, nullable=False),
    Column("modified_at", Instant, nullable=False),
    Column("modified_by", Text, nullable=False),
    Column("lives_days", Integer, nullable=False),  # from its completion on
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("expires_at", Instant),
    CheckConstraint(
        "status IN ('Pending', 'InProgress', 'Completed', 'CompletedWithErrors', 'Failed',"
        " 'Cancelled', 'Expired')",
        name="status",
    ),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_orders_principal_id", orders.c.principal, orders.c.id)
Index("ix_orders_organisation_id_id", orders.c.organisation_id, orders.c.id)
Index("ix_orders_status_expires_at", orders.c.status, orders.c.expires_at)
Index("ix_orders_package_sha256", orders.c.package_sha256)

# What a package holds beside the assets' files: order.json, manifest.json, report.txt.
order_files = Table(
    "order_files",
    metadata,
    Column("order_id", Number, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    sqlite_strict=True,
)
Index("ix_order_files_sha256", order_files.c.sha256)

# The assets of an order as they were when it was placed: what was promised is delivered.
# 100,000 of them are frozen in one statement while every other writer of an embedded database
# waits, so they have no index beside their key (0.15 s against 0.8), and no foreign key to
# their bytes: these are held by the assets, and by `former_files` once an asset has left them.
order_targets = Table(
    "order_targets",
    metadata,
    Column("order_id", Number, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("asset_id", Number, primary_key=True),
    Column("identifier", Text, nullable=False),
    Column("title", Document, nullable=False),
    Column("folder", Text, nullable=False),
    Column("media_group", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("product_id", Number),  # whose entitlement gave it; null: public
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

order_recipes = Table(
    "order_recipes",
    metadata,
    Column("order_id", Number, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("recipe_key", Text, primary_key=True),
    Column("recipe", Document, nullable=False),
    Column("product_ids", Document, nullable=False),  # whose entitlements lent its watermarks
    sqlite_strict=True,
)

order_items = Table(
    "order_items",
    metadata,
    Column("order_id", Number, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True),
    Column("asset_id", Number, primary_key=True),
    Column("position", Integer, primary_key=True),  # 1, 2, ... within the asset
    Column("rendition", Text, nullable=False),  # name of rendition or preset, or 'conversion'
    Column("recipe_key", Text),  # null: the file as it came
    Column("source_sha256", Text, nullable=False),  # the target's, held as that is
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("result_sha256", Text, ForeignKey("blobs.sha256")),  # null: none yet, or as it came
    Column("extension", Text),  # of the result, without the dot
    Column("keep_as", Document),  # user rendition to make of it: label, culture, description
    Column("error_code", Text),
    Column("error", Text),
    CheckConstraint("state IN ('pending', 'done', 'failed', 'cancelled')", name="state"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
# In the order in which `list_pending` gives them: of 100,000 it reads the first few alone.
_pending = order_items.c.state == "pending"
Index(
    "ix_order_items_pending",
    order_items.c.order_id,
    order_items.c.recipe_key,
    order_items.c.source_sha256,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
# Files delivered as they came are the most, and never looked for by their bytes.
_by_recipe = order_items.c.recipe_key.is_not(None)
Index(
    "ix_order_items_source_sha256_recipe_key",
    order_items.c.source_sha256,
    order_items.c.recipe_key,
    sqlite_where=_by_recipe,
    postgresql_where=_by_recipe,
)
_converted = order_items.c.result_sha256.is_not(None)
Index(
    "ix_order_items_result_sha256",
    order_items.c.result_sha256,
    sqlite_where=_converted,
    postgresql_where=_converted,
)
