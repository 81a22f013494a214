"""The append-only log of what happened."""

from sqlalchemy import Column, Index, Table, Text

from entrepot.db.schema import Document, Instant, Number, metadata

events = Table(
    "events",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("type", Text, nullable=False),
    Column("actor", Text, nullable=False),  # user:100001, client:deploy-bot, operator, system
    Column("organisation_id", Number),
    Column("subject", Text, nullable=False),  # release:<uuid>, entitlement:<number>, ...
    Column("request_id", Text),
    Column("data", Document, nullable=False),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_events_type_at", events.c.type, events.c.at)
Index("ix_events_organisation_id_id", events.c.organisation_id, events.c.id)
Index("ix_events_subject_id", events.c.subject, events.c.id)
