"""The keys that sign for the hub: RS256 for access tokens, HMAC-SHA256 for links.

Keys live in the database so that every process has them; the secret halves are sealed
with the hub's secret key. A rotation adds a key that signs a little later, once every
process and every client that caches the key set has had the time to learn of it, and
retires the old one when the last thing it signed has died.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Row, insert, select, update

from entrepot.core.accounts.tables import keys
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

Purpose: TypeAlias = Literal["token", "link"]
PURPOSES: tuple[Purpose, ...] = ("token", "link")

RSA_BITS = 2048
LINK_KEY_BYTES = 32
# How long after a rotation the new key starts to sign, and how long the old one still counts.
TOKEN_LEAD_SECONDS = 300
LINK_LEAD_SECONDS = 10
TOKEN_TAIL_SECONDS = 3600 + 60
LINK_TAIL_SECONDS = 600 + 60

_OTHER_KEY = (
    "Check first that --data (ENTREPOT_DATA) is the folder that was meant. Then give back the key "
    "that this database was made with: put its copy from the backup into the folder as secret.key, "
    "or set ENTREPOT_SECRET_KEY or ENTREPOT_SECRET_KEY_FILE to it. Without that key the signing "
    "keys are lost: restore a backup of folder and key together."
)


class SecretBox:
    """Seals short secrets with a key derived (HKDF-SHA256) from the hub's secret key."""

    def __init__(self, secret_key: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"entrepot keys at rest").derive(
            secret_key.encode()
        )
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def seal(self, plain: bytes) -> str:
        """Encrypt and authenticate."""
        return self._fernet.encrypt(plain).decode()

    def unseal(self, sealed: str) -> bytes:
        """The inverse of `seal`; Unavailable when the secret key is not the one that sealed."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise Unavailable(
                "The keys in the database were sealed with another secret key.",
                code="secret-key-wrong",
                remedy=_OTHER_KEY,
            ) from error


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An RSA key for access tokens; `signs_from` as in the database."""

    kid: str
    pem: bytes = field(repr=False)
    public: Mapping[str, Any]
    signs_from: datetime

    @property
    def key(self) -> "RSAKey":
        """The key itself, imported where it is first used."""
        return _import_key(self.pem)


@dataclass(frozen=True, slots=True)
class LinkKey:
    """A 256-bit MAC key for links; `kid` is 8 hexadecimal digits."""

    kid: str
    secret: bytes
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key that counts now, by kid. Immutable: load it anew to see a rotation."""

    token_keys: Mapping[str, TokenKey]
    link_keys: Mapping[str, LinkKey]

    def signing_token_key(self, now: datetime) -> TokenKey:
        """The newest token key that signs at `now`."""
        return max(_signing(self.token_keys, now), key=_age)

    def signing_link_key(self, now: datetime) -> LinkKey:
        """The newest link key that signs at `now`."""
        return max(_signing(self.link_keys, now), key=_age)

    def import_keys(self) -> None:
        """Import the token keys now: what serves should not do so in its first request."""
        for entry in self.token_keys.values():
            assert entry.key

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public key set (RFC 7517): those that sign, signed or will sign soon."""
        return {"keys": [dict(entry.public) for entry in self.token_keys.values()]}


_AnyKey = TypeVar("_AnyKey", TokenKey, LinkKey)


def _age(entry: TokenKey | LinkKey) -> tuple[datetime, str]:
    return entry.signs_from, entry.kid


def _signing(entries: Mapping[str, _AnyKey], now: datetime) -> list[_AnyKey]:
    signing = [entry for entry in entries.values() if entry.signs_from <= now]
    if not signing:
        raise Unavailable(
            "The hub has no key to sign with.",
            code="keys-missing",
            remedy="Run `entrepotd migrate`.",
        )
    return signing


def load_keyring(tx: Tx, box: SecretBox, *, now: datetime) -> Keyring:
    """Every key that has not retired."""
    rows = tx.execute(
        select(keys)
        .where((keys.c.retires_at.is_(None)) | (keys.c.retires_at > now))
        .order_by(keys.c.signs_from, keys.c.kid)
    ).all()
    return Keyring(
        {row.kid: _token_key(row, box) for row in rows if row.purpose == "token"},
        {
            row.kid: LinkKey(row.kid, box.unseal(row.sealed), row.signs_from)
            for row in rows
            if row.purpose == "link"
        },
    )


def _token_key(row: Row[Any], box: SecretBox) -> TokenKey:
    return TokenKey(row.kid, box.unseal(row.sealed), row.public, row.signs_from)


@lru_cache(maxsize=16)
def _import_key(pem: bytes) -> "RSAKey":
    """Kept, because the keys are read anew every few seconds and importing checks the primes."""
    from entrepot.core.accounts import _jose

    return _jose.import_key(pem)


def list_keys(tx: Tx) -> list[Row[Any]]:
    """Every key there was, by purpose and age, without its secret half."""
    query = select(*keys.c["kid", "purpose", "created_at", "signs_from", "retires_at"])
    return list(tx.execute(query.order_by(keys.c.purpose, keys.c.signs_from, keys.c.kid)))


def ensure_keys(tx: Tx, box: SecretBox, *, now: datetime) -> None:
    """Make the first key of each purpose where there is none."""
    present = set(tx.execute(select(keys.c.purpose).distinct()).scalars())
    for purpose in PURPOSES:
        if purpose not in present:
            _add_key(tx, box, purpose, signs_from=now, now=now)


def rotate_keys(tx: Tx, box: SecretBox, purpose: Purpose, *, actor: str, now: datetime) -> str:
    """Add a key that takes over soon and set the end of the ones before it; returns its kid."""
    lead, tail = (
        (TOKEN_LEAD_SECONDS, TOKEN_TAIL_SECONDS)
        if purpose == "token"
        else (LINK_LEAD_SECONDS, LINK_TAIL_SECONDS)
    )
    signs_from = now + timedelta(seconds=lead)
    tx.execute(
        update(keys)
        .where(keys.c.purpose == purpose, keys.c.retires_at.is_(None))
        .values(retires_at=signs_from + timedelta(seconds=tail))
    )
    kid = _add_key(tx, box, purpose, signs_from=signs_from, now=now)
    record(tx, Event("key.rotated", actor, f"key:{kid}", data={"purpose": purpose}), now=now)
    return kid


def _add_key(
    tx: Tx, box: SecretBox, purpose: Purpose, *, signs_from: datetime, now: datetime
) -> str:
    kid = secrets.token_hex(4)
    if purpose == "token":
        from entrepot.core.accounts import _jose

        pem, public = _jose.generate_key(kid, RSA_BITS)
        sealed = box.seal(pem)
    else:
        sealed, public = box.seal(secrets.token_bytes(LINK_KEY_BYTES)), None
    values = {
        "kid": kid,
        "purpose": purpose,
        "sealed": sealed,
        "public": public,
        "created_at": now,
        "signs_from": signs_from,
    }
    tx.execute(insert(keys), values)
    return kid
