"""Alembic's entry: runs the migrations on the connection that migrate.py hands over."""

from alembic import context

from entrepot.db.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    # Both databases roll DDL back; the caller has begun the transaction.
    transactional_ddl=True,
)
context.run_migrations()
