"""How long signed metadata counts, as the operator decides."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Lives:
    """What a publisher signs lives for months; what the hub signs by itself for days and hours.

    The shorter the timestamp's life, the sooner a client notices that it is shown an old state;
    and the sooner clients refuse everything where the hub's worker stands still.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(hours=24)
