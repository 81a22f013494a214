"""Links to the ZIP of a release or of an order, and to an asset's file, beside an artifact's."""

import sqlalchemy as sa
from alembic import op

from entrepot.db import schema

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# SQLite changes a column by copying its table; what Alembic cannot read off the old one:
_STRICT = {"sqlite_strict": True}
_NUMBERED = {"sqlite_strict": True, "sqlite_autoincrement": True}


def upgrade() -> None:
    """Apply."""
    _change_leases()
    _change_transfers()
    _change_downloads()


def _change_leases() -> None:
    with op.batch_alter_table("leases", table_kwargs=_STRICT) as table:
        table.alter_column("entitlement_id", existing_type=schema.Number, nullable=True)
        table.alter_column("release_id", existing_type=sa.Text(), nullable=True)
        table.alter_column("artifact_id", existing_type=sa.Text(), nullable=True)
        table.add_column(sa.Column("order_id", schema.Number, nullable=True))
        table.add_column(sa.Column("asset_id", schema.Number, nullable=True))
        for name in ("sha256", "file_name", "content_type"):
            table.add_column(sa.Column(name, sa.Text(), nullable=True))
        table.create_check_constraint(
            op.f("ck_leases_object"),
            "order_id IS NOT NULL OR asset_id IS NOT NULL"
            " OR (entitlement_id IS NOT NULL AND release_id IS NOT NULL)",
        )


def _change_transfers() -> None:
    op.drop_index("ix_transfers_principal_artifact_id", "transfers")
    with op.batch_alter_table("transfers", table_kwargs=_NUMBERED) as table:
        table.alter_column("entitlement_id", existing_type=schema.Number, nullable=True)
        table.alter_column(
            "artifact_id", existing_type=sa.Text(), new_column_name="object", nullable=True
        )
    op.execute("UPDATE transfers SET object = 'artifact:' || object")
    with op.batch_alter_table("transfers", table_kwargs=_NUMBERED) as table:
        # Only now, because PostgreSQL 18 names this constraint after the column.
        table.alter_column("object", existing_type=sa.Text(), nullable=False)
    op.create_index(
        "ix_transfers_principal_object",
        "transfers",
        ["principal", "object", "ended_at"],
        unique=False,
    )


def _change_downloads() -> None:
    op.drop_index("ix_downloads_principal_artifact_id", "downloads")
    with op.batch_alter_table("downloads", table_kwargs=_NUMBERED) as table:
        table.alter_column("entitlement_id", existing_type=schema.Number, nullable=True)
        table.alter_column("artifact_id", existing_type=sa.Text(), nullable=True)
        table.add_column(sa.Column("release_id", sa.Text(), nullable=True))
        table.add_column(sa.Column("order_id", schema.Number, nullable=True))
        table.add_column(sa.Column("asset_id", schema.Number, nullable=True))
        table.add_column(sa.Column("object", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("file_name", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("size", schema.Number, nullable=False, server_default="0"))
    op.execute(
        "UPDATE downloads SET object = 'artifact:' || artifact_id,"
        " release_id = (SELECT release_id FROM artifacts WHERE id = downloads.artifact_id),"
        " file_name = coalesce("
        "(SELECT file_name FROM artifacts WHERE id = downloads.artifact_id), ''),"
        " size = coalesce((SELECT b.size FROM artifacts a JOIN blobs b ON b.sha256 = a.sha256"
        " WHERE a.id = downloads.artifact_id), bytes_sent)"
    )
    with op.batch_alter_table("downloads", table_kwargs=_NUMBERED) as table:
        for name, kind in (("object", sa.Text()), ("file_name", sa.Text())):
            table.alter_column(name, existing_type=kind, server_default=None)
        table.alter_column("size", existing_type=schema.Number, server_default=None)
    op.create_index(
        "ix_downloads_principal_object",
        "downloads",
        ["principal", "object", "started_at"],
        unique=False,
    )
    op.create_index("ix_downloads_order_id", "downloads", ["order_id"], unique=False)
