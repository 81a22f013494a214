"""Bodies of requests: JSON of up to 8 MiB, read and taken apart within limits.

A small one costs its bytes. A large one (an order with 10,000 assets configured one by one, a
selection of 200,000 ids) becomes some ten times as much in objects, so few are at it at a time.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request

from entrepot.errors import Invalid, TooMany
from entrepot.web.http.edge import Edge
from entrepot.web.http.receiving import receive_body

BODY_BYTES_MAX = 8 * 2**20  # of an order, and of a change of a selection
LARGE_BYTES = 2**18
LARGE_AT_ONCE_MAX = 16  # bodies being received, in one process
PARSED_AT_ONCE_MAX = 2
# What is kept of an order is encoded again, deeper in calls than here, where Python may give up.
NESTED_MAX = 64

T = TypeVar("T")


class Bodies:
    """One per process."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._large = 0
        self._parsing = asyncio.Semaphore(PARSED_AT_ONCE_MAX)

    async def read(self, request: Request[Any, Any, Any], parse: Callable[[Any], T]) -> T:
        """What `parse` makes of the decoded body.

        Invalid: it is no JSON, or as `parse` says. Late: it did not come within a minute.
        TooMany: 16 large ones are on their way already.
        """
        if _announced(request) <= LARGE_BYTES:
            data = await receive_body(request)
            return await self._edge.run(lambda: parse(_decode(data)))
        if self._large >= LARGE_AT_ONCE_MAX:
            raise TooMany(
                f"{LARGE_AT_ONCE_MAX} large requests are on their way already.",
                remedy="Try again in a moment, or send less at a time.",
            )
        self._large += 1
        try:
            data = await receive_body(request)
            async with self._parsing:
                return await self._edge.run(lambda: parse(_decode(data)))
        finally:
            self._large -= 1


def _announced(request: Request[Any, Any, Any]) -> int:
    """How many bytes will come; of what does not say so, as many as may."""
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and len(told) <= 19:
        return int(told)
    return BODY_BYTES_MAX if "transfer-encoding" in request.headers else 0


def _decode(data: bytes) -> Any:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Invalid(f"The body is no JSON: {error}.", field="request") from error
    if data.count(b"[") + data.count(b"{") > NESTED_MAX:
        _check_nesting(value)
    return value


def _check_nesting(value: Any) -> None:
    level = [value]
    for _ in range(NESTED_MAX):
        level = [
            each
            for holder in level
            for each in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(each, dict | list)
        ]
        if not level:
            return
    raise Invalid(
        f"The body has objects or lists more than {NESTED_MAX} deep in each other.",
        field="request",
        remedy="No part of a request needs that.",
    )
