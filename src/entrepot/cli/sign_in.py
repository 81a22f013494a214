"""The commands login (by a code; token, credentials, show-token) and logout."""

import sys
from datetime import UTC, datetime

import click

from entrepot.cli.console import is_interactive, say
from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.setup import Setup
from entrepot.client import Backoff, Client, ClientError, Denied, NotFound, NotSignedIn
from entrepot.client.auth import revoke, sign_in_with_password
from entrepot.client.connections import Address
from entrepot.client.device import (
    SCOPE,
    DeviceSignIn,
    begin_device_sign_in,
    wait_for_device_sign_in,
)
from entrepot.client.errors import InvalidUse, Unreachable
from entrepot.client.keyrings import SystemKeyring
from entrepot.client.names import printable
from entrepot.client.profiles import save_profile
from entrepot.client.token_store import Grant, TokenStore, delete_sign_in
from entrepot.client.tokens import (
    PERSONAL_PREFIX,
    TOKEN_CHARS_MAX,
    Claims,
    claims_or_none,
    clean_token,
    read_claims,
    utc_text,
)

_ENVIRONMENT_TOKENS = ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN", "ENTREPOT_CLIENT_ID")


@click.group(invoke_without_command=True)
@click.option("--browser", is_flag=True, help="Open the page in a web browser of this machine.")
@click.option("--scope", help="What to ask for, in the hub's words.  [default: what this needs]")
@hub_option
@click.pass_context
def login(ctx: click.Context, *, browser: bool, scope: str | None) -> None:
    """Sign in: shows a page and a code to type there, on this device or another.

    Other ways: `login token`, and `login credentials` where the hub allows passwords.
    """
    if ctx.invoked_subcommand is not None:
        return
    setup = _setup(ctx)
    hub, times = setup.hub(), setup.times()
    try:
        begun = begin_device_sign_in(hub, times, scope=scope or SCOPE)
    except (Denied, NotFound) as error:
        raise Denied(
            error.message,
            remedy=f"Open {hub.url}/token in a browser, generate a token and run "
            "`entrepot login token -`.",
        ) from error
    _show_code(begun, browser=browser)
    grant = wait_for_device_sign_in(hub, begun, times)
    _save(setup, hub, grant)
    claims = claims_or_none(grant.access_token)
    owner = f" as {claims.owner}" if claims and claims.owner else ""
    say(f"Signed in at {hub.origin}{owner}.", color="green")


def _show_code(begun: DeviceSignIn, *, browser: bool) -> None:
    """What the person has to do. The code stays in sight also where a browser is opened:
    the page shows it again, and the two must be the same."""
    say(f"Open this page in a browser: {begun.page}")
    say(f"and type the code: {begun.user_code}")
    if begun.whole_page is not None and is_interactive():
        say(f"(or open {begun.whole_page} and compare the code)")
    if browser:
        import webbrowser

        if not webbrowser.open(begun.whole_page or begun.page):
            say("No web browser could be opened here.", color="yellow")
    say(f"Waiting for up to {begun.seconds / 60:.0f} minutes; Ctrl-C stops.")


@login.command(context_settings=COMMAND)
@click.argument("token", required=False)
@hub_option
@click.pass_context
def token(ctx: click.Context, token: str | None) -> None:
    """Sign in with TOKEN; `-` reads it from stdin, where nobody else can see it."""
    setup = _setup(ctx)
    hub = setup.hub()
    given = clean_token(_read_token(ctx, token))
    claims = read_claims(given)
    _try_token(setup, hub, given, claims)
    _save(setup, hub, Grant(given))
    owner = f" as {claims.owner}" if claims.owner else ""
    say(f"Signed in at {hub.origin}{owner}; {_ending(claims)}.", color="green")


@login.command(context_settings=COMMAND)
@click.option("-u", "--username", help="User name (e-mail); asked for on a terminal.")
@click.option("--password", help="Better left out: it is asked for, or read from stdin.")
@hub_option
@click.pass_context
def credentials(ctx: click.Context, username: str | None, password: str | None) -> None:
    """Sign in with user name and password, where the hub allows it."""
    setup = _setup(ctx)
    hub = setup.hub()
    if password is not None:
        say("Warning: a password in the command line can be seen by others.", color="yellow")
    if not username:
        if not is_interactive():
            raise click.UsageError("Missing option '-u' / '--username'.")
        username = click.prompt("User name", err=True)
    if password is None:
        password = _read_secret("Password")
    try:
        grant = sign_in_with_password(hub, str(username), password, setup.times())
    except (Denied, NotFound) as error:
        _, says, told = error.message.partition(" It says: ")
        raise Denied(
            "This hub takes no user name and password from a command, unless its operator allows "
            f"that.{says}{told}",
            remedy="Run `entrepot login`, which shows a page and a code to type there. Or open "
            f"{hub.url}/token in a browser, then run `entrepot login token -`.",
        ) from error
    _save(setup, hub, grant)
    say(f"Signed in at {hub.origin}.", color="green")


@login.command("show-token", context_settings=COMMAND)
@hub_option
@click.pass_context
def show_token(ctx: click.Context) -> None:
    """Print the token in use, and what it says of itself."""
    setup = _setup(ctx)
    held = setup.tokens(setup.hub(), setup.times()).token()
    if held.startswith(PERSONAL_PREFIX):
        say("This is a personal token: what it may do, and until when, is on the hub's token page.")
    claims = read_claims(held)
    click.echo(
        f"Token Owner: {printable(claims.owner)}\n"
        f"Email: {printable(', '.join(claims.emails))}\n"
        f"Expires: {utc_text(claims.expires_at) if claims.expires_at else ''}\n"
        f"Access Token: {held}"
    )
    if claims.expired(datetime.now(UTC)):
        say("This token has expired.", color="yellow")


@click.command(context_settings=COMMAND)
@click.pass_context
def logout(ctx: click.Context) -> None:
    """End the sign-in at the hub, and delete the saved token."""
    setup = _setup(ctx)
    profile = setup.profile()
    keyring = SystemKeyring(setup.variables)
    if profile.address is not None:
        _revoke(setup, profile.address, keyring)
    delete_sign_in(profile.root, profile.name, keyring)
    say("Signed out; the saved token is deleted.", color="green")
    _mention_environment(setup)


def _revoke(setup: Setup, hub: Address, keyring: SystemKeyring) -> None:
    """Signing out must work here even where the hub cannot be told."""
    profile = setup.profile()
    try:
        grant = TokenStore(profile.root, profile.name, hub, keyring).load()
        if grant is not None:
            revoke(hub, grant, setup.times(5.0, 10.0, 20.0))
    except ClientError as error:
        say(
            f"Warning: the hub could not be told ({error.message}) "
            "The sign-in ends there by itself; its tokens page can end it at once.",
            color="yellow",
        )


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup


def _read_token(ctx: click.Context, given: str | None) -> str:
    if given and given != "-":
        say(
            "Warning: a token in the command line can be seen by others on this machine; "
            "`entrepot login token -` reads it from stdin.",
            color="yellow",
        )
        return given
    if given is None and not is_interactive():
        raise click.MissingParameter(ctx=ctx, param_type="argument", param_hint="TOKEN")
    return _read_secret("Token")


def _read_secret(label: str) -> str:
    """From a person without an echo, else one line of stdin."""
    if sys.stdin.isatty():
        # The terminal's own line editor cuts a line at 4096 characters; tokens are shorter.
        answer: str = click.prompt(label, hide_input=True, err=True)
        return answer
    return sys.stdin.readline(TOKEN_CHARS_MAX + 2).rstrip("\r\n")


def _try_token(setup: Setup, hub: Address, given: str, claims: Claims) -> None:
    """Ask the hub whether it takes the token; what was saved before is kept if it does not."""
    patience = Backoff(attempts=2)
    try:
        with Client(hub.url, given, times=setup.times(), call_backoff=patience) as client:
            client.entitlements(page=1, limit=1)
    except NotSignedIn as error:
        why = "it has expired" if claims.expired(datetime.now(UTC)) else error.message
        raise NotSignedIn(
            f"The hub refuses this token ({why}). Nothing was saved.",
            remedy=f"Generate a new one at {hub.url}/token",
        ) from error
    except NotFound as error:
        raise InvalidUse(
            f"There is no hub at {hub.url}.", remedy="Check the URL and its path."
        ) from error
    except Unreachable as error:
        say(f"Warning: the token could not be checked. {error.message}", color="yellow")
    except ClientError as error:
        if not isinstance(error, Denied):
            raise


def _save(setup: Setup, hub: Address, grant: Grant) -> None:
    profile = setup.profile()
    kept = TokenStore(profile.root, profile.name, hub, SystemKeyring(setup.variables)).save(grant)
    save_profile(profile)
    if kept.keyring is not None:
        say(f"The sign-in is kept in the keyring ({kept.keyring}).")
    elif kept.trouble:
        say(
            f"The system's keyring cannot be used ({kept.trouble}): "
            f"the sign-in is kept in {kept.path}, which only you can read.",
            color="yellow",
        )
    _mention_environment(setup)


def _mention_environment(setup: Setup) -> None:
    for name in _ENVIRONMENT_TOKENS:
        if setup.variables.get(name):
            say(f"Note: {name} is set in the environment and is used first.", color="yellow")


def _ending(claims: Claims) -> str:
    if claims.expires_at is None:
        return "the token does not say when it ends"
    return f"the token is good until {utc_text(claims.expires_at)}"
