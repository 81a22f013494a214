"""What the verbs of this folder take and give: plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from entrepot.core.entitlements.predicate import Reference


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """The entitled product as an entitlement shows it."""

    id: int
    code: str
    name: str
    delivery_method: str
    us_eccn: Sequence[str]
    eccn_restricted: bool
    foundries: Sequence[str]
    process: str | None
    licence_code: str | None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """An entitlement of the caller's organisation, stored or computed as a group's child.

    `status` is one of Active, Lapsed (maintenance is over, earlier releases stay), Pending,
    Suspended, Blocked, Expired, Revoked.
    """

    number: int
    organisation_id: int
    organisation_name: str
    organisation_blocked: bool
    product: ProductFacts
    status: str
    right_to: str
    free: bool
    grouped: bool
    virtual: bool
    qualities: Sequence[str]
    valid_from: datetime
    valid_to: datetime | None
    maintenance_from: datetime | None
    maintenance_to: datetime | None
    design_start: Sequence[str]
    allowed_countries: Sequence[str]
    compliance: str
    compliance_reason: str | None
    sales_order_item: str | None
    created_at: datetime
    changed_at: datetime
    children: Sequence[tuple[int, ProductFacts]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a release. `size` in bytes, digests in hexadecimal."""

    id: str
    name: str
    description: str
    type: str
    file_name: str
    content_type: str
    size: int
    md5: str
    sha256: str
    repository: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release that the caller may have, under the entitlement it was asked for by."""

    id: str
    entitlement_number: int
    name: str
    revision: str | None
    patch: str | None
    major_version: str | None
    minor_version: str | None
    quality: str
    type: str
    available_at: datetime
    artifacts: Sequence[Artifact]


@dataclass(frozen=True, slots=True)
class EntitlementFilter:
    """Conditions that all hold: product code, right, activated at or after a moment."""

    product_code: str | None = None
    right_to: str | None = None
    activated_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReleaseFilter:
    """Conditions that all hold: made available at or after a moment; only the newest."""

    available_from: datetime | None = None
    latest: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactRequest:
    """Who wants which artifact, by which entitlement, from which country.

    `country` is the one by address or the organisation's; `declared_country` what the
    caller declared; `embargoed` the operator's list.
    """

    organisation_id: int
    user_id: int | None
    api_client_id: int | None
    reference: Reference
    release_id: str
    artifact_id: str
    country: str
    declared_country: str | None
    embargoed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PermittedArtifact:
    """What the predicate granted: the bytes, their name, and what it rests on."""

    entitlement_id: int
    product_id: int
    release_id: str
    artifact_id: str
    file_name: str
    content_type: str
    sha256: str
    size: int
    available_at: datetime
    licence_revision_id: int | None
    limited: bool = False  # the entitlement has a quota


@dataclass(frozen=True, slots=True)
class PermittedAsset:
    """An asset that the predicate granted: its bytes, and what it rests on.

    `entitlement_id`, `product_id` and `licence_revision_id` are None for a public asset. `size`
    in bytes, `title` by culture, `facts` as they were found in the file.
    """

    asset_id: int
    identifier: str
    title: Mapping[str, str]
    folder: str
    media_group: str
    file_name: str
    content_type: str
    facts: Mapping[str, Any]
    sha256: str
    size: int
    crc32: int
    changed_at: datetime
    product_id: int | None
    entitlement_id: int | None
    licence_revision_id: int | None


@dataclass(frozen=True, slots=True)
class PermittedFile:
    """A file of a release that was granted whole: its name there and its bytes."""

    file_name: str
    size: int
    crc32: int
    sha256: str
    md5: str
    artifact_id: str


@dataclass(frozen=True, slots=True)
class PermittedArtifacts:
    """What the predicate granted: every file of a release, in the publisher's order."""

    entitlement_id: int
    product_code: str
    release_id: str
    release_name: str
    available_at: datetime
    licence_revision_id: int | None
    files: Sequence[PermittedFile]
    limited: bool = False  # the entitlement has a quota
