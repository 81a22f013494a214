"""How an order is shown: a bar on a terminal, lines elsewhere, JSON lines for programs."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import Any, Protocol

import click

from entrepot.cli.bars import Bars
from entrepot.cli.console import say
from entrepot.cli.output import Column
from entrepot.cli.rows import size_text, text
from entrepot.client.answers import JsonObject
from entrepot.client.order_events import OrderEvent

LINE_SECONDS = 5.0  # between two lines on an order whose state is the same
FAILURES_SHOWN_MAX = 20
REPORT_LINES_MAX = 100
ORDER_COLUMNS = (
    Column("ID", whole=True),
    Column("Name"),
    Column("Status", whole=True),
    Column("Assets", whole=True),
    Column("Files", whole=True),
    Column("Failed", whole=True),
    Column("Size", whole=True),
    Column("Created On", whole=True),
    Column("Expires On", whole=True),
)


class OrderDisplay(Protocol):
    """Shows the events of one order."""

    def show(self, event: OrderEvent) -> None:
        """What has happened."""
        ...


@contextmanager
def open_order_display(order_id: int, *, as_json: bool) -> Iterator[OrderDisplay]:
    """JSON lines on stdout where they are asked for; else on stderr a bar, or lines."""
    if as_json:
        yield _JsonLines()
    elif sys.stderr.isatty():
        with Bars() as bars:
            yield _Bar(order_id, bars)
    else:
        yield _Lines(order_id)


def print_json_line(kind: str, value: Any) -> None:
    """One line of `--json`: what it is, and the object."""
    click.echo(json.dumps({kind: value}))


def order_row(order: JsonObject) -> list[str]:
    """One line of `order list`."""
    counts = _progress(order)
    return [
        text(order.get("order_id")),
        text(order.get("name")),
        text(order.get("status")),
        text(order.get("target_count")),
        f"{text(counts.get('files_completed'))}/{text(counts.get('files_total'))}",
        text(counts.get("files_failed")),
        size_text(counts.get("bytes_total")),
        text(order.get("created_on")),
        text(order.get("expires_on")),
    ]


def order_details(order: JsonObject) -> list[list[str]]:
    """Title and value of everything that `order show` shows."""
    titles = [column.title for column in ORDER_COLUMNS[1:]]
    details = [[title, value] for title, value in zip(titles, order_row(order)[1:], strict=True)]
    location = order.get("download_location")
    link = location if isinstance(location, dict) else {}
    return [
        *details,
        ["Modified On", text(order.get("modified_on"))],
        ["Culture", text(order.get("culture"))],
        ["Remarks", text(order.get("additional_info"))],
        ["File Name", text(link.get("title"))],
        ["Download Link", text(link.get("href"))],
    ]


def failures_text(errors: Sequence[Mapping[str, Any]]) -> str:
    """What could not be made and why, one after the other; the first of many."""
    lines = []
    for one in errors[:FAILURES_SHOWN_MAX]:
        lines += [
            f"asset {one.get('asset_id')}, {one.get('identifier')}: {one.get('rendition')}",
            f"    why: {one.get('message')} [{one.get('code')}]",
        ]
        if one.get("remedy"):
            lines.append(f"    what to do: {one['remedy']}")
    if len(errors) > FAILURES_SHOWN_MAX:
        lines.append("and more: they stand in report.txt in the ZIP")
    return "\n".join(lines)


def report_text(report: str) -> str:
    """The lines of report.txt; the first of many."""
    lines = report.rstrip().split("\n")
    if len(lines) > REPORT_LINES_MAX:
        lines = [*lines[:REPORT_LINES_MAX], "and more: see report.txt in the ZIP"]
    return "\n".join(lines)


def _progress(order: JsonObject) -> JsonObject:
    counts = order.get("progress")
    return counts if isinstance(counts, dict) else {}


def _counts(event: OrderEvent) -> str:
    failed = f", {event.files_failed} failed" if event.files_failed else ""
    return f"{event.files_completed} of {event.files_total} files{failed}"


class _JsonLines:
    def show(self, event: OrderEvent) -> None:
        print_json_line("event", asdict(event))


class _Lines:
    """For logs: each state, and within one how far it is, now and then."""

    def __init__(self, order_id: int) -> None:
        self._order_id = order_id
        self._status = ""
        self._said_at = 0.0

    def show(self, event: OrderEvent) -> None:
        now = monotonic()
        if event.status == self._status and now - self._said_at < LINE_SECONDS:
            return
        self._status, self._said_at = event.status, now
        say(f"Order {self._order_id}: {event.status}, {_counts(event)}")


class _Bar:
    """One bar that moves with the files."""

    def __init__(self, order_id: int, bars: Bars) -> None:
        self._order_id = order_id
        self._bar = bars.add(f"Order {order_id}", None)
        self._bar.note = ""

    def show(self, event: OrderEvent) -> None:
        self._bar.name = f"Order {self._order_id}: {text(event.status)}"
        self._bar.total = event.files_total or None
        self._bar.done = event.files_completed + event.files_failed
        self._bar.note = _counts(event)
