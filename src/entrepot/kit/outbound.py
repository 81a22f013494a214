"""Requests to addresses that somebody else chose: a file to import, a webhook, an issuer's keys.

What such an address must not become is a way into the operator's network (SSRF, OWASP ASVS 5.0
section 1.3.6). So: https only; the host name is resolved once, every address that it has must be
a public one, and the connection goes to one of those very addresses, with the name for SNI and
for the certificate; redirects are not followed; proxies of the environment are not used; one
deadline covers everything from the first look-up to the last byte; the body has a limit.

`private` is for sandboxes, tests and hubs whose operators say so: loopback, private (RFC 1918,
RFC 6598, RFC 4193) addresses and plain http are then allowed as well. Link-local addresses,
where clouds keep their credentials, are not.
"""

import http.client
import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from entrepot.errors import Invalid, Unavailable

URL_CHARACTERS_MAX = 2048
ADDRESSES_MAX = 8  # of one name; the ones after are not tried
PIECE_BYTES = 1 << 18
DISPOSITION_CHARACTERS_MAX = 2048  # taking a longer header apart takes seconds
RETRY_AFTER_SECONDS = 60
_REMEDY = "See that the address answers properly, then try again."
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""(host name, port) -> its IP addresses as text; OSError where there are none."""

# The registries of IANA for special purposes: whatever is not a public host's address.
_SPECIAL_4 = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
_GLOBAL_6 = ip_network("2000::/3")
_SPECIAL_6 = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = ip_network("64:ff9b::/96")
_PRIVATE = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
            *("::1/128", "fc00::/7"),
        ),
    )
)
# Where clouds keep their credentials beside 169.254.169.254: inside private networks' ranges.
_METADATA = frozenset(map(ip_address, ("100.100.100.200", "fd00:ec2::254")))
_REFUSED_CHARACTERS = re.compile(r"[^\x21-\x7e]|\\")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came; the names of `headers` are lower case, the last of equals counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL, taken apart. `addresses` are what its host name stood for, once."""

    scheme: str
    host: str
    port: int
    path: str  # with the query
    addresses: tuple[str, ...]


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    bytes_max: int,
    seconds_max: float,
    private: bool,
    truncate: bool = False,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """Sends one request and reads the whole answer, whatever its status; nothing is followed.

    A body of more than `bytes_max` bytes is Unavailable, or cut there with `truncate`. Invalid
    `url-refused` says why an address may not be asked, Unavailable `remote-failed` that it did not
    answer properly within `seconds_max`.
    """
    with _exchange(
        url, method, headers, body, _Deadline(seconds_max), private, resolve, tls
    ) as response:
        download = Download(response, url, bytes_max)
        pieces: list[bytes] = []
        if not truncate:
            download.refuse_announced()
        try:
            while piece := download.read():
                pieces.append(piece)
        except _TooLarge as error:
            if not truncate:
                raise
            pieces.append(error.piece)
        return Reply(
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            b"".join(pieces)[:bytes_max],
        )


@contextmanager
def stream(
    url: str,
    *,
    bytes_max: int,
    seconds_max: float,
    private: bool,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Generator["Download", None, None]:
    """Opens a file elsewhere for reading in pieces, while the context lasts.

    Only an answer 200 with plain bytes is one. A redirect is Invalid `url-refused`: the address to
    give is the one that it leads to. See `fetch` for the rest.
    """
    asked = _exchange(url, "GET", (), b"", _Deadline(seconds_max), private, resolve, tls)
    with asked as response:
        if 300 <= response.status < 400:
            raise refuse_url("The address answers with a redirect, and those are not followed.")
        if response.status != 200:
            raise _failed(f"The address answered with status {response.status}.")
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _failed("The address sends its file encoded, which was not asked for.")
        download = Download(response, url, bytes_max)
        download.refuse_announced()
        yield download


class Download:
    """A file that is coming in; `file_name` is what the other side calls it, unchecked."""

    def __init__(self, response: http.client.HTTPResponse, url: str, bytes_max: int) -> None:
        self._response = response
        self._bytes_max = bytes_max
        self._count = 0
        self.size: int | None = response.length
        self.content_type: str | None = response.headers.get("Content-Type")
        self.file_name: str | None = (
            _named_by(response.headers) or unquote(urlsplit(url).path.rpartition("/")[2]) or None
        )

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes more, b"" at the end; fewer than were announced are an error."""
        wanted = PIECE_BYTES if size < 0 else min(size, PIECE_BYTES)
        with _translated():
            piece = self._response.read(wanted)
        self._count += len(piece)
        if self._count > self._bytes_max:
            raise _TooLarge(self._bytes_max, piece)
        if not piece and wanted and self.size is not None and self._count < self.size:
            raise _failed(f"The address announced {self.size} bytes and sent {self._count}.")
        return piece

    def refuse_announced(self) -> None:
        """Unavailable where more is announced than is taken."""
        if self.size is not None and self.size > self._bytes_max:
            raise _TooLarge(self._bytes_max, b"")


def find_target(url: str, *, private: bool, resolve: Resolve | None, seconds: float) -> Target:
    """`url` taken apart, its host looked up once, and all of its addresses allowed; else Invalid.

    Whether a name has no address at all or one that is refused is not told: whoever chose the
    address would learn what names the operator's network has. TimeoutError after `seconds`.
    """
    scheme, host, port, path = _taken_apart(url, private=private)
    addresses = tuple(dict.fromkeys(_looked_up(host, port, resolve or resolve_name, seconds)))
    for address in addresses:
        if not is_allowed(address, private=private):
            raise refuse_host(host)
    return Target(scheme, host, port, path, addresses[:ADDRESSES_MAX])


def check_url(url: str, *, private: bool) -> None:
    """Invalid `url-refused` where the form of `url` alone forbids asking it; looks nothing up."""
    host = _taken_apart(url, private=private)[1]
    try:
        ip_address(host)
    except ValueError:
        return
    if not is_allowed(host, private=private):
        raise refuse_url(f"{host} is not a public address.")


def is_allowed(address: str, *, private: bool) -> bool:
    """Whether an IP address, as text, may be connected to."""
    try:
        found = _unwrapped(ip_address(address))
    except ValueError:  # among them IPv6 with a zone: that is link-local
        return False
    if found in _METADATA:
        return False
    if private and any(
        found in network for network in _PRIVATE if found.version == network.version
    ):
        return True
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _SPECIAL_4)
    if found.scope_id is not None or found not in _GLOBAL_6:
        return False
    return not any(found in network for network in _SPECIAL_6)


def refuse_url(message: str) -> Invalid:
    """The error for an address that is not asked at all."""
    return Invalid(
        message,
        field="url",
        code="url-refused",
        remedy="Give the https address of a public host that answers by itself.",
    )


def refuse_host(host: str) -> Invalid:
    """The error for a name that has no address, or one that is not asked: in the same words."""
    return refuse_url(f"The host {host} is not to be found at public addresses alone.")


def resolve_name(host: str, port: int) -> Sequence[str]:
    """What the system's resolver knows."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _taken_apart(url: str, *, private: bool) -> tuple[str, str, int, str]:
    if len(url) > URL_CHARACTERS_MAX:
        raise refuse_url(f"The address has more than {URL_CHARACTERS_MAX} characters.")
    if _REFUSED_CHARACTERS.search(url):
        raise refuse_url("The address has characters that belong percent-encoded.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refuse_url("The address is not a URL.") from error
    schemes = {"https": 443, "http": 80} if private else {"https": 443}
    if parts.scheme not in schemes:
        raise refuse_url(f"The address does not begin with {' or '.join(schemes)}://.")
    if not parts.hostname:
        raise refuse_url("The address names no host.")
    if "@" in parts.netloc:
        raise refuse_url("The address carries a user or a password.")
    if port == 0:
        raise refuse_url("Port 0 cannot be connected to.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port or schemes[parts.scheme], path


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one, where packets would be sent to that."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class _Deadline:
    """The moment at which everything must have ended, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that remain; TimeoutError where there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


class _Reading(io.RawIOBase):
    """The receiving side of a socket, where each wait ends at the deadline, not after a pause."""

    def __init__(self, connected: socket.socket, deadline: _Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        self._socket.settimeout(self._deadline.left())
        return self._socket.recv_into(buffer)


class _Buffered(io.BufferedReader):
    """Reads no more than it is told: http.client takes a chunk of -1 bytes for all that comes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise http.client.IncompleteRead(b"")
        return super().read(size)


class _Wire:
    """What http.client takes for its socket. Closing is the business of whoever opened it."""

    def __init__(self, connected: socket.socket, deadline: _Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The receiving side, buffered."""
        return _Buffered(_Reading(self._socket, self._deadline), PIECE_BYTES)

    def sendall(self, payload: bytes) -> None:
        """Sends all of it before the deadline."""
        rest = memoryview(payload)
        while rest:
            self._socket.settimeout(self._deadline.left())
            rest = rest[self._socket.send(rest) :]

    def close(self) -> None:
        """Nothing: http.client closes early where an answer ends with its connection."""


@contextmanager
def _exchange(
    url: str,
    method: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    deadline: _Deadline,
    private: bool,
    resolve: Resolve | None,
    tls: ssl.SSLContext | None,
) -> Generator[http.client.HTTPResponse, None, None]:
    with _translated():
        target = find_target(url, private=private, resolve=resolve, seconds=deadline.left())
        connected = _connect(target, deadline, tls)
    with connected:
        with _translated():
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.default_port = 443 if target.scheme == "https" else 80
            connection.sock = _Wire(connected, deadline)
            ours = {"User-Agent": "Entrepot", "Accept-Encoding": "identity", "Connection": "close"}
            connection.request(method, target.path, body or None, {**ours, **dict(headers)})
            response = connection.getresponse()
        with response:  # what its reader does with the bytes fails by other names
            yield response


def _connect(target: Target, deadline: _Deadline, tls: ssl.SSLContext | None) -> socket.socket:
    """A connection to the first of the addresses that takes one."""
    failure: OSError = OSError("the host has no address")
    for address in target.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(deadline.left())
            plain.connect((address, target.port))
            if target.scheme == "http":
                return plain
            plain.settimeout(deadline.left())
            return (tls or _tls()).wrap_socket(
                plain, server_hostname=target.host, suppress_ragged_eofs=False
            )
        except OSError as error:
            plain.close()
            failure = error
        except BaseException:
            plain.close()
            raise
    raise failure


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Certificates are checked against the system's, and the name against the certificate."""
    return ssl.create_default_context()


def _looked_up(host: str, port: int, resolve: Resolve, seconds: float) -> Sequence[str]:
    """The addresses of a name. The system's resolver cannot be interrupted, so it gets a thread."""
    answers: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(resolve(host, port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, daemon=True, name="look-up").start()
    try:
        found = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(found, Exception) or not found:
        raise refuse_host(host)
    return found


def _named_by(headers: Message) -> str | None:
    """The file name of Content-Disposition; None where there is none, or none that can be read."""
    if len(headers.get("Content-Disposition", "")) > DISPOSITION_CHARACTERS_MAX:
        return None
    try:
        return headers.get_filename()
    except (ValueError, LookupError, TypeError):  # odd character sets, absurd numbers
        return None


@contextmanager
def _translated() -> Generator[None, None, None]:
    """Turns what sockets, TLS and HTTP raise into our kinds; nothing of the answer is repeated."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise _failed(f"The certificate does not hold: {error.verify_message}.") from error
    except TimeoutError as error:
        raise _failed("The address did not answer completely in time.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # numbers it cannot read
        raise _failed("The connection to the address failed or broke off.") from error


def _failed(message: str) -> Unavailable:
    return Unavailable(
        message,
        code="remote-failed",
        remedy=_REMEDY,
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


class _TooLarge(Unavailable):
    """More came than may; `piece` is what was read last."""

    def __init__(self, bytes_max: int, piece: bytes) -> None:
        super().__init__(
            f"The address sends more than {bytes_max} bytes.",
            code="remote-failed",
            remedy=_REMEDY,
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
        self.piece = piece
