"""JSON calls to one hub: time-outs, connections kept open, retries, and a token that stays home.

The token goes to the hub's own origin only: every target is built from the base address, and
redirects are an error. What may be sent twice is tried again on 429, 5xx and broken connections.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode

from entrepot.client.answers import error_for, parse_json
from entrepot.client.connections import Address, Connection, Times, unreachable
from entrepot.client.errors import BadAnswer, ClientError, InvalidUse, NotSignedIn, Unreachable
from entrepot.client.pool import send_until
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop

ANSWER_BYTES_MAX = 256 * 1024 * 1024
ID_CHARS_MAX = 200
_IDLE_CONNECTIONS_MAX = 8
_READ_BYTES = 256 * 1024
_NOTHING_DONE = frozenset({408, 429, 503})  # answers that promise it
_T = TypeVar("_T")
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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with its whole body; names of headers in any letter case."""

    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    address: Address
    headers: dict[str, str]
    body: bytes | None
    again: bool  # whether it does no harm to send it twice


def _refusal(reply: Reply) -> ClientError:
    return error_for(
        reply.status,
        reply.body,
        retry_after=reply.headers.get("Retry-After"),
        location=reply.headers.get("Location"),
    )


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


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
        return parse_json(self.call("GET", path, query, headers=headers).body)

    def call(
        self,
        method: str,
        path: Sequence[str],
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        again: bool = True,
        refuse: Callable[[Reply], ClientError] = _refusal,
        backoff: Backoff | None = None,
    ) -> Reply:
        """One call with the token; an answer of 2xx, or 304 to a conditional one.

        With `again` false it is repeated only where the hub says that it did nothing (429,
        503). `refuse` makes an error of any other answer. Raises every kind of ClientError.
        """
        accept = {"Accept": "application/json", "Accept-Encoding": "identity"}
        call = _Call(method, self._address(path, query), {**accept, **(headers or {})}, body, again)
        patience = backoff or self._backoff
        return self._signed(lambda token: self._patiently(call, token, refuse, patience))

    @contextmanager
    def stream(
        self,
        path: Sequence[str],
        headers: Mapping[str, str],
        refuse: Callable[[Reply], ClientError] = _refusal,
    ) -> Iterator[HTTPResponse]:
        """An answer of 2xx on a connection of its own, to be read as it comes; asked for once."""
        address = self._address(path, None)

        def ask(token: str) -> tuple[Connection, HTTPResponse]:
            connection = Connection(address, self.times)
            sent = {**headers, **_bearer(token)}
            response = send_until(self._stop, connection, "GET", address, sent)
            if not 200 <= response.status < 300:
                try:
                    body = self._read(connection, response)
                finally:
                    connection.close()
                raise refuse(Reply(response.status, response.headers, body))
            return connection, response

        connection, response = self._signed(ask)
        try:
            with self._stop.watching(connection.sock):
                yield response
        except (OSError, HTTPException) as error:
            self._stop.check()
            raise unreachable(error, connection.origin) from error
        finally:
            response.close()
            connection.close()

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
            body = urlencode(form).encode("ascii")
            response = send_until(self._stop, connection, "POST", address, sent, body)
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

    def _signed(self, ask: Callable[[str], _T]) -> _T:
        """What `ask` gives with the token, or with another where that one is refused."""
        token = self._token()
        try:
            return ask(token)
        except NotSignedIn:
            renewed = self.tokens.renewed(token) if self.tokens and token else None
            if renewed is None:
                raise
            return ask(renewed)

    def _patiently(
        self, call: _Call, token: str, refuse: Callable[[Reply], ClientError], backoff: Backoff
    ) -> Reply:
        sent = {**call.headers, **_bearer(token)}
        failures = 0
        while True:
            self._stop.check()
            status = 0
            try:
                reply = self._once(call, sent)
                status = reply.status
                if 200 <= status < 300 or (status == 304 and "If-None-Match" in sent):
                    return reply
                raise refuse(reply)
            except Unreachable as error:
                failures += 1
                asked = error.retry_after_seconds
                repeatable = call.again or status in _NOTHING_DONE
                if not (repeatable and error.worth_retrying and backoff.allows(failures, asked)):
                    raise
                pause = backoff.seconds(failures, asked)
                _log.warning("%s Trying again in %.1f s.", error.message, pause)
                self._stop.wait(pause)

    def _once(self, call: _Call, headers: dict[str, str]) -> Reply:
        started = monotonic()
        connection, response = self._send(call, headers)
        try:
            body = self._read(connection, response)
        except BaseException:
            connection.close()
            raise
        spent = (monotonic() - started) * 1000
        _log.info("%s %s: %d in %.0f ms", call.method, call.address.path, response.status, spent)
        self._keep(connection, response)
        return Reply(response.status, response.headers, body)

    def _send(self, call: _Call, headers: dict[str, str]) -> tuple[Connection, HTTPResponse]:
        with self._lock:
            connection = self._idle.pop() if self._idle and call.again else None
        if connection is not None:
            try:
                return connection, self._send_by(connection, call, headers)
            except Unreachable:
                # A kept connection may have been closed by the other side: that is no failure.
                connection.close()
        connection = Connection(call.address, self.times)
        return connection, self._send_by(connection, call, headers)

    def _send_by(
        self, connection: Connection, call: _Call, headers: dict[str, str]
    ) -> HTTPResponse:
        address, body = call.address, call.body
        return send_until(self._stop, connection, call.method, address, headers, body)

    def _read(self, connection: Connection, response: HTTPResponse) -> bytes:
        try:
            with self._stop.watching(connection.sock):
                body = self._read_whole(connection, response)
        except (OSError, HTTPException) as error:
            self._stop.check()
            raise unreachable(error, connection.origin) from error
        except Unreachable:
            self._stop.check()
            raise
        if response.will_close:
            self._stop.check()  # where closing tells the end, being stopped looks like it
        # http.client takes the next request only after the answer before it was closed.
        response.close()
        return body

    def _read_whole(self, connection: Connection, response: HTTPResponse) -> bytes:
        deadline = monotonic() + self.times.call_seconds
        body = bytearray()
        while chunk := response.read1(_READ_BYTES):
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise BadAnswer("The hub's answer is too large; ask for it page by page (-o).")
            if monotonic() > deadline:
                raise Unreachable(f"{connection.origin} is too slow to answer.")
        if response.length:
            raise Unreachable(f"The connection to {connection.origin} was cut.")
        return bytes(body)

    def _keep(self, connection: Connection, response: HTTPResponse) -> None:
        with self._lock:
            if not response.will_close and len(self._idle) < _IDLE_CONNECTIONS_MAX:
                self._idle.append(connection)
                return
        connection.close()
