"""`entrepotd product`: products and groups of products."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import click

from entrepot.core.catalogue import (
    ProductSpec,
    add_product,
    change_product,
    count_products,
    describe_product,
    find_product,
    list_products,
)
from entrepot.daemon.console import say, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import (
    AGAIN,
    Command,
    Noun,
    hub_command,
    json_option,
    page_options,
)
from entrepot.daemon.paging import note_rest
from entrepot.errors import Invalid

_COLUMNS = ("id", "code", "name", "grouped", "listed", "us_eccn", "licence_code")
_FIELDS = (
    "id",
    "code",
    "name",
    "description",
    "grouped",
    "listed",
    "us_eccn",
    "eccn_restricted",
    "delivery_method",
    "foundries",
    "process",
    "licence_code",
    "created_at",
    "changed_at",
)
_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--name", help="What customers call it; a new product has its code for a name."),
    click.option("--description", help="A few sentences for customers."),
    click.option(
        "--listed/--unlisted",
        default=None,
        help="Whether people without an entitlement may see that it exists.",
    ),
    click.option(
        "--us-eccn",
        multiple=True,
        metavar="ECCN",
        help=f"Export control number, shown to customers. {AGAIN}",
    ),
    click.option(
        "--eccn-restricted/--not-eccn-restricted",
        default=None,
        help="Whether customers are told that export is restricted.",
    ),
    click.option(
        "--delivery-method",
        metavar="METHOD",
        help="download, physical or none; shown to customers.",
    ),
    click.option(
        "--foundry", "foundries", multiple=True, help=f"Shown to customers of a group. {AGAIN}"
    ),
    click.option("--process", help="Shown to customers of a group."),
    click.option(
        "--licence",
        "licence_code",
        metavar="CODE",
        help="To be accepted before a download; '' takes it away.",
    ),
    click.option(
        "--member",
        "members",
        multiple=True,
        metavar="CODE",
        help="A product that belongs to this one, which is a group then; several times, in order.",
    ),
)


def _described(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _told(options: dict[str, Any]) -> dict[str, Any]:
    """What was said on the command line: nothing for options that were left out."""
    told = {name: value for name, value in options.items() if value not in (None, ())}
    for name in ("licence_code", "process"):
        if told.get(name) == "":
            told[name] = None
    return told


@click.group(cls=Noun)
def product() -> None:
    """Add, change, list and show products."""


@product.command()
@click.argument("code")
@_described
@hub_command
def add(desk: Desk, code: str, **options: Any) -> None:
    """Add the product CODE; prints its number."""
    spec = replace(ProductSpec(code=code, name=code), **_told(options))
    with desk.hub() as hub, hub.database.write() as tx:
        number = add_product(tx, spec, actor=OPERATOR, now=hub.now())
    click.echo(number)


@product.command()
@click.argument("product")
@_described
@hub_command
def change(desk: Desk, product: str, **options: Any) -> None:
    """Change what is said of PRODUCT (code or number); what is left out stays."""
    told = _told(options)
    if not told:
        raise Invalid(
            "Nothing to change was said.",
            field="options",
            remedy="Give an option, such as --name; `entrepotd product change --help` has them.",
        )
    with desk.hub() as hub, hub.database.write() as tx:
        spec = replace(describe_product(tx, product), **told)
        number = find_product(tx, product).id
        change_product(tx, number, spec, actor=OPERATOR, now=hub.now())
    say(f"{spec.code} is changed.")


@product.command(name="list")
@page_options
@json_option
@hub_command
def list_(desk: Desk, *, skip: int, take: int, as_json: bool) -> None:
    """List products by code."""
    with desk.hub() as hub, hub.database.read() as tx:
        found = list_products(tx, skip=skip, take=take)
        total = count_products(tx)
    rows = [{name: row._mapping[name] for name in _FIELDS} for row in found]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@product.command()
@click.argument("product")
@json_option
@hub_command
def show(desk: Desk, product: str, *, as_json: bool) -> None:
    """Print all that is said of PRODUCT (code or number)."""
    with desk.hub() as hub, hub.database.read() as tx:
        spec = describe_product(tx, product)
        number = find_product(tx, product).id
    show_one({"id": number} | asdict(spec), as_json=as_json)
