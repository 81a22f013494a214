"""What was handed out: leases behind signed links, and what went over the wire."""

from sqlalchemy import Column, ForeignKey, Index, Table, Text

from entrepot.db.schema import Flag, Instant, Number, metadata

leases = Table(
    "leases",
    metadata,
    Column("id", Text, primary_key=True),  # 16 random bytes, hexadecimal
    Column("principal", Text, nullable=False),  # user:<number> or client:<client_id>
    Column("user_id", Number),
    Column("api_client_id", Number),
    Column("organisation_id", Number, nullable=False),
    Column("entitlement_id", Number, nullable=False),
    Column("child_product_id", Number),  # for a child of a grouped entitlement
    Column("release_id", Text, nullable=False),
    Column("artifact_id", Text, nullable=False),
    Column("country", Text, nullable=False),  # country by address, or the organisation's
    Column("declared_country", Text),
    Column("licence_revision_id", Number),  # the revision that held when the link was issued
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("request_id", Text),
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
    Column("entitlement_id", Number, nullable=False),
    Column("artifact_id", Text, nullable=False),
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
Index("ix_transfers_principal_artifact_id", *transfers.c["principal", "artifact_id", "ended_at"])

downloads = Table(
    "downloads",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("principal", Text, nullable=False),
    Column("organisation_id", Number, nullable=False),
    Column("entitlement_id", Number, ForeignKey("entitlements.id"), nullable=False),
    Column("artifact_id", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("completed_at", Instant),  # when the ranges sent first covered the artifact
    Column("last_byte_at", Instant, nullable=False),
    Column("bytes_sent", Number, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_downloads_principal_artifact_id", *downloads.c["principal", "artifact_id", "started_at"])
Index("ix_downloads_artifact_id", downloads.c.artifact_id)
