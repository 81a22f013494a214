"""The database: engine, transactions, prepared statements, column types, migrations."""

from entrepot.db.engine import Database, Tx, connect, take_turns
from entrepot.db.prepared import Prepared
from entrepot.db.schema import metadata

__all__ = ["Database", "Prepared", "Tx", "connect", "metadata", "take_turns"]
