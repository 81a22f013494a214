"""`entrepotd client`: machines that sign in by client credentials."""

from collections.abc import Sequence

import click

from entrepot.core.accounts import (
    CUSTOMER,
    ROLES,
    SCOPES,
    add_client,
    disable_client,
    find_organisation,
    list_clients,
)
from entrepot.daemon.console import say, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest

_FIELDS = (
    "client_id",
    "name",
    "organisation_id",
    "organisation_name",
    "roles",
    "scopes",
    "disabled_at",
    "created_at",
)
_COLUMNS = ("client_id", "name", "organisation_name", "roles", "scopes", "disabled_at")


@click.group()
def client() -> None:
    """Add, list, disable and enable machines."""


@client.command()
@click.argument("client_id")
@click.option("--organisation", required=True, help="Number or name of the organisation.")
@click.option("--name", help="What it is for.  [default: CLIENT_ID]")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    default=(CUSTOMER,),
    show_default=True,
    help="May be given several times.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=("entitlements",),
    show_default=True,
    help="What its tokens are good for; may be given several times.",
)
@json_option
@hub_command
def add(
    desk: Desk,
    client_id: str,
    organisation: str,
    name: str | None,
    roles: Sequence[str],
    scopes: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Add a machine; prints its secret, which is shown this once."""
    with desk.hub() as hub, hub.database.write() as tx:
        new = add_client(
            tx,
            client_id=client_id,
            name=name or client_id,
            organisation_id=find_organisation(tx, organisation).id,
            roles=roles,
            scopes=scopes,
            actor=OPERATOR,
            now=hub.now(),
        )
    say("The secret is not kept readable: store it now.")
    show_one({"client_id": new.client_id, "client_secret": new.secret}, as_json=as_json)


@client.command(name="list")
@click.option("--organisation", help="Only of this one (number or name).")
@page_options
@json_option
@hub_command
def list_(desk: Desk, organisation: str | None, *, skip: int, take: int, as_json: bool) -> None:
    """List machines by client id."""
    with desk.hub() as hub, hub.database.read() as tx:
        owner = None if organisation is None else find_organisation(tx, organisation).id
        found, total = list_clients(tx, organisation_id=owner, skip=skip, take=take)
    rows = [{name: row._mapping[name] for name in _FIELDS} for row in found]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@client.command()
@click.argument("client_id")
@hub_command
def disable(desk: Desk, client_id: str) -> None:
    """Shut a machine out; its tokens and links die within seconds."""
    _set_disabled(desk, client_id, disabled=True)


@client.command()
@click.argument("client_id")
@hub_command
def enable(desk: Desk, client_id: str) -> None:
    """Let a machine in again."""
    _set_disabled(desk, client_id, disabled=False)


def _set_disabled(desk: Desk, client_id: str, *, disabled: bool) -> None:
    with desk.hub() as hub, hub.database.write() as tx:
        disable_client(tx, client_id, disabled=disabled, actor=OPERATOR, now=hub.now())
    say(f"{client_id} is {'disabled' if disabled else 'enabled'}.")
