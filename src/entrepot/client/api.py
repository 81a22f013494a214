"""JSON calls to one hub: time-outs, connections kept open, retries, and a token that stays home.

The token goes to the hub's own origin only: every target is built from the base address, and
redirects are an error. GET is tried again on 429, 5xx and broken connections.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from entrepot.client.answers import error_for, parse_json
from entrepot.client.connections import Address, Connection, Times, unreachable
from entrepot.client.errors import BadAnswer, InvalidUse, NotSignedIn, Unreachable
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop

ANSWER_BYTES_MAX = 256 * 1024 * 1024
ID_CHARS_MAX = 200
_IDLE_CONNECTIONS_MAX = 8
_READ_BYTES = 256 * 1024
_log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Where an access token comes from."""

    def token(self) -> str:
        """The token to send. Raises NotSignedIn when there is none."""
        ...

    def renewed(self, refused: str) -> str | None:
        """Another token to try after the hub refused this one, None when there is no other."""
        ...


def segment(value: str) -> str:
    """An id as one segment of a path; it can never change the path or the host.

    Raises InvalidUse for what cannot be an id: empty, a URL, dots, separators, 200+ characters.
    """
    allowed = value.isascii() and all(char.isalnum() or char in "-_.~" for char in value)
    if not allowed or not value.strip(".") or len(value) > ID_CHARS_MAX:
        raise InvalidUse(
            f"{value[:80]!r} is not an id.", remedy="An id has letters, digits, `-`, `_` and `.`."
        )
    return quote(value, safe="")


class Api:
    """Calls below the base address of one hub. Safe to use from several threads."""

    def __init__(
        self, base: Address, tokens: TokenSource | None, times: Times, backoff: Backoff, stop: Stop
    ) -> None:
        self.base = base
        self.times = times
        self.tokens = tokens
        self._backoff = backoff
        self._stop = stop
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()

    def get(
        self,
        path: Sequence[str],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON at `path`, a list of segments. Raises every kind of ClientError."""
        target = self._address(path, query)
        token = self._token()
        try:
            return self._get_patiently(target, token, headers or {})
        except NotSignedIn:
            renewed = self.tokens.renewed(token) if self.tokens and token else None
            if renewed is None:
                raise
            return self._get_patiently(target, renewed, headers or {})

    def post_form(
        self,
        path: Sequence[str],
        form: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one form post, sent once and without a token."""
        sent = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            **(headers or {}),
        }
        connection = Connection(self.base, self.times)
        address = self._address(path, None)
        try:
            response = connection.send("POST", address, sent, urlencode(form).encode("ascii"))
            return response.status, self._read(connection, response)
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _token(self) -> str:
        return self.tokens.token() if self.tokens is not None else ""

    def _address(self, path: Sequence[str], query: Mapping[str, str] | None) -> Address:
        base = self.base
        whole = "/".join([base.path, *(segment(part) for part in path)])
        return Address(base.scheme, base.host, base.port, whole, urlencode(query or {}))

    def _get_patiently(self, address: Address, token: str, headers: Mapping[str, str]) -> Any:
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        failures = 0
        while True:
            self._stop.check()
            try:
                return self._get_once(address, sent)
            except Unreachable as error:
                failures += 1
                asked = error.retry_after_seconds
                if not error.worth_retrying or not self._backoff.allows(failures, asked):
                    raise
                pause = self._backoff.seconds(failures, asked)
                _log.warning("%s Trying again in %.1f s.", error.message, pause)
                self._stop.wait(pause)

    def _get_once(self, address: Address, headers: dict[str, str]) -> Any:
        started = monotonic()
        connection, response = self._send(address, headers)
        try:
            body = self._read(connection, response)
        except BaseException:
            connection.close()
            raise
        _log.info(
            "GET %s: %d in %.0f ms", address.path, response.status, (monotonic() - started) * 1000
        )
        self._keep(connection, response)
        if not 200 <= response.status < 300:
            raise error_for(
                response.status,
                body,
                retry_after=response.headers.get("Retry-After"),
                location=response.headers.get("Location"),
            )
        return parse_json(body)

    def _send(self, address: Address, headers: dict[str, str]) -> tuple[Connection, HTTPResponse]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return connection, connection.send("GET", address, headers)
            except Unreachable:
                # A kept connection may have been closed by the other side: that is no failure.
                connection.close()
        connection = Connection(address, self.times)
        return connection, connection.send("GET", address, headers)

    def _read(self, connection: Connection, response: HTTPResponse) -> bytes:
        deadline = monotonic() + self.times.call_seconds
        body = bytearray()
        try:
            while chunk := response.read1(_READ_BYTES):
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise BadAnswer("The hub's answer is too large; ask for it page by page (-o).")
                if monotonic() > deadline:
                    raise Unreachable(f"{connection.origin} is too slow to answer.")
            if response.length:
                raise Unreachable(f"The connection to {connection.origin} was cut.")
        except (OSError, HTTPException) as error:
            raise unreachable(error, connection.origin) from error
        # http.client takes the next request only after the answer before it was closed.
        response.close()
        return bytes(body)

    def _keep(self, connection: Connection, response: HTTPResponse) -> None:
        with self._lock:
            if not response.will_close and len(self._idle) < _IDLE_CONNECTIONS_MAX:
                self._idle.append(connection)
                return
        connection.close()
