"""What there is to download: products, releases, artifacts, and the bytes behind them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from entrepot.db.schema import Document, Flag, Instant, Number, metadata
from entrepot.kit.ids import new_version

licences = Table(
    "licences",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

licence_revisions = Table(
    "licence_revisions",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("licence_id", Number, ForeignKey("licences.id"), nullable=False),
    Column("revision", Integer, nullable=False),  # 1, 2, 3, ... within the licence
    Column("text", Text, nullable=False),
    Column("sha256", Text, nullable=False),  # of the text, UTF-8
    Column("published_at", Instant, nullable=False),
    UniqueConstraint("licence_id", "revision"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

products = Table(
    "products",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("grouped", Flag, nullable=False),  # a group: its members are in product_members
    Column("listed", Flag, nullable=False),  # shown to everyone in the product code list
    Column("us_eccn", Document, nullable=False),  # list of US export control numbers
    Column("eccn_restricted", Flag, nullable=False),
    Column("delivery_method", Text, nullable=False),
    Column("foundries", Document, nullable=False),
    Column("process", Text),
    Column("licence_id", Number, ForeignKey("licences.id")),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

product_members = Table(
    "product_members",
    metadata,
    Column("group_id", Number, ForeignKey("products.id", ondelete="CASCADE"), primary_key=True),
    Column("product_id", Number, ForeignKey("products.id"), primary_key=True),
    Column("position", Integer, nullable=False),
    sqlite_strict=True,
)
Index("ix_product_members_product_id", product_members.c.product_id)

releases = Table(
    "releases",
    metadata,
    Column("id", Text, primary_key=True),  # UUID
    Column("product_id", Number, ForeignKey("products.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("revision", Text),
    Column("patch", Text),
    Column("major_version", Text),
    Column("minor_version", Text),
    Column("quality", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("available_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint("state IN ('draft', 'available', 'withdrawn')", name="state"),
    CheckConstraint("state = 'draft' OR available_at IS NOT NULL", name="available_at"),
    UniqueConstraint("product_id", "name"),
    sqlite_strict=True,
)
Index("ix_releases_product_id_available_at", releases.c.product_id, releases.c.available_at)

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("size", Number, nullable=False),
    Column("md5", Text, nullable=False),
    Column("crc32", Number, nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_strict=True,
)

# Of objects that have more than one chunk. Goes with the bytes: it does not keep them.
blob_chunks = Table(
    "blob_chunks",
    metadata,
    Column("sha256", Text, ForeignKey("blobs.sha256", ondelete="CASCADE"), primary_key=True),
    Column("digests", LargeBinary, nullable=False),  # SHA-256 of each 4 MiB, 32 bytes each
    sqlite_strict=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),  # UUID
    Column("release_id", Text, ForeignKey("releases.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),  # the publisher's order, from 1
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("repository", Text, nullable=False),
    Column("controlled", Flag, nullable=False),  # the repository's name says `controlled`
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("release_id", "position"),
    UniqueConstraint("release_id", "file_name"),
    sqlite_strict=True,
)
Index("ix_artifacts_sha256", artifacts.c.sha256)

assets = Table(
    "assets",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("identifier", Text, nullable=False, unique=True),
    Column("title", Document, nullable=False),  # culture -> text
    Column("folder", Text, nullable=False),  # '' or 'a/b', as it was added
    Column("media_group", Text, nullable=False),  # Images, Videos, ... by content
    Column("file_name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("facts", Document, nullable=False),  # width, height, pages, duration_seconds, ...
    Column("visibility", Text, nullable=False),
    Column("product_id", Number, ForeignKey("products.id")),  # whose entitlement gives it
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    CheckConstraint("visibility IN ('public', 'entitled')", name="visibility"),
    CheckConstraint("visibility = 'public' OR product_id IS NOT NULL", name="product_id"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_assets_product_id", assets.c.product_id)
Index("ix_assets_sha256", assets.c.sha256)
Index("ix_assets_media_group", assets.c.media_group)

# Files that an asset had before it was given another, or before it was purged. An order placed
# before delivers them, so their bytes stay until none needs them (orders/former.py).
former_files = Table(
    "former_files",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("asset_id", Number, nullable=False),  # the asset may be gone
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("left_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_former_files_sha256", former_files.c.sha256)

# Kept from orders at the customer's wish; standard renditions are results of conversions.
user_renditions = Table(
    "user_renditions",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("asset_id", Number, ForeignKey("assets.id", ondelete="CASCADE"), nullable=False),
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("culture", Text),
    Column("description", Text),
    Column("recipe_key", Text, nullable=False),
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("extension", Text, nullable=False),  # without the dot
    Column("content_type", Text, nullable=False),
    Column("product_ids", Document, nullable=False),  # whose entitlements lent its watermarks
    Column("created_by", Text, nullable=False),  # principal
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("asset_id", "organisation_id", "label", "recipe_key"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_user_renditions_sha256", user_renditions.c.sha256)

# Files that are shown with a product, as a shop lists them: not releases, no entitlement needed
# unless the visibility says so.
product_downloads = Table(
    "product_downloads",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("product_id", Number, ForeignKey("products.id"), nullable=False),
    Column("sequence", Integer, nullable=False),  # from 1, without gaps within the product
    Column("title", Text),
    Column("description", Text),
    Column("visibility", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("directory", Text, nullable=False),  # '' or 'a/b', as it was given
    Column("content_type", Text, nullable=False),
    Column("sha256", Text, ForeignKey("blobs.sha256"), nullable=False),
    Column("source_url", Text),  # where it was fetched from
    Column("created_at", Instant, nullable=False),
    Column("created_by", Number),  # a person's number; null for machines and imports
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Number),
    # Another one whenever anything of the row changes: with its number it stands for the row.
    Column("version", Text, nullable=False, default=new_version, onupdate=new_version),
    CheckConstraint("visibility IN ('public', 'contact', 'purchase')", name="visibility"),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
# A page is read from it alone (product_download_lists).
Index(
    "ix_product_downloads_product_id_sequence",
    *product_downloads.c["product_id", "sequence", "version"],
)
Index("ix_product_downloads_sha256", product_downloads.c.sha256)
