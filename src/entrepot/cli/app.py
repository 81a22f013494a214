"""The command's root: global options, commands loaded when they are used, errors into codes."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from entrepot import __version__
from entrepot.cli.completing import complete_profile
from entrepot.cli.console import complain, remedy_of, say
from entrepot.cli.setup import Setup
from entrepot.cli.summaries import SUMMARIES

_EPILOG = """\b
Exit codes:
    0  done                          5  a licence has to be accepted
    1  something unexpected          6  not signed in
    2  wrong use                     7  network, or the hub cannot answer
    3  not found                     8  what arrived was corrupt
    4  denied                        9  disk or local file
   10  an order lacks some files    11  an order failed or has ended
   12  a signature is not trusted  130  stopped by Ctrl-C
\b
Environment:
  ENTREPOT_URL                       the hub
  ENTREPOT_TOKEN, EDM_ACCESS_TOKEN   an access token
  ENTREPOT_CLIENT_ID, ENTREPOT_CLIENT_SECRET   credentials of a machine
  ENTREPOT_PROFILE, EDM_ENV          as -k
  ENTREPOT_CACERT                    as --cacert
  ENTREPOT_ROOT, EDM_ROOT            folder of the sign-in (~/.entrepot)
  ENTREPOT_KEYRING                   off: the sign-in lies in a file there
  ENTREPOT_DOWNLOADS, EDM_DOWNLOADS  folder for downloads (~/Artifacts)
  EDM_LOG_LEVEL                      as -v
"""

_COMMANDS = {
    "login": "sign_in",
    "logout": "sign_in",
    "show-config": "configuration",
    "entitlements": "listing",
    "entitlement": "listing",
    "products": "listing",
    "releases": "listing",
    "artifacts": "listing",
    "download": "download",
    "download-artifacts": "download",
    "links": "linking",
    "bundle": "bundling",
    "sync": "syncing",
    "lock": "syncing",
    "verify": "verifying",
    "why": "explaining",
    "select": "selecting",
    "order": "ordering",
    "profile": "configuration",
    "completion": "shells",
    "doctor": "doctor",
    "trust": "trusting",
}


class _LazyGroup(click.Group):
    """Imports the module of a command only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"entrepot.cli.{_COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if hasattr(error, "remedy"):
                from entrepot.client.errors import ClientError

                # Told after the context with its options has gone.
                if isinstance(error, ClientError):
                    error.remedy = remedy_of(error)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table: to import every command for its first line takes most of a second.
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, SUMMARIES.get(name, "")) for name in self.list_commands(ctx)]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=SUMMARIES.get(name)) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name.lower(), _COMMANDS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"There is no command {name[:80]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


# Subcommands inherit the names of the help option.
@click.group(
    cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "-k",
    "--profile",
    "--environment",
    "profile",
    metavar="NAME",
    shell_complete=complete_profile,
    help="Which hub, of those that `entrepot profile` knows; prod and qa are always there.  "
    "[default: ENTREPOT_PROFILE, EDM_ENV, the one in use, prod]",
)
@click.option("--url", metavar="URL", help="Address of the hub, such as https://hub.example.com")
@click.option(
    "--cacert",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True),
    help="Certificates (PEM) to trust in place of the system's.",
)
@click.option("-v", "--verbose", count=True, help="Say more; up to -vvv.")
@click.version_option(__version__, prog_name="entrepot")
@click.pass_context
def cli(
    ctx: click.Context, profile: str | None, url: str | None, cacert: str | None, verbose: int
) -> None:
    """List what your organisation is entitled to, and download it verified."""
    ctx.obj = Setup(profile, url, verbose, os.environ, cacert)


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; every message goes to stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that lacks a letter shows its code instead of breaking the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(args=list(arguments), prog_name="entrepot", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("Stopped.")
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    from entrepot.client.errors import ClientError, ExitCode

    if isinstance(error, ClientError):
        complain(error)
        return int(error.exit_code)
    import logging

    logging.getLogger(__name__).debug("unexpected error", exc_info=error)
    say(f"Unexpected error: {type(error).__name__}: {error}", color="red")
    say("Run the command again with -vvv and report what it prints.")
    return int(ExitCode.UNEXPECTED)
