"""What the OAuth server keeps: codes, refresh tokens, consents, personal tokens, identities.

Of every secret only the SHA-256 is kept; each is 256 random bits or, for the short code that a
person types, lives for minutes behind a limit on guesses.
"""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from entrepot.db.schema import Document, Flag, Instant, Number, metadata

# All tokens that came from one sign-in of one person at one client, or from one device code.
# Revoking the family ends every one of them, access tokens included (claim `family`).
token_families = Table(
    "token_families",
    metadata,
    Column("id", Text, primary_key=True),  # 16 random bytes, hexadecimal
    Column(
        "api_client_id", Number, ForeignKey("api_clients.id")
    ),  # null: a token that the person made on the portal
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("scopes", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),  # of the youngest token in it
    Column("revoked_at", Instant),
    Column("revoked_why", Text),  # asked | reused | replayed
    sqlite_strict=True,
)
Index("ix_token_families_user_id", token_families.c.user_id)
Index("ix_token_families_expires_at", token_families.c.expires_at)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column(
        "family_id",
        Text,
        ForeignKey("token_families.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("scopes", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),  # set once, when it was exchanged
    sqlite_strict=True,
)
Index("ix_refresh_tokens_expires_at", refresh_tokens.c.expires_at)

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("api_client_id", Number, ForeignKey("api_clients.id"), nullable=False),
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("redirect_uri", Text),  # as the request had it; null: left out
    Column("scopes", Document, nullable=False),
    Column("challenge", Text),  # of PKCE, S256
    Column("nonce", Text),  # OpenID Connect
    Column("signed_in_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("family_id", Text),  # that it was exchanged for
    sqlite_strict=True,
)
Index("ix_authorization_codes_expires_at", authorization_codes.c.expires_at)

device_codes = Table(
    "device_codes",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("user_code", Text, nullable=False, unique=True),  # without the hyphen
    Column("api_client_id", Number, ForeignKey("api_clients.id"), nullable=False),
    Column("scopes", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("interval_seconds", Integer, nullable=False),  # grows with every slow_down
    Column("polled_at", Instant),
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE")),  # who decided
    Column("decided_at", Instant),
    Column("approved", Flag),
    Column("used_at", Instant),
    Column("family_id", Text),
    sqlite_strict=True,
)
Index("ix_device_codes_expires_at", device_codes.c.expires_at)

# Access tokens that end before their time, by their `jti`.
revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("revoked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),  # then the row may go
    sqlite_strict=True,
)
Index("ix_revoked_tokens_expires_at", revoked_tokens.c.expires_at)

# Assertions (RFC 7523) and other things with an id of the sender's that count once.
used_assertions = Table(
    "used_assertions",
    metadata,
    Column("api_client_id", Number, ForeignKey("api_clients.id"), primary_key=True),
    Column("token_id", Text, primary_key=True),
    Column("expires_at", Instant, nullable=False),
    sqlite_strict=True,
)
Index("ix_used_assertions_expires_at", used_assertions.c.expires_at)

consents = Table(
    "consents",
    metadata,
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("api_client_id", Number, ForeignKey("api_clients.id"), primary_key=True),
    Column("scopes", Document, nullable=False),
    Column("given_at", Instant, nullable=False),
    sqlite_strict=True,
)

personal_tokens = Table(
    "personal_tokens",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("scopes", Document, nullable=False),
    Column("networks", Document, nullable=False),  # address ranges; none listed: from anywhere
    Column("created_by", Text, nullable=False),  # principal
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),  # last, to the minute
    Column("revoked_at", Instant),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_personal_tokens_user_id", personal_tokens.c.user_id)

# One-time links by which people whom an administrator of their organisation added choose a
# password; a newer one of the same person replaces the older.
invitations = Table(
    "invitations",
    metadata,
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("created_by", Text, nullable=False),  # principal
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    sqlite_strict=True,
)

# People known by an identity provider of the operator's.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("user_id", Number, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant, nullable=False),
    sqlite_strict=True,
)
Index("ix_identities_user_id", identities.c.user_id)

# Visitors who left name, company and address once, to have what is for contacts.
contacts = Table(
    "contacts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("token_hash", Text, nullable=False, unique=True),  # of their cookie
    Column("name", Text, nullable=False),
    Column("company", Text, nullable=False),
    Column("email", Text, nullable=False),  # case-folded; not proven to be theirs
    Column("country", Text),
    Column("consent", Text, nullable=False),  # the words that they agreed to
    Column("consented_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
