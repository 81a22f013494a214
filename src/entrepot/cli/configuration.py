"""The commands show-config (what would be used) and profile (the hubs that are known by name)."""

from contextlib import suppress

import click

from entrepot.cli.completing import complete_folder, complete_profile
from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, cacert_option, format_option, hub_option
from entrepot.cli.output import Column, print_json, print_table
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

    setup = _setup(ctx)
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
            "cacert": profile.cacert,
            "country": profile.country,
            "root": str(profile.root),
            "downloads": str(downloads_folder(setup.variables, profile)),
            "log_level": setup.log_level(),
            "token_from": given[0] if given else ("saved sign-in" if held else None),
        },
        "jsonpp",
    )


@click.group(context_settings=COMMAND)
def profile() -> None:
    """Hubs by name: `entrepot -k NAME ...` speaks to that one, with its own sign-in.

    `prod` and `qa` are always there; the one in use is meant where nothing else is said.
    """


_name = click.argument("name", metavar="NAME", shell_complete=complete_profile)


@profile.command(context_settings=COMMAND)
@_name
@click.option("--url", metavar="URL", required=True, help="Address of the hub.")
@cacert_option()
@click.option("--country", help="Country to declare for controlled artifacts, such as GB.")
@click.option("--downloads", shell_complete=complete_folder, help="Folder for its downloads.")
@click.option("--replace", "anew", is_flag=True, help="Also where there is one of this name.")
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    url: str,
    cacert: str | None,
    country: str | None,
    downloads: str | None,
    *,
    anew: bool,
) -> None:
    """Remember a hub by a name."""
    from pathlib import Path

    from entrepot.client.connections import parse_hub_address, trusting
    from entrepot.client.countries import country_code
    from entrepot.client.errors import InvalidUse
    from entrepot.client.profiles import (
        Profile,
        check_name,
        files_root,
        list_profiles,
        save_profile,
    )

    name, setup = check_name(name), _setup(ctx)
    setup.start_logging()
    there = {one.name for one, _ in list_profiles(setup.variables) if one.address is not None}
    if name in there and not anew:
        raise InvalidUse(
            f"There is a profile {name} already.",
            remedy="Add --replace, or remove it first: entrepot profile remove " + name,
        )
    trusting(cacert)  # said now, not when it is used
    made = Profile(
        name,
        files_root(setup.variables),
        parse_hub_address(url),
        cacert,
        country_code(country) if country else None,
        str(Path(downloads).expanduser().absolute()) if downloads else None,
    )
    save_profile(made)
    say(f"Profile {name} is {made.hub().url}. Sign in: entrepot -k {name} login", color="green")


@profile.command("list", context_settings=COMMAND)
@format_option
@click.pass_context
def list_(ctx: click.Context, form: str) -> None:
    """List the profiles, and which is in use."""
    from entrepot.client.profiles import list_profiles

    found = [
        {
            "name": one.name,
            "url": one.address.url if one.address else None,
            "in_use": used,
            "cacert": one.cacert,
            "country": one.country,
            "downloads": one.downloads,
        }
        for one, used in list_profiles(_setup(ctx).variables)
    ]
    if form != "table":
        print_json(found, form)
        return
    titles = ("Name", "URL", "In use", "Certificates", "Country", "Downloads")
    columns = [Column(title, whole=title in ("Name", "URL")) for title in titles]
    print_table(columns, [[_cell(value) for value in one.values()] for one in found])


def _cell(value: str | bool | None) -> str:
    return "yes" if value is True else str(value or "")


@profile.command(context_settings=COMMAND)
@_name
@click.pass_context
def use(ctx: click.Context, name: str) -> None:
    """Make a profile the one that is meant where nothing else is said."""
    from entrepot.client.profiles import check_name, files_root, use_profile

    setup = _setup(ctx)
    name = check_name(name)
    use_profile(files_root(setup.variables), name)
    say(f"In use: {name}", color="green")
    for variable in ("ENTREPOT_PROFILE", "EDM_ENV"):
        if setup.variables.get(variable):
            say(f"Note: {variable} is set in the environment and wins.", color="yellow")


@profile.command(context_settings=COMMAND)
@_name
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Forget a profile and its sign-in on this machine."""
    from entrepot.client.keyrings import SystemKeyring
    from entrepot.client.profiles import check_name, files_root, remove_profile
    from entrepot.client.token_store import delete_sign_in

    setup = _setup(ctx)
    setup.start_logging()
    gone = remove_profile(files_root(setup.variables), check_name(name))
    delete_sign_in(gone.root, gone.name, SystemKeyring(setup.variables))
    say(f"Profile {gone.name} is forgotten.", color="green")
    if gone.address is not None:
        say(f"To end a sign-in at the hub as well: {gone.address.url}/token")


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup
