"""The log in the two formats that other systems take in."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Row

from entrepot.kit.text import format_instant

COLUMNS = (
    "id",
    "at",
    "type",
    "actor",
    "organisation_id",
    "subject",
    "request_id",
    "reason",
    "data",
)
# What a spreadsheet would take for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
PORTION = 500
Format: TypeAlias = Callable[[Iterable[Row[Any]]], Iterator[bytes]]


def plain_event(row: Row[Any]) -> dict[str, Any]:
    """An event as it leaves the hub; `reason` stands beside the rest of its data."""
    return {
        "id": row.id,
        "at": format_instant(row.at),
        "type": row.type,
        "actor": row.actor,
        "organisation_id": row.organisation_id,
        "subject": row.subject,
        "request_id": row.request_id,
        "reason": _reason(row.data),
        "data": row.data,
    }


def _reason(data: object) -> str | None:
    reason = data.get("reason") if isinstance(data, Mapping) else None
    return None if reason is None else str(reason)


def as_json_lines(rows: Iterable[Row[Any]]) -> Iterator[bytes]:
    """A JSON object on each line (UTF-8), in pieces of some hundred lines."""
    encode = msgspec.json.Encoder().encode
    piece = bytearray()
    for count, row in enumerate(rows, 1):
        piece += encode(plain_event(row)) + b"\n"
        if count % PORTION == 0:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def as_csv(rows: Iterable[Row[Any]]) -> Iterator[bytes]:
    """RFC 4180 with a heading, UTF-8; `data` is JSON in one cell.

    A cell that a spreadsheet would calculate begins with an apostrophe instead.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    encode = msgspec.json.Encoder().encode
    for count, row in enumerate(rows, 1):
        cells = plain_event(row)
        cells["data"] = encode(cells["data"]).decode()
        writer.writerow(_cell(cells[name]) for name in COLUMNS)
        if count % PORTION == 0:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


FORMATS: Mapping[str, Format] = {"jsonl": as_json_lines, "csv": as_csv}
MEDIA_TYPES: Mapping[str, str] = {
    "jsonl": "application/jsonl; charset=utf-8",
    "csv": "text/csv; charset=utf-8; header=present",
}
