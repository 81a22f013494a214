"""What `entrepotd` prints: data on stdout, as a table or as JSON, everything else on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from entrepot.errors import EntrepotError, NotFound
from entrepot.kit.text import format_instant

_COLUMN_WIDTH_MAX = 72  # a SHA-256 is never cut

_LOOK_IT_UP = "List what there is: `entrepotd organisation list`, `user list`, `product list`, ..."


def printable(text: str) -> str:
    """`text` with line breaks, control and bidi characters shown instead of obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str) -> None:
    """One message for people."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def complain(error: EntrepotError) -> None:
    """One clear line: what is wrong and what to do; more only where several faults are listed."""
    gap = "\n" if "\n" in error.message else " "
    # The error's own remedy is for customers, who list what they are entitled to.
    remedy = _LOOK_IT_UP if isinstance(error, NotFound) else error.remedy
    say(f"entrepotd: {error.message}{gap if remedy else ''}{remedy}")


def show_json(value: object) -> None:
    """`value` as JSON: times as ISO 8601 in UTC."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def show_rows(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], as_json: bool) -> None:
    """A list: as JSON with every field, else a table of `columns`."""
    if as_json:
        show_json(list(rows))
        return
    lines = [[column.replace("_", " ").upper() for column in columns]]
    lines += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, list | tuple):
        return ",".join(printable(str(each)) for each in value) or "-"
    text = printable(str(value))
    return text if len(text) <= _COLUMN_WIDTH_MAX else text[: _COLUMN_WIDTH_MAX - 1] + "…"


def show_one(value: Mapping[str, Any], *, as_json: bool) -> None:
    """One object: as JSON, else a line for each field."""
    if as_json:
        show_json(value)
        return
    width = max(map(len, value), default=0)
    for name, each in value.items():
        print(f"{name.replace('_', ' '):{width}}  {_cell(each)}")
