"""How long the body of a request may take: no door waits for one without an end.

Bodies that are read whole have a time in all. Files may be of any size: they have a least rate.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request

from entrepot.errors import Late

# Of JSON and forms, whatever their size: the largest (8 MiB of an order, a file in a Data URI)
# then needs a line of about 1 Mbit/s.
BODY_SECONDS_MAX = 60.0
# Of files. A modem sends more; who sends less, on average over the time, never gets done.
FILE_RATE_BYTES_MIN = 2048.0  # a second
FILE_RATE_SECONDS = 120.0
_REMEDY = "Send it again, or less at a time; a proxy in front may hold it up."


@asynccontextmanager
async def in_time() -> AsyncGenerator[None, None]:
    """For reading a body in; Late where it takes longer than a minute."""
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            yield
    except TimeoutError:
        raise Late(
            f"The body did not come within {BODY_SECONDS_MAX:g} s.", remedy=_REMEDY
        ) from None


async def receive_body(request: Request[Any, Any, Any]) -> bytes:
    """All of the body, up to the limit of the route; Late as `in_time`."""
    async with in_time():
        return await request.body()


async def receive_at_most(request: Request[Any, Any, Any], bytes_max: int) -> bytes | None:
    """All of the body, or None as soon as it is larger; for routes whose own limit is off."""
    body = bytearray()
    async with in_time():
        async for piece in request.stream():
            body += piece
            if len(body) > bytes_max:
                return None
    return bytes(body)


class Pace:
    """Whether a file comes fast enough; only the time counts in which we waited for its sender."""

    def __init__(
        self,
        *,
        rate_bytes_min: float = FILE_RATE_BYTES_MIN,
        seconds: float = FILE_RATE_SECONDS,
    ) -> None:
        self._rate_bytes_min = rate_bytes_min
        self._seconds = seconds
        self._came = 0
        self._waited = 0.0

    def note(self, message: Mapping[str, Any], waited_seconds: float) -> None:
        """Count a message that was waited for; Late where too little came in the time."""
        self._came += len(message.get("body", b""))
        self._waited += waited_seconds
        if self._waited < self._seconds:
            return
        if message.get("more_body", False) and self._came < self._rate_bytes_min * self._waited:
            raise Late(
                f"{self._came} bytes came in {self._waited:.0f} s; a file needs at least "
                f"{self._rate_bytes_min:g} a second. Nothing was kept.",
                remedy="Send the whole file again, over a faster line.",
            )
        self._came, self._waited = 0, 0.0
