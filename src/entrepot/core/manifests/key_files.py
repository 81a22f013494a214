"""A publisher's key: Ed25519, private half as an encrypted PEM (PKCS #8), public half as JSON."""

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from entrepot.errors import Invalid

PASSWORD_CHARS_MIN = 12
KEY_BYTES_MAX = 64 << 10


def make_key(password: str) -> tuple[bytes, SSlibKey]:
    """A new key: its encrypted PEM, and its public half. Invalid for a short password."""
    if len(password) < PASSWORD_CHARS_MIN:
        raise Invalid(
            f"The password of a key has at least {PASSWORD_CHARS_MIN} characters.",
            field="password",
            remedy="Choose a longer one, or let a password manager make it.",
        )
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )
    return pem, CryptoSigner(key).public_key


def load_signer(pem: bytes, password: str | None) -> CryptoSigner:
    """The key in a PEM, `password` None for one that is not encrypted; Invalid where it is none."""
    try:
        key = load_pem_private_key(pem, None if password is None else password.encode())
    except TypeError as error:
        raise Invalid(
            "The key is encrypted." if password is None else "The key is not encrypted.",
            field="key",
            remedy="Give its password." if password is None else "Leave the password out.",
        ) from error
    except ValueError as error:
        raise Invalid(
            "The password is wrong, or that is no private key.",
            field="key",
            remedy="Check both; `entrepotd keys make` makes a key.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid(
            "Only Ed25519 keys sign manifests.",
            field="key",
            remedy="Make one: `entrepotd keys make FILE`.",
        )
    return CryptoSigner(key)


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key in PEM needs a password."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def write_public(key: SSlibKey) -> str:
    """The public half as JSON, to be given to others."""
    return json.dumps({"keyid": key.keyid, **key.to_dict()}, indent=2, sort_keys=True) + "\n"


def read_public(text: str) -> SSlibKey:
    """The inverse of `write_public`; Invalid for anything else."""
    try:
        told = json.loads(text)
        key = SSlibKey.from_dict(told.pop("keyid"), told)
        right = key.scheme == "ed25519" and len(bytes.fromhex(key.keyval["public"])) == 32
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_key() from error
    if not right or key.keyid != SSlibKey.from_crypto(_public(key)).keyid:
        raise _no_key()
    return key


def _public(key: SSlibKey):  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))


def _no_key() -> Invalid:
    return Invalid(
        "That is no public key of a publisher.",
        field="key",
        remedy="Give the file ending in .pub that `entrepotd keys make` wrote.",
    )
