"""`entrepotd sandbox`: what a sandbox holds, for people and for scripts."""

import click

from entrepot.daemon.desk import Desk
from entrepot.daemon.options import hub_command, json_option
from entrepot.daemon.sandbox import describe_world, render_json, render_text, reset_world


@click.command()
@click.option(
    "--reset",
    is_flag=True,
    help="First remove all of it, and load the sample world anew, with new secrets.",
)
@json_option
@hub_command
def sandbox(desk: Desk, *, reset: bool, as_json: bool) -> None:
    """Print what the sandbox in --data holds: users, passwords, clients, products, files.

    With --json also fresh access tokens. The hub need not run, and with --reset must not.
    """
    if reset:
        reset_world(desk.settings())
    with desk.hub() as hub:
        world = describe_world(hub, desk.settings().data)
    click.echo(render_json(world) if as_json else render_text(world))
