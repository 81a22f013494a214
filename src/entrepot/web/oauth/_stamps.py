"""Proof that our sign-in page lies between a request for a fresh sign-in and its return.

An authorization request that asks for a fresh sign-in (`prompt`, `max_age`) is sent to the sign-in
page and comes back with one more parameter: since when a sign-in is fresh enough for it. Whoever
could write that parameter could spare the person the sign-in that the program asked for. So it is
sealed by the hub, holds for these very parameters alone, and for a quarter of an hour.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from entrepot.core.accounts import SecretBox
from entrepot.errors import Unavailable
from entrepot.kit.clock import from_millis, to_millis

STAMP = "signed_in_after"
STAMP_LENGTH_MAX = 300
HOLDS = timedelta(minutes=15)
_PURPOSE = b"signed in after"


def stamped(box: SecretBox, params: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The request with the proof that it was sent to the sign-in page at `now`."""
    plain = b"%s: %d %s" % (_PURPOSE, to_millis(now), _digest(params))
    return dict(params) | {STAMP: box.seal(plain)}


def read_stamp(box: SecretBox, params: Mapping[str, str], now: datetime) -> datetime | None:
    """When this request was sent to the sign-in page; None: never, not this one, or long ago."""
    sealed = params.get(STAMP, "")
    if not 1 <= len(sealed) <= STAMP_LENGTH_MAX or not sealed.isascii():
        return None
    try:
        plain = box.unseal(sealed)
    except Unavailable:
        return None
    purpose, _, rest = plain.partition(b": ")  # other things are sealed by the same key
    millis, _, digest = rest.partition(b" ")
    if purpose != _PURPOSE or digest != _digest(params):
        return None
    at = from_millis(int(millis))
    return at if now - at <= HOLDS else None


def _digest(params: Mapping[str, str]) -> bytes:
    """Of all the others, in no order."""
    digest = hashlib.sha256()
    for name, value in sorted(params.items()):
        if name != STAMP:
            for part in (name.encode(), value.encode()):
                digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest().encode()
