"""What was converted already."""

from sqlalchemy import Column, ForeignKey, Index, Table, Text

from entrepot.db.schema import Document, Instant, metadata

conversions = Table(
    "conversions",
    metadata,
    Column("source_sha256", Text, primary_key=True),
    Column("recipe_key", Text, primary_key=True),  # digest of recipe and converter version
    Column("result_sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("extension", Text, nullable=False),  # without the dot
    Column("content_type", Text, nullable=False),
    Column("facts", Document, nullable=False),  # width, height, duration_seconds, ...
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=False),
    sqlite_strict=True,
)
Index("ix_conversions_result_sha256", conversions.c.result_sha256)
Index("ix_conversions_used_at", conversions.c.used_at)
