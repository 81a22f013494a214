"""What a client says of the digest of its body: Content-Digest (RFC 9530), Digest (RFC 3230)."""

import base64
import binascii
import re
from collections.abc import Mapping

from entrepot.errors import Invalid

_SHA256_BYTES = 32
_REMEDY = "Send `Content-Digest: sha-256=:<base64 of the SHA-256>:`, or leave it out."
# RFC 9530 section 2: a dictionary of byte sequences (RFC 8941 section 3.3.5).
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;[^,]*)?")
_OLD_MEMBER = re.compile(r"([A-Za-z0-9-]+)=([A-Za-z0-9+/=]+)")


def announced_sha256(headers: Mapping[str, str]) -> str | None:
    """The SHA-256 in hexadecimal that the body is to have; None where nothing is said.

    Invalid where the header cannot be read, or names other algorithms only: who sends a
    digest counts on its being checked.
    """
    for name, member in (("content-digest", _MEMBER), ("digest", _OLD_MEMBER)):
        value = headers.get(name)
        if value is not None:
            return _sha256(value, name, member)
    return None


def _sha256(value: str, name: str, member: re.Pattern[str]) -> str:
    found: dict[str, str] = {}
    for part in value.split(","):
        match = member.fullmatch(part.strip())
        if match is None:
            raise Invalid(f"{name} cannot be read.", field=name, remedy=_REMEDY)
        found[match[1].lower()] = match[2]
    if "sha-256" not in found:
        raise Invalid(f"{name} holds no sha-256.", field=name, remedy=_REMEDY)
    try:
        digest = base64.b64decode(found["sha-256"], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != _SHA256_BYTES:
        raise Invalid(f"The sha-256 in {name} is no SHA-256.", field=name, remedy=_REMEDY)
    return digest.hex()
