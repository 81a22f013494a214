"""Limits on the rate of requests: a token bucket for each principal, and for each address else.

The buckets lie in the memory of each web process: a hub with several lets through up to so many
times as much. Headers as in draft-ietf-httpapi-ratelimit-headers-10 and -11: `RateLimit-Policy`
says how much there is (`q` requests, all of them back after `w` seconds), `RateLimit` what is left
of it (`r`) and after how many seconds there is more than that (`t`; until then nobody can use
more): with a bucket, the next request.
"""

import math
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from entrepot.errors import TooMany

BUCKETS_MAX = 50_000
_FREED_AT_ONCE = BUCKETS_MAX // 10
Header: TypeAlias = tuple[bytes, bytes]


@dataclass(slots=True)
class Ticket:
    """Of one request on its way through a door: `told` are the headers, once it was counted."""

    scope: MutableMapping[str, Any]
    sent: Mapping[bytes, bytes]  # its headers
    told: tuple[Header, ...] = field(default=())


ticket: ContextVar[Ticket | None] = ContextVar("entrepot_ticket", default=None)


class Rates:
    """The buckets of one process; `per_minute` 0: nothing is counted.

    A bucket is kept as the moment when it will be full again, a float for each key.
    """

    def __init__(
        self, per_minute: int, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.on = per_minute > 0
        self._each = 60 / per_minute if self.on else 0.0
        self._room = self._each * burst
        self._full_at: dict[str, float] = {}
        self._monotonic = monotonic
        window = max(1, math.ceil(self._room))
        self._policy = (b"ratelimit-policy", f'"requests";q={burst};w={window}'.encode())

    def charge(self, key: str) -> None:
        """Count the request at hand for `key`, once; TooMany where its bucket is empty.

        A request that is refused takes nothing out of the bucket.
        """
        one = ticket.get()
        if not self.on or one is None or one.told:
            return
        now = self._monotonic()
        full_at = self._full_at.get(key)
        if full_at is None:
            self._make_room(now)
            full_at = now
        missing = (full_at - now if full_at > now else 0.0) + self._each
        if missing > self._room + 1e-9:
            wait = max(1, math.ceil(missing - self._room))
            one.told = (self._policy, (b"ratelimit", b'"requests";r=0;t=%d' % wait))
            raise TooMany(
                "Too many requests.",
                remedy=f"Wait {wait} s; the headers RateLimit-Policy and RateLimit say the limit.",
                retry_after_seconds=wait,
            )
        self._full_at[key] = now + missing
        left = int((self._room - missing + 1e-9) / self._each)
        back = max(1, math.ceil(missing + (left + 1) * self._each - self._room - 1e-9))
        one.told = (self._policy, (b"ratelimit", b'"requests";r=%d;t=%d' % (left, back)))

    def _make_room(self, now: float) -> None:
        """Forget the buckets that are full, and where all are in use the oldest tenth."""
        if len(self._full_at) < BUCKETS_MAX:
            return
        kept = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        for key in list(kept)[: max(0, len(kept) - (BUCKETS_MAX - _FREED_AT_ONCE))]:
            del kept[key]
        self._full_at = kept

    def __len__(self) -> int:
        return len(self._full_at)
