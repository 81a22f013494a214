"""`entrepotd token`: a fresh access token for a person or a machine."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from entrepot.core.accounts import (
    SCOPES,
    Principal,
    begin_own_family,
    find_client,
    find_user,
    issue_token,
    load_client,
    load_user,
)
from entrepot.core.events import Event, record
from entrepot.daemon.console import show_one
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import hub_command, json_option
from entrepot.db import Tx
from entrepot.errors import Invalid, NotFound


@click.command()
@click.argument("principal", metavar="USER|CLIENT")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="Limit the token to these.  [default: all that the account has]",
)
@json_option
@hub_command
def token(desk: Desk, principal: str, scopes: Sequence[str], *, as_json: bool) -> None:
    """Print a fresh access token of a person (number or mail address) or machine (client id).

    It is good for the address that the hub was last served at. The log remembers it. A person's
    ends with a new password and by signing out everywhere, as those of the token page do.
    """
    with desk.hub() as hub, hub.database.write() as tx:
        now = hub.now()
        who = _load(tx, principal)
        wanted, seconds = _limit(who, scopes), hub.policy.token_seconds
        issued = issue_token(
            tx,
            hub.keys.current,
            who,
            issuer=hub.policy.public_url,
            scopes=wanted,
            family=_begin_family(tx, who, wanted, ends=now + timedelta(seconds=seconds), now=now),
            now=now,
            seconds=seconds,
        )
        event = Event("token.issued", OPERATOR, who.label, who.organisation_id)
        record(tx, event, now=now)
    if not as_json:
        click.echo(issued.value)
        return
    more = {"expires_at": issued.expires_at, "scopes": list(issued.scopes)}
    show_one({"access_token": issued.value} | more, as_json=True)


def _begin_family(
    tx: Tx, who: Principal, scopes: Sequence[str] | None, *, ends: datetime, now: datetime
) -> str | None:
    """What a person's token ends with, as those of the token page do; a machine has none."""
    if who.user_id is None:
        return None
    held = [scope for scope in SCOPES if scope in who.scopes] if scopes is None else scopes
    return begin_own_family(tx, who.user_id, held, expires_at=ends, now=now)


def _limit(who: Principal, wanted: Sequence[str]) -> tuple[str, ...] | None:
    """The wanted scopes in their fixed order; None: all."""
    for scope in wanted:
        if scope not in who.scopes:
            raise Invalid(f"{who.label} does not have the scope {scope!r}.", field="scope")
    return tuple(scope for scope in SCOPES if scope in wanted) or None


def _load(tx: Tx, reference: str) -> Principal:
    """A mail address or a number is a person's; anything else, and a number that nobody has,
    is a client id."""
    if "@" in reference or reference.isdigit():
        try:
            return load_user(tx, find_user(tx, reference).id)
        except NotFound:
            if "@" in reference:
                raise
    row = find_client(tx, reference)
    return load_client(tx, row.client_id, scopes=row.scopes)
