"""One file from a link to a verified file in place.

The link is fetched without a token, through redirects if need be. A cut, a stall or an answer
that means "not now" is tried again from where it stopped (Range with If-Range); a link that died
is replaced by a new one. The target is touched only by the last step, an atomic rename.
Where the caller gives what is fetched a mark, the partial outlives the command and the next run
goes on with it. Parallel ranges fit in as several transfers of one partial.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic
from urllib.parse import urljoin

from entrepot.client.answers import error_for
from entrepot.client.connections import Address, Connection, Times, parse_address, unreachable
from entrepot.client.errors import BadAnswer, ClientError, Corrupt, InvalidUse, Unreachable
from entrepot.client.kept_partial import KeptPartial
from entrepot.client.partial import Partial, check_room, make_folder
from entrepot.client.rates import RateLimit
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop
from entrepot.client.verification import BUFFER_BYTES, Expected, is_complete

REDIRECTS_MAX = 5
DEAD_LINKS_MAX = 3
# Fewer bytes than this in a stall period count as none.
TRICKLE_BYTES = 1024
_ERROR_BODY_BYTES = 64 * 1024
_LINK_DIED = frozenset({401, 403, 404, 410})
_log = logging.getLogger(__name__)


class Watcher:
    """What wants to know how a transfer goes; every method may be called from any thread."""

    def started(self, name: str, size: int | None) -> None:
        """The transfer of `name` begins."""

    def at(self, name: str, done: int) -> None:
        """So many bytes of `name` are here (it can go back to 0)."""

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        """Something failed and is tried again after a pause."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A complete, verified file: `verified` is sha256, md5 or size; `skipped` when it was there."""

    path: Path
    size: int
    verified: str
    skipped: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """How patient a transfer is, what can stop it, and how much of the line it may take."""

    times: Times
    backoff: Backoff
    stop: Stop
    rate: RateLimit | None = None
    connections: int | None = None


class _LinkDied(Exception):  # noqa: N818 - a signal inside this module
    def __init__(self, error: ClientError) -> None:
        super().__init__(error.message)
        self.error = error


def download(
    mint_link: Callable[[], str],
    target: Path,
    expected: Expected,
    conditions: Conditions,
    watcher: Watcher | None = None,
    check: Callable[[Path], None] | None = None,
    mark: str = "",
) -> Downloaded:
    """Bring the file that `mint_link` gives a link to into `target`.

    A target that already has the announced digest is left alone and no link is asked for.
    `check` looks at the whole file before it is put in place, and raises Corrupt. With a `mark`,
    the name of what is fetched, a part is kept when the transfer fails or is stopped.
    Raises Corrupt (after one more try from the start), Unreachable, Denied, LicenceNeeded,
    NotFound, LocalFileError, DiskFull, Cancelled; in each case the target is as it was.
    """
    started = monotonic()
    make_folder(target.parent)
    if is_complete(target, expected, conditions.stop):
        size = target.stat().st_size
        return Downloaded(target, size, expected.strength, True, monotonic() - started)
    if not mark:
        check_room(target.parent, expected.size or 0)
    with KeptPartial(target, mark) if mark else Partial(target) as partial:
        if mark:
            check_room(target.parent, max(0, (expected.size or 0) - partial.size))
        transfer = _Transfer(mint_link, partial, target.name, expected, conditions, watcher)
        try:
            transfer.run(check)
        except Corrupt as error:
            _log.warning("%s: %s Starting over once.", target.name, error.message)
            transfer.restart()
            transfer.run(check)
        partial.commit()
        return Downloaded(target, partial.size, expected.strength, False, monotonic() - started)


class _Transfer:
    """The state of one transfer: what is written, hashed, and known of the source."""

    def __init__(
        self,
        mint_link: Callable[[], str],
        partial: Partial,
        name: str,
        expected: Expected,
        conditions: Conditions,
        watcher: Watcher | None,
    ) -> None:
        self._mint_link = mint_link
        self._partial = partial
        self._name = name
        self._expected = expected
        self._times = conditions.times
        self._backoff = conditions.backoff
        self._stop = conditions.stop
        self._rate = conditions.rate
        self._portion = min(BUFFER_BYTES, self._rate.portion_bytes if self._rate else BUFFER_BYTES)
        self._watcher = watcher or Watcher()
        self._hasher = expected.hasher()
        self._link: Address | None = None
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._watcher.started(name, expected.size)
        if partial.size:
            self._take_up(expected)

    def run(self, check: Callable[[Path], None] | None) -> None:
        """Fetch until the file is whole and checked."""
        failures = dead_links = 0
        while True:
            before = self._partial.size
            try:
                self._fetch()
                break
            except _LinkDied as died:
                self._link = None
                dead_links = 1 if self._moved(before) else dead_links + 1
                if dead_links > DEAD_LINKS_MAX:
                    raise died.error from died
                _log.info("%s: the link died; asking for a new one", self._name)
            except Unreachable as error:
                failures = 1 if self._moved(before) else failures + 1
                self._pause(error, failures)
        self._expected.check(self._partial.size, self._hasher)
        if check is not None:
            check(self._partial.path)

    def _take_up(self, expected: Expected) -> None:
        """Go on with what an earlier run left."""
        _log.info("%s: %d bytes are here already", self._name, self._partial.size)
        self._watcher.at(self._name, self._partial.size)
        if expected.digest:
            with self._partial.path.open("rb") as held:
                while data := held.read(BUFFER_BYTES):
                    self._stop.check()
                    self._hasher.update(memoryview(data))

    def restart(self) -> None:
        """Forget everything but the target."""
        self._partial.restart()
        self._hasher = self._expected.hasher()
        self._link = None
        self._watcher.at(self._name, 0)

    def _moved(self, before: int) -> bool:
        return self._partial.size - before >= TRICKLE_BYTES

    def _pause(self, error: Unreachable, failures: int) -> None:
        asked = error.retry_after_seconds
        if not error.worth_retrying or not self._backoff.allows(failures, asked):
            raise error
        pause = self._backoff.seconds(failures, asked)
        self._watcher.trouble(self._name, error.message, pause)
        self._stop.wait(pause)

    def _fetch(self) -> None:
        self._stop.check()
        if self._link is None:
            self._link = parse_link(self._mint_link(), None)
        connection, response = self._open(self._link)
        try:
            with self._stop.watching(connection.sock):
                self._accept(connection, response)
                self._receive(connection, response)
        finally:
            response.close()
            connection.close()

    def _open(self, link: Address) -> tuple[Connection, HTTPResponse]:
        """Ask for what is missing, following redirects; no token is known here."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self._partial.size:
            headers["Range"] = f"bytes={self._partial.size}-"
            if self._partial.etag:
                headers["If-Range"] = self._partial.etag
        for _ in range(REDIRECTS_MAX + 1):
            connection = Connection(link, self._times)
            response = connection.send("GET", link, headers)
            if response.status not in (301, 302, 303, 307, 308):
                return connection, response
            target = response.headers.get("Location", "")
            response.close()
            connection.close()
            link = parse_link(urljoin(link.url, target), link)
        raise BadAnswer("The download link redirects too often.")

    def _accept(self, connection: Connection, response: HTTPResponse) -> None:
        """Check the head of the answer against what was asked for and announced."""
        status = response.status
        if status == 206 and self._partial.size:
            self._accept_rest(response)
            return
        if status == 416 and self._partial.size:
            self.restart()
            raise Unreachable("The file changed at the hub while it was fetched.")
        if status != 200:
            self._refuse(connection, response)
        if self._partial.size:
            _log.info("%s: the hub sends the file from the start", self._name)
            link = self._link
            self.restart()
            self._link = link
        self._partial.note(_strong_etag(response), response.length)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer("The file was sent compressed, which was not asked for.")
        announced = response.length
        if announced is not None and self._expected.size not in (None, announced):
            raise Corrupt(
                f"The link holds {announced} bytes where the hub announced {self._expected.size}."
            )

    def _accept_rest(self, response: HTTPResponse) -> None:
        begin, total = content_range(response.headers.get("Content-Range", ""))
        same = self._partial.etag in ("", _strong_etag(response))
        if begin != self._partial.size or not same or self._expected.size not in (None, total):
            self.restart()
            raise Unreachable("The file changed at the hub while it was fetched.")

    def _refuse(self, connection: Connection, response: HTTPResponse) -> None:
        try:
            body = response.read(_ERROR_BODY_BYTES)
        except (OSError, HTTPException) as error:
            raise unreachable(error, connection.origin) from error
        meant = error_for(response.status, body, retry_after=response.headers.get("Retry-After"))
        if response.status in _LINK_DIED:
            raise _LinkDied(meant)
        if isinstance(meant, Unreachable):
            raise meant
        raise BadAnswer(f"The download link answered with status {response.status}.")

    def _receive(self, connection: Connection, response: HTTPResponse) -> None:
        """Write and hash the body; raises Unreachable when it ends early or trickles."""
        remaining = response.length
        window_start, window_bytes = monotonic(), 0
        while remaining is None or remaining > 0:
            count = self._read(connection, response, remaining)
            self._stop.check()
            if count == 0:
                break
            if self._rate is not None:
                self._rate.take(count, self._stop)
            data = self._buffer[:count]
            self._guard_size(count)
            self._partial.append(data)
            self._hasher.update(data)
            self._watcher.at(self._name, self._partial.size)
            if remaining is not None:
                remaining -= count
            window_bytes += count
            if monotonic() - window_start >= self._times.stall_seconds:
                if window_bytes < TRICKLE_BYTES and remaining:
                    raise Unreachable(f"{connection.origin} hardly sends anything any more.")
                window_start, window_bytes = monotonic(), 0
        wanted = self._expected.size
        if remaining or (wanted is not None and self._partial.size < wanted):
            raise Unreachable(f"The connection to {connection.origin} was cut.")

    def _read(self, connection: Connection, response: HTTPResponse, remaining: int | None) -> int:
        """What one receive brings, straight into the buffer.

        `readinto` would wait for a full buffer and lose it when the connection breaks, so that
        a link which is cut every few hundred KiB would never get on.
        """
        try:
            if remaining is None:
                chunk = response.read1(self._portion)
                self._buffer[: len(chunk)] = chunk
                return len(chunk)
            return response.fp.readinto1(self._buffer[: min(remaining, self._portion)])
        except (OSError, HTTPException) as error:
            self._stop.check()
            raise unreachable(error, connection.origin) from error

    def _guard_size(self, count: int) -> None:
        wanted = self._expected.size
        if wanted is not None and self._partial.size + count > wanted:
            raise Corrupt(f"More bytes arrive than the {wanted} that the hub announced.")


def parse_link(url: str, before: Address | None) -> Address:
    """A download link or the target of a redirect. Raises BadAnswer for what is no web link."""
    try:
        link = parse_address(url)
    except InvalidUse as error:
        raise BadAnswer("The hub's download link is not a web address.") from error
    if before is not None and before.scheme == "https" and link.scheme != "https":
        raise BadAnswer("A download link leads from https to plain http; it is not followed.")
    return link


def _strong_etag(response: HTTPResponse) -> str:
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') and len(etag) <= 1024 else ""


def content_range(value: str) -> tuple[int, int | None]:
    """(first byte, total size if told) of `bytes 5-9/10`; (-1, None) for anything else."""
    unit, _, rest = value.strip().partition(" ")
    span, _, total = rest.partition("/")
    first = _number(span.partition("-")[0])
    if unit.lower() != "bytes" or first is None:
        return -1, None
    return first, _number(total)


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
