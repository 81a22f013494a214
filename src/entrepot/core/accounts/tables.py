"""Who there is: organisations, people, machines, and the keys that sign for the hub."""

from sqlalchemy import Column, ForeignKey, Index, Table, Text, false, true

from entrepot.db.schema import Document, Flag, Instant, Number, metadata

organisations = Table(
    "organisations",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("country", Text, nullable=False),  # ISO 3166-1 alpha-2
    Column("blocked", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("email", Text, nullable=False, unique=True),  # case-folded
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False, index=True),
    Column("roles", Document, nullable=False),  # list of role names
    Column("password_hash", Text),  # argon2id; null: cannot sign in by password
    # The password was set by whoever held an invitation: an administrator may have been it.
    Column("password_invited", Flag, nullable=False, server_default=false()),
    Column("disabled_at", Instant),
    Column("disabled_by", Text),  # principal; with `disabled_at`
    Column("created_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

api_clients = Table(
    "api_clients",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("client_id", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),  # SHA-256 of 256 random bits; '': has none
    Column("name", Text, nullable=False),
    Column(
        "organisation_id", Number, ForeignKey("organisations.id"), index=True
    ),  # null: a public client that came with the hub
    Column("roles", Document, nullable=False),
    Column("scopes", Document, nullable=False),
    Column("grants", Document, nullable=False),  # OAuth grant types the client may use
    Column(
        "public", Flag, nullable=False, server_default=false()
    ),  # a program on people's machines: it has no secret
    Column(
        "pkce", Flag, nullable=False, server_default=true()
    ),  # false only for one that was registered as legacy
    Column(
        "redirect_uris", Document, nullable=False, server_default="[]"
    ),  # compared as they are written
    Column("assertion_key", Text),  # sealed; of a client that signs assertions by HS256
    Column("disabled_at", Instant),
    Column("created_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

keys = Table(
    "keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("purpose", Text, nullable=False),  # token | link
    Column("sealed", Text, nullable=False),  # secret half, encrypted with the hub's secret key
    Column("public", Document),  # JWK, for token keys
    Column("created_at", Instant, nullable=False),
    Column("signs_from", Instant, nullable=False),
    Column("retires_at", Instant),  # null: still signing or next in line
    sqlite_strict=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("issuer", Text),  # of the identity provider that vouched; null: by password
    sqlite_strict=True,
)
Index("ix_sessions_expires_at", sessions.c.expires_at)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("subject", Text, nullable=False),  # account:, address: or client: and what it is
    Column("at", Instant, nullable=False),
    sqlite_strict=True,
)
Index("ix_sign_in_attempts_subject_at", sign_in_attempts.c.subject, sign_in_attempts.c.at)
