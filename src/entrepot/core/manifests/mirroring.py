"""What another hub's publisher signed, on its way into this one: verified, then kept as it is.

The steps are those of the TUF specification (5.3 to 5.6) over the documents of a bundle, from a
root that the operator here vouches for. Of the dates, those count by which the publisher limits
the own word (root, targets); what the other hub signs by itself, for days and hours, may have
lapsed on the road.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import insert, select
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from entrepot.core.accounts import SecretBox
from entrepot.core.catalogue import Bundle, BundledRelease, SignedRelease, find_product
from entrepot.core.catalogue.bundles import Document, Index
from entrepot.core.manifests.believing import Belief
from entrepot.core.manifests.lives import Lives
from entrepot.core.manifests.online import (
    holds_online_key,
    issue_snapshot,
    keep_document,
    name_targets,
)
from entrepot.core.manifests.papers import from_text
from entrepot.core.manifests.reading import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, newest, take_turn
from entrepot.core.manifests.tables import manifest_roles, manifests
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound


@dataclass(frozen=True, slots=True)
class Part:
    """One verified piece of metadata: its version, when it expires, and its bytes."""

    version: int
    expires: datetime
    document: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Verified metadata of a product: everything from the trusted root on."""

    roots: tuple[Part, ...]
    timestamp: Part
    snapshot: Part
    targets: Part
    files: Mapping[str, TargetFile] = field(repr=False)
    named: MetaFile  # the targets, as a snapshot names them


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What proves one release: the metadata, and the manifest."""

    chain: Chain
    manifest: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Proven:
    """What a publisher's signatures say of a bundle.

    `index`: what is to be believed of its index; nothing that was not signed is in it but for
    what makes things stricter. `releases`: what proves each, by their ids. `unclassified`: those
    of an older manifest, which does not say whether their files are controlled; so they are.
    """

    index: Index
    releases: Mapping[str, Mirrored]
    unclassified: tuple[BundledRelease, ...]


def prove_bundle(bundle: Bundle, trusted: Sequence[bytes], *, now: datetime) -> Proven:
    """That the publisher signed every release of the bundle as it is.

    `trusted` are root metadata that the operator vouches for, one for each product. Invalid
    (`bundle-untrusted`) for anything that does not verify, also for a release that is not signed.
    """
    signed = {one.release: one for one in bundle.index.manifests}
    chains: dict[tuple[str, ...], Chain] = {}
    proven: dict[str, Mirrored] = {}
    belief = Belief(bundle)
    for release in bundle.index.releases:
        one = signed.get(release.id)
        if one is None or one.product != release.product:
            raise _untrusted(release, "the bundle holds no signature of it")
        try:
            # Most releases of a product name the same metadata, which can be megabytes.
            key = _key_of(one)
            chain = chains.get(key)
            if chain is None:
                chain = chains[key] = _prove_chain(bundle, one, trusted, now)
            proven[release.id] = _prove(bundle, release, one, chain)
            belief.compare(release, json.loads(proven[release.id].manifest))
        except (RepositoryError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise _untrusted(release, str(error) or type(error).__name__) from error
    return Proven(belief.index(), proven, tuple(belief.unclassified))


def _key_of(signed: SignedRelease) -> tuple[str, ...]:
    parts = (*signed.roots, signed.timestamp, signed.snapshot, signed.targets)
    return tuple(one.sha256 for one in parts)


def _prove_chain(
    bundle: Bundle, signed: SignedRelease, trusted: Sequence[bytes], now: datetime
) -> Chain:
    def document(told: Document) -> bytes:
        return bundle.documents[told.sha256]

    roots, root = _proven_roots([document(one) for one in signed.roots], trusted)

    def signed_by_root(role: str, data: bytes) -> Any:
        found: Metadata[Any] = Metadata.from_bytes(data)
        # One key signs two roles: what it signed as the one must not pass for the other.
        if found.signed.type != role:
            raise ValueError(f"what it calls {role} is something else")
        root.verify_delegate(role, found.signed_bytes, found.signatures)
        return found.signed

    texts = [document(one) for one in (signed.timestamp, signed.snapshot, signed.targets)]
    timestamp: Timestamp = signed_by_root(TIMESTAMP, texts[0])
    timestamp.snapshot_meta.verify_length_and_hashes(texts[1])
    snapshot: Snapshot = signed_by_root(SNAPSHOT, texts[1])
    named = snapshot.meta["targets.json"]
    named.verify_length_and_hashes(texts[2])
    targets: Targets = signed_by_root(TARGETS, texts[2])
    if (snapshot.version, targets.version) != (timestamp.snapshot_meta.version, named.version):
        raise ValueError("its parts do not belong together")
    for role, expires in ((ROOT, root.expires), (TARGETS, targets.expires)):
        if expires <= now:
            raise ValueError(f"the publisher's word ({role}) has expired")
    return Chain(
        tuple(_part(Metadata[Root].from_bytes(data).signed, data) for data in roots),
        _part(timestamp, texts[0]),
        _part(snapshot, texts[1]),
        _part(targets, texts[2]),
        targets.targets,
        name_targets(targets.version, texts[2].decode()),
    )


def _prove(
    bundle: Bundle, release: BundledRelease, signed: SignedRelease, chain: Chain
) -> Mirrored:
    manifest = bundle.documents[signed.manifest.sha256]
    file = chain.files.get(f"{release.id}.json")
    if file is None:
        raise ValueError("the publisher does not name it, or has withdrawn it")
    file.verify_length_and_hashes(manifest)
    return Mirrored(chain, manifest.decode(), file.hashes["sha256"])


def _part(signed: Signed, data: bytes) -> Part:
    return Part(signed.version, signed.expires, data.decode())


def _proven_roots(roots: Sequence[bytes], trusted: Sequence[bytes]) -> tuple[list[bytes], Root]:
    """The roots from one that is trusted on, each signed by the one before; and the newest.

    Those before it stay behind: nothing proves them, and customers here would be given them.
    """
    for known in trusted:
        start = roots.index(known) if known in roots else None
        following = list(roots) if start is None else list(roots[start + 1 :])
        current: Metadata[Root] = Metadata.from_bytes(known)
        first: Metadata[Root] = Metadata.from_bytes(following[0]) if following else current
        if start is None and first.signed.version != current.signed.version + 1:
            continue
        try:
            for data in following:
                current = _next_root(current, data)
        except RepositoryError:
            if start is None:
                continue  # the root of another product
            raise
        return [*([] if start is None else [known]), *following], current.signed
    raise ValueError("no root that you trust leads to its signatures")


def _next_root(current: Metadata[Root], data: bytes) -> Metadata[Root]:
    following: Metadata[Root] = Metadata.from_bytes(data)
    if following.signed.version != current.signed.version + 1:
        raise ValueError("a root is missing")
    current.signed.verify_delegate(ROOT, following.signed_bytes, following.signatures)
    following.signed.verify_delegate(ROOT, following.signed_bytes, following.signatures)
    return following


def _untrusted(release: BundledRelease, why: str) -> Invalid:
    return Invalid(
        f"{release.product} {release.name} is not what a publisher whom you trust signed: {why}.",
        field="root",
        code="bundle-untrusted",
        remedy="Compare the fingerprint of the root with what the publisher says; or trust whoever "
        "brought the bundle (--unsigned).",
    )


def keep_mirrored(
    tx: Tx,
    box: SecretBox,
    product_id: int,
    release_id: str,
    mirrored: Mirrored,
    *,
    lives: Lives,
    now: datetime,
) -> None:
    """Keep the publisher's metadata for customers here; nothing of it goes back to older.

    Where the root names a key of this hub, the hub says from then on by itself that the state
    is current. Conflict where the product is signed here by others.
    """
    chain = mirrored.chain
    take_turn(tx, product_id)
    _keep_roots(tx, product_id, chain.roots, now)
    changed = _keep_targets(tx, product_id, release_id, mirrored, now)
    known = select(manifests.c.sha256).where(
        manifests.c.release_id == release_id, manifests.c.sha256 == mirrored.manifest_sha256
    )
    if tx.execute(known).first() is None:
        values = {
            "release_id": release_id,
            "sha256": mirrored.manifest_sha256,
            "document": mirrored.manifest,
            "created_at": now,
        }
        tx.execute(insert(manifests).values(values))
    if holds_online_key(tx, box, product_id):
        if changed or newest(tx, product_id, TIMESTAMP) is None:
            named = chain.named if changed else None
            issue_snapshot(tx, box, product_id, named=named, lives=lives, now=now)
        return
    for role, part in ((SNAPSHOT, chain.snapshot), (TIMESTAMP, chain.timestamp)):
        held = newest(tx, product_id, role)
        if held is None or held.version < part.version:
            _keep_part(tx, product_id, role, part, chain, now)


def _keep_roots(tx: Tx, product_id: int, roots: Sequence[Part], now: datetime) -> None:
    held = select(*manifest_roles.c["version", "document"]).where(
        manifest_roles.c.product_id == product_id, manifest_roles.c.role == ROOT
    )
    known = {row.version: row.document for row in tx.execute(held)}
    if known and max(known) + 1 < roots[0].version:
        raise _clash(f"its roots begin with {roots[0].version}, here they end with {max(known)}")
    if known and max(known) + 1 == roots[0].version:
        try:
            _next_root(from_text(known[max(known)]), roots[0].document.encode())
        except RepositoryError as error:
            raise _clash("here it has other keys") from error
    for part in roots:
        if part.version in known:
            if known[part.version] != part.document:
                raise _clash("here it has other keys")
        elif not known or part.version > max(known):
            keep_document(tx, product_id, ROOT, part.version, part.expires, part.document, now=now)


def _keep_targets(
    tx: Tx, product_id: int, release_id: str, mirrored: Mirrored, now: datetime
) -> bool:
    """Whether the targets here are others now."""
    held = newest(tx, product_id, TARGETS)
    part = mirrored.chain.targets
    if held is not None and held.version > part.version:
        # An older bundle: what it says must still hold.
        if _digests(held.document).get(f"{release_id}.json") != mirrored.manifest_sha256:
            raise _clash("what was signed of the release has been overtaken by something newer")
        return False
    if held is not None and held.version == part.version:
        if held.document != part.document:
            raise _clash("other releases were signed here under the same version")
        return False
    _keep_part(tx, product_id, TARGETS, part, mirrored.chain, now)
    return True


def _keep_part(tx: Tx, product_id: int, role: str, part: Part, chain: Chain, now: datetime) -> None:
    """Keep what is newer than here; Conflict where the newest root here does not vouch for it.

    That was proven by the bundle's own, which can be older, or another's of the same code.
    """
    root = newest(tx, product_id, ROOT)
    if root is not None and root.version != chain.roots[-1].version:
        found: Metadata[Any] = from_text(part.document)
        try:
            counting: Metadata[Root] = from_text(root.document)
            counting.signed.verify_delegate(role, found.signed_bytes, found.signatures)
        except RepositoryError as error:
            raise _clash("here it has other keys") from error
    keep_document(tx, product_id, role, part.version, part.expires, part.document, now=now)


@lru_cache(maxsize=4)
def _digests(targets: str) -> Mapping[str, str]:
    """The digests that targets metadata gives, by name: of thousands of releases, once."""
    told = json.loads(targets)["signed"]["targets"]
    return {name: file["hashes"]["sha256"] for name, file in told.items()}


def look_ahead(tx: Tx, proven: Proven) -> None:
    """Read those targets that are newer here than in the bundle, before writers wait for it."""
    known = {release.id: release.product for release in proven.index.releases}
    chains = {known[release_id]: one.chain for release_id, one in proven.releases.items()}
    for code, chain in chains.items():
        try:
            held = newest(tx, find_product(tx, code).id, TARGETS)
        except NotFound:
            continue
        if held is not None and held.version > chain.targets.version:
            _digests(held.document)


def _clash(why: str) -> Conflict:
    return Conflict(
        f"The signatures of the bundle do not fit what is signed here of the product: {why}.",
        code="manifest-clash",
        remedy="Make the bundle anew; if that does not help, ask the publisher.",
    )
