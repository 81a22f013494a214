"""What proves a manifest: the signed metadata that leads from a trusted root to its digest.

It is kept beside the files, so that they can be verified later without the hub, and checked by
the steps of the TUF specification (5.3 to 5.6) but for the dates: what was signed then stays
signed, and the caller is told as of when it was current.

Modules of `tuf` are imported where they are used: the command must start without them.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.client.errors import Untrusted
from entrepot.client.inside import Inside

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

SIGNED_AT = "x-entrepot-signed-at"  # in the hub's timestamp; RFC 3339
_DOCUMENT_BYTES_MAX = 64 << 20
_ROOTS_MAX = 256
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Proof:
    """The metadata files, byte for byte: `roots` from the first trusted one to the newest."""

    roots: tuple[bytes, ...]
    timestamp: bytes
    snapshot: bytes
    targets: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof says: when the hub last said that it is current, and how long that counted."""

    as_of: datetime | None
    until: datetime


def fingerprint(root: bytes) -> str:
    """What names a root: the SHA-256 of its file, in hex."""
    return hashlib.sha256(root).hexdigest()


def check_proof(
    trusted: Sequence[bytes], proof: Proof, target: str, document: bytes, *, product: str
) -> Proven:
    """That `document` is the target of that name, by keys that one of the `trusted` roots names.

    Raises Untrusted.
    """
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

    def signed_by(root: "Metadata[Root]", role: str, data: bytes) -> Any:
        found: Metadata[Any] = Metadata.from_bytes(data)
        root.signed.verify_delegate(role, found.signed_bytes, found.signatures)
        return found.signed

    try:
        root = _last_root(trusted, proof.roots, product)
        timestamp: Timestamp = signed_by(root, "timestamp", proof.timestamp)
        timestamp.snapshot_meta.verify_length_and_hashes(proof.snapshot)
        snapshot: Snapshot = signed_by(root, "snapshot", proof.snapshot)
        named = snapshot.meta["targets.json"]
        named.verify_length_and_hashes(proof.targets)
        targets: Targets = signed_by(root, "targets", proof.targets)
        versions = (snapshot.version, targets.version)
        if versions != (timestamp.snapshot_meta.version, named.version):
            raise _refused(product, "its parts do not belong together")
        targets.targets[target].verify_length_and_hashes(document)
    except KeyError as error:
        raise _refused(product, f"it does not name {target}") from error
    except RepositoryError as error:
        raise _refused(product, str(error)) from error
    said = timestamp.unrecognized_fields.get(SIGNED_AT)
    return Proven(_moment(said), timestamp.expires)


def _last_root(trusted: Sequence[bytes], roots: Sequence[bytes], product: str) -> "Metadata[Root]":
    """The newest of `roots`, reached from a trusted one; each is signed by the one before."""
    from tuf.api.metadata import Metadata

    if not roots or len(roots) > _ROOTS_MAX:
        raise _refused(product, "it names no root, or too many")
    newest: Metadata[Root] = Metadata.from_bytes(roots[-1])
    if roots[-1] in trusted:
        return newest
    known: list[Metadata[Root]] = [Metadata.from_bytes(each) for each in trusted]
    older = [each for each in known if each.signed.version < newest.signed.version]
    if not older:
        raise Untrusted(
            f"The files of {product} are signed by a root that is not trusted here: "
            f"{fingerprint(roots[-1])}.",
            remedy=f"Compare it with what the publisher says, then: entrepot trust add {product} "
            "--root FILE",
            reason="manifest-root-unknown",
        )
    current = max(older, key=lambda each: each.signed.version)
    current.signed.verify_delegate("root", current.signed_bytes, current.signatures)
    for data in roots:
        following: Metadata[Root] = Metadata.from_bytes(data)
        if following.signed.version <= current.signed.version:
            continue
        if following.signed.version != current.signed.version + 1:
            raise _refused(product, "a root is missing between the trusted one and the newest")
        current.signed.verify_delegate("root", following.signed_bytes, following.signatures)
        following.signed.verify_delegate("root", following.signed_bytes, following.signatures)
        current = following
    return current


def _refused(product: str, why: str) -> Untrusted:
    return Untrusted(
        f"What is kept beside the files of {product} does not prove them: {why}.",
        remedy="Download the release again, or ask the publisher.",
        reason="manifest-proof",
    )


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
    except ValueError:
        return None


def save_proof(folder: Path, release_id: str, product: str, document: bytes, proof: Proof) -> None:
    """Keep document and proof in `folder`/.entrepot. Metadata that releases share is kept once.

    Raises LocalFileError.
    """
    inside = Inside(folder)

    def keep(data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = f"metadata/{name}.json"
        if not inside.has(path):
            inside.write(path, data)
        return name

    record = {
        "format": 1,
        "product": product,
        "release": release_id,
        "roots": [keep(root) for root in proof.roots],
        "timestamp": keep(proof.timestamp),
        "snapshot": keep(proof.snapshot),
        "targets": keep(proof.targets),
        "manifest": keep(document),
    }
    import json

    told = json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"
    inside.write(f"manifests/{release_id}.json", told)


@dataclass(frozen=True, slots=True)
class Saved:
    """A manifest with its proof as they lie in a folder; nothing of it is checked yet."""

    release_id: str
    product: str
    document: bytes
    proof: Proof


def saved_proofs(folder: Path) -> list[Saved]:
    """Whatever is kept in `folder`, by release. Raises LocalFileError, or Untrusted if damaged."""
    inside = Inside(folder)
    names = [name for name in inside.names("manifests") if name.endswith(".json")]
    return [_load(inside, name) for name in names if not name.startswith(".")]


def _load(inside: Inside, file_name: str) -> Saved:
    import json

    def read(name: Any) -> bytes:
        if not isinstance(name, str) or not _DIGEST.fullmatch(name):
            raise ValueError("a name is no digest")
        part = inside.read(f"metadata/{name}.json", _DOCUMENT_BYTES_MAX)
        if part is None:
            raise ValueError("a part is missing")
        return part

    try:
        told = json.loads(inside.read(f"manifests/{file_name}", 1 << 20) or b"")
        proof = Proof(
            tuple(read(name) for name in told["roots"]),
            read(told["timestamp"]),
            read(told["snapshot"]),
            read(told["targets"]),
        )
        document = read(told["manifest"])
        if told["format"] == 1 and isinstance(told["product"], str):
            return Saved(file_name.removesuffix(".json"), told["product"], document, proof)
        error: Exception = ValueError("its format is not known here")
    except (ValueError, KeyError, TypeError, RecursionError) as found:
        error = found
    raise Untrusted(
        f"{inside.path / 'manifests' / file_name} is damaged ({error}).",
        remedy="Download the release again.",
        reason="manifest-proof",
    ) from error
