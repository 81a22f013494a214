"""Data on stdout: the hub's objects as JSON, or tables that show every value as it is."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import click

# A column of free text may be folded down to this, never cut off.
_FOLDED_WIDTH_MIN = 12
_UNLIMITED_WIDTH = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """`whole` columns (ids, names to copy) stay on one line however narrow the terminal is."""

    title: str
    whole: bool = False


def print_json(value: Any, form: str) -> None:
    """`json`: one line in the hub's key order; `jsonpp`: indented by 4, keys sorted."""
    if form == "jsonpp":
        click.echo(json.dumps(value, indent=4, sort_keys=True))
    else:
        click.echo(json.dumps(value))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table: as wide as it needs where stdout is no terminal, else folded to fit."""
    terminal = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(render_table(columns, rows, width=terminal, plain=plain), nl=False)


def render_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    plain: bool = False,
) -> str:
    """The table as text. Values are taken literally: no markup, no number is read as one.

    `width` None means as wide as needed; a `width` that cannot hold the whole columns is
    exceeded. `plain` draws the lines in ASCII.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    naturals = [
        max(cell_len(line) for text in (column.title, *cells) for line in text.split("\n"))
        for column, cells in zip(columns, _by_column(columns, rows), strict=True)
    ]
    least = [
        natural if column.whole else min(natural, _FOLDED_WIDTH_MIN)
        for column, natural in zip(columns, naturals, strict=True)
    ]
    needed = sum(least) + 3 * len(columns) + 1
    table = Table(box=box.ASCII2 if plain else box.SQUARE, show_lines=not plain)
    for column, least_width in zip(columns, least, strict=True):
        table.add_column(
            Text(column.title), min_width=least_width, no_wrap=column.whole, overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    sink = StringIO()
    console = Console(
        file=sink,
        width=_UNLIMITED_WIDTH if width is None else max(width, needed),
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    console.print(table)
    return sink.getvalue()


def _by_column(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[row[index] for row in rows] for index in range(len(columns))]
