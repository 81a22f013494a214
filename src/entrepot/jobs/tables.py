"""Who works: one row for each worker process, kept for a while after its end.

The engine's own tables are not ours: `prepare_jobs` makes them, Alembic never sees them.
"""

from sqlalchemy import Column, Integer, Table, Text

from entrepot.db.schema import Flag, Number, metadata

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),  # what the engine knows the process by
    Column("machine", Text, nullable=False),  # start of the kernel, and the space of its pids
    Column("pid", Integer, nullable=False),
    Column("born", Number, nullable=False),  # of the process, in the kernel's ticks
    Column("converts", Flag, nullable=False),  # whether it has a sandbox to convert in
    Column("note", Text, nullable=False),  # why it does not
    # Milliseconds by the clock that all workers share (presence.py), not since 1970.
    Column("beaten_at", Number, nullable=False),
    Column("ended_at", Number),  # null: at work, as far as anybody knows
    sqlite_strict=True,
)
