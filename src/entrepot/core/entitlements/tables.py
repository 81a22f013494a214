"""Who may have what: entitlements and accepted licences."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from entrepot.db.schema import Codes, Document, Flag, Instant, Number, metadata

entitlements = Table(
    "entitlements",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False),
    Column("product_id", Number, ForeignKey("products.id"), nullable=False),
    Column("right_to", Text, nullable=False),
    Column("free", Flag, nullable=False),
    Column("qualities", Codes, nullable=False),  # none listed: every quality
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant),  # exclusive; null: for ever
    Column("maintenance_from", Instant),  # releases made available before it are not included
    Column("maintenance_to", Instant),  # ... nor those made available at or after it
    Column("design_start", Document, nullable=False),  # list of foundries
    Column("allowed_countries", Codes, nullable=False),  # none listed: every country
    Column("compliance", Text, nullable=False),
    Column("compliance_reason", Text),
    Column("licence_revision_id", Number, ForeignKey("licence_revisions.id")),  # pinned
    Column("sales_order_item", Text),
    # What may be taken in all; null: as much as anybody likes.
    Column("downloads_max", Number),
    Column("bytes_max", Number),
    Column("addresses_max", Number),
    Column("activated_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint("compliance IN ('approved', 'pending', 'blocked')", name="compliance"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
# All that ranks an entitlement, so that a long list is put in order from the index alone.
Index(
    "ix_entitlements_organisation_id_product_id",
    *entitlements.c[
        "organisation_id",
        "product_id",
        "right_to",
        "valid_from",
        "valid_to",
        "maintenance_to",
        "revoked_at",
        "compliance",
    ],
)
Index("ix_entitlements_product_id", entitlements.c.product_id)

acceptances = Table(
    "acceptances",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("revision_id", Number, ForeignKey("licence_revisions.id"), nullable=False),
    Column("user_id", Number, ForeignKey("users.id"), nullable=False),  # who accepted
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False),
    Column("for_organisation", Flag, nullable=False),
    Column("accepted_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
# A machine accepts for itself alone; a table of its own, as the other's rows are people's.
client_acceptances = Table(
    "client_acceptances",
    metadata,
    Column("revision_id", Number, ForeignKey("licence_revisions.id"), primary_key=True),
    Column("api_client_id", Number, ForeignKey("api_clients.id"), primary_key=True),
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False),
    Column("accepted_at", Instant, nullable=False),
    sqlite_strict=True,
)
Index("ix_acceptances_revision_id_user_id", *acceptances.c["revision_id", "user_id"])
Index(
    "ix_acceptances_revision_id_organisation_id", *acceptances.c["revision_id", "organisation_id"]
)
