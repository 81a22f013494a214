"""`entrepotd organisation`: the customers' organisations, and the publisher's own."""

import click

from entrepot.core.accounts import (
    add_organisation,
    block_organisation,
    find_organisation,
    list_organisations,
)
from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import Noun, hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest

_COLUMNS = ("id", "name", "country", "blocked", "created_at")


@click.group(cls=Noun)
def organisation() -> None:
    """Add, list, block and unblock organisations."""


@organisation.command()
@click.argument("name")
@click.option("--country", required=True, metavar="CODE", help="Two letters, as in ISO 3166-1.")
@hub_command
def add(desk: Desk, name: str, country: str) -> None:
    """Add an organisation; prints its number."""
    with desk.hub() as hub, hub.database.write() as tx:
        number = add_organisation(tx, name=name, country=country, actor=OPERATOR, now=hub.now())
    click.echo(number)


@organisation.command(name="list")
@page_options
@json_option
@hub_command
def list_(desk: Desk, *, skip: int, take: int, as_json: bool) -> None:
    """List organisations by number."""
    with desk.hub() as hub, hub.database.read() as tx:
        found, total = list_organisations(tx, skip=skip, take=take)
    show_rows([dict(row._mapping) for row in found], columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@organisation.command()
@click.argument("organisation")
@hub_command
def block(desk: Desk, organisation: str) -> None:
    """Stop every download of ORGANISATION (number or name); running ones end by themselves."""
    _set_blocked(desk, organisation, blocked=True)


@organisation.command()
@click.argument("organisation")
@hub_command
def unblock(desk: Desk, organisation: str) -> None:
    """Allow the downloads of ORGANISATION (number or name) again."""
    _set_blocked(desk, organisation, blocked=False)


def _set_blocked(desk: Desk, reference: str, *, blocked: bool) -> None:
    with desk.hub() as hub, hub.database.write() as tx:
        row = find_organisation(tx, reference)
        block_organisation(tx, row.id, blocked=blocked, actor=OPERATOR, now=hub.now())
    say(f"{row.name} is {'blocked' if blocked else 'not blocked'}.")
