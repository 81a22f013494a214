"""`entrepotd releases` and `withdraw`: what has been published."""

from datetime import datetime
from typing import Any

import click
from sqlalchemy import Row

from entrepot.assembly import Hub
from entrepot.core.catalogue import (
    AVAILABLE,
    count_releases,
    find_product,
    find_release,
    list_artifacts,
    list_members,
    list_releases,
    withdraw_release,
)
from entrepot.daemon.console import say, show_json, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest
from entrepot.db import Tx

_SCHEDULED = "scheduled"  # shown for what is available, but only from a later moment on
_COLUMNS = ("id", "name", "quality", "type", "state", "available_at", "files")
_ARTIFACT_FIELDS = (
    "id",
    "position",
    "name",
    "description",
    "type",
    "file_name",
    "content_type",
    "repository",
    "controlled",
    "size",
    "md5",
    "sha256",
)
_ARTIFACT_COLUMNS = ("id", "file_name", "size", "sha256")


@click.command()
@click.argument("product")
@page_options
@json_option
@hub_command
def releases(desk: Desk, product: str, *, skip: int, take: int, as_json: bool) -> None:
    """List the releases of PRODUCT (code or number) in any state, newest first.

    One that is to become available later is scheduled. A group has none of its own: it names the
    products whose releases it gives.
    """
    with desk.hub() as hub, hub.database.read() as tx:
        about = find_product(tx, product)
        number = about.id
        found = list_releases(tx, number, skip=skip, take=take)
        total = count_releases(tx, number)
        rows = [_release(tx, row, about.code, now=hub.now()) for row in found]
        members = list_members(tx, number)
    shown = rows if as_json else [row | {"files": len(row["artifacts"])} for row in rows]
    none = f"{about.code} has no releases yet."
    if members:
        each = ", ".join(f"`entrepotd releases {code}`" for code in members)
        none = f"{about.code} is a group: its releases are those of its members. See {each}."
    show_rows(shown, columns=_COLUMNS, as_json=as_json, none="" if total else none)
    note_rest(len(found), skip=skip, total=total)


def _release(tx: Tx, row: Row[Any], code: str, *, now: datetime) -> dict[str, Any]:
    artifacts = [
        {name: each._mapping[name] for name in _ARTIFACT_FIELDS}
        for each in list_artifacts(tx, row.id)
    ]
    scheduled = row.state == AVAILABLE and row.available_at > now
    state = _SCHEDULED if scheduled else row.state
    return dict(row._mapping) | {"state": state, "product_code": code, "artifacts": artifacts}


def show_release(hub: Hub, release_id: str, *, as_json: bool) -> None:
    """Print one release with its files."""
    with hub.database.read() as tx:
        row = find_release(tx, release_id)
        code = find_product(tx, row.product_id).code
        shown = _release(tx, row, code, now=hub.now())
    if as_json:
        show_json(shown)
        return
    artifacts = shown.pop("artifacts")
    show_one(shown, as_json=False)
    click.echo()
    show_rows(artifacts, columns=_ARTIFACT_COLUMNS, as_json=False)


@click.command()
@click.argument("release")
@hub_command
def withdraw(desk: Desk, release: str) -> None:
    """Withdraw RELEASE (its UUID): links die in seconds, running downloads go on to their end."""
    with desk.hub() as hub, hub.database.write() as tx:
        withdraw_release(tx, release, actor=OPERATOR, now=hub.now())
    say("The release is withdrawn.")
