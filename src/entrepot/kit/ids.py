"""Identifiers that are not numbers from a sequence."""

import os
import re
import secrets

INT64_MAX = 2**63 - 1
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def new_uuid() -> str:
    """A random UUID (RFC 9562 version 4) in its canonical lower-case form."""
    # By hand: a UUID object would cost three times as much, and every request has one.
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def parse_uuid(text: str) -> str | None:
    """`text` where it is a UUID in canonical form (any case), lower-cased; else None."""
    return text.lower() if _UUID.fullmatch(text) else None


def parse_number(text: str) -> int | None:
    """The positive 64-bit number that `text` spells in plain ASCII digits, else None."""
    if not (text.isascii() and text.isdigit()) or text.startswith("0") or len(text) > len("9" * 19):
        return None
    number = int(text)
    return number if number <= INT64_MAX else None


def new_secret() -> str:
    """256 random bits, base64url without padding: 43 characters."""
    return secrets.token_urlsafe(32)


def new_version() -> str:
    """64 random bits, hexadecimal: what a row is like now, by another name after each change."""
    return os.urandom(8).hex()
