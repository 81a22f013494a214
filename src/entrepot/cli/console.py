"""What people read: always on stderr, so that stdout holds data only."""

import sys
from typing import TYPE_CHECKING

import click

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
    if error.remedy:
        say(remedy_of(error))


def remedy_of(error: "ClientError") -> str:
    """What to do about it."""
    return for_profile(error.remedy)


def for_profile(advice: str) -> str:
    """The same, where to sign in is said for the profile that -k names."""
    context = click.get_current_context(silent=True)
    name = context.find_root().params.get("profile") if context is not None else None
    return advice.replace("`entrepot login", f"`entrepot -k {name} login") if name else advice


def is_interactive() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()
