"""Where a program may have people sent back to (RFC 6749 section 3.1.2, RFC 9700 section 2.1).

An address is compared as it is written. One difference is allowed (RFC 8252 section 7.3): a
program on a person's machine listens on 127.0.0.1 or [::1] at whatever port is free.
"""

import re
from collections.abc import Iterable

from entrepot.errors import Invalid

REDIRECTS_MAX = 20
REDIRECT_LENGTH_MAX = 1000
# RFC 3986, without the characters that ever meant something else to somebody's parser.
_REST = r"(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*)?"
_HTTPS = re.compile(
    rf"(https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{{1,5}})?){_REST}"
)
_LOOPBACK = re.compile(rf"(http://(?:127\.0\.0\.1|\[::1\]))(:[0-9]{{1,5}})?({_REST})")


def check_redirects(addresses: Iterable[str]) -> list[str]:
    """The addresses without repeats; Invalid says what is wrong with one."""
    kept = list(dict.fromkeys(addresses))
    if len(kept) > REDIRECTS_MAX:
        raise Invalid(f"A client has at most {REDIRECTS_MAX} redirect URIs.", field="redirect_uris")
    for address in kept:
        fits = _HTTPS.fullmatch(address) or _LOOPBACK.fullmatch(address)
        if not fits or len(address) > REDIRECT_LENGTH_MAX:
            raise Invalid(
                f"{address[:100]!r} is no redirect URI.",
                field="redirect_uris",
                remedy="Write https://HOST/PATH without a fragment, or for a program on people's "
                "machines http://127.0.0.1/PATH (any port will do then); `localhost` is not taken.",
            )
    return kept


def redirect_matches(address: str, registered: Iterable[str]) -> bool:
    """Whether `address` is one of the registered ones, ports on loopback aside."""
    if len(address) > REDIRECT_LENGTH_MAX:
        return False
    near = _LOOPBACK.fullmatch(address)
    if near is None:
        return address in registered
    wanted = near[1], near[3]
    found = (_LOOPBACK.fullmatch(each) for each in registered)
    return any(each is not None and (each[1], each[3]) == wanted for each in found)


def is_loopback(address: str) -> bool:
    """Whether the address is on the person's own machine: any program there may listen to it."""
    return _LOOPBACK.fullmatch(address) is not None


def origin_of(address: str) -> str:
    """Scheme, host and port of an address that `redirect_matches` has found."""
    near = _LOOPBACK.fullmatch(address)
    if near is not None:
        return near[1] + (near[2] or "")
    secure = _HTTPS.fullmatch(address)
    assert secure is not None
    return secure[1]
