"""Media assets, selections, download orders, what was converted already, and who works."""

import sqlalchemy as sa
from alembic import op

from entrepot.db import schema

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Where each sequence of numbers starts: ids of different kinds do not look alike.
_FIRST_NUMBERS = {"assets": 20001, "orders": 50001, "user_renditions": 70001}


def upgrade() -> None:
    """Apply."""
    _create_selections()
    _create_conversions()
    _create_orders()
    _create_selected_assets()
    _create_assets()
    _create_former_files()
    _create_order_files()
    _create_order_items()
    _create_order_recipes()
    _create_order_targets()
    _create_user_renditions()
    _create_workers()
    _create_events_index()
    for table, first in _FIRST_NUMBERS.items():
        _start_at(table, first)


def _start_at(table: str, first: int) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)").bindparams(
                name=table, seq=first - 1
            )
        )
    else:
        op.execute(f"ALTER SEQUENCE {table}_id_seq RESTART WITH {first}")


def _create_selections() -> None:
    op.create_table(
        "selections",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("definition_name", sa.Text(), nullable=False),
        sa.Column("sub_pool_id", schema.Number, nullable=False),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_selections")),
        sa.UniqueConstraint(
            "principal",
            "pool",
            "definition_name",
            "sub_pool_id",
            name=op.f("uq_selections_principal_pool_definition_name_sub_pool_id"),
        ),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _create_conversions() -> None:
    op.create_table(
        "conversions",
        sa.Column("source_sha256", sa.Text(), nullable=False),
        sa.Column("recipe_key", sa.Text(), nullable=False),
        sa.Column("result_sha256", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("facts", schema.Document(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("used_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["result_sha256"], ["blobs.sha256"], name=op.f("fk_conversions_result_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("source_sha256", "recipe_key", name=op.f("pk_conversions")),
        sqlite_strict=True,
    )
    op.create_index("ix_conversions_result_sha256", "conversions", ["result_sha256"], unique=False)
    op.create_index("ix_conversions_used_at", "conversions", ["used_at"], unique=False)


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("user_id", schema.Number, nullable=True),
        sa.Column("api_client_id", schema.Number, nullable=True),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("zip_file_name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("culture", sa.Text(), nullable=True),
        sa.Column("resolver_id", sa.Text(), nullable=True),
        sa.Column("request", schema.Document(), nullable=False),
        sa.Column("plan", schema.Document(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("planned", schema.Flag(), nullable=False),
        sa.Column("planned_to", schema.Number, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("has_conversions", schema.Flag(), nullable=False),
        sa.Column("target_count", schema.Number, nullable=False),
        sa.Column("left_out", schema.Number, nullable=False),
        sa.Column("files_total", schema.Number, nullable=False),
        sa.Column("files_completed", schema.Number, nullable=False),
        sa.Column("files_failed", schema.Number, nullable=False),
        sa.Column("bytes_total", schema.Number, nullable=False),
        sa.Column("product_ids", schema.Document(), nullable=False),
        sa.Column("package_sha256", sa.Text(), nullable=True),
        sa.Column("additional_info", sa.Text(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("modified_at", schema.Instant(), nullable=False),
        sa.Column("modified_by", sa.Text(), nullable=False),
        sa.Column("lives_days", sa.Integer(), nullable=False),
        sa.Column("started_at", schema.Instant(), nullable=True),
        sa.Column("completed_at", schema.Instant(), nullable=True),
        sa.Column("expires_at", schema.Instant(), nullable=True),
        sa.CheckConstraint(
            "status IN ('Pending', 'InProgress', 'Completed', 'CompletedWithErrors', 'Failed',"
            " 'Cancelled', 'Expired')",
            name=op.f("ck_orders_status"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_orders_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["package_sha256"], ["blobs.sha256"], name=op.f("fk_orders_package_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_orders_organisation_id_id", "orders", ["organisation_id", "id"], unique=False
    )
    op.create_index("ix_orders_package_sha256", "orders", ["package_sha256"], unique=False)
    op.create_index("ix_orders_principal_id", "orders", ["principal", "id"], unique=False)
    op.create_index("ix_orders_status_expires_at", "orders", ["status", "expires_at"], unique=False)


def _create_selected_assets() -> None:
    op.create_table(
        "selected_assets",
        sa.Column("selection_id", schema.Number, nullable=False),
        sa.Column("asset_id", schema.Number, nullable=False),
        sa.ForeignKeyConstraint(
            ["selection_id"],
            ["selections.id"],
            name=op.f("fk_selected_assets_selection_id_selections"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("selection_id", "asset_id", name=op.f("pk_selected_assets")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_assets() -> None:
    op.create_table(
        "assets",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("title", schema.Document(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("media_group", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("facts", schema.Document(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("product_id", schema.Number, nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.Column("deleted_at", schema.Instant(), nullable=True),
        sa.CheckConstraint(
            "visibility = 'public' OR product_id IS NOT NULL", name=op.f("ck_assets_product_id")
        ),
        sa.CheckConstraint(
            "visibility IN ('public', 'entitled')", name=op.f("ck_assets_visibility")
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_assets_product_id_products")
        ),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_assets_sha256_blobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("identifier", name=op.f("uq_assets_identifier")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_assets_media_group", "assets", ["media_group"], unique=False)
    op.create_index("ix_assets_product_id", "assets", ["product_id"], unique=False)
    op.create_index("ix_assets_sha256", "assets", ["sha256"], unique=False)


def _create_former_files() -> None:
    op.create_table(
        "former_files",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("asset_id", schema.Number, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("left_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"], ["blobs.sha256"], name=op.f("fk_former_files_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_former_files")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_former_files_sha256", "former_files", ["sha256"], unique=False)


def _create_order_files() -> None:
    op.create_table(
        "order_files",
        sa.Column("order_id", schema.Number, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_order_files_order_id_orders"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["sha256"], ["blobs.sha256"], name=op.f("fk_order_files_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("order_id", "name", name=op.f("pk_order_files")),
        sqlite_strict=True,
    )
    op.create_index("ix_order_files_sha256", "order_files", ["sha256"], unique=False)


def _create_order_items() -> None:
    op.create_table(
        "order_items",
        sa.Column("order_id", schema.Number, nullable=False),
        sa.Column("asset_id", schema.Number, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rendition", sa.Text(), nullable=False),
        sa.Column("recipe_key", sa.Text(), nullable=True),
        sa.Column("source_sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("result_sha256", sa.Text(), nullable=True),
        sa.Column("extension", sa.Text(), nullable=True),
        sa.Column("keep_as", schema.Document(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'done', 'failed', 'cancelled')", name=op.f("ck_order_items_state")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_order_items_order_id_orders"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["result_sha256"], ["blobs.sha256"], name=op.f("fk_order_items_result_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("order_id", "asset_id", "position", name=op.f("pk_order_items")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_order_items_pending",
        "order_items",
        ["order_id", "recipe_key", "source_sha256"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_order_items_result_sha256",
        "order_items",
        ["result_sha256"],
        unique=False,
        sqlite_where=sa.text("result_sha256 IS NOT NULL"),
        postgresql_where=sa.text("result_sha256 IS NOT NULL"),
    )
    op.create_index(
        "ix_order_items_source_sha256_recipe_key",
        "order_items",
        ["source_sha256", "recipe_key"],
        unique=False,
        sqlite_where=sa.text("recipe_key IS NOT NULL"),
        postgresql_where=sa.text("recipe_key IS NOT NULL"),
    )


def _create_order_recipes() -> None:
    op.create_table(
        "order_recipes",
        sa.Column("order_id", schema.Number, nullable=False),
        sa.Column("recipe_key", sa.Text(), nullable=False),
        sa.Column("recipe", schema.Document(), nullable=False),
        sa.Column("product_ids", schema.Document(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_order_recipes_order_id_orders"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("order_id", "recipe_key", name=op.f("pk_order_recipes")),
        sqlite_strict=True,
    )


def _create_order_targets() -> None:
    op.create_table(
        "order_targets",
        sa.Column("order_id", schema.Number, nullable=False),
        sa.Column("asset_id", schema.Number, nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("title", schema.Document(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("media_group", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("product_id", schema.Number, nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.id"],
            name=op.f("fk_order_targets_order_id_orders"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("order_id", "asset_id", name=op.f("pk_order_targets")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _create_user_renditions() -> None:
    op.create_table(
        "user_renditions",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("asset_id", schema.Number, nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("culture", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("recipe_key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("product_ids", schema.Document(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["assets.id"],
            name=op.f("fk_user_renditions_asset_id_assets"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_user_renditions_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["sha256"], ["blobs.sha256"], name=op.f("fk_user_renditions_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_renditions")),
        sa.UniqueConstraint(
            "asset_id",
            "organisation_id",
            "label",
            "recipe_key",
            name=op.f("uq_user_renditions_asset_id_organisation_id_label_recipe_key"),
        ),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_user_renditions_sha256", "user_renditions", ["sha256"], unique=False)


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", schema.Number, nullable=False),
        sa.Column("converts", schema.Flag(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("beaten_at", schema.Number, nullable=False),
        sa.Column("ended_at", schema.Number, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
        sqlite_strict=True,
    )


def _create_events_index() -> None:
    op.create_index("ix_events_subject_id", "events", ["subject", "id"], unique=False)
