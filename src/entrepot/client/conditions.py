"""What a transfer is told: how patient it is, what it may take, and who watches it."""

from dataclasses import dataclass

from entrepot.client.connections import Times
from entrepot.client.errors import Unreachable
from entrepot.client.folders import Folders
from entrepot.client.pool import Pool
from entrepot.client.rates import RateLimit
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop

# Fewer bytes than this in a stall period, or between two failures, count as none.
TRICKLE_BYTES = 1024


def trickling(origin: str) -> Unreachable:
    """The error for a server that sends, and not enough to get on."""
    return Unreachable(f"{origin} hardly sends anything any more.")


class Watcher:
    """What wants to know how a transfer goes; every method may be called from any thread."""

    def started(self, name: str, size: int | None) -> None:
        """The transfer of `name` begins."""

    def at(self, name: str, done: int) -> None:
        """So many bytes of `name` are here (it can go back)."""

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        """Something failed and is tried again after a pause."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How patient a transfer is, what can stop it, and how much of the line it may take.

    `connections` is how many a file has at a time, None for as many as pay.
    """

    times: Times
    backoff: Backoff
    stop: Stop
    rate: RateLimit | None = None
    connections: int | None = None
    pool: Pool | None = None
    folders: Folders | None = None
