"""Options that several commands share."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from entrepot.daemon.console import say
from entrepot.daemon.desk import Desk
from entrepot.daemon.exit_codes import ExitCode
from entrepot.errors import EntrepotError
from entrepot.kit.text import parse_instant

Command = TypeVar("Command", bound=Callable[..., Any])
TAKE_MAX = 10_000
_WHOLE = 10_000  # characters of a sentence: none is longer
AGAIN = "May be given several times."


def remember(field: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that keeps an option's value as the setting `field`."""

    def keep(ctx: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value is not None and value is not False:
            ctx.ensure_object(Desk).options[field] = "on" if value is True else str(value)
        return value

    return keep


def _keep_data(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    absolute = None if value is None else value.resolve()
    remember("data")(ctx, parameter, absolute)
    return absolute


def data_option(command: Command) -> Command:
    """`--data DIR`, taken by every command."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=_keep_data,
        help="Folder of the hub.  [default: ENTREPOT_DATA]",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: the same as data."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def hub_command(command: Command) -> Command:
    """The desk as first argument, and the option `--data`."""
    return data_option(click.make_pass_decorator(Desk, ensure=True)(command))  # type: ignore[return-value]


def page_options(command: Command) -> Command:
    """`--skip` and `--take` of lists."""
    take = click.option(
        "--take",
        type=click.IntRange(1, TAKE_MAX),
        metavar="N",
        default=1000,
        show_default=True,
        help="Print at most so many.",
    )
    skip = click.option(
        "--skip",
        type=Count(0, 2**62),
        metavar="N",
        default=0,
        help="Leave out the first so many.",
    )
    return skip(take(command))


class Count(click.IntRange):
    """A number whose limits are so wide that to tell them would say nothing."""

    def _describe_range(self) -> str:
        return ""


class Noun(click.Group):
    """A group of commands, whose help page cuts none of their sentences off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every command with the whole first sentence of its help."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(limit=_WHOLE)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Unreadable(click.ClickException):
    """A file named on the command line cannot be read: no wrong use, but a code of its own."""

    exit_code = ExitCode.LOCAL_FILE

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's name
        """One line, as every failure."""
        say(f"entrepotd: {self.message}")


class LocalPath(click.Path):
    """The path of something that is there and can be read; Unreadable where it is not."""

    def __init__(self, *, folders: bool = False) -> None:
        super().__init__(exists=True, readable=True, dir_okay=folders, path_type=Path)

    def fail(
        self,
        message: str,
        param: click.Parameter | None = None,  # noqa: ARG002
        ctx: click.Context | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """Raise what ends the command with its own code."""
        raise Unreadable(message)


class LocalFile(click.File):
    """A file opened to read its bytes, `-` for stdin; Unreadable where that cannot be."""

    def __init__(self) -> None:
        super().__init__("rb")

    def fail(
        self,
        message: str,
        param: click.Parameter | None = None,  # noqa: ARG002
        ctx: click.Context | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """Raise what ends the command with its own code."""
        raise Unreadable(message)


class Instant(click.ParamType[datetime]):
    """A date (midnight UTC) or a time with its zone, in ISO 8601."""

    name = "DATE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """An aware UTC datetime; a usage error where the text is none."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(value, field=param.name if param and param.name else "date")
        except EntrepotError as error:
            self.fail(f"{error.message} {error.remedy}", param, ctx)


INSTANT = Instant()
