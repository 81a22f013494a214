"""The table of exit codes: one promise in three places that must agree."""

import re
from pathlib import Path

import click

from entrepot.cli.app import cli
from entrepot.cli.summaries import SUMMARIES
from entrepot.client import errors
from entrepot.client.errors import ClientError, ExitCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"


def test_every_code_is_documented_and_in_the_help() -> None:
    documented = {
        int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)
    }
    helped = {int(code) for code in re.findall(r"\b(\d+)  [a-z]", cli.epilog or "")}
    assert documented == helped == {int(code) for code in ExitCode}


def test_every_error_has_the_code_of_its_docstring() -> None:
    drawn = dict(re.findall(r"([A-Z]\w+)\s+(\d+)\b", errors.__doc__ or ""))
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, ClientError)
    }
    assert {name: int(kind.exit_code) for name, kind in kinds.items()} == {
        name: int(code) for name, code in drawn.items()
    }


def test_every_command_has_its_line_in_the_help() -> None:
    """The help is made from a table, so that it need not import the commands."""
    names = cli.list_commands(click.Context(cli))
    assert names == list(SUMMARIES)
    assert all(len(line) <= 64 and line.endswith(".") for line in SUMMARIES.values())
