"""Making a hub, bringing its database up to date, and saying which version this is."""

import platform
import sqlite3

import click

from entrepot import __version__
from entrepot.assembly import prepare
from entrepot.daemon.console import say, show_one
from entrepot.daemon.desk import Desk
from entrepot.daemon.options import hub_command, json_option
from entrepot.db import connect
from entrepot.db.migrate import schema_state
from entrepot.settings import Settings

_NEXT_STEPS = (
    "serve",
    "organisation add 'Your company' --country DE",
    "user add you@example.com --organisation 'Your company' --role operator --ask-password",
)


@click.command()
@hub_command
def init(desk: Desk) -> None:
    """Make a hub in the folder --data, with a secret key; harmless when repeated."""
    made = desk.make_secret()
    settings = desk.settings()
    prepare(settings)
    if made:
        say(f"The secret key is in {made}: keep a copy of it apart from the data.")
    say(f"The hub in {settings.data} is ready. Next:")
    for step in _NEXT_STEPS:
        say(f"  entrepotd {step} --data {settings.data}")


@click.command()
@hub_command
def migrate(desk: Desk) -> None:
    """Bring folders, database and keys to what this version expects; harmless when repeated."""
    settings = desk.settings()
    before = _revision(settings)
    prepare(settings)
    after = _revision(settings)
    if before == after:
        say(f"The database is at revision {after}: there was nothing to do.")
    else:
        say(f"The database went from revision {before or 'none'} to {after}.")


def _revision(settings: Settings) -> str | None:
    if settings.database_url.startswith("sqlite:") and not settings.data.exists():
        return None
    database = connect(settings.database_url)
    try:
        return schema_state(database).current
    finally:
        database.close()


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Print the versions of Entrepot, Python and SQLite."""
    show_one(
        {
            "entrepot": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        as_json=as_json,
    )
