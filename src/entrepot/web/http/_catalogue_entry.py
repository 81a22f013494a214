"""One line of the error catalogue."""

from typing import NamedTuple


class Entry(NamedTuple):
    """The HTTP status (0: only seen by operators, at start), the meaning and the remedy."""

    status: int
    meaning: str
    remedy: str
