"""When to try again: exponential back-off with jitter, and what `Retry-After` asks for."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """`attempts` in a row may fail before the error is given to the caller."""

    attempts: int = 4
    first_seconds: float = 0.5
    most_seconds: float = 20.0
    asked_seconds_max: float = 120.0

    def allows(self, failures: int, asked_seconds: float | None = None) -> bool:
        """Whether another attempt follows after `failures` of them.

        A hub that asks for more patience than `asked_seconds_max` gets no further attempt: the
        caller should know rather than hang.
        """
        return failures < self.attempts and (asked_seconds or 0.0) <= self.asked_seconds_max

    def seconds(self, failures: int, asked_seconds: float | None = None) -> float:
        """How long to wait after the `failures`-th failure (1 is the first)."""
        ceiling = min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 1, 16))
        drawn = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
        return max(drawn, asked_seconds or 0.0)


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Seconds meant by a `Retry-After` header (RFC 9110, 10.2.3), None when it says nothing."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
