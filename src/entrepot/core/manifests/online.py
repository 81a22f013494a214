"""What the hub signs by itself: which metadata is the newest, and that it still is.

Its key can neither name a file nor a key: whoever steals it can show old releases of a product
for as long as their targets metadata lives, and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey
from sqlalchemy import delete, insert, select
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, Timestamp

from entrepot.core.accounts import SecretBox
from entrepot.core.manifests.key_files import load_signer
from entrepot.core.manifests.lives import Lives
from entrepot.core.manifests.papers import from_text, to_text
from entrepot.core.manifests.reading import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    newest,
    newest_versions,
    take_turn,
)
from entrepot.core.manifests.tables import manifest_keys, manifest_roles
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Unavailable
from entrepot.kit.text import format_instant

ONLINE = "online"
SIGNED_AT = "x-entrepot-signed-at"  # read by the client, to say as of when something was current
_KEPT = {TARGETS: 5, SNAPSHOT: 5, TIMESTAMP: 1}  # newest versions; every root is kept


def next_online_key(
    tx: Tx, box: SecretBox, product_id: int, *, other_than: str | None, now: datetime
) -> SSlibKey:
    """An online key for a new root: one that was made for it and not used yet, or a new one."""
    held = select(manifest_keys).where(
        manifest_keys.c.product_id == product_id, manifest_keys.c.role == ONLINE
    )
    for row in tx.execute(held.order_by(manifest_keys.c.created_at.desc())):
        if row.key_id != other_than and not _named_by_a_root(tx, product_id, row.key_id):
            return load_signer(box.unseal(row.private), None).public_key
    signer = CryptoSigner(Ed25519PrivateKey.generate())
    keep_key(tx, box, product_id, ONLINE, signer, now=now)
    return signer.public_key


def _named_by_a_root(tx: Tx, product_id: int, key_id: str) -> bool:
    roots = select(manifest_roles.c.document).where(
        manifest_roles.c.product_id == product_id, manifest_roles.c.role == ROOT
    )
    return any(key_id in document for document in tx.execute(roots).scalars())


def keep_key(
    tx: Tx, box: SecretBox, product_id: int, role: str, signer: CryptoSigner, *, now: datetime
) -> None:
    """Keep a private key on the hub, sealed; a key that is kept already is kept once."""
    key_id = signer.public_key.keyid
    of_key = (manifest_keys.c.product_id == product_id, manifest_keys.c.key_id == key_id)
    tx.execute(delete(manifest_keys).where(*of_key))
    values = {
        "product_id": product_id,
        "key_id": key_id,
        "role": role,
        "private": box.seal(signer.private_bytes),
        "created_at": now,
    }
    tx.execute(insert(manifest_keys).values(values))


def kept_signers(tx: Tx, box: SecretBox, product_id: int, role: str) -> list[CryptoSigner]:
    """The keys of a role that the hub holds for the product."""
    query = select(manifest_keys.c.private).where(
        manifest_keys.c.product_id == product_id, manifest_keys.c.role == role
    )
    sealed = tx.execute(query.order_by(manifest_keys.c.key_id)).scalars()
    return [load_signer(box.unseal(each), None) for each in sealed]


def name_targets(version: int, document: str) -> MetaFile:
    """Targets metadata as a snapshot names it."""
    # The digest as well: a hub that loses its online key must not be able to swap old targets.
    return MetaFile.from_data(version, document.encode(), ["sha256"])


@dataclass(frozen=True, slots=True)
class Word:
    """What the hub says of a product by itself, signed and not kept yet.

    `after`: the newest versions of every role that it was signed after. Whoever keeps it asks
    in the transaction whether they still are; so nobody waits for a writer that signs.
    """

    after: Mapping[str, int]
    parts: tuple[tuple[Signed, str], ...] = field(repr=False)


def sign_word(
    tx: Tx,
    box: SecretBox,
    product_id: int,
    *,
    root: Metadata[Root] | None = None,
    named: MetaFile | None = None,
    snapshot: bool = True,
    lives: Lives,
    now: datetime,
) -> Word:
    """Which targets metadata is the newest, and that this is so now; reads only.

    `root` and `named`: those that are about to be kept, where they are not the newest yet.
    Without `snapshot`, only that the newest snapshot still is. Of nothing, nothing is said.
    Unavailable where the hub does not hold the key that the root names.
    """
    after = newest_versions(tx, product_id)
    signers = _online_signers(tx, box, product_id, root)
    parts: list[tuple[Signed, str]] = []
    if snapshot:
        if named is None:
            targets = newest(tx, product_id, TARGETS)
            if targets is None:
                return Word(after, ())
            named = name_targets(targets.version, targets.document)
        version, meta = after.get(SNAPSHOT, 0) + 1, {"targets.json": named}
        made = Snapshot(version=version, expires=now + lives.snapshot, meta=meta)
        parts.append(_signed(made, signers(SNAPSHOT)))
        document = parts[0][1]
    else:
        held = newest(tx, product_id, SNAPSHOT)
        if held is None:
            return Word(after, ())
        version, document = held.version, held.document
    timestamp = Timestamp(
        version=after.get(TIMESTAMP, 0) + 1,
        expires=now + lives.timestamp,
        snapshot_meta=MetaFile.from_data(version, document.encode(), ["sha256"]),
        unrecognized_fields={SIGNED_AT: format_instant(now)},
    )
    parts.append(_signed(timestamp, signers(TIMESTAMP)))
    return Word(after, tuple(parts))


def keep_word(tx: Tx, product_id: int, word: Word, *, now: datetime) -> None:
    """Write down what was signed; it is for the caller to know that nothing came in between."""
    for signed, text in word.parts:
        keep_document(tx, product_id, signed.type, signed.version, signed.expires, text, now=now)


def issue_snapshot(
    tx: Tx,
    box: SecretBox,
    product_id: int,
    *,
    named: MetaFile | None = None,
    lives: Lives,
    now: datetime,
) -> None:
    """`sign_word` and `keep_word` in one transaction."""
    word = sign_word(tx, box, product_id, named=named, lives=lives, now=now)
    keep_word(tx, product_id, word, now=now)


def _online_signers(
    tx: Tx, box: SecretBox, product_id: int, root: Metadata[Root] | None
) -> Callable[[str], list[CryptoSigner]]:
    """The keys of the hub that the root names for a role, read when they are first needed."""

    @cache
    def held() -> tuple[Root, list[CryptoSigner]]:
        counting = root
        if counting is None:
            row = newest(tx, product_id, ROOT)
            assert row is not None, "targets are only kept under a root"
            counting = from_text(row.document)
        return counting.signed, kept_signers(tx, box, product_id, ONLINE)

    def found(role: str) -> list[CryptoSigner]:
        counting, signers = held()
        wanted = counting.roles[role].keyids
        fitting = [signer for signer in signers if signer.public_key.keyid in wanted]
        if not fitting:
            raise Unavailable(
                "The hub does not hold the key that signs snapshots and timestamps of this "
                "product.",
                code="manifest-online-key-missing",
                remedy="Make another one: `entrepotd keys root PRODUCT --renew-online --key FILE`.",
            )
        return fitting

    return found


def _signed(signed: Snapshot | Timestamp, signers: Sequence[CryptoSigner]) -> tuple[Signed, str]:
    metadata: Metadata[Any] = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return signed, to_text(metadata)


def keep_metadata(tx: Tx, product_id: int, metadata: Metadata[Any], *, now: datetime) -> None:
    """Write signed metadata down, and forget versions of long ago."""
    signed, text = metadata.signed, to_text(metadata)
    keep_document(tx, product_id, signed.type, signed.version, signed.expires, text, now=now)


def keep_document(
    tx: Tx,
    product_id: int,
    role: str,
    version: int,
    expires_at: datetime,
    document: str,
    *,
    now: datetime,
) -> None:
    """As `keep_metadata`, of a document that stays byte for byte what it is."""
    values = {
        "product_id": product_id,
        "role": role,
        "version": version,
        "document": document,
        "expires_at": expires_at,
        "created_at": now,
    }
    tx.execute(insert(manifest_roles).values(values))
    kept = _KEPT.get(role)
    if kept is not None:
        tx.execute(
            delete(manifest_roles).where(
                manifest_roles.c.product_id == product_id,
                manifest_roles.c.role == role,
                manifest_roles.c.version <= version - kept,
            )
        )


def mirror_key(tx: Tx, box: SecretBox, product_id: int, *, now: datetime) -> SSlibKey:
    """The public key by which this hub vouches for a product that another publisher signs.

    Made once. Conflict where the product is signed here, by a root of this hub's own.
    """
    signers = kept_signers(tx, box, product_id, ONLINE)
    row = newest(tx, product_id, ROOT)
    if row is not None:
        named = from_text(row.document).signed.roles[TIMESTAMP].keyids
        if any(signer.public_key.keyid == named[0] for signer in signers):
            raise Conflict(
                "The releases of this product are signed on this hub itself.",
                code="manifest-clash",
                remedy="A mirror's key is for a hub that imports bundles.",
            )
    if not signers:
        signers = [CryptoSigner(Ed25519PrivateKey.generate())]
        keep_key(tx, box, product_id, ONLINE, signers[0], now=now)
    return signers[0].public_key


def holds_online_key(tx: Tx, box: SecretBox, product_id: int) -> bool:
    """Whether the newest root names a key of this hub for what the hub signs by itself."""
    row = newest(tx, product_id, ROOT)
    if row is None:
        return False
    root: Metadata[Root] = from_text(row.document)
    held = {signer.public_key.keyid for signer in kept_signers(tx, box, product_id, ONLINE)}
    return bool(held & set(root.signed.roles[TIMESTAMP].keyids))


def renew(
    database: Database, box: SecretBox, product_id: int, *, lives: Lives, now: datetime
) -> None:
    """Give the product a fresh timestamp, and a fresh snapshot where that is due.

    Nothing where somebody else said something of it meanwhile: that is as fresh.
    """
    with database.read() as tx:
        held = newest(tx, product_id, SNAPSHOT)
        due = held is not None and held.expires_at < now + lives.snapshot / 2
        word = sign_word(tx, box, product_id, snapshot=due, lives=lives, now=now)
    with database.write() as tx:
        take_turn(tx, product_id)
        if newest_versions(tx, product_id) == word.after:
            keep_word(tx, product_id, word, now=now)


def drop_keys(tx: Tx, product_id: int, role: str) -> int:
    """Forget the private keys of a role; how many there were."""
    of_role = (manifest_keys.c.product_id == product_id, manifest_keys.c.role == role)
    return tx.execute(delete(manifest_keys).where(*of_role)).rowcount


def held_keys(tx: Tx, product_id: int) -> frozenset[str]:
    """The ids of the private keys that the hub holds for a product."""
    query = select(manifest_keys.c.key_id).where(manifest_keys.c.product_id == product_id)
    return frozenset(tx.execute(query).scalars())
