"""`entrepotd client`: programs that get tokens, for themselves or for people."""

from collections.abc import Sequence
from typing import Any

import click

from entrepot.core.accounts import (
    GRANTS,
    SCOPES,
    NewClient,
    add_client,
    disable_client,
    find_organisation,
    list_clients,
    rotate_client_secret,
)
from entrepot.daemon.accounts import (
    of_organisation_options,
    owner_option,
    roles_option,
    show_accounts,
)
from entrepot.daemon.console import say, show_one
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import Noun, hub_command, json_option

_FIELDS = (
    "client_id",
    "name",
    "organisation_id",
    "organisation_name",
    "roles",
    "scopes",
    "grants",
    "redirect_uris",
    "public",
    "pkce",
    "disabled_at",
    "created_at",
)
_COLUMNS = ("client_id", "name", "organisation_name", "roles", "scopes", "disabled_at")
_GRANTS = {grant.rpartition(":")[2]: grant for grant in GRANTS}


@click.group(cls=Noun)
def client() -> None:
    """Add, list, disable and enable programs; give them new secrets."""


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
@click.option(
    "--grant",
    "grants",
    multiple=True,
    type=click.Choice(list(_GRANTS)),
    help="How it gets tokens; may be given several times.  [default: what fits the rest]",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    help="Where people are sent back to, https://... or http://127.0.0.1/...; several times.",
)
@click.option("--public", is_flag=True, help="It runs on people's machines: it has no secret.")
@click.option(
    "--no-pkce", is_flag=True, help="It is an old program that knows no PKCE. Avoid this."
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
    grants: Sequence[str],
    redirect_uris: Sequence[str],
    *,
    public: bool,
    no_pkce: bool,
    as_json: bool,
) -> None:
    """Add a program; prints its secret, if it has one, which is shown this once."""
    with desk.hub() as hub, hub.database.write() as tx:
        new = add_client(
            tx,
            client_id=client_id,
            name=name or client_id,
            organisation_id=find_organisation(tx, organisation).id,
            roles=roles,
            scopes=scopes,
            grants=[_GRANTS[grant] for grant in grants],
            redirect_uris=redirect_uris,
            public=public,
            pkce=not no_pkce,
            box=hub.keys.box,
            actor=OPERATOR,
            now=hub.now(),
        )
    _show_secret(new, as_json=as_json)


def _show_secret(new: NewClient, *, as_json: bool) -> None:
    shown = {"client_id": new.client_id}
    if new.secret:
        say("The secret is shown this once: store it now.")
        shown["client_secret"] = new.secret
    show_one(shown, as_json=as_json)


@client.command(name="list")
@of_organisation_options
@hub_command
def list_(desk: Desk, **wanted: Any) -> None:
    """List programs by client id."""
    show_accounts(desk, list_clients, fields=_FIELDS, columns=_COLUMNS, **wanted)


@client.command()
@click.argument("client_id")
@json_option
@hub_command
def rotate(desk: Desk, client_id: str, *, as_json: bool) -> None:
    """Give a program a new secret, printed this once; the former one ends at once."""
    with desk.hub() as hub, hub.database.write() as tx:
        new = rotate_client_secret(tx, client_id, box=hub.keys.box, actor=OPERATOR, now=hub.now())
    _show_secret(new, as_json=as_json)


@client.command()
@click.argument("client_id")
@hub_command
def disable(desk: Desk, client_id: str) -> None:
    """Shut a program out; its tokens and links die within seconds."""
    _set_disabled(desk, client_id, disabled=True)


@client.command()
@click.argument("client_id")
@hub_command
def enable(desk: Desk, client_id: str) -> None:
    """Let a program in again."""
    _set_disabled(desk, client_id, disabled=False)


def _set_disabled(desk: Desk, client_id: str, *, disabled: bool) -> None:
    with desk.hub() as hub, hub.database.write() as tx:
        disable_client(tx, client_id, disabled=disabled, actor=OPERATOR, now=hub.now())
    say(f"{client_id} is {'disabled' if disabled else 'enabled'}.")
