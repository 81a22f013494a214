"""The other end of a request: headers, address, country, as far as they can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from entrepot.assembly import Policy
from entrepot.kit.text import COUNTRIES

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """What the request says of its sender. Header names are lower case.

    `address` is the client's, read from X-Forwarded-For only where the peer is a trusted
    proxy; `country` is empty unless a trusted proxy gave it.
    """

    headers: Mapping[str, str]
    address: str
    country: str

    def bearer_token(self) -> str | None:
        """The token of `Authorization: Bearer ...`; None where there is none."""
        value = self.headers.get("authorization", "")
        return value[len(_BEARER) :].strip() or None if value[:7].lower() == _BEARER else None


def caller_of(scope: Mapping[str, Any], policy: Policy) -> Caller:
    """Read the caller from an ASGI scope. A header that comes twice counts by its last value."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    peer = (scope.get("client") or ("",))[0]
    if not policy.trusted_proxies or not _trusted(peer, policy):
        return Caller(headers, peer, "")
    country = headers.get(policy.country_header.lower(), "") if policy.country_header else ""
    upper = country.strip().upper()
    return Caller(headers, _client(headers, peer, policy), upper if upper in COUNTRIES else "")


def address_of(scope: Mapping[str, Any], policy: Policy) -> str:
    """`caller_of(...).address`, without reading the headers where no proxy is trusted."""
    if policy.trusted_proxies:
        return caller_of(scope, policy).address
    peer: str = (scope.get("client") or ("",))[0]
    return peer


def _client(headers: Mapping[str, str], peer: str, policy: Policy) -> str:
    """The nearest address in X-Forwarded-For that is no trusted proxy itself."""
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    for hop in reversed(hops):
        if not _is_address(hop):
            break
        if not _trusted(hop, policy):
            return hop
        peer = hop
    return peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _trusted(address: str, policy: Policy) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in policy.trusted_proxies)
