"""What was handed out: leases behind signed links, and what went over the wire."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from entrepot.db.schema import Flag, Instant, Number, metadata

# What a lease is for: an order's ZIP where `order_id` is set, a file of an asset where
# `asset_id` is, a product download where `product_download_id` is, an artifact where
# `artifact_id` is, else all of a release in one ZIP. Where nobody is signed in, the principal is
# `anyone` or `contact:<number>` and the organisation 0.
leases = Table(
    "leases",
    metadata,
    Column("id", Text, primary_key=True),  # 16 random bytes, hexadecimal
    Column("principal", Text, nullable=False),  # user:<number> or client:<client_id>
    Column("user_id", Number),
    Column("api_client_id", Number),
    Column("organisation_id", Number, nullable=False),
    Column("entitlement_id", Number),
    Column("child_product_id", Number),  # for a child of a grouped entitlement
    Column("release_id", Text),
    Column("artifact_id", Text),
    Column("order_id", Number),
    Column("asset_id", Number),
    Column("product_download_id", Number),
    Column("sha256", Text),  # of the asset's or product download's file; these two with it
    Column("file_name", Text),
    Column("content_type", Text),
    Column("country", Text, nullable=False),  # country by address, or the organisation's
    Column("declared_country", Text),
    Column("licence_revision_id", Number),  # the revision that held when the link was issued
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("request_id", Text),
    CheckConstraint(
        "order_id IS NOT NULL OR asset_id IS NOT NULL OR product_download_id IS NOT NULL"
        " OR (entitlement_id IS NOT NULL AND release_id IS NOT NULL)",
        name="object",
    ),
    sqlite_strict=True,
)
Index("ix_leases_expires_at", leases.c.expires_at)
Index("ix_leases_artifact_id", leases.c.artifact_id)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("lease_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("organisation_id", Number, nullable=False),
    Column("entitlement_id", Number),
    Column("object", Text, nullable=False),  # see transfers.py
    Column("first_byte", Number, nullable=False),
    Column("length", Number, nullable=False),  # bytes handed to the network from first_byte
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("whole", Flag, nullable=False),  # this request sent all that it set out to send
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_transfers_principal_object", *transfers.c["principal", "object", "ended_at"])

downloads = Table(
    "downloads",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("principal", Text, nullable=False),
    Column("organisation_id", Number, nullable=False),
    Column("entitlement_id", Number, ForeignKey("entitlements.id")),
    Column("artifact_id", Text),
    Column("release_id", Text),  # of the artifact, or the one that was taken whole
    Column("order_id", Number),
    Column("asset_id", Number),
    Column("product_download_id", Number),
    Column("object", Text, nullable=False),  # see transfers.py
    Column("file_name", Text, nullable=False),
    Column("size", Number, nullable=False),  # bytes of the whole
    Column("started_at", Instant, nullable=False),
    Column("completed_at", Instant),  # when the ranges sent first covered the artifact
    Column("last_byte_at", Instant, nullable=False),
    Column("bytes_sent", Number, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_downloads_principal_object", *downloads.c["principal", "object", "started_at"])
Index("ix_downloads_artifact_id", downloads.c.artifact_id)
Index("ix_downloads_order_id", downloads.c.order_id)

# What principals have taken, or are taking, of what an entitlement with a quota gives: one row
# for each time that somebody takes an object, as quotas.py says.
reservations = Table(
    "reservations",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("entitlement_id", Number, ForeignKey("entitlements.id"), nullable=False),
    Column("principal", Text, nullable=False),
    Column("object", Text, nullable=False),  # see transfers.py
    Column("bytes", Number, nullable=False),  # of the whole object
    Column("begun_at", Instant, nullable=False),  # ranges sent from then on make up the whole
    Column("reserved_at", Instant, nullable=False),  # the 24 hours of sharing begin
    Column("last_byte_at", Instant, nullable=False),
    Column("completed_at", Instant),
    Column("given_back_at", Instant),  # an hour without a byte, and not complete
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index(
    "ix_reservations_entitlement_id_principal_object",
    *reservations.c["entitlement_id", "principal", "object", "reserved_at"],
)

# Where the bytes of a reservation went: addresses, of IPv6 the network of 64 bits.
reservation_addresses = Table(
    "reservation_addresses",
    metadata,
    Column(
        "reservation_id",
        Number,
        ForeignKey("reservations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("address", Text, primary_key=True),
    sqlite_strict=True,
)
