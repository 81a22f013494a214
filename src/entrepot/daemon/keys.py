"""`entrepotd keys`: the keys that sign access tokens and links, and those that sign releases."""

from datetime import datetime
from typing import Any, Literal

import click
from sqlalchemy import Row

from entrepot.core.accounts import PURPOSES, list_keys, rotate_keys
from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.manifest_keys import COMMANDS, show_product_keys
from entrepot.daemon.options import Noun, hub_command, json_option

_COLUMNS = ("kid", "purpose", "state", "signs_from", "retires_at")


@click.group(cls=Noun)
def keys() -> None:
    """List and rotate the keys that sign tokens and links; make those that sign releases."""


for _command in COMMANDS:
    keys.add_command(_command)


@keys.command(name="list")
@click.argument("product", required=False)
@json_option
@hub_command
def list_(desk: Desk, product: str | None, *, as_json: bool) -> None:
    """List the hub's own keys: next, signing, verifying or retired. Or those of PRODUCT."""
    if product is not None:
        show_product_keys(desk, product, as_json=as_json)
        return
    with desk.hub() as hub, hub.database.read() as tx:
        now = hub.now()
        found = list_keys(tx)
    rows = [dict(row._mapping) | {"state": _state(row, found, now)} for row in found]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)


def _state(key: Row[Any], every: list[Row[Any]], now: datetime) -> str:
    if key.retires_at is not None and key.retires_at <= now:
        return "retired"
    if key.signs_from > now:
        return "next"
    newer = (
        other
        for other in every
        if other.purpose == key.purpose
        and other.signs_from <= now
        and (other.signs_from, other.kid) > (key.signs_from, key.kid)
    )
    return "verifying" if any(newer) else "signing"


@keys.command()
@click.argument("purpose", type=click.Choice(PURPOSES))
@hub_command
def rotate(desk: Desk, purpose: Literal["token", "link"]) -> None:
    """Make a new key for access tokens or links; prints its id.

    It signs a little later, once every process and client knows it. What the old key signed
    stays valid until it expires by itself.
    """
    with desk.hub() as hub, hub.database.write() as tx:
        now = hub.now()
        kid = rotate_keys(tx, hub.keys.box, purpose, actor=OPERATOR, now=now)
        [row] = [row for row in list_keys(tx) if row.kid == kid]
    say(f"The new key signs from {row.signs_from.isoformat(timespec='seconds')} on.")
    click.echo(kid)
