"""Bringing a database to the form this code expects, by Alembic.

A migration runs in one transaction on both databases, so one that is killed leaves the
database as it was.
"""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from entrepot.db.engine import Database, Tx, take_turns
from entrepot.errors import Unavailable

_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision a database is at (None: empty) and the one this code expects."""

    current: str | None
    expected: str
    known: bool

    @property
    def ready(self) -> bool:
        """Whether this code can use the database as it is."""
        return self.current == self.expected


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def schema_state(database: Database) -> SchemaState:
    """Compare the database's revision with the code's."""
    with database.read() as tx:
        return _state(tx)


def _state(tx: Tx) -> SchemaState:
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(tx).get_current_revision()
    expected = scripts.get_current_head()
    if expected is None:
        raise AssertionError("the package ships no migration")
    known = current is None or any(s.revision == current for s in scripts.walk_revisions())
    return SchemaState(current, expected, known)


def _refuse_newer(state: SchemaState) -> None:
    if not state.known:
        raise Unavailable(
            f"The database is at revision {state.current}, which this version of Entrepot"
            " does not know: it was used by a newer version.",
            code="database-newer",
            remedy="Install that version or a later one, or restore a backup.",
        )


def require_current(database: Database) -> None:
    """Raise Unavailable unless the database has exactly the form this code expects."""
    state = schema_state(database)
    _refuse_newer(state)
    if not state.ready:
        raise Unavailable(
            "The database needs a migration.",
            code="database-older",
            remedy="Run `entrepotd migrate`.",
        )


def migrate(database: Database) -> SchemaState:
    """Apply every outstanding migration; a newer database is refused. Idempotent.

    Processes that come here at the same moment take turns.
    """
    config = _config()
    with database.write() as tx:
        take_turns(tx, "migration")
        state = _state(tx)
        _refuse_newer(state)
        if not state.ready:
            config.attributes["connection"] = tx
            command.upgrade(config, "head")
    return schema_state(database)
