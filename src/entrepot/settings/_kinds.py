"""The kinds of value a setting may have: how each is written, and how it is read.

A kind reads one text on its own. What two settings mean together is in `_rules.py`.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from entrepot.errors import Invalid
from entrepot.kit.text import check_country

Network: TypeAlias = IPv4Network | IPv6Network

TEXT_LENGTH_MAX = 4096
LIST_LENGTH_MAX = 64
PORT_MAX = 65_535
_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEADERS_TAKEN = {"authorization", "cookie", "host", "forwarded", "x-forwarded-for"}
_SIZE = re.compile(r"([0-9]{1,15}) ?(|KiB|MiB|GiB|TiB)")
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


class Fault(Exception):  # noqa: N818 - what the operator sees it called
    """One thing wrong with one setting: `problem`, and the `remedy` to type."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to write a value: `label` for the reference page, `read` raises Fault."""

    label: str
    read: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: `host` is an IP address or a name, `port` 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    """`host` as a URL writes it: IPv6 addresses stand in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself, as seen from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _host(text: str, remedy: str) -> str:
    host = text.lower()
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        if _HOST.fullmatch(host):
            return host
    raise Fault(f"{text!r} is not a host name or an IP address", remedy)


def _path(text: str) -> Path:
    if not text.startswith("/") or ".." in text.split("/") or text.strip("/") == "":
        raise Fault(f"{text!r} is not an absolute path", "write it from the root, as in /srv/hub")
    return Path(text)


def _address(text: str) -> Address:
    remedy = "write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080"
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise Fault(f"{text!r} has no port from 0 to {PORT_MAX}", remedy)
    if ":" in host and not host.startswith("["):
        raise Fault(f"{text!r} is ambiguous", remedy)
    return Address(_host(host, remedy), int(port))


def split_url(text: str) -> SplitResult:
    """The parts of a URL; Fault where it is none. The message never repeats the text."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise Fault("is not a URL", "write SCHEME://HOST[:PORT]/PATH") from error
    return parts


def _public_url(text: str) -> str:
    remedy = "write https://HOST[:PORT][/PREFIX] without a slash at the end"
    parts = split_url(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Fault("is not an http or https address", remedy)
    if parts.username is not None or parts.password is not None:
        raise Fault("holds a user name or password", remedy)
    if "?" in text or "#" in text:
        raise Fault("has a query or a fragment", remedy)
    if text.endswith("/"):
        raise Fault("ends with a slash", remedy)
    if not _PREFIX.fullmatch(parts.path):
        raise Fault(f"the path {parts.path!r} is not a plain prefix", remedy)
    host = bracketed(_host(parts.hostname, remedy))
    return f"{parts.scheme}://{host}{'' if parts.port is None else f':{parts.port}'}{parts.path}"


def _database_url(text: str) -> str:
    remedy = "write sqlite:////absolute/file or postgresql://USER:PASSWORD@HOST:PORT/NAME"
    parts = split_url(text)
    if parts.scheme == "sqlite":
        if parts.query:
            raise Fault("has a query", remedy)
        _path(text.removeprefix("sqlite:///"))
    elif parts.scheme != "postgresql":
        raise Fault("names neither SQLite nor PostgreSQL", remedy)
    elif len(parts.path) < len("/n"):
        raise Fault("names no database", remedy)
    return text


def _secret(text: str) -> str:
    return text


def _switch(text: str) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise Fault(f"{text!r} is neither on nor off", "write on or off")


def _network(text: str) -> Network:
    remedy = "write networks such as 10.0.0.0/8, or single addresses, with commas between"
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise Fault(f"{text!r} is not a network: {error}", remedy) from error
    if network.prefixlen == 0:
        raise Fault(f"{text!r} trusts the whole world", "name the proxies' own addresses")
    return network


def _allowed_host(text: str) -> str:
    if "*" in text:
        raise Fault(f"{text!r} is a wildcard", "name every host that the hub answers to")
    return _host(text, "write host names without port, with commas between")


def _country(text: str) -> str:
    try:
        return check_country(text, field="country")
    except Invalid as error:
        raise Fault(error.message.rstrip("."), "write ISO 3166-1 codes such as DE,US") from error


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text) or text.lower() in _HEADERS_TAKEN:
        raise Fault(
            f"{text!r} cannot carry a country",
            "name the header in which the proxy writes a two-letter country code",
        )
    return text.lower()


def number(least: int, most: int) -> Kind:
    """A whole number from `least` to `most`."""

    def read(text: str) -> int:
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not plain or not least <= int(text) <= most:
            raise Fault(f"{text!r} is not in range", f"write a number from {least} to {most}")
        return int(text)

    return Kind(f"number, {least} to {most}", read)


def size(least: int, most: int) -> Kind:
    """A count of bytes from `least` to `most`, written with or without a binary unit."""
    limits = f"{write_size(least)} to {write_size(most)}"

    def read(text: str) -> int:
        match = _SIZE.fullmatch(text)
        bytes_count = int(match[1]) * _UNITS[match[2]] if match else -1
        if not least <= bytes_count <= most:
            raise Fault(f"{text!r} is not a size in range", f"write {limits}, as in 64 MiB")
        return bytes_count

    return Kind(f"size, {limits}", read)


def write_size(bytes_count: int) -> str:
    """`bytes_count` in the largest binary unit that divides it."""
    unit = max((u for u in _UNITS if bytes_count % _UNITS[u] == 0), key=lambda u: _UNITS[u])
    count = bytes_count // _UNITS[unit]
    return f"{count} {unit or ('byte' if count == 1 else 'bytes')}"


def choice(*words: str) -> Kind:
    """One of `words`."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise Fault(f"{text!r} is not known", f"write one of {', '.join(words)}")
        return text.lower()

    return Kind(" or ".join(f"`{word}`" for word in words), read)


def several(label: str, read_one: Callable[[str], object]) -> Kind:
    """A list with commas between its members, without repetitions."""

    def read(text: str) -> tuple[object, ...]:
        members = [member.strip() for member in text.split(",") if member.strip()]
        if len(members) > LIST_LENGTH_MAX:
            raise Fault(f"has {len(members)} members", f"write at most {LIST_LENGTH_MAX}")
        return tuple(dict.fromkeys(map(read_one, members)))

    return Kind(label, read)


PATH = Kind("absolute path", _path)
ADDRESS = Kind("HOST:PORT", _address)
DATABASE = Kind("URL, `sqlite:///` or `postgresql://`", _database_url)
PUBLIC = Kind("URL, `http` or `https`", _public_url)
SECRET = Kind("text", _secret)
TEXT = Kind("text", _secret)
SWITCH = Kind("`on` or `off`", _switch)
HEADER = Kind("header name", _header)
NETWORKS = several("networks", _network)
HOSTS = several("host names", _allowed_host)
EMBARGOED = several("ISO 3166-1 codes", _country)
