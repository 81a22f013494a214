"""The reference of the operator's command, made from the command itself."""

from collections.abc import Iterator

import click

from entrepot.daemon.app import cli
from entrepot.daemon.exit_codes import ExitCode

_INTRODUCTION = """\
`entrepotd` runs a hub and is how its operator publishes, adds people and says who may have what.
Settings come from the environment (see [settings](settings.md)); what is given on the command line
wins. Data goes to stdout, messages to stderr, passwords are never arguments. How a command ended is
in its [exit code](entrepotd-exit-codes.md).

A name in the singular or the plural means the same: `entrepotd users list`; but `token` prints an
access token, and `personal-tokens` is another thing."""
_EXIT_CODES = """\
What `entrepotd` leaves to a script. A failure is one line on stderr that says what to do; only
wrong settings take a line each. There is never a traceback."""
_WIDTH = 96


def commands_page(note: str) -> str:
    """docs/reference/entrepotd.md: every command with its arguments and options."""
    root = click.Context(cli, info_name="entrepotd", **cli.context_settings)
    parts = [part for name in cli.list_commands(root) for part in sections(root, name)]
    return "\n".join([note, "", "# entrepotd", "", _INTRODUCTION, "", *parts])


def sections(parent: click.Context, name: str) -> Iterator[str]:
    """A command with its help; of a group each of its commands, and itself if it does something."""
    group = parent.command
    assert isinstance(group, click.Group)
    command = group.get_command(parent, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH)
    if isinstance(command, click.Group):
        if command.invoke_without_command:
            yield _section(context)
        for each in command.list_commands(context):
            yield from sections(context, each)
        return
    yield _section(context)


def _section(context: click.Context) -> str:
    # A width of its own, so that the page is the same on every terminal.
    return f"## {context.command_path}\n\n```text\n{context.command.get_help(context)}\n```\n"


def exit_codes_page(note: str) -> str:
    """docs/reference/entrepotd-exit-codes.md: every exit code and what it means."""
    rows = [f"| {int(code)} | {code.meaning} |" for code in ExitCode]
    head = ["| Code | Meaning |", "| --- | --- |"]
    lines = [note, "", "# Exit codes of entrepotd", "", _EXIT_CODES, "", *head, *rows, ""]
    return "\n".join(lines)
