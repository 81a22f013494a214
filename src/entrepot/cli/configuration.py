"""The command show-config: what would be used, with no secret in it."""

import click

from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.setup import Setup


@click.command("show-config", context_settings=COMMAND)
@hub_option
@click.pass_context
def show_config(ctx: click.Context) -> None:
    """Print the configuration in use as JSON; tokens are never shown."""
    from entrepot.client.auth import TokenStore
    from entrepot.client.profiles import downloads_folder

    setup = ctx.obj
    assert isinstance(setup, Setup)
    profile = setup.profile()
    hub = profile.address
    held = TokenStore(profile.root, profile.name, hub).load() if hub else None
    given = [
        name
        for name in ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN", "ENTREPOT_CLIENT_ID")
        if setup.variables.get(name)
    ]
    print_json(
        {
            "environment": profile.name,
            "base_url": hub.url if hub else None,
            "root": str(profile.root),
            "downloads": str(downloads_folder(setup.variables)),
            "log_level": setup.log_level(),
            "token_from": given[0] if given else ("saved sign-in" if held else None),
        },
        "jsonpp",
    )
