"""`entrepotd user`: people. Passwords come from a prompt or from stdin, never as an argument."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from entrepot.core.accounts import (
    ROLES,
    add_user,
    disable_user,
    find_organisation,
    find_user,
    hash_password,
    list_personal_tokens,
    list_users,
    set_password,
    set_roles,
)
from entrepot.daemon.accounts import (
    of_organisation_options,
    owner_option,
    roles_option,
    show_accounts,
)
from entrepot.daemon.console import say
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import Noun, hub_command

_FIELDS = (
    "id",
    "email",
    "given_name",
    "family_name",
    "organisation_id",
    "organisation_name",
    "roles",
    "disabled_at",
    "created_at",
)
_COLUMNS = ("id", "email", "given_name", "family_name", "organisation_name", "roles", "disabled_at")
_LINE_LENGTH_MAX = 1024


@click.group(cls=Noun)
def user() -> None:
    """Add and list people, set passwords and roles, disable and enable."""


@user.command()
@click.argument("email")
@owner_option
@click.option("--given-name", help="First name.  [default: what comes before the @]")
@click.option("--family-name", default="", help="Last name.")
@roles_option
@click.option(
    "--ask-password",
    is_flag=True,
    help="Ask for a password, or read it from stdin. Without: cannot sign in by password.",
)
@hub_command
def add(
    desk: Desk,
    email: str,
    organisation: str,
    given_name: str | None,
    family_name: str,
    roles: Sequence[str],
    ask_password: bool,
) -> None:
    """Add a person; prints the number."""
    password = hash_password(_read_password()) if ask_password else None
    with desk.hub() as hub, hub.database.write() as tx:
        number = add_user(
            tx,
            email=email,
            given_name=given_name or email.partition("@")[0],
            family_name=family_name,
            organisation_id=find_organisation(tx, organisation).id,
            roles=roles,
            password=password,
            actor=OPERATOR,
            now=hub.now(),
        )
    click.echo(number)


@user.command(name="list")
@of_organisation_options
@hub_command
def list_(desk: Desk, **wanted: Any) -> None:
    """List people by number."""
    show_accounts(desk, list_users, fields=_FIELDS, columns=_COLUMNS, **wanted)


@user.command(name="set-password")
@click.argument("user")
@hub_command
def set_password_(desk: Desk, user: str) -> None:
    """Set the password of USER (number or mail address), asked for or read from stdin."""
    password = hash_password(_read_password())
    with desk.hub() as hub, hub.database.write() as tx:
        row = find_user(tx, user)
        set_password(tx, row.id, password, actor=OPERATOR, now=hub.now())
        now, kept = hub.now(), list_personal_tokens(tx, row.id)
    say(f"{row.email} has a new password; open sessions have ended.")
    alive = sum(each.revoked_at is None and each.expires_at > now for each in kept)
    if alive:
        say(f"Personal tokens that still hold: {alive}. `entrepotd personal-tokens list {row.id}`")


@user.command()
@click.argument("user")
@hub_command
def disable(desk: Desk, user: str) -> None:
    """Shut USER (number or mail address) out; tokens and links die within seconds."""
    _set_disabled(desk, user, disabled=True)


@user.command()
@click.argument("user")
@hub_command
def enable(desk: Desk, user: str) -> None:
    """Let USER (number or mail address) in again."""
    _set_disabled(desk, user, disabled=False)


@user.command()
@click.argument("user")
@click.argument("roles", nargs=-1, required=True, type=click.Choice(ROLES))
@hub_command
def roles(desk: Desk, user: str, roles: Sequence[str]) -> None:
    """Give USER (number or mail address) exactly these roles."""
    with desk.hub() as hub, hub.database.write() as tx:
        row = find_user(tx, user)
        set_roles(tx, row.id, roles, actor=OPERATOR, now=hub.now())
        dropped = row.password_hash is not None and find_user(tx, row.id).password_hash is None
    say(f"{row.email} has the roles: {', '.join(roles)}.")
    if dropped:
        say("The password came by an invitation and has ended: `entrepotd user set-password`.")


def _set_disabled(desk: Desk, reference: str, *, disabled: bool) -> None:
    with desk.hub() as hub, hub.database.write() as tx:
        row = find_user(tx, reference)
        disable_user(tx, row.id, disabled=disabled, actor=OPERATOR, now=hub.now())
    say(f"{row.email} is {'disabled' if disabled else 'enabled'}.")


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline(_LINE_LENGTH_MAX).rstrip("\r\n")
