"""The database: engine, transactions, column types, migrations."""

from entrepot.db.engine import Database, Tx, connect
from entrepot.db.schema import metadata

__all__ = ["Database", "Tx", "connect", "metadata"]
