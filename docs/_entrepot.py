"""The reference of the customer's command, made from the command itself."""

import click

from docs._entrepotd import sections
from entrepot.cli.app import cli

_INTRODUCTION = """\
`entrepot` lists what an organisation is entitled to, and downloads it verified. Data goes to
stdout, messages to stderr; how a command ended is in its [exit code](exit-codes.md), and with
`--json` each thing that happens is [a line](events.md).

Beside its options a command takes `-h`. Options may be in any letter case. Those of `entrepot`
itself stand before the command's name: `entrepot -k staging products`."""


def command_page(note: str) -> str:
    """docs/reference/entrepot.md: every command with its arguments and options."""
    root = click.Context(cli, info_name="entrepot", terminal_width=96, **cli.context_settings)
    parts = [part for name in cli.list_commands(root) for part in sections(root, name)]
    first = f"## entrepot\n\n```text\n{cli.get_help(root)}\n```\n"
    return "\n".join([note, "", "# entrepot", "", _INTRODUCTION, "", first, *parts])
