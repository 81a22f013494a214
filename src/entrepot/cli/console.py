"""What people read: always on stderr, so that stdout holds data only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from click.globals import pop_context, push_context

if TYPE_CHECKING:
    from entrepot.client.errors import ClientError


def say(text: str, *, color: str | None = None) -> None:
    """One message; control characters in it are shown, not obeyed."""
    from entrepot.client.names import printable

    shown = printable(text, keep="\n")
    click.echo(click.style(shown, fg=color) if color else shown, err=True)


def complain(error: "ClientError") -> None:
    """An error, and under it what to do about it."""
    from entrepot.client.errors import LicenceNeeded

    say(f"Error: {error.message}", color="red")
    if isinstance(error, LicenceNeeded) and error.agreement_url:
        say(f"Read and accept it at: {error.agreement_url}")
    remedy = remedy_of(error)
    if remedy:
        say(remedy)


def remedy_of(error: "ClientError") -> str:
    """What to do about it, with the profile and the option of the command that runs."""
    from entrepot.client.errors import LicenceNeeded

    advice = for_profile(error.remedy)
    if isinstance(error, LicenceNeeded) and error.licence and _accepts_licences():
        named = f"--accept-licence {error.licence}@{error.revision}"
        advice = f"{advice} A machine, once somebody has read it: {named}".strip()
    return advice


def _accepts_licences() -> bool:
    """Whether the command that runs has --accept-licence."""
    context = click.get_current_context(silent=True)
    if context is None:
        return False
    command: click.Command | None = context.command
    if isinstance(command, click.Group) and context.invoked_subcommand:
        command = command.get_command(context, context.invoked_subcommand)
    return command is not None and any(one.name == "accept_licence" for one in command.params)


@contextmanager
def speaking_for(context: click.Context | None) -> Iterator[None]:
    """In a thread that a command started: advice is given as in the command's own."""
    if context is None:
        yield
        return
    push_context(context)
    try:
        yield
    finally:
        pop_context()


def for_profile(advice: str) -> str:
    """The same, where to sign in is said for the profile that -k names."""
    context = click.get_current_context(silent=True)
    name = context.find_root().params.get("profile") if context is not None else None
    return advice.replace("`entrepot login", f"`entrepot -k {name} login") if name else advice


def is_interactive() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
