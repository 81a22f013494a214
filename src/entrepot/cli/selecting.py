"""The commands select assets, add, remove, list and clear."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from entrepot.cli.completing import complete_asset
from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, format_option, hub_option, page_options
from entrepot.cli.output import Column, print_json, print_table
from entrepot.cli.rows import size_text, text
from entrepot.cli.setup import Setup
from entrepot.client.answers import JsonObject
from entrepot.client.errors import InvalidUse
from entrepot.client.order_requests import GROUPS
from entrepot.client.selections import ASSETS_TAKE

ASSETS_MAX = 200_000
_ASSET_COLUMNS = (
    Column("ID", whole=True),
    Column("Identifier", whole=True),
    Column("File Name"),
    Column("Type"),
    Column("Size", whole=True),
)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def pool_option(function: _Function) -> _Function:
    """--pool"""
    return click.option(
        "--pool",
        metavar="POOL",
        default="default",
        show_default=True,
        help="Which of your selections; any name.",
    )(function)


def assets_argument(*, required: bool) -> Callable[[_Function], _Function]:
    """ASSET..., with `-` for those on stdin"""
    return click.argument(
        "assets",
        nargs=-1,
        required=required,
        metavar="ASSET..." if required else "[ASSET...]",
        shell_complete=complete_asset,
    )


def read_assets(told: tuple[str, ...]) -> list[str]:
    """The assets that are typed, and for `-` those on stdin, between spaces or line breaks."""
    found: list[str] = []
    for one in told:
        found += sys.stdin.read().split() if one == "-" else [one]
    if len(found) > ASSETS_MAX:
        raise InvalidUse(f"{len(found)} assets are too many: {ASSETS_MAX} are the most.")
    return found


@click.group(context_settings=COMMAND)
def select() -> None:
    """Pick assets for an order; the hub keeps the selection, for you alone."""


@select.command(context_settings=COMMAND)
@click.option(
    "--group",
    type=click.Choice(GROUPS, case_sensitive=False),
    help="Only of this media group.",
)
@page_options
@format_option
@hub_option
@click.pass_context
def assets(
    ctx: click.Context, group: str | None, offset: int | None, limit: int, form: str
) -> None:
    """List the assets that you may have, to select or order them.

    Other commands take the number (ID) or the identifier for an ASSET. An empty list is no error.
    """
    if limit > ASSETS_TAKE:
        raise click.BadParameter(f"a page has at most {ASSETS_TAKE} assets", param_hint="-l")
    with _setup(ctx).client() as client:
        if offset is not None:
            skip = (offset - 1) * limit
            found = client.selections.assets(group=group, skip=skip, take=limit)
        else:
            found = list(client.selections.every_asset(group=group))
    if form != "table":
        print_json(found, form)
    elif found:
        print_table(_ASSET_COLUMNS, [_asset_row(one) for one in found])
    if not found:
        say("There is no asset here that you may have.")


def _asset_row(asset: JsonObject) -> list[str]:
    keys = ("id", "identifier", "file_name", "content_type")
    return [*(text(asset.get(key)) for key in keys), size_text(asset.get("size"))]


@select.command(context_settings=COMMAND)
@assets_argument(required=True)
@pool_option
@hub_option
@click.pass_context
def add(ctx: click.Context, assets: tuple[str, ...], pool: str) -> None:
    """Add assets, by number or identifier; `-` reads them from stdin."""
    with _setup(ctx).client() as client:
        total = client.selections.add(pool, read_assets(assets))
    _say_total(total, pool)


@select.command(context_settings=COMMAND)
@assets_argument(required=True)
@pool_option
@hub_option
@click.pass_context
def remove(ctx: click.Context, assets: tuple[str, ...], pool: str) -> None:
    """Take assets out, by number or identifier; `-` reads them from stdin."""
    with _setup(ctx).client() as client:
        total = client.selections.remove(pool, read_assets(assets))
    _say_total(total, pool)


@select.command("list", context_settings=COMMAND)
@pool_option
@page_options
@format_option
@hub_option
@click.pass_context
def list_(ctx: click.Context, pool: str, offset: int | None, limit: int, form: str) -> None:
    """List the numbers of the assets that are selected. An empty list is no error."""
    with _setup(ctx).client() as client:
        if offset is None:
            ids = list(client.selections.ids(pool))
        else:
            page = client.selections.page(pool, skip=(offset - 1) * limit, take=limit)
            ids = page.get("items", [])
    if form != "table":
        print_json(ids, form)
    elif ids:
        print_table((Column("ID", whole=True),), [[str(one)] for one in ids])
    if not ids and offset in (None, 1):
        say(f"Nothing is selected in {pool}: entrepot select add ASSET --pool {pool}")
    elif not ids:
        say("That page has nothing.")


@select.command(context_settings=COMMAND)
@pool_option
@hub_option
@click.pass_context
def clear(ctx: click.Context, pool: str) -> None:
    """Take everything out."""
    with _setup(ctx).client() as client:
        client.selections.clear(pool)
    _say_total(0, pool)


def _say_total(total: int, pool: str) -> None:
    say(f"{total} asset{'' if total == 1 else 's'} selected in {pool}.")


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup
