"""Data on stdout: the hub's objects as JSON, or tables that show every value as it is."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from entrepot.cli.widths import fold, width_of

# A column of free text may be folded down to this, never cut off.
_FOLDED_WIDTH_MIN = 12


@dataclass(frozen=True, slots=True)
class _Corners:
    """What the lines of a table are drawn with; a rule has a left end, crossings, a right end."""

    top: str
    middle: str
    bottom: str
    line: str
    wall: str


_BOX = _Corners("┌┬┐", "├┼┤", "└┴┘", "─", "│")
_PLAIN = _Corners("+++", "+++", "+++", "-", "|")


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
    widths = _widths(columns, rows, width)
    corners = _PLAIN if plain else _BOX
    between = [] if plain else [_rule(corners.middle, widths, corners.line)]
    printed = [_rule(corners.top, widths, corners.line)]
    printed += _cells([column.title for column in columns], widths, corners.wall)
    printed.append(_rule(corners.middle, widths, corners.line))
    for number, row in enumerate(rows):
        printed += between if number else []
        printed += _cells(row, widths, corners.wall)
    printed.append(_rule(corners.bottom, widths, corners.line))
    return "".join(f"{line}\n" for line in printed)


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[int]:
    """How wide each column is: the widest that may be folded gives way first."""
    widths = [
        max(width_of(line) for text in (column.title, *cells) for line in text.split("\n"))
        for column, cells in zip(columns, _by_column(columns, rows), strict=True)
    ]
    if width is None:
        return widths
    least = [
        natural if column.whole else min(natural, _FOLDED_WIDTH_MIN)
        for column, natural in zip(columns, widths, strict=True)
    ]
    over = sum(widths) + 3 * len(columns) + 1 - width
    while over > 0:
        giving = [at for at, need in enumerate(least) if widths[at] > need]
        if not giving:
            break
        widest = max(giving, key=lambda at: widths[at])
        next_wide = max((have for have in widths if have < widths[widest]), default=0)
        step = min(over, widths[widest] - max(least[widest], next_wide))
        widths[widest] -= step
        over -= step
    return widths


def _rule(ends: str, widths: Sequence[int], line: str) -> str:
    return ends[0] + ends[1].join(line * (width + 2) for width in widths) + ends[2]


def _cells(row: Sequence[str], widths: Sequence[int], wall: str) -> list[str]:
    folded = [fold(text, width) for text, width in zip(row, widths, strict=True)]
    lines = []
    for number in range(max(map(len, folded))):
        cells = [cell[number] if number < len(cell) else "" for cell in folded]
        padded = [
            f" {cell}{' ' * (width - width_of(cell))} "
            for cell, width in zip(cells, widths, strict=True)
        ]
        lines.append(wall + wall.join(padded) + wall)
    return lines


def _by_column(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[row[index] for row in rows] for index in range(len(columns))]
