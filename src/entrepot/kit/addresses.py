"""Addresses of the network, as limits count them."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

_IPV6_NETWORK_BITS = 64  # what one household or machine is given


@lru_cache(maxsize=4096)
def neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, all of which one has at hand."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
