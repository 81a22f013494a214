"""From options and environment to a client: which hub, which token, how much to say."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from entrepot.cli.console import say

if TYPE_CHECKING:
    from entrepot.client import Client
    from entrepot.client.api import TokenSource
    from entrepot.client.connections import Address, Times
    from entrepot.client.profiles import Profile
    from entrepot.client.retries import Backoff

_LEVELS = ("critical", "error", "warning", "info", "debug")


@dataclass(frozen=True, slots=True)
class Setup:
    """The global options, kept until a command needs them."""

    name: str | None
    url: str | None
    verbose: int
    variables: Mapping[str, str]
    cacert: str | None = None
    warned: set[str] = field(default_factory=set)

    def having(self, *, url: str | None = None, cacert: str | None = None) -> "Setup":
        """The same with another address of the hub, or another file of authorities."""
        return replace(self, url=url or self.url, cacert=cacert or self.cacert)

    def profile(self) -> "Profile":
        """The chosen profile. Raises InvalidUse, LocalFileError."""
        from entrepot.client.profiles import load_profile

        self.start_logging()
        return load_profile(self.name, self.url, self.variables, cacert=self.cacert)

    def times(
        self,
        connect_seconds: float = 10.0,
        stall_seconds: float = 30.0,
        call_seconds: float = 300.0,
    ) -> "Times":
        """How patient to be, and whom this profile trusts."""
        from entrepot.client.connections import Times

        return Times(connect_seconds, stall_seconds, call_seconds, self.profile().cacert)

    def hub(self) -> "Address":
        """The address of the hub, with a warning where tokens would travel in the clear."""
        hub = self.profile().hub()
        if hub.scheme == "http" and not hub.is_loopback and hub.origin not in self.warned:
            self.warned.add(hub.origin)
            say(
                f"Warning: {hub.origin} is plain http: "
                "your token and files can be read on the way.",
                color="yellow",
            )
        return hub

    def tokens(self, hub: "Address", times: "Times") -> "TokenSource":
        """Where the token for this hub comes from."""
        from entrepot.client.auth import choose_tokens

        profile = self.profile()
        return choose_tokens(self.variables, profile.root, profile.name, hub, times)

    def client(
        self,
        *,
        times: "Times | None" = None,
        transfer_backoff: "Backoff | None" = None,
        token: str | None = None,
    ) -> "Client":
        """A client for the hub, signed in as far as known."""
        from entrepot.client import Client

        times = times or self.times()
        hub = self.hub()
        return Client(
            hub.url,
            token or self.tokens(hub, times),
            times=times,
            transfer_backoff=transfer_backoff,
        )

    def log_level(self) -> str:
        """critical, error, warning, info or debug, by -v or EDM_LOG_LEVEL."""
        if self.verbose:
            return _LEVELS[min(self.verbose, 3) + 1]
        level = (self.variables.get("EDM_LOG_LEVEL") or "error").lower()
        if level not in _LEVELS:
            raise click.UsageError(f"EDM_LOG_LEVEL is {level!r}; it can be {', '.join(_LEVELS)}.")
        return level

    def start_logging(self) -> None:
        """Send the log to stderr at the chosen level. Raises UsageError."""
        import logging

        from entrepot.client.names import printable

        class Printable(logging.Formatter):
            """What a hub said gets into log lines; a terminal must not obey it there either."""

            def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
                return printable(super().formatMessage(record))

            def formatException(self, ei: Any) -> str:  # noqa: N802
                return printable(super().formatException(ei), keep="\n")

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=self.log_level().upper(), handlers=[handler])
