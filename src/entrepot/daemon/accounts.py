"""What the commands for people and for machines have in common."""

from collections.abc import Sequence
from typing import Any, Protocol

import click
from sqlalchemy import Row

from entrepot.core.accounts import CUSTOMER, ROLES, find_organisation
from entrepot.daemon.console import show_rows
from entrepot.daemon.desk import Desk
from entrepot.daemon.options import Command, json_option, page_options
from entrepot.daemon.paging import note_rest
from entrepot.db import Tx


class Listing(Protocol):
    """A verb that lists accounts, of one organisation or of all, and says how many there are."""

    def __call__(
        self, tx: Tx, *, organisation_id: int | None, skip: int, take: int
    ) -> tuple[list[Row[Any]], int]: ...


def owner_option(command: Command) -> Command:
    """`--organisation`, which every account belongs to."""
    return click.option(
        "--organisation", required=True, help="Number or name of the organisation."
    )(command)


def roles_option(command: Command) -> Command:
    """`--role`, several times."""
    return click.option(
        "--role",
        "roles",
        multiple=True,
        type=click.Choice(ROLES),
        default=(CUSTOMER,),
        show_default=True,
        help="What the account may do besides being a customer. May be given several times.",
    )(command)


def of_organisation_options(command: Command) -> Command:
    """What a list of accounts takes."""
    of = click.option("--organisation", help="Only of this one (number or name).")
    return of(page_options(json_option(command)))


def show_accounts(
    desk: Desk,
    listing: Listing,
    *,
    fields: Sequence[str],
    columns: Sequence[str],
    organisation: str | None,
    skip: int,
    take: int,
    as_json: bool,
) -> None:
    """Print a page of accounts: `fields` as JSON, `columns` as a table."""
    with desk.hub() as hub, hub.database.read() as tx:
        owner = None if organisation is None else find_organisation(tx, organisation).id
        found, total = listing(tx, organisation_id=owner, skip=skip, take=take)
    rows = [{name: row._mapping[name] for name in fields} for row in found]
    show_rows(rows, columns=columns, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)
