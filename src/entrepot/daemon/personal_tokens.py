"""`entrepotd personal-tokens`: people's access tokens for CI."""

from collections.abc import Sequence

import click

from entrepot.core.accounts import (
    SCOPES,
    find_user,
    list_personal_tokens,
    make_personal_token,
    revoke_personal_token,
)
from entrepot.daemon.console import say, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import Noun, hub_command, json_option

_FIELDS = (
    "id",
    "user_id",
    "name",
    "scopes",
    "networks",
    "created_by",
    "created_at",
    "expires_at",
    "used_at",
    "revoked_at",
)
_COLUMNS = ("id", "name", "scopes", "networks", "expires_at", "used_at", "revoked_at")


@click.group(cls=Noun, name="personal-tokens")
def personal_tokens() -> None:
    """Make, list and revoke people's access tokens for CI."""


@personal_tokens.command()
@click.argument("user")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; several times.",
)
@click.option(
    "--days", type=click.IntRange(1, 366), default=90, show_default=True, help="So long it lives."
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="RANGE",
    help="Only from this address or CIDR range; several times.",
)
@json_option
@hub_command
def make(
    desk: Desk,
    user: str,
    *,
    name: str,
    scopes: Sequence[str],
    days: int,
    networks: Sequence[str],
    as_json: bool,
) -> None:
    """Make a token that acts for USER (number or mail address); prints it, this once."""
    with desk.hub() as hub, hub.database.write() as tx:
        made = make_personal_token(
            tx,
            find_user(tx, user).id,
            name=name,
            scopes=scopes,
            days=days,
            networks=networks,
            actor=OPERATOR,
            now=hub.now(),
        )
    say("The token is shown this once: store it now.")
    if as_json:
        told = {"id": made.id, "token": made.value, "expires_at": made.expires_at}
        show_one(told, as_json=True)
    else:
        click.echo(made.value)


@personal_tokens.command(name="list")
@click.argument("user")
@json_option
@hub_command
def list_(desk: Desk, user: str, *, as_json: bool) -> None:
    """List the tokens of USER (number or mail address), newest first."""
    with desk.hub() as hub, hub.database.read() as tx:
        rows = list_personal_tokens(tx, find_user(tx, user).id)
    shown = [{name: row._mapping[name] for name in _FIELDS} for row in rows]
    show_rows(shown, columns=_COLUMNS, as_json=as_json)


@personal_tokens.command()
@click.argument("user")
@click.argument("token", type=click.IntRange(1, 2**63 - 1))
@hub_command
def revoke(desk: Desk, user: str, token: int) -> None:
    """Revoke TOKEN (its number) of USER (number or mail address)."""
    with desk.hub() as hub, hub.database.write() as tx:
        row = find_user(tx, user)
        revoke_personal_token(tx, row.id, token, actor=OPERATOR, now=hub.now())
    say("The token is revoked.")
