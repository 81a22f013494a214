"""Signed manifests of releases: what a publisher says that a release consists of.

A product's hub serves TUF metadata (the specification's version 1.0; docs/explanation/
manifests.md): a root with the keys, targets that name each release's manifest by digest, and a
snapshot and a timestamp by which old metadata is told from new. python-tuf verifies them; this
module fetches them with the client's own connections and says in words what is wrong.

Modules of `tuf` are imported where they are used: the command must start without them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.client.errors import Denied, InvalidUse, NotFound, Unreachable, Untrusted
from entrepot.client.proofs import Proof, check_proof, save_proof, saved_proofs
from entrepot.client.trust import METADATA_PATH, Trust, check_root
from entrepot.client.verification import CHUNK_BYTES, Expected

if TYPE_CHECKING:
    from entrepot.client.client import Client

KIND = "entrepot-release-manifest"
MANIFEST_BYTES_MAX = 64 << 20
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILES_MAX = 10_000
_VERSION_KEYS = ("revision", "patch", "majorVersion", "minorVersion", "quality", "type")


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of a release: `size` in bytes, `sha256` in hex, the digest of each chunk."""

    artifact_id: str
    name: str
    size: int
    sha256: str
    chunks: tuple[bytes, ...] = field(default=(), repr=False)

    def expected(self) -> Expected:
        """What a download of it is verified against."""
        return Expected(self.size, "sha256", self.sha256, self.chunks)


@dataclass(frozen=True, slots=True)
class ManifestLicence:
    """The licence that held for the product when the release was signed."""

    code: str
    revision: int
    sha256: str  # of its text, UTF-8


@dataclass(frozen=True, slots=True)
class Manifest:
    """A verified manifest. `as_of`: when the hub last said that it is current, if it said so.

    `version` has the parts of the release's version that were signed, by the names that the hub
    lists them by. `document` is what was signed, `proof` the metadata by which it was verified.
    """

    product: str
    release_id: str
    release_name: str
    publisher: str
    licence: ManifestLicence | None
    files: tuple[ManifestFile, ...]
    document: bytes = field(repr=False)
    proof: Proof | None = field(default=None, repr=False)
    as_of: datetime | None = None
    until: datetime | None = None
    version: Mapping[str, str] = field(default_factory=dict)
    # By the artifact's id, of which the first counts: every file of a release is looked up.
    _by_id: Mapping[str, ManifestFile] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id = {each.artifact_id: each for each in reversed(self.files)}
        object.__setattr__(self, "_by_id", by_id)

    def file(self, artifact_id: str) -> ManifestFile:
        """The file of this artifact. Raises Untrusted: the publisher did not sign for it."""
        found = self._by_id.get(artifact_id)
        if found is not None:
            return found
        raise Untrusted(
            f"The signed manifest of {self.product} {self.release_name} does not name the "
            f"artifact {artifact_id}.",
            remedy="Tell the publisher: the hub offers a file that was not signed.",
            reason="manifest-file-unknown",
        )


def target_name(release_id: str) -> str:
    """The name under which the metadata knows the manifest of a release."""
    if not _UUID.fullmatch(release_id):
        raise InvalidUse(f"{release_id[:80]!r} is not the id of a release.")
    return f"{release_id}.json"


def fetch_manifest(
    client: "Client", trust: Trust, product_code: str, release_id: str
) -> Manifest | None:
    """The verified manifest of a release; what was verified is kept in `trust`.

    None where the product has no signed manifests and never had any that `trust` knows of: from
    then on a release without one is refused. Raises Untrusted for everything that does not
    verify, and what else the hub may answer.
    """
    name = target_name(release_id)
    if _has_none(client, trust, product_code):
        return None
    from entrepot.client import _metadata

    found = _metadata.fetch(client, trust, product_code, name, MANIFEST_BYTES_MAX)
    if found is None:
        return None
    document, proof = found
    proven = check_proof(proof.roots[-1:], proof, name, document, product=product_code)
    manifest = parse_manifest(document, product=product_code, release_id=release_id)
    return replace(manifest, proof=proof, as_of=proven.as_of, until=proven.until)


def _has_none(client: "Client", trust: Trust, product_code: str) -> bool:
    """Whether nothing was ever signed of a product, as far as hub and `trust` know.

    Most products are so, and to load what verifies takes as long as to fetch a hundred files.
    Whatever else the hub answers is for that to judge.
    """
    if trust.pin_of(product_code) is not None:
        return False
    path = (*METADATA_PATH, product_code, "metadata", "root.json")
    try:
        with client.api.stream(path, {"Accept": "application/json"}):
            return False
    except NotFound:
        return True
    except (Denied, Unreachable):
        return False


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Keep the manifest and what proves it in `folder`/.entrepot. Raises LocalFileError."""
    if manifest.proof is not None:
        proof = manifest.proof
        save_proof(folder, manifest.release_id, manifest.product, manifest.document, proof)


def verify_saved(
    folder: Path, trust: Trust | None, *, root: bytes | None = None
) -> tuple[Manifest, ...]:
    """Every manifest kept in `folder`, verified without the hub; none where none is kept.

    By `root` where it is given, else by what `trust` has pinned. Nothing is trusted on first
    use here. `as_of` and `until` of each say when it was current. Raises Untrusted.
    """
    verified = []
    for saved in saved_proofs(folder):
        if root is not None:
            check_root(root, saved.product)
        trusted = [root] if root is not None else (trust.roots(saved.product) if trust else [])
        name = target_name(saved.release_id)
        proven = check_proof(trusted, saved.proof, name, saved.document, product=saved.product)
        manifest = parse_manifest(
            saved.document, product=saved.product, release_id=saved.release_id
        )
        verified.append(
            replace(manifest, proof=saved.proof, as_of=proven.as_of, until=proven.until)
        )
    return tuple(verified)


def parse_manifest(document: bytes, *, product: str, release_id: str) -> Manifest:
    """Take a manifest apart. Raises Untrusted for another format, product or release."""
    try:
        told = json.loads(document)
        written = (told["kind"], told["format"], told["chunkBytes"])
        _require(written == (KIND, 1, CHUNK_BYTES), "its format is not known here")
        of = (told["product"]["code"], told["release"]["id"])
        _require(of == (product, release_id), "it is that of another product or release")
        _require(1 <= len(told["files"]) <= _FILES_MAX, "it names no files, or too many")
        return Manifest(
            product,
            release_id,
            _text(told["release"]["name"]),
            _text(told["publisher"]),
            _licence(told["licence"]),
            tuple(_file(each) for each in told["files"]),
            document,
            version=_version(told["release"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Untrusted(
            f"The signed manifest of {product} cannot be used: {error}.",
            remedy="Update entrepot, or tell the publisher.",
            reason="manifest-format",
        ) from error


def _version(release: Mapping[str, Any]) -> dict[str, str]:
    return {key: release[key] for key in _VERSION_KEYS if isinstance(release.get(key), str)}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _file(told: Mapping[str, Any]) -> ManifestFile:
    size, sha256, chunks = told["size"], told["sha256"], told["chunks"]
    _require(type(size) is int and 0 <= size < 1 << 63, "a size is none")
    _require(_SHA256.fullmatch(sha256) is not None, "a digest is none")
    digests = bytes.fromhex(chunks)
    fit = len(chunks) == len(digests) * 2 and len(digests) == -(-size // CHUNK_BYTES) * 32
    _require(fit, "the digests of chunks do not fit the size of their file")
    return ManifestFile(
        _text(told["artifactId"]),
        _text(told["name"]),
        size,
        sha256,
        tuple(digests[at : at + 32] for at in range(0, len(digests), 32)),
    )


def _licence(told: Mapping[str, Any] | None) -> ManifestLicence | None:
    if told is None:
        return None
    if type(told["revision"]) is not int or not _SHA256.fullmatch(told["sha256"]):
        raise ValueError("its licence is none")
    return ManifestLicence(_text(told["code"]), told["revision"], told["sha256"])


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 1024:
        raise ValueError("a name is none")
    return value
