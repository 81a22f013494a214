"""The help of both commands, as a newcomer reads it: nothing unexplained, nothing cut off."""

import re
from collections.abc import Iterator

import click
import pytest

from entrepot.cli.app import cli as entrepot
from entrepot.daemon.app import cli as entrepotd

NARROW = 80


def pages(command: click.Command, name: str) -> Iterator[click.Context]:
    """The command with its commands, all the way down, on a terminal of the usual width."""
    context = click.Context(
        command, info_name=name, terminal_width=NARROW, **command.context_settings
    )
    yield from _below(context)


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _below(click.Context(command, info_name=name, parent=context))


@pytest.mark.parametrize(("command", "name"), [(entrepot, "entrepot"), (entrepotd, "entrepotd")])
def test_every_command_and_option_says_what_it_is(command: click.Command, name: str) -> None:
    found = list(pages(command, name))
    assert len(found) > 15
    for context in found:
        path = context.command_path
        assert context.command.help, path
        for parameter in context.command.get_params(context):
            if isinstance(parameter, click.Option) and not parameter.hidden:
                said = re.sub(r"\[default:.*?\]", "", parameter.help or "").strip()
                assert said, f"{path} {parameter.opts[0]}"


def test_the_operators_pages_cut_no_sentence_off() -> None:
    groups = [one for one in pages(entrepotd, "entrepotd") if isinstance(one.command, click.Group)]
    assert len(groups) > 10
    for context in groups:
        shown = context.get_help()
        listed = shown.partition("Commands:")[2]
        assert listed, context.command_path
        assert not re.search(r"\.\.\.$", listed, re.MULTILINE), context.command_path
        assert max(map(len, shown.splitlines())) <= NARROW
