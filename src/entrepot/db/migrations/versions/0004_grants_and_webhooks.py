"""Grants of the OAuth server, product downloads, webhooks, quotas; what leases can be for."""

import sqlalchemy as sa
from alembic import op

from entrepot.db import schema

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Where each sequence of numbers starts: ids of different kinds do not look alike.
_FIRST_NUMBERS = {
    "product_downloads": 40001,
    "contacts": 60001,
    "webhooks": 3001,
    "personal_tokens": 1001,
}
_STRICT = {"sqlite_strict": True}


def upgrade() -> None:
    """Apply."""
    _change_clients()  # while nothing refers to them: on SQLite they are made anew
    _create_contacts()
    _create_revoked_tokens()
    _create_webhook_progress()
    _create_authorization_codes()
    _create_consents()
    _create_device_codes()
    _create_identities()
    _create_personal_tokens()
    _create_product_downloads()
    _create_token_families()
    _create_used_assertions()
    _create_webhooks()
    _create_refresh_tokens()
    _create_reservations()
    _create_invitations()
    _create_webhook_deliveries()
    _create_webhook_attempts()
    _change_users()
    _change_sessions()
    _change_entitlements()
    _change_leases()
    _change_downloads()
    _create_event_retention()
    _guard_events()
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


def _change_clients() -> None:
    strict = _STRICT | {"sqlite_autoincrement": True}
    with op.batch_alter_table("api_clients", table_kwargs=strict) as table:
        table.alter_column("organisation_id", existing_type=schema.Number, nullable=True)
        table.add_column(
            sa.Column("public", schema.Flag(), nullable=False, server_default=sa.false())
        )
        table.add_column(sa.Column("pkce", schema.Flag(), nullable=False, server_default=sa.true()))
        table.add_column(
            sa.Column("redirect_uris", schema.Document(), nullable=False, server_default="[]")
        )
        table.add_column(sa.Column("assertion_key", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        # The numbers that were given go with the table that was.
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'api_clients'")
        op.execute(
            "INSERT INTO sqlite_sequence (name, seq) "
            "SELECT 'api_clients', max(500, coalesce(max(id), 0)) FROM api_clients"
        )


def _change_users() -> None:
    op.add_column("users", sa.Column("disabled_by", sa.Text(), nullable=True))


def _change_sessions() -> None:
    op.add_column("sessions", sa.Column("issuer", sa.Text(), nullable=True))


def _change_entitlements() -> None:
    for name in ("downloads_max", "bytes_max", "addresses_max"):
        op.add_column("entitlements", sa.Column(name, schema.Number, nullable=True))


def _change_leases() -> None:
    with op.batch_alter_table("leases", table_kwargs=_STRICT) as table:
        table.add_column(sa.Column("product_download_id", schema.Number, nullable=True))
        table.drop_constraint(op.f("ck_leases_object"), type_="check")
        table.create_check_constraint(
            op.f("ck_leases_object"),
            "order_id IS NOT NULL OR asset_id IS NOT NULL OR product_download_id IS NOT NULL"
            " OR (entitlement_id IS NOT NULL AND release_id IS NOT NULL)",
        )


def _change_downloads() -> None:
    op.add_column("downloads", sa.Column("product_download_id", schema.Number, nullable=True))


def _create_contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("consented_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_contacts_token_hash")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _create_revoked_tokens() -> None:
    op.create_table(
        "revoked_tokens",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("revoked_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_revoked_tokens")),
        sqlite_strict=True,
    )
    op.create_index("ix_revoked_tokens_expires_at", "revoked_tokens", ["expires_at"], unique=False)


def _create_webhook_progress() -> None:
    op.create_table(
        "webhook_progress",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", schema.Number, nullable=False),
        sa.Column("looked_at", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_progress")),
        sqlite_strict=True,
    )


def _create_authorization_codes() -> None:
    op.create_table(
        "authorization_codes",
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("api_client_id", schema.Number, nullable=False),
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=True),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("challenge", sa.Text(), nullable=True),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("signed_in_at", schema.Instant(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("used_at", schema.Instant(), nullable=True),
        sa.Column("family_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_authorization_codes_api_client_id_api_clients"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_authorization_codes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_authorization_codes")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_authorization_codes_expires_at", "authorization_codes", ["expires_at"], unique=False
    )


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("api_client_id", schema.Number, nullable=False),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("given_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_consents_api_client_id_api_clients"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_consents_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "api_client_id", name=op.f("pk_consents")),
        sqlite_strict=True,
    )


def _create_device_codes() -> None:
    op.create_table(
        "device_codes",
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("api_client_id", schema.Number, nullable=False),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("polled_at", schema.Instant(), nullable=True),
        sa.Column("user_id", schema.Number, nullable=True),
        sa.Column("decided_at", schema.Instant(), nullable=True),
        sa.Column("approved", schema.Flag(), nullable=True),
        sa.Column("used_at", schema.Instant(), nullable=True),
        sa.Column("family_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_device_codes_api_client_id_api_clients"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_device_codes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_device_codes")),
        sa.UniqueConstraint("user_code", name=op.f("uq_device_codes_user_code")),
        sqlite_strict=True,
    )
    op.create_index("ix_device_codes_expires_at", "device_codes", ["expires_at"], unique=False)


def _create_identities() -> None:
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("signed_in_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_identities_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
        sqlite_strict=True,
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"], unique=False)


def _create_personal_tokens() -> None:
    op.create_table(
        "personal_tokens",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("networks", schema.Document(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("used_at", schema.Instant(), nullable=True),
        sa.Column("revoked_at", schema.Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_personal_tokens_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_personal_tokens_token_hash")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_personal_tokens_user_id", "personal_tokens", ["user_id"], unique=False)


def _create_product_downloads() -> None:
    op.create_table(
        "product_downloads",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("product_id", schema.Number, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("created_by", schema.Number, nullable=True),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.Column("changed_by", schema.Number, nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "visibility IN ('public', 'contact', 'purchase')",
            name=op.f("ck_product_downloads_visibility"),
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_product_downloads_product_id_products")
        ),
        sa.ForeignKeyConstraint(
            ["sha256"], ["blobs.sha256"], name=op.f("fk_product_downloads_sha256_blobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_downloads")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_product_downloads_product_id_sequence",
        "product_downloads",
        ["product_id", "sequence", "version"],
        unique=False,
    )
    op.create_index("ix_product_downloads_sha256", "product_downloads", ["sha256"], unique=False)


def _create_token_families() -> None:
    op.create_table(
        "token_families",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("api_client_id", schema.Number, nullable=True),
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("revoked_at", schema.Instant(), nullable=True),
        sa.Column("revoked_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_token_families_api_client_id_api_clients"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_token_families_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_families")),
        sqlite_strict=True,
    )
    op.create_index("ix_token_families_expires_at", "token_families", ["expires_at"], unique=False)
    op.create_index("ix_token_families_user_id", "token_families", ["user_id"], unique=False)


def _create_used_assertions() -> None:
    op.create_table(
        "used_assertions",
        sa.Column("api_client_id", schema.Number, nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_used_assertions_api_client_id_api_clients"),
        ),
        sa.PrimaryKeyConstraint("api_client_id", "token_id", name=op.f("pk_used_assertions")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_used_assertions_expires_at", "used_assertions", ["expires_at"], unique=False
    )


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("organisation_id", schema.Number, nullable=False),
        sa.Column("api_client_id", schema.Number, nullable=True),
        sa.Column("everything", schema.Flag(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", schema.Document(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("former_secret", sa.Text(), nullable=True),
        sa.Column("former_until", schema.Instant(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("changed_at", schema.Instant(), nullable=False),
        sa.Column("failing_since", schema.Instant(), nullable=True),
        sa.Column("disabled_at", schema.Instant(), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_client_id"],
            ["api_clients.id"],
            name=op.f("fk_webhooks_api_client_id_api_clients"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_webhooks_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("ix_webhooks_organisation_id", "webhooks", ["organisation_id"], unique=False)


def _create_refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("family_id", sa.Text(), nullable=False),
        sa.Column("scopes", schema.Document(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.Column("used_at", schema.Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["family_id"],
            ["token_families.id"],
            name=op.f("fk_refresh_tokens_family_id_token_families"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_refresh_tokens_family_id"), "refresh_tokens", ["family_id"], unique=False
    )
    op.create_index("ix_refresh_tokens_expires_at", "refresh_tokens", ["expires_at"], unique=False)


def _create_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("entitlement_id", schema.Number, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("bytes", schema.Number, nullable=False),
        sa.Column("begun_at", schema.Instant(), nullable=False),
        sa.Column("reserved_at", schema.Instant(), nullable=False),
        sa.Column("last_byte_at", schema.Instant(), nullable=False),
        sa.Column("completed_at", schema.Instant(), nullable=True),
        sa.Column("given_back_at", schema.Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["entitlement_id"],
            ["entitlements.id"],
            name=op.f("fk_reservations_entitlement_id_entitlements"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_reservations_entitlement_id_principal_object",
        "reservations",
        ["entitlement_id", "principal", "object", "reserved_at"],
        unique=False,
    )
    op.create_table(
        "reservation_addresses",
        sa.Column("reservation_id", schema.Number, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reservation_id"],
            ["reservations.id"],
            name=op.f("fk_reservation_addresses_reservation_id_reservations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reservation_id", "address", name=op.f("pk_reservation_addresses")),
        sqlite_strict=True,
    )


def _create_invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("user_id", schema.Number, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("expires_at", schema.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_invitations_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitations_token_hash")),
        sqlite_strict=True,
    )


def _create_webhook_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("webhook_id", schema.Number, nullable=False),
        sa.Column("event_id", schema.Number, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", schema.Instant(), nullable=True),
        sa.Column("created_at", schema.Instant(), nullable=False),
        sa.Column("ended_at", schema.Instant(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_webhook_deliveries_webhook_id_webhooks"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint(
            "webhook_id", "event_id", name=op.f("uq_webhook_deliveries_webhook_id_event_id")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_webhook_deliveries_webhook_id_state_due_at",
        "webhook_deliveries",
        ["webhook_id", "state", "due_at"],
        unique=False,
    )
    op.create_index(
        "ix_webhook_deliveries_created_at", "webhook_deliveries", ["created_at"], unique=False
    )


def _create_webhook_attempts() -> None:
    op.create_table(
        "webhook_attempts",
        sa.Column("id", schema.Number, autoincrement=True, nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("at", schema.Instant(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_deliveries.id"],
            name=op.f("fk_webhook_attempts_delivery_id_webhook_deliveries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempts")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_webhook_attempts_delivery_id"), "webhook_attempts", ["delivery_id"], unique=False
    )


def _create_event_retention() -> None:
    op.create_table(
        "event_retention",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("before", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_retention")),
        sqlite_strict=True,
    )


# A later migration that makes the table anew on SQLite has to make the triggers anew as well.
_GUARDS = {
    "sqlite": """
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END

CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM event_retention WHERE OLD.at < before)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
""",
    "postgresql": """
CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'DELETE' THEN
IF EXISTS (SELECT 1 FROM event_retention r WHERE OLD.at < r.before) THEN RETURN OLD; END IF;
END IF;
RAISE EXCEPTION 'events are append-only'; END $$

CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_event_change()

CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change()
""",
}


def _guard_events() -> None:
    for statement in _GUARDS[op.get_bind().dialect.name].strip().split("\n\n"):
        op.execute(sa.text(statement))
