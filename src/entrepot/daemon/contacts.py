"""`entrepotd contacts`: visitors who left name and address to have files that are for contacts."""

import click

from entrepot.core.accounts import forget_contact, list_contacts
from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import Noun, hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest

_COLUMNS = ("id", "name", "company", "email", "country", "consented_at", "expires_at")


@click.group(cls=Noun)
def contacts() -> None:
    """List visitors who left their contact, and forget them."""


@contacts.command("list")
@page_options
@json_option
@hub_command
def list_(desk: Desk, *, skip: int, take: int, as_json: bool) -> None:
    """List contacts by number, with the words that they agreed to in the JSON."""
    with desk.hub() as hub, hub.database.read() as tx:
        found, total = list_contacts(tx, now=hub.now(), skip=skip, take=take)
    rows = [{name: getattr(one, name) for name in (*_COLUMNS, "consent")} for one in found]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@contacts.command()
@click.argument("number", type=click.IntRange(min=1))
@hub_command
def forget(desk: Desk, number: int) -> None:
    """Forget the contact NUMBER; the record of downloads has only that number left."""
    with desk.hub() as hub, hub.database.write() as tx:
        forget_contact(tx, number, actor=OPERATOR, now=hub.now())
    say("The contact is forgotten.")
