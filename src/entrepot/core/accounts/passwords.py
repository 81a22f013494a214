"""Passwords: argon2id, with the parameters that argon2-cffi recommends (RFC 9106).

Hashing takes long (over 50 ms) on purpose. So it is done before a transaction begins, and the
verbs take the hash: SQLite has one writer, who would keep all others waiting.
"""

from functools import cache
from typing import TYPE_CHECKING, NewType

from entrepot.errors import Invalid
from entrepot.kit.ids import new_secret

if TYPE_CHECKING:
    from argon2 import PasswordHasher

PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 256
PasswordHash = NewType("PasswordHash", str)


@cache
def _hasher() -> "PasswordHasher":
    # Loaded where it is used: few commands need it.
    from argon2 import PasswordHasher

    return PasswordHasher()


def hash_password(password: str) -> PasswordHash:
    """The encoded argon2id hash; Invalid when the password is too short or too long.

    To be called with no transaction open.
    """
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise Invalid(
            f"A password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.",
            field="password",
            code="password-length",
        )
    return PasswordHash(_hasher().hash(password))


@cache
def _decoy_hash() -> str:
    return _hasher().hash(new_secret())


def password_matches(stored: str | None, password: str) -> bool:
    """Whether `password` is the one behind `stored`; takes as long where there is no account."""
    from argon2.exceptions import InvalidHashError, VerificationError

    # One that is too long to be anybody's is compared as none, not cut to fit.
    candidate = password if len(password) <= PASSWORD_LENGTH_MAX else ""
    try:
        matches = _hasher().verify(stored or _decoy_hash(), candidate)
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None
