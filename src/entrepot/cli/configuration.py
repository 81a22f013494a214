"""The command show-config: what would be used, with no secret in it."""

from contextlib import suppress

import click

from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.setup import Setup


@click.command("show-config", context_settings=COMMAND)
@hub_option
@click.pass_context
def show_config(ctx: click.Context) -> None:
    """Print the configuration in use as JSON; tokens are never shown."""
    from entrepot.client.errors import NotSignedIn
    from entrepot.client.keyrings import SystemKeyring
    from entrepot.client.profiles import downloads_folder
    from entrepot.client.token_store import TokenStore

    setup = ctx.obj
    assert isinstance(setup, Setup)
    profile = setup.profile()
    hub = profile.address
    held = None
    if hub is not None:
        store = TokenStore(profile.root, profile.name, hub, SystemKeyring(setup.variables))
        with suppress(NotSignedIn):  # a locked keyring: that is no reason to show nothing
            held = store.load()
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
