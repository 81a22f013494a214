"""The first tables: accounts, catalogue, entitlements, delivery, events."""

import sqlalchemy as sa
from alembic import op

from entrepot.db import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Where each sequence of numbers starts: ids of different kinds do not look alike.
_FIRST_NUMBERS = {
    "organisations": 101,
    "users": 10001,
    "api_clients": 501,
    "products": 3001,
    "licences": 11,
    "licence_revisions": 11,
    "entitlements": 100001,
}


def upgrade() -> None:
    """Apply."""
    _create_blobs()
    _create_events()
    _create_keys()
    _create_leases()
    _create_licences()
    _create_organisations()
    _create_sign_in_attempts()
    _create_transfers()
    _create_api_clients()
    _create_licence_revisions()
    _create_products()
    _create_users()
    _create_acceptances()
    _create_entitlements()
    _create_product_members()
    _create_releases()
    _create_sessions()
    _create_artifacts()
    _create_downloads()
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


def _create_blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", schema.Number, nullable=False),
        sa.Column("md5", sa.Text(), nullable=False),
        sa.Column("crc32", schema.Number, nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
        sqlite_strict=True,
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("at", schema.Instant(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("data", schema.Document(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_events_organisation_id_id", "events", ["organisation_id", "id"], unique=False
    )
    op.create_index("ix_events_type_at", "events", ["type", "at"], unique=False)


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("public", schema.Document(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("signs_from", schema.Instant(), nullable=False),
        sa.Column("retires_at", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_keys")),
        sqlite_strict=True,
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("user_id", schema.Number, nullable=True),
        sa.Column("api_client_id", schema.Number, nullable=True),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("entitlement_id", schema.Number, nullable=False),
        sa.Column("child_product_id", schema.Number, nullable=True),
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("declared_country", sa.Text(), nullable=True),
        sa.Column("licence_revision_id", schema.Number, nullable=True),
        sa.Column("issued_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
        sqlite_strict=True,
    )
    op.create_index("ix_leases_artifact_id", "leases", ["artifact_id"], unique=False)
    op.create_index("ix_leases_expires_at", "leases", ["expires_at"], unique=False)


def _create_licences() -> None:
    op.create_table(
        "licences",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_licences")),
        sa.UniqueConstraint("code", name=op.f("uq_licences_code")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _create_organisations() -> None:
    op.create_table(
        "organisations",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("blocked", schema.Flag(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("name", name=op.f("uq_organisations_name")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _create_sign_in_attempts() -> None:
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempts")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_sign_in_attempts_subject_at", "sign_in_attempts", ["subject", "at"], unique=False
    )


def _create_transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("lease_id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("entitlement_id", schema.Number, nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("first_byte", schema.Number, nullable=False),
        sa.Column("length", schema.Number, nullable=False),
        sa.Column("started_at", schema.Instant(), nullable=False),
        sa.Column("ended_at", schema.Instant(), nullable=False),
        sa.Column("whole", schema.Flag(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_transfers_principal_artifact_id",
        "transfers",
        ["principal", "artifact_id", "ended_at"],
        unique=False,
    )


def _create_api_clients() -> None:
    op.create_table(
        "api_clients",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("roles", schema.Document(), nullable=False),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("grants", schema.Document(), nullable=False),
        sa.Column("disabled_at", schema.Instant(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_api_clients_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_clients")),
        sa.UniqueConstraint("client_id", name=op.f("uq_api_clients_client_id")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_api_clients_organisation_id"), "api_clients", ["organisation_id"], unique=False
    )


def _create_licence_revisions() -> None:
    op.create_table(
        "licence_revisions",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("licence_id", schema.Number, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("published_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["licence_id"], ["licences.id"], name=op.f("fk_licence_revisions_licence_id_licences")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_licence_revisions")),
        sa.UniqueConstraint(
            "licence_id", "revision", name=op.f("uq_licence_revisions_licence_id_revision")
        ),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("grouped", schema.Flag(), nullable=False),
        sa.Column("listed", schema.Flag(), nullable=False),
        sa.Column("us_eccn", schema.Document(), nullable=False),
        sa.Column("eccn_restricted", schema.Flag(), nullable=False),
        sa.Column("delivery_method", sa.Text(), nullable=False),
        sa.Column("foundries", schema.Document(), nullable=False),
        sa.Column("process", sa.Text(), nullable=True),
        sa.Column("licence_id", schema.Number, nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["licence_id"], ["licences.id"], name=op.f("fk_products_licence_id_licences")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("code", name=op.f("uq_products_code")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("given_name", sa.Text(), nullable=False),
        sa.Column("family_name", sa.Text(), nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("roles", schema.Document(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_invited", schema.Flag(), nullable=False, server_default=sa.false()),
        sa.Column("disabled_at", schema.Instant(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_users_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_users_organisation_id"), "users", ["organisation_id"], unique=False)


def _create_acceptances() -> None:
    op.create_table(
        "acceptances",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("revision_id", schema.Number, nullable=False),
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("for_organisation", schema.Flag(), nullable=False),
        sa.Column("accepted_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_acceptances_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["revision_id"],
            ["licence_revisions.id"],
            name=op.f("fk_acceptances_revision_id_licence_revisions"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_acceptances_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptances")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_acceptances_revision_id_organisation_id",
        "acceptances",
        ["revision_id", "organisation_id"],
        unique=False,
    )
    op.create_index(
        "ix_acceptances_revision_id_user_id",
        "acceptances",
        ["revision_id", "user_id"],
        unique=False,
    )


def _create_entitlements() -> None:
    op.create_table(
        "entitlements",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("product_id", schema.Number, nullable=False),
        sa.Column("right_to", sa.Text(), nullable=False),
        sa.Column("free", schema.Flag(), nullable=False),
        sa.Column("qualities", schema.Codes(), nullable=False),
        sa.Column("valid_from", schema.Instant(), nullable=False),
        sa.Column("valid_to", schema.Instant(), nullable=True),
        sa.Column("maintenance_from", schema.Instant(), nullable=True),
        sa.Column("maintenance_to", schema.Instant(), nullable=True),
        sa.Column("design_start", schema.Document(), nullable=False),
        sa.Column("allowed_countries", schema.Codes(), nullable=False),
        sa.Column("compliance", sa.Text(), nullable=False),
        sa.Column("compliance_reason", sa.Text(), nullable=True),
        sa.Column("licence_revision_id", schema.Number, nullable=True),
        sa.Column("sales_order_item", sa.Text(), nullable=True),
        sa.Column("activated_at", schema.Instant(), nullable=False),
        sa.Column("revoked_at", schema.Instant(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.CheckConstraint(
            "compliance IN ('approved', 'pending', 'blocked')",
            name=op.f("ck_entitlements_compliance"),
        ),
        sa.ForeignKeyConstraint(
            ["licence_revision_id"],
            ["licence_revisions.id"],
            name=op.f("fk_entitlements_licence_revision_id_licence_revisions"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_entitlements_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_entitlements_product_id_products")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entitlements")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_entitlements_organisation_id_product_id",
        "entitlements",
        [
            "organisation_id",
            "product_id",
            "right_to",
            "valid_from",
            "valid_to",
            "maintenance_to",
            "revoked_at",
            "compliance",
        ],
        unique=False,
    )
    op.create_index("ix_entitlements_product_id", "entitlements", ["product_id"], unique=False)


def _create_product_members() -> None:
    op.create_table(
        "product_members",
        sa.Column("group_id", schema.Number, nullable=False),
        sa.Column("product_id", schema.Number, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["products.id"],
            name=op.f("fk_product_members_group_id_products"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_product_members_product_id_products")
        ),
        sa.PrimaryKeyConstraint("group_id", "product_id", name=op.f("pk_product_members")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_product_members_product_id", "product_members", ["product_id"], unique=False
    )


def _create_releases() -> None:
    op.create_table(
        "releases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("product_id", schema.Number, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=True),
        sa.Column("patch", sa.Text(), nullable=True),
        sa.Column("major_version", sa.Text(), nullable=True),
        sa.Column("minor_version", sa.Text(), nullable=True),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("available_at", schema.Instant(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.CheckConstraint(
            "state = 'draft' OR available_at IS NOT NULL", name=op.f("ck_releases_available_at")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'available', 'withdrawn')", name=op.f("ck_releases_state")
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_releases_product_id_products")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("product_id", "name", name=op.f("uq_releases_product_id_name")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_releases_product_id_available_at",
        "releases",
        ["product_id", "available_at"],
        unique=False,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
        sqlite_strict=True,
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], unique=False)


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("controlled", schema.Flag(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"],
            ["releases.id"],
            name=op.f("fk_artifacts_release_id_releases"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["sha256"], ["blobs.sha256"], name=op.f("fk_artifacts_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint(
            "release_id", "file_name", name=op.f("uq_artifacts_release_id_file_name")
        ),
        sa.UniqueConstraint(
            "release_id", "position", name=op.f("uq_artifacts_release_id_position")
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_artifacts_sha256", "artifacts", ["sha256"], unique=False)


def _create_downloads() -> None:
    op.create_table(
        "downloads",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("entitlement_id", schema.Number, nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("started_at", schema.Instant(), nullable=False),
        sa.Column("completed_at", schema.Instant(), nullable=True),
        sa.Column("last_byte_at", schema.Instant(), nullable=False),
        sa.Column("bytes_sent", schema.Number, nullable=False),
        sa.ForeignKeyConstraint(
            ["entitlement_id"],
            ["entitlements.id"],
            name=op.f("fk_downloads_entitlement_id_entitlements"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_downloads")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_downloads_artifact_id", "downloads", ["artifact_id"], unique=False)
    op.create_index(
        "ix_downloads_principal_artifact_id",
        "downloads",
        ["principal", "artifact_id", "started_at"],
        unique=False,
    )
