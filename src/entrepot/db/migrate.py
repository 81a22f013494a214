"""Bringing a database to the form this code expects, by Alembic.

A migration runs in one transaction on both databases, so one that is killed leaves the
database as it was.

Alembic itself is loaded only to migrate: whether a database is as it should be is asked by
every command, and Alembic takes longer to load than most commands to run.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text

from entrepot.db.engine import Database, Tx, take_turns
from entrepot.errors import Unavailable

_FOLDER = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"


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


def schema_state(database: Database) -> SchemaState:
    """Compare the database's revision with the code's."""
    with database.read() as tx:
        return _state(tx)


@cache
def revisions() -> tuple[str, ...]:
    """Every revision, oldest first: the numbers with which the names of the scripts begin."""
    scripts = (_FOLDER / "versions").glob("[0-9]*_*.py")
    return tuple(sorted(script.name.partition("_")[0] for script in scripts))


def _state(tx: Tx) -> SchemaState:
    current = None
    if inspect(tx).has_table(_VERSION_TABLE):
        query = text(f"SELECT version_num FROM {_VERSION_TABLE}")  # noqa: S608 - a constant
        current = tx.execute(query).scalar_one_or_none()
    return SchemaState(current, revisions()[-1], current is None or current in revisions())


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
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with database.write() as tx:
        take_turns(tx, "migration")
        state = _state(tx)
        _refuse_newer(state)
        if not state.ready:
            config.attributes["connection"] = tx
            command.upgrade(config, "head")
    return schema_state(database)
