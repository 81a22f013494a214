"""`entrepotd client`: machines that sign in by client credentials."""

from collections.abc import Sequence
from typing import Any

import click

from entrepot.core.accounts import (
    SCOPES,
    add_client,
    disable_client,
    find_organisation,
    list_clients,
)
from entrepot.daemon.accounts import (
    of_organisation_options,
    owner_option,
    roles_option,
    show_accounts,
)
from entrepot.daemon.console import say, show_one
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import hub_command, json_option

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
@owner_option
@click.option("--name", help="What it is for.  [default: CLIENT_ID]")
@roles_option
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
@of_organisation_options
@hub_command
def list_(desk: Desk, **wanted: Any) -> None:
    """List machines by client id."""
    show_accounts(desk, list_clients, fields=_FIELDS, columns=_COLUMNS, **wanted)


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
