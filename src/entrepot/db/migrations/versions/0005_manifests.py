"""Digests of chunks; signed manifests, their metadata and keys; licences accepted by machines."""

import sqlalchemy as sa
from alembic import op

from entrepot.db import schema

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_blob_chunks()
    _create_manifest_roles()
    _create_manifests()
    _create_manifest_keys()
    _create_client_acceptances()


def _create_blob_chunks() -> None:
    op.create_table(
        "blob_chunks",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["blobs.sha256"],
            name=op.f("fk_blob_chunks_sha256_blobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob_chunks")),
        sqlite_strict=True,
    )


def _create_manifest_roles() -> None:
    op.create_table(
        "manifest_roles",
        sa.Column("product_id", schema.Number, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.CheckConstraint(
            "role IN ('root', 'targets', 'snapshot', 'timestamp')",
            name=op.f("ck_manifest_roles_role"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name=op.f("fk_manifest_roles_product_id_products"),
        ),
        sa.PrimaryKeyConstraint("product_id", "role", "version", name=op.f("pk_manifest_roles")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_manifest_roles_role_expires_at", "manifest_roles", ["role", "expires_at"], unique=False
    )


def _create_manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"],
            ["releases.id"],
            name=op.f("fk_manifests_release_id_releases"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("release_id", "sha256", name=op.f("pk_manifests")),
        sqlite_strict=True,
    )


def _create_manifest_keys() -> None:
    op.create_table(
        "manifest_keys",
        sa.Column("product_id", schema.Number, nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("private", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.CheckConstraint("role IN ('online', 'targets')", name=op.f("ck_manifest_keys_role")),
        sa.ForeignKeyConstraint(
            ["product_id"],
            ["products.id"],
            name=op.f("fk_manifest_keys_product_id_products"),
        ),
        sa.PrimaryKeyConstraint("product_id", "key_id", name=op.f("pk_manifest_keys")),
        sqlite_strict=True,
    )


def _create_client_acceptances() -> None:
    op.create_table(
        "client_acceptances",
        sa.Column("revision_id", schema.Number, nullable=False),
        sa.Column("api_client_id", schema.Number, nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("accepted_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_client_acceptances_api_client_id_api_clients"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_client_acceptances_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["revision_id"],
            ["licence_revisions.id"],
            name=op.f("fk_client_acceptances_revision_id_licence_revisions"),
        ),
        sa.PrimaryKeyConstraint("revision_id", "api_client_id", name=op.f("pk_client_acceptances")),
        sqlite_strict=True,
    )
