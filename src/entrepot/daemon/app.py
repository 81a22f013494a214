"""The command's root: commands loaded when they are used, errors into exit codes."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence

import click

from entrepot import __version__
from entrepot.daemon.commands import ALIASES, COMMANDS
from entrepot.daemon.console import complain, say
from entrepot.daemon.exit_codes import ExitCode, exit_code_of
from entrepot.daemon.options import data_option
from entrepot.errors import EntrepotError


class _LazyGroup(click.Group):
    """Imports the module of a command only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"entrepot.daemon.{COMMANDS[name].module}")
        # `import` is a word of Python: its function is called `import_`.
        called = name.replace("-", "_")
        command = getattr(module, called, None) or getattr(module, f"{called}_")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """From the table: asking the commands themselves would import the whole hub."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.does) for name, listed in COMMANDS.items()])


# Subcommands inherit the names of the help option.
@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="entrepotd")
@data_option
def cli() -> None:
    """Run an Entrepot hub, publish on it, and say who may have what.

    Settings come from the environment (ENTREPOT_...); every command takes --data for the
    hub's folder. `entrepotd init --data DIR` makes a new hub.
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; messages go to stderr, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that lacks a letter shows its code instead of breaking the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(args=list(arguments), prog_name="entrepotd", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("Stopped.")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ExitCode.UNEXPECTED
    except Exception as error:
        return report(error)
    return result if isinstance(result, int) else ExitCode.DONE


def report(error: Exception) -> int:
    """Print what went wrong in one line; returns the exit code for it."""
    if isinstance(error, EntrepotError):
        complain(error)
        return exit_code_of(error)
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        say(f"entrepotd: {name}{error.strerror or error}")
        return ExitCode.LOCAL_FILE
    logging.getLogger(__name__).debug("unexpected error", exc_info=error)
    say(f"entrepotd: Unexpected error: {type(error).__name__}: {error}")
    return ExitCode.UNEXPECTED
