"""The database: engine, transactions, prepared statements, column types, migrations."""

from entrepot.db.engine import Database, Tx, connect, connect_plainly, is_lost, take_turns
from entrepot.db.prepared import Prepared
from entrepot.db.schema import metadata

__all__ = [
    "Database",
    "Prepared",
    "Tx",
    "connect",
    "connect_plainly",
    "is_lost",
    "metadata",
    "take_turns",
]
