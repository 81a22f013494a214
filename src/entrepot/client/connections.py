"""Connections over http.client: addresses, time-outs, proxies, and errors said in words.

Nothing here knows a token.
"""

import ipaddress
import os
import re
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from entrepot import __version__
from entrepot.client.errors import InvalidUse, Unreachable

USER_AGENT = f"entrepot/{__version__}"
_URL_CHARS_MAX = 8192
_UNPRINTABLE = re.compile("[\x00-\x20\x7f]")
_INTERIM_ANSWERS_MAX = 16
_SAFE_IN_URL = "%/:=&?~+!$,;'@()*-._"


@dataclass(frozen=True, slots=True)
class Times:
    """How long a connection may take, may be silent, and how long one JSON call may last.

    `cacert`: a file of certificates (PEM) to trust in place of the system's.
    """

    connect_seconds: float = 10.0
    stall_seconds: float = 30.0
    call_seconds: float = 300.0
    cacert: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An http(s) URL taken apart: `path` begins with a slash or is empty, `query` may be empty."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def origin(self) -> str:
        """`scheme://host[:port]` in one spelling, so that origins can be compared."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + ("" if self.port == usual else f":{self.port}")

    @property
    def url(self) -> str:
        """The whole URL in one spelling."""
        return self.origin + self.path + (f"?{self.query}" if self.query else "")

    @property
    def target(self) -> str:
        """What goes into the request line."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine itself."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


# An origin and a path in which nothing has to be spelt otherwise, as in a hub's links.
_PLAIN_URL = re.compile(r"(https?://[a-z0-9.:-]+)(/[A-Za-z0-9%/:=&~+!$,;'@()*._-]*)")


@lru_cache(maxsize=16)  # a link is checked where it comes from and where it is followed
def parse_address(url: str) -> Address:
    """Take an http(s) URL apart. Raises InvalidUse; never echoes a password in the message."""
    plain = _PLAIN_URL.fullmatch(url)
    if plain is None or len(url) > _URL_CHARS_MAX:
        return _parse(url)
    origin = _parse_origin(plain[1])
    return Address(origin.scheme, origin.host, origin.port, plain[2], "")


@lru_cache(maxsize=16)  # of many links that lead to one hub
def _parse_origin(url: str) -> Address:
    return _parse(url)


def _parse(url: str) -> Address:
    if len(url) > _URL_CHARS_MAX or _UNPRINTABLE.search(url):
        raise InvalidUse("That is not a URL: it is too long or holds spaces or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
        path, query = (quote(part, safe=_SAFE_IN_URL) for part in (parts.path, parts.query))
        (parts.hostname or "").encode("idna")  # as it will be when it is looked up
    except ValueError as error:
        raise InvalidUse(f"That is not a URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidUse(
            "The URL of a hub begins with http:// or https:// and names a host.",
            remedy="Write it like https://downloads.example.com",
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidUse(
            "A URL with a user name or password in it is not accepted.",
            remedy="Sign in with `entrepot login`.",
        )
    return Address(
        parts.scheme,
        parts.hostname,
        port if port is not None else (443 if parts.scheme == "https" else 80),
        path,
        query,
    )


def parse_hub_address(url: str) -> Address:
    """The base address of a hub: no query, no fragment, no slash at its end."""
    address = parse_address(url)
    if address.query or "#" in url:
        raise InvalidUse("The URL of a hub has no `?` and no `#` part.")
    return Address(address.scheme, address.host, address.port, address.path.rstrip("/"), "")


class _Response(HTTPResponse):
    """http.client's, which would read interim answers (100) for as long as a hub sends them."""

    heads = 0

    def _read_status(self) -> tuple[str, int, str]:
        self.heads += 1
        if self.heads > _INTERIM_ANSWERS_MAX:
            raise HTTPException("interim answers without an end")
        return super()._read_status()  # type: ignore[misc,no-any-return]


class Connection:
    """One connection to the host of an address, directly or through the proxy of the environment.

    `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are followed; loopback never goes to a proxy.
    """

    def __init__(self, address: Address, times: Times) -> None:
        self.origin = address.origin
        self.times = times
        self._sock: socket.socket | None = None
        self._through: SplitResult | None = proxy_of(address)
        host, port = address.host, address.port
        proxy = self._through
        if proxy is not None and proxy.hostname:
            host, port = proxy.hostname, proxy.port or 8080
        if address.scheme == "https":
            self._http: HTTPConnection = HTTPSConnection(
                host, port, timeout=times.connect_seconds, context=trusting(times.cacert)
            )
            if proxy is not None:
                self._http.set_tunnel(address.host, address.port, headers=_proxy_headers(proxy))
        else:
            self._http = HTTPConnection(host, port, timeout=times.connect_seconds)
        self._http.response_class = _Response

    def send(
        self,
        method: str,
        address: Address,
        headers: dict[str, str],
        body: bytes | None = None,
    ) -> HTTPResponse:
        """Send one request and read the head of the answer. Raises Unreachable."""
        target = address.target
        headers = {"User-Agent": USER_AGENT, **headers}
        if self._through is not None and address.scheme == "http":
            target = address.url
            headers.update(_proxy_headers(self._through))
        self.open()
        try:
            self._http.request(method, target, body=body, headers=headers)
            response = self._http.getresponse()
        except (OSError, HTTPException) as error:
            self.close()
            raise unreachable(error, self.origin) from error
        return response

    def open(self) -> None:
        """Connect where it is not yet. Raises Unreachable."""
        if self._http.sock is not None:
            return
        try:
            self._http.connect()
        except (OSError, HTTPException) as error:
            self.close()
            raise unreachable(error, self.origin) from error
        # Kept here: http.client lets go of the socket when an answer says "close".
        self._sock = self._http.sock
        self.sock.settimeout(self.times.stall_seconds)

    @property
    def sock(self) -> socket.socket:
        """The socket of the last request, for shutting it down from another thread."""
        assert self._sock is not None, "a request opens the socket"
        return self._sock

    def close(self) -> None:
        """Close it; closing twice does no harm."""
        self._http.close()


def trusting(cacert: str | None) -> ssl.SSLContext:
    """What checks the certificate of a hub: against the file, else as this machine does.

    Read once for all connections. Raises InvalidUse for a file that holds no certificates.
    """
    variables = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return _context(cacert, variables)


@lru_cache(maxsize=8)
def _context(cacert: str | None, _variables: tuple[str | None, ...]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cacert)
    except (OSError, ValueError) as error:
        if cacert is None:
            raise
        why = getattr(error, "strerror", "") or error
        raise InvalidUse(
            f"No certificates can be read from {cacert} ({why}).",
            remedy="Give a file of certificates in PEM.",
        ) from error


def unreachable(error: OSError | HTTPException, origin: str) -> Unreachable:
    """The network error in words that name the host and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(
            f"The certificate of {origin} is not trusted: {error.verify_message}.",
            remedy="Check the address; for a private authority give its file: --cacert FILE "
            "(or ENTREPOT_CACERT, or SSL_CERT_FILE).",
            worth_retrying=False,
        )
    remedy = "Check the address and the network, then run the same command again."
    if isinstance(error, TimeoutError):
        return Unreachable(f"{origin} did not answer in time.", remedy=remedy)
    if isinstance(error, socket.gaierror):
        return Unreachable(f"The host of {origin} is not known.", remedy=remedy)
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(f"Nothing answers at {origin} (connection refused).", remedy=remedy)
    return Unreachable(
        f"The connection to {origin} broke ({str(error) or type(error).__name__}).", remedy=remedy
    )


def proxy_of(address: Address) -> SplitResult | None:
    """The proxy of the environment for an address, None: directly. Raises InvalidUse."""
    if address.is_loopback or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    proxy = getproxies().get(address.scheme)
    if not proxy:
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidUse(
            f"The proxy for {address.scheme} in the environment cannot be used.",
            remedy=f"Write {address.scheme.upper()}_PROXY like http://proxy.example.com:3128",
        )
    return parts


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    from base64 import b64encode

    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")}
