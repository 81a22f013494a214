"""Signed metadata and manifests as the OpenAPI document describes them.

They are given out byte for byte as they were signed, so nothing here writes them.
"""

from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import UNSET, Struct, UnsetType, field

_RELEASE_ID = "d2650553-3806-4c0e-92d7-2e46fd468074"
_SHA256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
_LATER = "2027-01-31T12:00:00Z"


class MetadataSignature(Struct):
    """One signature, by the key that the root knows under this id."""

    keyid: str
    sig: str


class SignedMetadata(Struct):
    """Metadata of a TUF repository (theupdateframework.github.io/specification, version 1.0)."""

    signatures: list[MetadataSignature]
    signed: dict[str, Any]


class ManifestProduct(Struct, rename="camel"):
    """The product, with its export classification when the release was signed.

    Fields with a default are missing in manifests of earlier versions.
    """

    code: str
    name: str
    us_eccn: list[str] | UnsetType = field(default=UNSET, name="usECCN")
    eccn_restricted: bool | UnsetType = UNSET


class ManifestRelease(Struct, rename="camel"):
    """The release, with every part of its version."""

    id: str
    name: str
    revision: str | None
    patch: str | None
    major_version: str | None
    minor_version: str | None
    quality: str
    type: str
    available_at: str


class ManifestLicence(Struct):
    """The licence that held when the release was signed, and the SHA-256 of its text."""

    code: str
    revision: int
    sha256: str
    name: str | UnsetType = UNSET


class ManifestFile(Struct, rename="camel"):
    """A file; `chunks` are the SHA-256 of each `chunkBytes`, one after the other, in hex.

    A `repository` that contains `controlled` makes its takers declare their country.
    """

    artifact_id: str
    name: str
    size: int
    sha256: str
    chunks: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    repository: str | UnsetType = UNSET


class ReleaseManifest(Struct, rename="camel"):
    """What a publisher signs: canonical JSON, keys sorted, no white space."""

    kind: str
    format: int
    publisher: str
    product: ManifestProduct
    release: ManifestRelease
    licence: ManifestLicence | None
    chunk_bytes: int
    files: list[ManifestFile]


_TARGETS = SignedMetadata(
    [MetadataSignature("9f2c...", "5d0a...")],
    {
        "_type": "targets",
        "spec_version": "1.0.31",
        "version": 7,
        "expires": _LATER,
        "targets": {f"{_RELEASE_ID}.json": {"length": 812, "hashes": {"sha256": _SHA256}}},
    },
)
_MANIFEST = ReleaseManifest(
    "entrepot-release-manifest",
    1,
    "Example Semiconductors",
    ManifestProduct("DS000B", "Development Studio", ["5D992"], False),
    ManifestRelease(
        _RELEASE_ID,
        "2022.2",
        "r2p0",
        None,
        "2022",
        "2",
        "EAC",
        "Release",
        "2026-01-31T12:00:00.000Z",
    ),
    ManifestLicence("TOOLS", 2, _SHA256, "Licence of the tools"),
    4_194_304,
    [
        ManifestFile(
            "7db814ee-c1e3-4d68-a65d-a7e6b437e1ef",
            "studio-2022.2-linux.tgz",
            1_234_567,
            _SHA256,
            _SHA256,
            "Studio for Linux",
            "",
            "File",
            "general",
        )
    ],
)
METADATA = ResponseSpec(
    SignedMetadata,
    generate_examples=False,
    description="The metadata, byte for byte as it was signed. ETag: its SHA-256.",
    examples=[Example(value=msgspec.to_builtins(_TARGETS))],
)
MANIFEST = ResponseSpec(
    ReleaseManifest,
    generate_examples=False,
    description="The manifest, byte for byte as it was signed. ETag: its SHA-256.",
    examples=[Example(value=msgspec.to_builtins(_MANIFEST))],
)
