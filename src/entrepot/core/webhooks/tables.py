"""Who wants to be told of which events, and how the telling goes."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from entrepot.db.schema import Document, Flag, Instant, Number, metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("organisation_id", Number, ForeignKey("organisations.id"), nullable=False),
    Column("api_client_id", Number, ForeignKey("api_clients.id")),  # whose key signs as well
    Column("everything", Flag, nullable=False),  # events of every organisation
    Column("url", Text, nullable=False),
    Column("events", Document, nullable=False),  # patterns: product/*, order/completed, ...
    Column("description", Text, nullable=False),
    Column("secret", Text, nullable=False),  # sealed
    Column("former_secret", Text),  # sealed; signs beside the new one until
    Column("former_until", Instant),
    Column("created_by", Text, nullable=False),  # principal
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("failing_since", Instant),  # null: the last attempt that ended, succeeded
    Column("disabled_at", Instant),
    Column("disabled_why", Text),
    sqlite_strict=True,
    sqlite_autoincrement=True,
)
Index("ix_webhooks_organisation_id", webhooks.c.organisation_id)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),  # msg_..., the same at every attempt
    Column("webhook_id", Number, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", Number, nullable=False),  # retention may have taken the event
    Column("type", Text, nullable=False),  # as the receiver reads it: order/completed
    Column("body", Text, nullable=False),  # as it is sent and signed
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),  # of the next attempt
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
    UniqueConstraint("webhook_id", "event_id"),
    sqlite_strict=True,
)
Index(
    "ix_webhook_deliveries_webhook_id_state_due_at",
    deliveries.c.webhook_id,
    deliveries.c.state,
    deliveries.c.due_at,
)
Index("ix_webhook_deliveries_created_at", deliveries.c.created_at)

attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column(
        "delivery_id",
        Text,
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("at", Instant, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    Column("status", Integer),  # of the answer; null: there was none
    Column("reason", Text, nullable=False),  # why it did not count; '' where it did
    sqlite_strict=True,
    sqlite_autoincrement=True,
)

# How far the log of events was turned into deliveries.
progress = Table(
    "webhook_progress",
    metadata,
    Column("id", Integer, primary_key=True),  # 1
    Column("event_id", Number, nullable=False),
    Column("looked_at", Instant, nullable=False),
    sqlite_strict=True,
)
