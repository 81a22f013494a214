"""Signed metadata of each product's releases, the manifests that it names, and the hub's keys."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from entrepot.db.schema import Instant, Number, metadata

# Every root is kept, for clients walk from the one they trust to the newest; of the others as
# many as a client that began to read a moment ago may still ask for.
manifest_roles = Table(
    "manifest_roles",
    metadata,
    Column("product_id", Number, ForeignKey("products.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", Text, nullable=False),  # the signed JSON, byte for byte
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("role IN ('root', 'targets', 'snapshot', 'timestamp')", name="role"),
    sqlite_strict=True,
)
Index("ix_manifest_roles_role_expires_at", *manifest_roles.c["role", "expires_at"])

# Written as drafts of a signature; what is signed is what the newest targets metadata names.
manifests = Table(
    "manifests",
    metadata,
    Column(
        "release_id", Text, ForeignKey("releases.id", ondelete="CASCADE"), primary_key=True
    ),  # also the target's name
    Column("sha256", Text, primary_key=True),  # of the document, UTF-8
    Column("document", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_strict=True,
)

# Private keys that the hub itself holds: `online` for snapshots and timestamps always, `targets`
# where the publisher chose so.
manifest_keys = Table(
    "manifest_keys",
    metadata,
    Column("product_id", Number, ForeignKey("products.id"), primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("private", Text, nullable=False),  # sealed by SECRET_KEY
    Column("created_at", Instant, nullable=False),
    CheckConstraint("role IN ('online', 'targets')", name="role"),
    sqlite_strict=True,
)
