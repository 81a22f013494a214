"""ID tokens of identity providers: OpenID Connect Core 1.0 section 3.1.3.7, RFC 8725.

Signed by a key of the provider's key set, by an algorithm that both its metadata and ALGORITHMS
name; nothing in the token's header chooses more than one key among those.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

ALGORITHMS = ("RS256", "ES256")
TOKEN_LENGTH_MAX = 32_768
SUBJECT_LENGTH_MAX = 255
SKEW_SECONDS = 120  # between the provider's clock and ours
AGE_SECONDS_MAX = 900  # a sign-in takes ten minutes at most
RSA_BITS_MIN = 2048
_KEYS_TRIED_MAX = 8  # where the token names none
# RFC 7515 section 3.1: base64url without padding. The library would forgive padding and spaces.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}


class IdTokenFault(Exception):  # noqa: N818 - the message says what is wrong
    """An ID token that proves nothing."""


class UnknownKey(IdTokenFault):
    """Signed by a key that is not in the set: the set may have changed since it was fetched."""


def verify_id_token(
    token: str,
    keys: Sequence[Mapping[str, Any]],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    algorithms: Iterable[str],
    now: datetime,
) -> Mapping[str, Any]:
    """The claims of a token that this issuer made for us and this very sign-in. IdTokenFault.

    `keys` are JWKs as the provider publishes them, `algorithms` those of its metadata.
    """
    from joserfc.errors import JoseError

    if len(token) > TOKEN_LENGTH_MAX or not _COMPACT.fullmatch(token):
        raise IdTokenFault("it is not a signed token")
    try:
        claims = _open(token, keys, [name for name in ALGORITHMS if name in set(algorithms)])
    except (JoseError, ValueError, TypeError) as error:
        raise IdTokenFault("its signature does not hold") from error
    _check_audience(claims, issuer=issuer, client_id=client_id)
    _check_times(claims, int(now.timestamp()))
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise IdTokenFault("it was not made for this sign-in (nonce)")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_LENGTH_MAX:
        raise IdTokenFault("it names no person (sub)")
    return claims


def _open(
    token: str, keys: Sequence[Mapping[str, Any]], algorithms: Sequence[str]
) -> Mapping[str, Any]:
    from joserfc import jwt
    from joserfc.errors import BadSignatureError
    from joserfc.jws import extract_compact

    header = extract_compact(token.encode()).headers()
    if not isinstance(header, dict) or header.get("alg") not in algorithms:
        raise IdTokenFault(f"its algorithm is not {' or '.join(algorithms) or 'known'}")
    if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
        raise IdTokenFault("it is a token of another kind")
    algorithm = str(header["alg"])
    fitting = _fitting(keys, algorithm, header.get("kid"))
    if not fitting:
        raise UnknownKey("it is signed by a key that the provider does not publish")
    for key in fitting:
        try:
            return jwt.decode(token, key, algorithms=[algorithm]).claims
        except BadSignatureError:
            continue
    raise IdTokenFault("its signature does not hold")


def _fitting(keys: Sequence[Mapping[str, Any]], algorithm: str, kid: object) -> list[Any]:
    """The keys that may have signed; one of another type or purpose never counts."""
    from joserfc.jwk import ECKey, RSAKey

    found: list[Any] = []
    for key in keys:
        wrong = (
            key.get("kty") != _KEY_TYPES[algorithm]
            or key.get("use", "sig") != "sig"
            or key.get("alg", algorithm) != algorithm
            or (kid is not None and key.get("kid") != kid)
            or (algorithm == "ES256" and key.get("crv") != "P-256")
        )
        if wrong or len(found) == _KEYS_TRIED_MAX:
            continue
        # Only what makes the public key: the rest of an entry is the provider's own business.
        names = ("kty", "n", "e") if algorithm == "RS256" else ("kty", "crv", "x", "y")
        public: dict[str, str | list[str]] = {name: str(key.get(name, "")) for name in names}
        if algorithm == "RS256" and len(public["n"]) * 6 < RSA_BITS_MIN:
            continue
        found.append((RSAKey if algorithm == "RS256" else ECKey).import_key(public))
    return found


def _check_audience(claims: Mapping[str, Any], *, issuer: str, client_id: str) -> None:
    if claims.get("iss") != issuer:
        raise IdTokenFault("another issuer made it (iss)")
    audience = claims.get("aud")
    several = audience if isinstance(audience, list) else [audience]
    if client_id not in several:
        raise IdTokenFault("it is meant for another program (aud)")
    party = claims.get("azp")
    if party != client_id and (len(several) > 1 or party is not None):
        raise IdTokenFault("it was given to another program (azp)")


def _check_times(claims: Mapping[str, Any], moment: int) -> None:
    ends, made = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    begins = _seconds(claims.get("nbf", made))
    if ends is None or made is None or begins is None:
        raise IdTokenFault("it does not say when it was made and when it ends")
    if ends <= moment - SKEW_SECONDS:
        raise IdTokenFault("it has ended (exp)")
    if max(made, begins) > moment + SKEW_SECONDS:
        raise IdTokenFault("it is from the future (iat): compare the clocks")
    if made < moment - AGE_SECONDS_MAX:
        raise IdTokenFault("it is too old (iat): compare the clocks")


def _seconds(value: object) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number else None  # type: ignore[return-value]
