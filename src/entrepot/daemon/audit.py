"""`entrepotd audit`: what happened on the hub, for whoever has to know."""

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Row

from entrepot.core.accounts import find_organisation
from entrepot.core.events import FORMATS, Wanted, walk_events
from entrepot.daemon.console import say
from entrepot.daemon.desk import Desk
from entrepot.daemon.options import INSTANT, Noun, hub_command


@click.group(cls=Noun)
def audit() -> None:
    """Export the log of every change, decision and download."""


@audit.command()
@click.option("--since", type=INSTANT, help="Only from then on.")
@click.option("--until", type=INSTANT, help="Only before then.")
@click.option("--type", "kind", metavar="TYPE", help="order.completed, or order.* for a noun.")
@click.option("--actor", help="Only what this one did: user:10001, client:ci, operator, system.")
@click.option("--subject", help="Only what was done to this: order:7001, release:<UUID>.")
@click.option("--organisation", help="Only of this one (number or name).")
@click.option(
    "--format",
    "form",
    type=click.Choice(sorted(FORMATS)),
    default="jsonl",
    show_default=True,
    help="A JSON object on each line, or CSV with a heading.",
)
@hub_command
def export(
    desk: Desk,
    since: datetime | None,
    until: datetime | None,
    kind: str | None,
    actor: str | None,
    subject: str | None,
    organisation: str | None,
    form: str,
) -> None:
    """Write every event that fits to stdout, oldest first, however many there are."""
    with desk.hub() as hub:
        owner = None
        if organisation is not None:
            with hub.database.read() as tx:
                owner = find_organisation(tx, organisation).id
        wanted = Wanted(since, until, kind, actor, owner, subject)
        found = peek(walk_events(hub.database, wanted))
        for piece in FORMATS[form](found):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def peek(rows: Iterator[Row[Any]]) -> Iterator[Row[Any]]:
    """The rows; that there is none is said, so that nobody takes a slip for a quiet month."""
    first = next(rows, None)
    if first is None:
        say("No event fits.")
        return
    yield first
    yield from rows
