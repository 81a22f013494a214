"""The commands trust add, list, show and remove: whose signatures count on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, format_option, hub_option
from entrepot.cli.output import Column, print_json, print_table
from entrepot.cli.setup import Setup
from entrepot.client.tokens import utc_text

if TYPE_CHECKING:
    from entrepot.client.trust import Pin, Trust


@click.group(context_settings=COMMAND)
def trust() -> None:
    """Whose signatures count, product by product, for this hub.

    The first time that a signed product is seen, its root is taken as the hub presents it, and
    said so; from then on nothing else counts. `trust add`, before that, takes the publisher's
    word in place of the hub's.
    """


_code = click.argument("code", metavar="CODE")


@trust.command(context_settings=COMMAND)
@_code
@click.option(
    "--root",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The root that the publisher gave you.",
)
@click.option("--fingerprint", metavar="HEX", help="Its fingerprint, as the publisher tells it.")
@hub_option
@click.pass_context
def add(ctx: click.Context, code: str, root: str | None, fingerprint: str | None) -> None:
    """Trust the keys of the product CODE by its root or its fingerprint, and no others.

    Whatever was trusted for it before is forgotten.
    """
    from entrepot.client.private_files import read_plain
    from entrepot.client.trust import ROOT_BYTES_MAX

    held = read_plain(Path(root), ROOT_BYTES_MAX) if root else None
    pin = _trust(ctx).add(code.upper(), root=held, expected=fingerprint)
    say(f"Trusted for {pin.product} at {pin.hub}: {pin.fingerprint}", color="green")


@trust.command("list", context_settings=COMMAND)
@format_option
@click.pass_context
def list_(ctx: click.Context, form: str) -> None:
    """List what is trusted, for every hub."""
    from entrepot.client.profiles import files_root
    from entrepot.client.trust import list_pins

    found = [_told(pin) for pin in list_pins(files_root(_setup(ctx).variables))]
    if form != "table":
        print_json(found, form)
        return
    columns = [Column(title, whole=title != "By") for title in _TITLES]
    print_table(columns, [[str(value) for value in one.values()] for one in found])


_TITLES = ("Hub", "Product", "Fingerprint", "Since", "By")


@trust.command(context_settings=COMMAND)
@_code
@hub_option
@format_option
@click.pass_context
def show(ctx: click.Context, code: str, form: str) -> None:
    """Show what is trusted for the product CODE, and what of it was seen last."""
    from entrepot.client.errors import NotFound
    from entrepot.client.trust_state import seen_state

    held = _trust(ctx)
    pin = held.pin_of(code.upper())
    if pin is None:
        raise NotFound(
            f"No key of {code.upper()} is trusted for {held.hub}.",
            remedy="`entrepot trust list` shows those that are.",
        )
    told: dict[str, Any] = _told(pin) | seen_state(held, pin.product)
    if form != "table":
        print_json(told, form)
        return
    for name, value in told.items():
        click.echo(f"{name.replace('_', ' '):22}{'-' if value is None else value}")


@trust.command(context_settings=COMMAND)
@_code
@hub_option
@click.pass_context
def remove(ctx: click.Context, code: str) -> None:
    """Forget the product CODE; the next time its root is taken as the hub presents it."""
    gone = _trust(ctx).remove(code.upper())
    say(f"No longer trusted for {gone.product} at {gone.hub}: {gone.fingerprint}", color="green")


def _told(pin: "Pin") -> dict[str, str]:
    return {
        "hub": pin.hub,
        "product": pin.product,
        "fingerprint": pin.fingerprint,
        "since": utc_text(pin.since),
        "by": pin.source,
    }


def _trust(ctx: click.Context) -> "Trust":
    from entrepot.client.trust import Trust

    profile = _setup(ctx).profile()
    return Trust(profile.root, profile.hub().url)


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    setup.start_logging()
    return setup
