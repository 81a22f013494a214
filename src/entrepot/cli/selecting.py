"""The commands select add, remove, list and clear."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from entrepot.cli.completing import complete_asset
from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, format_option, hub_option, page_options
from entrepot.cli.output import Column, print_json, print_table
from entrepot.cli.setup import Setup
from entrepot.client.errors import InvalidUse, NotFound

ASSETS_MAX = 200_000
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
    """List the numbers of the assets that are selected."""
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
    if not ids:
        raise NotFound(
            f"Nothing is selected in {pool}." if offset in (None, 1) else "That page has nothing.",
            remedy=f"Select something: entrepot select add ASSET --pool {pool}",
        )


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
