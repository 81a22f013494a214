"""Options that several commands share. Those of commands may be spelled in any case, as edmgr's."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from entrepot.cli.console import is_interactive

_Function = TypeVar("_Function", bound=Callable[..., Any])

COMMAND = {
    "token_normalize_func": str.lower,
    "max_content_width": 100,
}


def format_option(function: _Function) -> _Function:
    """-f table|json|jsonpp"""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(["table", "json", "jsonpp"], case_sensitive=False),
        default="table",
        show_default=True,
        help="A table for people, JSON in one line, or JSON indented.",
    )(function)


def page_options(function: _Function) -> _Function:
    """-o PAGE and -l N"""
    limit = click.option(
        "-l",
        "--limit",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        help="How many on a page; without -o everything is shown.",
    )
    offset = click.option("-o", "--offset", type=click.IntRange(1), help="Page, from 1.")
    return offset(limit(function))


def entitlement_option(function: _Function) -> _Function:
    """-e, asked for on a terminal"""
    return _asked("-e", "--entitlement-id", "Entitlement ID")(function)


def release_option(function: _Function) -> _Function:
    """-r, asked for on a terminal"""
    return _asked("-r", "--release-id", "Release ID")(function)


def hub_option(function: _Function) -> _Function:
    """--url after the command as well as before it"""
    return click.option(
        "--url", metavar="URL", expose_value=False, callback=_take_url, help="Address of the hub."
    )(function)


def _take_url(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.obj = ctx.find_root().obj.with_url(value)


def _asked(short: str, long: str, label: str) -> Callable[[_Function], _Function]:
    def ask(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
        if value:
            return value
        if ctx.resilient_parsing:
            return ""
        if value == "" or not is_interactive():
            raise click.MissingParameter(ctx=ctx, param=param)
        answer: str = click.prompt(label, err=True)
        return answer

    return click.option(short, long, callback=ask, help=f"{label}.  [required]")
