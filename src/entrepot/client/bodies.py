"""One answer of a download link: what it promises, and its bytes as they come.

No token is known here.
"""

from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from entrepot.client.answers import error_for
from entrepot.client.connections import Address, Connection, Times, unreachable
from entrepot.client.errors import BadAnswer, Unreachable
from entrepot.client.links import LinkDied, parse_redirect
from entrepot.client.pool import Pool
from entrepot.client.stop import Stop

REDIRECTS_MAX = 5
_ERROR_BODY_BYTES = 64 * 1024
_LINK_DIED = frozenset({401, 403, 404, 410})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# While more than this comes at once, more is waited for before it is written.
_PLENTY_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer says of itself; `total` is the size of the file, if told."""

    status: int
    begin: int
    total: int | None
    etag: str


class Body:
    """An answer being read; close it, or `finish` it when it is read to its end."""

    def __init__(self, pool: Pool, connection: Connection, response: HTTPResponse) -> None:
        self.connection = connection
        self.left = response.length  # None: until the connection ends
        self._pool = pool
        self._response = response
        self._failed: OSError | HTTPException | None = None
        self._begun = False
        try:
            self.head = _head(response)
        except BadAnswer:
            response.close()
            connection.close()
            raise

    def read(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 when the answer ends, early or not. Raises Unreachable.

        `readinto` would wait for a full buffer and lose it when the connection breaks, so that
        a link which is cut every few hundred KiB would never get on.
        """
        count, last = 0, _PLENTY_BYTES
        if not self._begun and len(buffer) > _PLENTY_BYTES:
            # What came together with the head is little, and more is on its way.
            self._begun, count = True, self._try_once(buffer)
        while last >= _PLENTY_BYTES and count <= len(buffer) // 2 and self._failed is None:
            last = self._try_once(buffer[count:])
            count += last
        if count == 0 and self._failed is not None:
            raise unreachable(self._failed, self.connection.origin) from self._failed
        return count

    def _try_once(self, buffer: memoryview) -> int:
        """What has come before a failure counts; the failure is told after it."""
        try:
            return self._read_once(buffer)
        except (OSError, HTTPException) as error:
            self._failed = error
            return 0

    def _read_once(self, buffer: memoryview) -> int:
        if self.left is None:
            data = self._response.read1(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        if not self.left:
            return 0
        count: int = self._response.fp.readinto1(buffer[: min(self.left, len(buffer))])
        self.left -= count
        return count

    def close(self) -> None:
        """End it; the connection is kept where all has been read and the hub allows it."""
        reusable = self.left == 0 and not self._response.will_close and self._failed is None
        self._response.close()
        if reusable:
            self._pool.give_back(self.connection)
        else:
            self.connection.close()


def open_body(
    pool: Pool, link: Address, times: Times, stop: Stop, begin: int, end: int | None, etag: str
) -> Body:
    """Ask for the bytes from `begin` to `end`, following redirects.

    Of status 200, 206 or 416; raises LinkDied, Unreachable, BadAnswer for any other.
    """
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if begin or end is not None:
        headers["Range"] = f"bytes={begin}-{'' if end is None else end - 1}"
        if etag:
            headers["If-Range"] = etag
    at = link
    for _ in range(REDIRECTS_MAX + 1):
        connection, response = pool.send(at, times, headers, stop)
        if response.status in _REDIRECTS:
            target = response.headers.get("Location", "")
            response.close()
            connection.close()
            at = parse_redirect(target, at)
            continue
        if response.status not in (200, 206, 416):
            try:
                _refuse(link, connection, response)
            finally:
                response.close()
                connection.close()
        return Body(pool, connection, response)
    raise BadAnswer("The download link redirects too often.")


def _refuse(link: Address, connection: Connection, response: HTTPResponse) -> None:
    try:
        body = response.read(_ERROR_BODY_BYTES)
    except (OSError, HTTPException) as error:
        raise unreachable(error, connection.origin) from error
    meant = error_for(response.status, body, retry_after=response.headers.get("Retry-After"))
    if response.status in _LINK_DIED:
        raise LinkDied(link, meant)
    if isinstance(meant, Unreachable):
        raise meant
    raise BadAnswer(f"The download link answered with status {response.status}.")


def _head(response: HTTPResponse) -> Head:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BadAnswer("The file was sent compressed, which was not asked for.")
    etag = response.headers.get("ETag", "")
    if not (etag.startswith('"') and etag.isascii() and len(etag) <= 1024):
        etag = ""
    if response.status != 206:
        return Head(response.status, 0, response.length, etag)
    begin, total = content_range(response.headers.get("Content-Range", ""))
    return Head(206, begin, total, etag)


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
