"""Keys and JSON web tokens by joserfc, in a module of its own, loaded where one is used.

Most of the operator's commands neither sign nor check a token, and loading joserfc takes longer
than they do.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidClaimError, JoseError
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import extract_compact
from joserfc.jwt import JWTClaimsRegistry, Token

SKEW_SECONDS = 5  # between the clocks of two nodes
_ALGORITHMS = ["RS256"]


class TokenFault(Exception):  # noqa: N818 - `expired` says which
    """A token that does not hold; `expired` where only its time is over."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "invalid")
        self.expired = expired


class _Claims(JWTClaimsRegistry):
    """Claims checked at this process's time, but `iat` by a node whose clock may be ahead."""

    def validate_iat(self, value: object) -> None:
        """A number, at most SKEW_SECONDS from now."""
        if not isinstance(value, int) or value > self.now + SKEW_SECONDS:
            raise InvalidClaimError("iat")


def import_key(pem: bytes) -> RSAKey:
    """The key in `pem`; its primes are checked, which takes long."""
    return RSAKey.import_key(pem)


def generate_key(kid: str, bits: int) -> tuple[bytes, dict[str, Any]]:
    """A new signing key: PEM of the private half, JWK (RFC 7517) of the public one."""
    key = RSAKey.generate_key(bits, {"kid": kid, "use": "sig", "alg": _ALGORITHMS[0]})
    return key.as_pem(private=True), key.as_dict(private=False)


def sign(kid: str, kind: str, claims: Mapping[str, Any], key: RSAKey) -> str:
    """A compact JWT (RFC 7519); `kind` is its `typ`."""
    header = {"alg": _ALGORITHMS[0], "kid": kid, "typ": kind}
    return jwt.encode(header, dict(claims), key, algorithms=_ALGORITHMS)


def read_header(token: str) -> object:
    """The token's header, not trusted; the library takes any JSON for one. TokenFault."""
    try:
        return extract_compact(token.encode()).headers()
    except (JoseError, ValueError) as error:
        raise _fault_of(error) from error


def verify(token: str, key: RSAKey, *, issuer: str, now: datetime) -> Token:
    """Algorithm, signature, `iss`, `aud`, `exp` and `sub` checked (RFC 8725). TokenFault."""
    try:
        decoded = jwt.decode(token, key, algorithms=_ALGORITHMS)
        registry = _Claims(
            now=lambda: int(now.timestamp()),
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": issuer},
            exp={"essential": True},
            sub={"essential": True},
        )
        registry.validate(decoded.claims)
    except (JoseError, ValueError) as error:
        raise _fault_of(error) from error
    return decoded


def read_claims(token: str) -> Mapping[str, Any]:
    """The token's claims, not trusted; none where they are no object."""
    try:
        claims = json.loads(extract_compact(token.encode()).payload)
    except (JoseError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def verify_shared(token: str, secret: bytes) -> Mapping[str, Any]:
    """The claims of a JWT signed with `secret` by HS256, times not checked. TokenFault."""
    try:
        decoded = jwt.decode(token, OctKey.import_key(secret), algorithms=["HS256"])
    except (JoseError, ValueError, RecursionError) as error:
        raise _fault_of(error) from error
    if decoded.header.get("typ", "JWT") != "JWT":
        raise TokenFault(expired=False)
    return decoded.claims


def _fault_of(error: Exception) -> TokenFault:
    return TokenFault(expired=getattr(error, "error", "") == "expired_token")
