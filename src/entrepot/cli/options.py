"""Options that several commands share. Those of commands may be spelled in any case, as edmgr's."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from entrepot.cli.completing import complete_folder, complete_product
from entrepot.cli.console import is_interactive

_Function = TypeVar("_Function", bound=Callable[..., Any])
_OR_PRODUCT = "required without PRODUCT"

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


def product_argument(metavar: str) -> Callable[[_Function], _Function]:
    """A product's code, with a version where the metavar says so; may be left out for -e."""
    # Eager, so that it is known by the time that -e and -r would be asked for.
    return click.argument(
        "what", metavar=metavar, required=False, is_eager=True, shell_complete=complete_product
    )


def directory_argument(function: _Function) -> _Function:
    """DIR; an empty one, as of a variable that is not set, is no folder of anybody's choice"""

    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        if not value and not ctx.resilient_parsing:
            raise click.BadParameter("It is empty.", ctx, param)
        return value

    return click.argument(
        "directory", metavar="DIR", shell_complete=complete_folder, callback=check
    )(function)


def entitlement_option(function: _Function) -> _Function:
    """-e, asked for on a terminal"""
    return _asked("-e", "--entitlement-id", "Entitlement ID")(function)


def entitlement_or_product_option(function: _Function) -> _Function:
    """-e, asked for on a terminal where no product is given"""
    return _asked("-e", "--entitlement-id", "Entitlement ID", _OR_PRODUCT)(function)


def release_or_product_option(function: _Function) -> _Function:
    """-r, asked for on a terminal where no product is given"""
    return _asked("-r", "--release-id", "Release ID", _OR_PRODUCT)(function)


def release_option(function: _Function) -> _Function:
    """-r, asked for on a terminal"""
    return _asked("-r", "--release-id", "Release ID")(function)


def artifacts_option(function: _Function) -> _Function:
    """-a, for a command that fetches some files of a release"""
    return click.option(
        "-a",
        "--artifact",
        "--artifact-id",
        "patterns",
        metavar="PATTERN",
        multiple=True,
        help="Only files whose file name or name is like this, such as '*.tar.gz', or that have "
        "this ID. Can be given several times.",
    )(function)


def hub_option(function: _Function) -> _Function:
    """--url and --cacert after the command as well as before it"""
    url = click.option(
        "--url", metavar="URL", expose_value=False, callback=_take_url, help="Address of the hub."
    )
    return url(cacert_option(expose_value=False, callback=_take_cacert)(function))


def cacert_option(**more: Any) -> Callable[[_Function], _Function]:
    """--cacert FILE, which has to be there"""
    return click.option(
        "--cacert",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True),
        help="Certificates (PEM) to trust in place of the system's.",
        **more,
    )


def _take_url(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    ctx.meta["entrepot.url"] = value or ctx.meta.get("entrepot.url")  # for completing
    if value and ctx.obj is not None:
        ctx.obj = ctx.obj.having(url=value)


def _take_cacert(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    ctx.meta["entrepot.cacert"] = value or ctx.meta.get("entrepot.cacert")
    if value and ctx.obj is not None:
        ctx.obj = ctx.obj.having(cacert=value)


def _asked(
    short: str, long: str, label: str, needed: str = "required"
) -> Callable[[_Function], _Function]:
    def ask(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
        if value:
            if ctx.params.get("what") and param.name == "entitlement_id":
                raise click.UsageError("Give the product or -e, not both.", ctx)
            return value
        if ctx.resilient_parsing or ctx.params.get("what"):
            return ""
        if value == "" or not is_interactive():
            raise click.MissingParameter(ctx=ctx, param=param)
        answer: str = click.prompt(label, err=True)
        return answer

    return click.option(short, long, callback=ask, help=f"{label}.  [{needed}]")
