"""Watching an order: server-sent events, and asking now and then where those do not get through.

The stream is the hub's own log of the order, so a connection that was lost is taken up again by
Last-Event-ID (WHATWG HTML, "Server-sent events") without a gap.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPResponse
from typing import Any

from entrepot.client.answers import JsonObject, parse_object
from entrepot.client.api import Api
from entrepot.client.errors import BadAnswer, Cancelled, ClientError, Unreachable
from entrepot.client.order_answers import of_order
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop

ENDED = frozenset({"Completed", "CompletedWithErrors", "Failed", "Cancelled", "Expired"})
FRUITLESS_MAX = 3  # streams in a row that bring nothing, before the order itself is asked instead
POLL_SECONDS, POLL_SECONDS_MAX = 1.0, 10.0
_LINE_BYTES_MAX = 1 << 20
_READ_BYTES = 64 * 1024
_KINDS = {"Pending": "placed", "InProgress": "progress", "CompletedWithErrors": "completed"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """How far an order is.

    `kind` is placed, progress, completed (also with errors), failed, cancelled or expired. `id`
    is the number in the hub's log, None for what was read off the order itself; so with
    `generation`, which is 1 and one more for each retry. Counts are of files.
    """

    kind: str
    status: str
    files_total: int
    files_completed: int
    files_failed: int
    at: str
    id: int | None = None
    generation: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the order by itself."""
        return self.status in ENDED


def order_path(order_id: int, *parts: str) -> tuple[str, ...]:
    """The address of an order, or of something below it."""
    return ("api", "downloadorders", str(order_id), *parts)


def event_of(order: JsonObject) -> OrderEvent:
    """The state of an order as an event."""
    progress, status = order.get("progress"), str(order.get("status", ""))
    counts = progress if isinstance(progress, dict) else {}
    kind = _KINDS.get(status, status.lower())
    return OrderEvent(kind, status, *_counts(counts, None), at=str(order.get("modified_on", "")))


class OrderWatch:
    """One order, watched to its end."""

    def __init__(
        self,
        api: Api,
        order_id: int,
        *,
        backoff: Backoff,
        stop: Stop,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._api = api
        self._order_id = order_id
        self._backoff = backoff
        self._stop = stop
        self._poll_seconds = poll_seconds
        self._after = ""
        self._last: OrderEvent | None = None

    def events(self, after: int | None = None) -> Iterator[OrderEvent]:
        """How the order is now, and what happens from now on; the last event is the end.

        With `after` it is what happened since the event of that number instead (0: everything).
        An order that is retried meanwhile is watched on. Raises every kind of ClientError once
        the order itself cannot be asked for.
        """
        order = self._look()
        since = "" if after is not None else str(order.get("modified_on", ""))
        if after is None:
            yield self._seen(event_of(order))
            if self._has_ended(order):
                return
        else:
            self._after = str(after)
        fruitless = 0
        while True:
            before, refused = self._after, False
            try:
                for event in self._stream():
                    if _moment(event.at) >= _moment(since) and not self._is_known(event):
                        yield self._seen(event)
            except Cancelled:
                raise
            except ClientError as error:
                _log.info("The events of order %d: %s", self._order_id, error.message)
                refused = not isinstance(error, Unreachable) or error.reason == "streams-full"
            order = self._look()
            if self._has_ended(order):
                yield from self._news(order)
                return
            fruitless = 0 if self._after != before else fruitless + 1
            if refused or fruitless >= FRUITLESS_MAX:
                yield from self._poll()
                return
            self._stop.wait(self._backoff.seconds(max(fruitless, 1)))

    def _poll(self) -> Iterator[OrderEvent]:
        """By the order itself, which mostly answers 304."""
        etag, pause = "", self._poll_seconds
        while True:
            conditional = {"If-None-Match": etag} if etag else {}
            reply = self._api.call(
                "GET",
                order_path(self._order_id),
                headers=conditional,
                refuse=of_order(self._order_id),
                backoff=self._backoff,
            )
            if reply.status != 304:
                order = parse_object(reply.body)
                etag, pause = reply.headers.get("ETag", ""), self._poll_seconds
                yield from self._news(order)
                if self._has_ended(order):
                    return
            self._stop.wait(pause)
            pause = min(pause * 1.5, max(POLL_SECONDS_MAX, self._poll_seconds))

    def _look(self) -> JsonObject:
        reply = self._api.call(
            "GET",
            order_path(self._order_id),
            refuse=of_order(self._order_id),
            backoff=self._backoff,
        )
        return parse_object(reply.body)

    @staticmethod
    def _has_ended(order: JsonObject) -> bool:
        return order.get("status") in ENDED

    def _seen(self, event: OrderEvent) -> OrderEvent:
        self._last = event
        return event

    def _is_known(self, event: OrderEvent) -> bool:
        """Whether the look at the order, which has no number, has told the same just now."""
        last = self._last
        return last is not None and last.id is None and _told(event) == _told(last)

    def _news(self, order: JsonObject) -> Iterator[OrderEvent]:
        """The order's state, unless the last event told the same."""
        event, last = event_of(order), self._last
        if last is None or _told(event) != _told(last):
            yield self._seen(event)

    def _stream(self) -> Iterator[OrderEvent]:
        """The events of one connection. Raises Unreachable where it breaks."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self._after:
            headers["Last-Event-ID"] = self._after
        path = order_path(self._order_id, "events")
        with self._api.stream(path, headers, of_order(self._order_id)) as response:
            if response.status == 204:
                return
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise BadAnswer("The hub's answer is no stream of events.")
            for number, kind, data in _messages(response):
                self._after = number or self._after
                event = self._event(number, kind, data)
                if event is not None:
                    yield event

    def _event(self, number: str, kind: str, data: str) -> OrderEvent | None:
        try:
            told = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadAnswer("An event of the hub is not JSON.") from error
        if not isinstance(told, dict) or not isinstance(told.get("status"), str):
            return None
        generation = told.get("generation")
        return OrderEvent(
            kind,
            told["status"],
            *_counts(told, self._last),
            at=str(told.get("at", "")),
            id=int(number) if number.isascii() and number.isdigit() else None,
            generation=generation if isinstance(generation, int) else None,
        )


def _messages(response: HTTPResponse) -> Iterator[tuple[str, str, str]]:
    """(id, event, data) of each message; comments and what has no data are left out."""
    number = kind = ""
    data: list[str] = []
    for line in _lines(response):
        if not line:
            if data:
                yield number, kind or "message", "\n".join(data)
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            number = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def _lines(response: HTTPResponse) -> Iterator[str]:
    held = b""
    while chunk := response.read1(_READ_BYTES):
        *whole, held = (held + chunk).split(b"\n")
        if len(held) > _LINE_BYTES_MAX:
            raise BadAnswer("An event of the hub is too large.")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _counts(told: dict[str, Any], last: OrderEvent | None) -> tuple[int, int, int]:
    """The three counts; one that is not told is that of the event before."""

    def count(name: str) -> int:
        value = told.get(name)
        if isinstance(value, int) and value >= 0:
            return value
        return int(getattr(last, name)) if last is not None else 0

    return count("files_total"), count("files_completed"), count("files_failed")


def _told(event: OrderEvent) -> tuple[str, int, int, int]:
    return event.status, event.files_total, event.files_completed, event.files_failed


def _moment(text: str) -> float:
    """Seconds; what is no time is long ago."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
