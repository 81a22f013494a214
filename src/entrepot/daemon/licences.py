"""`entrepotd licence`: the texts that customers accept."""

from typing import BinaryIO

import click

from entrepot.core.catalogue import (
    add_licence,
    count_licences,
    find_revision,
    list_licences,
    revise_licence,
)
from entrepot.daemon.console import show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import (
    Count,
    LocalFile,
    Noun,
    hub_command,
    json_option,
    page_options,
)
from entrepot.daemon.paging import note_rest
from entrepot.errors import Invalid
from entrepot.kit.text import TEXT_LENGTH_MAX

_COLUMNS = ("code", "name", "revision", "created_at")


@click.group(cls=Noun)
def licence() -> None:
    """Add, revise, list and show licences."""


@licence.command()
@click.argument("code")
@click.argument("file", type=LocalFile())
@click.option("--name", help="What customers call it.  [default: CODE]")
@hub_command
def add(desk: Desk, code: str, file: BinaryIO, name: str | None) -> None:
    """Add the licence CODE with the text in FILE (UTF-8; - is stdin)."""
    text = _read(file)
    with desk.hub() as hub, hub.database.write() as tx:
        add_licence(tx, code=code, name=name or code, text=text, actor=OPERATOR, now=hub.now())
    click.echo(1)


@licence.command()
@click.argument("code")
@click.argument("file", type=LocalFile())
@hub_command
def revise(desk: Desk, code: str, file: BinaryIO) -> None:
    """Publish a new text of CODE, which everyone has to accept anew; prints the revision."""
    text = _read(file)
    with desk.hub() as hub, hub.database.write() as tx:
        revision = revise_licence(tx, code=code, text=text, actor=OPERATOR, now=hub.now())
    click.echo(revision)


@licence.command(name="list")
@page_options
@json_option
@hub_command
def list_(desk: Desk, *, skip: int, take: int, as_json: bool) -> None:
    """List licences by code, with their newest revision."""
    with desk.hub() as hub, hub.database.read() as tx:
        found = list_licences(tx, skip=skip, take=take)
        total = count_licences(tx)
    show_rows([dict(row._mapping) for row in found], columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@licence.command()
@click.argument("code")
@click.option(
    "--revision", type=Count(1, 2**31 - 1), metavar="N", help="Which.  [default: the newest]"
)
@json_option
@hub_command
def show(desk: Desk, code: str, revision: int | None, *, as_json: bool) -> None:
    """Print the text of CODE."""
    with desk.hub() as hub, hub.database.read() as tx:
        found = find_revision(tx, code, revision)
    if not as_json:
        click.echo(found.text, nl=not found.text.endswith("\n"))
        return
    show_one(
        {
            "code": found.licence_code,
            "name": found.licence_name,
            "revision": found.revision,
            "sha256": found.sha256,
            "published_at": found.published_at,
            "text": found.text,
        },
        as_json=True,
    )


def _read(file: BinaryIO) -> str:
    # UTF-8 has at most four bytes a character: more need not be read to be refused.
    content = file.read(4 * TEXT_LENGTH_MAX + 1)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Invalid("The licence is not UTF-8 text.", field="file") from error
