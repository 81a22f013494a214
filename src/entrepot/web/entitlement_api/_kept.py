"""Answers kept for as long as nothing in the database has changed.

Callers ask for the same page again and again. A kept page is given out only while the
database's state is the one from before it was read, and for a second at most, because the
status of an entitlement also depends on the time. Only lists are kept, never a decision.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TypeAlias

Key: TypeAlias = tuple[int, bytes]  # organisation, query string

ANSWERS_MAX = 512
ANSWER_BYTES_MAX = 64 * 1024
KEPT_MAX = timedelta(seconds=1)
_NO_TIME = timedelta()


class Kept:
    """At most 512 answers of at most 64 KiB; the one not asked for longest gives way."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, tuple[int, datetime, bytes]] = OrderedDict()

    def find(self, key: Key, state: int | None, now: datetime) -> bytes | None:
        """The answer kept for `key` where it still holds."""
        kept = self._answers.get(key)
        if kept is None or kept[0] != state or not _NO_TIME <= now - kept[1] < KEPT_MAX:
            return None
        self._answers.move_to_end(key)
        return kept[2]

    def keep(self, key: Key, state: int | None, now: datetime, body: bytes) -> None:
        """Keep an answer read after the database had told its `state`."""
        if state is None or len(body) > ANSWER_BYTES_MAX:
            return
        self._answers[key] = (state, now, body)
        self._answers.move_to_end(key)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)
