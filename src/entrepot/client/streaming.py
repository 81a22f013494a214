"""The bytes of a file in their order, whatever happens to the connection.

For whoever writes them into something that is no file of its own. A cut, a stall (or hardly any
bytes) or an answer that means "not now" is gone on with where it stopped; a link that died is
replaced by a new one.
"""

import re
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from time import monotonic

from entrepot.client.answers import error_for
from entrepot.client.conditions import TRICKLE_BYTES, trickling
from entrepot.client.connections import Address, Connection, Times, unreachable
from entrepot.client.errors import BadAnswer, ClientError, Corrupt, Unreachable
from entrepot.client.links import parse_link, parse_redirect
from entrepot.client.rates import RateLimit
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop

_READ_BYTES = 1 << 20
_ERROR_BODY_BYTES = 64 * 1024
_REDIRECTS_MAX = 5
_DEAD_LINKS_MAX = 3
_LINK_DIED = frozenset({401, 403, 404, 410})
_PARTIAL = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", re.ASCII)


class _LinkDied(Exception):  # noqa: N818 - a signal inside this module
    def __init__(self, error: ClientError) -> None:
        super().__init__(error.message)
        self.error = error


class ByteStream:
    """The `size` bytes behind the links that `mint_link` gives; iterate from any offset.

    Raises Corrupt for another size, Unreachable when patience ends, and what `mint_link` or a
    new link is refused with. What the bytes are is for the caller to check.
    """

    def __init__(
        self,
        mint_link: Callable[[], str],
        size: int,
        *,
        times: Times,
        backoff: Backoff,
        stop: Stop,
        rate: RateLimit | None = None,
        trouble: Callable[[str, float], None] = lambda _message, _pause: None,
    ) -> None:
        self._mint_link = mint_link
        self._size = size
        self._times = times
        self._backoff = backoff
        self._stop = stop
        self._rate = rate
        self._trouble = trouble
        self._link: Address | None = None

    def read_from(self, at: int) -> Iterator[bytes]:
        """The bytes from `at` to the end, in pieces of at most 1 MiB."""
        failures = dead_links = 0
        while at < self._size:
            begun = at
            try:
                for data in self._once(at):
                    at += len(data)
                    yield data
            except _LinkDied as died:
                self._link = None
                dead_links = 1 if at - begun >= TRICKLE_BYTES else dead_links + 1
                if dead_links > _DEAD_LINKS_MAX:
                    raise died.error from died
            except Unreachable as error:
                failures = 1 if at - begun >= TRICKLE_BYTES else failures + 1
                asked = error.retry_after_seconds
                if not error.worth_retrying or not self._backoff.allows(failures, asked):
                    raise
                pause = self._backoff.seconds(failures, asked)
                self._trouble(error.message, pause)
                self._stop.wait(pause)

    def _once(self, at: int) -> Iterator[bytes]:
        self._stop.check()
        if self._link is None:
            self._link = parse_link(self._mint_link(), None)
        connection, response = self._open(self._link, at)
        try:
            with self._stop.watching(connection.sock):
                skipped = at - self._begin(connection, response, at)
                left = self._size - at
                waited, came = 0.0, 0
                while left:
                    asked_at = monotonic()
                    data = self._read(connection, response, left + skipped)
                    # Only waiting counts, not what becomes of the bytes.
                    waited, came = waited + monotonic() - asked_at, came + len(data)
                    if waited >= self._times.stall_seconds:
                        if came < TRICKLE_BYTES and len(data) < left + skipped:
                            raise trickling(connection.origin)
                        waited, came = 0.0, 0
                    if self._rate is not None:
                        self._rate.take(len(data), self._stop)
                    passed = min(skipped, len(data))  # of a hub that sent all from the start
                    skipped -= passed
                    left -= len(data) - passed
                    if passed < len(data):
                        yield data[passed:]
        finally:
            response.close()
            connection.close()

    def _open(self, link: Address, at: int) -> tuple[Connection, HTTPResponse]:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if at:
            headers["Range"] = f"bytes={at}-"
        for _ in range(_REDIRECTS_MAX + 1):
            connection = Connection(link, self._times)
            response = connection.send("GET", link, headers)
            if response.status not in (301, 302, 303, 307, 308):
                return connection, response
            target = response.headers.get("Location", "")
            response.close()
            connection.close()
            link = parse_redirect(target, link)
        raise BadAnswer("The download link redirects too often.")

    def _begin(self, connection: Connection, response: HTTPResponse, at: int) -> int:
        """The offset at which the answer begins. Raises where it is not of this file."""
        if response.status not in (200, 206):
            self._refuse(connection, response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer("The file was sent compressed, which was not asked for.")
        begin, total = 0, response.length
        if response.status == 206:
            told = _PARTIAL.fullmatch(response.headers.get("Content-Range", "").strip())
            if told is None or int(told[1]) != at:
                raise BadAnswer("The download link sent another part of the file.")
            begin, total = at, int(told[2])
        if total not in (None, self._size):
            raise Corrupt(f"The link holds {total} bytes where the hub announced {self._size}.")
        return begin

    def _refuse(self, connection: Connection, response: HTTPResponse) -> None:
        try:
            body = response.read(_ERROR_BODY_BYTES)
        except (OSError, HTTPException) as error:
            raise unreachable(error, connection.origin) from error
        if response.status == 416:
            raise Corrupt("The file is shorter than the hub announced.")
        meant = error_for(response.status, body, retry_after=response.headers.get("Retry-After"))
        if response.status in _LINK_DIED:
            raise _LinkDied(meant)
        if isinstance(meant, Unreachable):
            raise meant
        raise BadAnswer(f"The download link answered with status {response.status}.")

    def _read(self, connection: Connection, response: HTTPResponse, wanted: int) -> bytes:
        portion = _READ_BYTES if self._rate is None else min(_READ_BYTES, self._rate.portion_bytes)
        try:
            data = response.read1(min(wanted, portion))
        except (OSError, HTTPException) as error:
            self._stop.check()
            raise unreachable(error, connection.origin) from error
        self._stop.check()
        if not data:
            raise Unreachable(f"The connection to {connection.origin} was cut.")
        return data
