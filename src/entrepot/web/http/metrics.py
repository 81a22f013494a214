"""What the hub has done, for Prometheus: requests, links, bytes, downloads.

One process keeps the numbers in memory. Where several serve, the daemon names a folder in
PROMETHEUS_MULTIPROC_DIR before they import this module: each then keeps its numbers in a
mapped file there, visible to all and safe from a kill, and whichever process is scraped
adds them up. What a download counts five times over waits in memory for a moment, because
a write to that file costs a microsecond: a process that is killed loses up to a second of
it, and the web server calls `flush` so often. Requests are written down at once.

    daemon, before the first web process:   clear_folder(folder), then set the variable
    daemon, when a web process has ended:   forget_process(pid)

Labels come from short closed lists; what would be one value too many is counted as `other`.
"""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_VALUES_MAX = 48  # distinct doors, and distinct reasons
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300)

disable_created_metrics()  # type: ignore[no-untyped-call]
_registry = CollectorRegistry()
# Its _count is the number of requests: a counter beside it would cost a microsecond more.
_requests = Histogram(
    "entrepot_request_seconds",
    "Requests by door, method and status class, and the seconds until their last byte went out.",
    ["door", "method", "status"],
    buckets=_BUCKETS_SECONDS,
    registry=_registry,
)
_links = Counter(
    "entrepot_links",
    "Signed links issued, redeemed and refused, the last by reason.",
    ["outcome", "reason"],
    registry=_registry,
)
_bytes = Counter("entrepot_sent_bytes", "Bytes of stored files sent.", registry=_registry)
_in_progress = Gauge(
    "entrepot_downloads_in_progress",
    "Downloads being sent at this moment.",
    registry=_registry,
    multiprocess_mode="livesum",
)
_downloads = Counter(
    "entrepot_downloads",
    "Downloads that ended: complete, or cut short by either side.",
    ["outcome"],
    registry=_registry,
)
_workers = Gauge(
    "entrepot_workers",
    "Workers that are alive, and those of them that convert, as the database has it.",
    ["able_to"],
    registry=_registry,
    multiprocess_mode="mostrecent",
)
ProcessCollector(registry=_registry)


class _Tally:
    """Amounts waiting to be added to their metrics; plus and minus cancel each other out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Callable[[float], None], float] = {}

    def add(self, increase: Callable[[float], None], amount: float) -> None:
        with self._lock:
            self._waiting[increase] = self._waiting.get(increase, 0) + amount

    def flush(self) -> None:
        with self._lock:
            for increase, amount in self._waiting.items():
                if amount:
                    increase(amount)
            self._waiting.clear()


_tally = _Tally()
flush = _tally.flush
_observers: dict[tuple[str, str, int], Callable[[float], None]] = {}
_link_counters: dict[tuple[str, str], Callable[[float], None]] = {}
_doors: set[str] = set()
_reasons: set[str] = set()


def count_request(door: str, method: str, status: int, seconds: float) -> None:
    """One request that `door` answered with `status` after `seconds`."""
    observe = _observers.get((door, method, status))
    if observe is None:
        observe = _new_observer(door, method, status)
    observe(seconds)


def _new_observer(door: str, method: str, status: int) -> Callable[[float], None]:
    labels = (
        _bounded(door, _doors),
        method if method in _METHODS else "other",
        f"{status // 100}xx" if 100 <= status <= 599 else "other",
    )
    observe = _requests.labels(*labels).observe
    # Only what is certain to be few is remembered: hostile methods must not fill memory.
    if "other" not in labels:
        _observers[door, method, status] = observe
    return observe


def _bounded(value: str, known: set[str]) -> str:
    if value in known:
        return value
    if len(known) >= _VALUES_MAX:
        return "other"
    known.add(value)
    return value


def count_link(outcome: str, reason: str = "") -> None:
    """One link: `issued`, `redeemed`, or `refused` with the reason's code (`link-expired`)."""
    count = _link_counters.get((outcome, reason))
    if count is None:
        if outcome not in {"issued", "redeemed", "refused"}:
            raise ValueError(f"a link is issued, redeemed or refused, not {outcome}")
        bounded = _bounded(reason, _reasons) if reason else ""
        count = _links.labels(outcome, bounded).inc
        if bounded == reason:
            _link_counters[outcome, reason] = count
    _tally.add(count, 1)


def count_bytes(count: int) -> None:
    """`count` bytes of a stored file went out."""
    _tally.add(_count_bytes, count)


def download_started() -> None:
    """A body with bytes of a stored file begins; `download_ended` must follow."""
    _tally.add(_move_progress, 1)


def download_ended(*, complete: bool) -> None:
    """It ended: `complete` where the last byte of the answer has gone."""
    _tally.add(_move_progress, -1)
    _tally.add(_count_complete if complete else _count_cut, 1)


_count_bytes, _move_progress = _bytes.inc, _in_progress.inc
_count_complete = _downloads.labels("complete").inc
_count_cut = _downloads.labels("cut").inc
for _outcome in ("issued", "redeemed"):
    _links.labels(_outcome, "")


def note_workers(alive: int, converting: int) -> None:
    """How many workers there are at this moment."""
    _workers.labels("work").set(alive)
    _workers.labels("convert").set(converting)


def render() -> bytes:
    """The page for GET /metrics, of media type CONTENT_TYPE; all processes added up."""
    flush()
    folder = os.environ.get(_FOLDER_VARIABLE)
    return generate_latest(_AllProcesses(Path(folder)) if folder else _registry)


class _AllProcesses(Collector):
    """The numbers of every process that counts into `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """The sums, with the downloads of killed processes taken back."""
        for file in self._folder.glob("gauge_live*.db"):
            if not Path("/proc", file.stem.rpartition("_")[2]).exists():
                file.unlink(missing_ok=True)
        # A file is empty for an instant while its process starts; the library trips over that.
        files = [str(file) for file in self._folder.glob("*.db") if _has_begun(file)]
        sums: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return sums


def _has_begun(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # another scrape took a dead process out
        return False


def clear_folder(folder: Path) -> None:
    """Make the shared folder, empty: for the daemon, before any web process starts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()


def forget_process(pid: int) -> None:
    """Take an ended process out of what is in progress; what it counted stays counted.

    `render` does so too once the pid is gone from this machine; this also covers its reuse.
    """
    folder = os.environ.get(_FOLDER_VARIABLE)
    for file in Path(folder).glob(f"gauge_live*_{pid}.db") if folder else ():
        file.unlink(missing_ok=True)
