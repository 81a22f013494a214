"""The append-only log of what happened.

The database itself refuses to change or delete a row: triggers, whose words are repeated in the
migration that made them. What the operator does not want to keep for ever is purged: the row of
`event_retention` says before which moment, and only rows older than that may go.
"""

from sqlalchemy import DDL, Column, Index, Integer, Table, Text, event

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

# One row at most: events before that moment may be deleted.
event_retention = Table(
    "event_retention",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1
    Column("before", Instant, nullable=False),
    sqlite_strict=True,
)

GUARDS = {
    "sqlite": """
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END

CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM event_retention WHERE OLD.at < before)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
""",
    "postgresql": """
CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'DELETE' THEN
IF EXISTS (SELECT 1 FROM event_retention r WHERE OLD.at < r.before) THEN RETURN OLD; END IF;
END IF;
RAISE EXCEPTION 'events are append-only'; END $$

CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_event_change()

CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change()
""",
}
for _dialect, _statements in GUARDS.items():
    for _statement in _statements.strip().split("\n\n"):
        _guard = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _guard.execute_if(_dialect))
