"""What `entrepotd` prints: data on stdout, as a table or as JSON, everything else on stderr."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from entrepot.errors import EntrepotError, NotFound
from entrepot.kit.text import format_instant

_COLUMN_WIDTH_MAX = 72  # a SHA-256 is never cut

_LOOK_IT_UP = "List what there is: `entrepotd organisation list`, `user list`, `product list`, ..."
_LISTS = {
    "asset": "assets list",
    "client": "client list",
    "contact": "contacts list",
    "delivery": "webhooks deliveries WEBHOOK",
    "entitlement": "entitlement list",
    "licence": "licence list",
    "organisation": "organisation list",
    "personal": "personal-tokens list USER",
    "product": "product list",
    "release": "releases PRODUCT",
    "user": "user list",
    "webhook": "webhooks list",
}
_THERE_IS_NO = re.compile(r"There is no ([a-z]+)")


def printable(text: str) -> str:
    """`text` with line breaks, control and bidi characters shown instead of obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(text: str) -> None:
    """One message for people."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def complain(error: EntrepotError) -> None:
    """One clear line: what is wrong and what to do; more only where several faults are listed."""
    remedy = error.remedy
    gap = "\n" if "\n" in error.message + remedy else " "
    missing = _THERE_IS_NO.match(error.message)
    if missing and missing[1] in _LISTS and (isinstance(error, NotFound) or not remedy):
        remedy = f"`entrepotd {_LISTS[missing[1]]}` lists what there is."
    elif isinstance(error, NotFound):
        # The error's own remedy is for customers, who list what they are entitled to.
        remedy = _LOOK_IT_UP
    say(f"entrepotd: {error.message}{gap if remedy else ''}{remedy}")


def show_json(value: object) -> None:
    """`value` as JSON: times as ISO 8601 in UTC."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_instant(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Sequence[str],
    as_json: bool,
    none: str = "There is nothing to list.",
) -> None:
    """A list: as JSON with every field, else a table of `columns`; `none` is said of no rows."""
    if as_json:
        show_json(list(rows))
        return
    if not rows and none:
        say(none)
    lines = [[column.replace("_", " ").upper() for column in columns]]
    lines += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _cell(value: object, *, width_max: int | None = _COLUMN_WIDTH_MAX) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, list | tuple):
        return ",".join(printable(str(each)) for each in value) or "-"
    text = printable(str(value))
    return text if width_max is None or len(text) <= width_max else text[: width_max - 1] + "…"


def show_one(value: Mapping[str, Any], *, as_json: bool) -> None:
    """One object: as JSON, else a line for each field."""
    if as_json:
        show_json(value)
        return
    lines = [
        (name.replace("_", " "), _cell(each, width_max=None))
        for field, told in value.items()
        for name, each in _parts(field, told)
    ]
    width = max((len(name) for name, _ in lines), default=0)
    for name, text in lines:
        print(f"{name:{width}}  {text}")


def _parts(field: str, told: object) -> list[tuple[str, object]]:
    """A field with its value; of an object each of its parts."""
    if not isinstance(told, Mapping):
        return [(field, told)]
    return [(f"{field} {printable(str(name))}", each) for name, each in told.items()] or [
        (field, None)
    ]
