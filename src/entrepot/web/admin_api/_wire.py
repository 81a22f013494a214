"""What goes over the wire, field by field; wire names live only here.

What comes in is strict: no unknown field, no number for a text. What goes out has every
field always, null where there is nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, field
from sqlalchemy import Row

from entrepot.kit.text import LINE_LENGTH_MAX, TEXT_LENGTH_MAX, format_instant

PATH = "/api/admin/v1"
LIST_LENGTH_MAX = 100
CODES_MAX = 300
MEMBERS_MAX = 1000

Line: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LINE_LENGTH_MAX)]
Text: TypeAlias = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
Part: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Lines: TypeAlias = Annotated[list[Line], Meta(max_length=LIST_LENGTH_MAX)]
Foundries: TypeAlias = Annotated[list[Line], Meta(max_length=CODES_MAX)]
Country: TypeAlias = Annotated[
    str, Meta(description="ISO 3166-1 alpha-2.", min_length=2, max_length=2, examples=["DE"])
]
Countries: TypeAlias = Annotated[list[Country], Meta(max_length=CODES_MAX)]
ProductCode: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,63}$", examples=["DS000B"])
]
LicenceCode: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ClientId: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Quality: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,15}$")]
Qualities: TypeAlias = Annotated[list[Quality], Meta(max_length=CODES_MAX)]
Instant: TypeAlias = Annotated[
    str,
    Meta(
        description="A date (midnight UTC), or a time with its zone.",
        max_length=40,
        examples=["2026-01-31T12:00:00Z"],
    ),
]
Password: TypeAlias = Annotated[str, Meta(min_length=12, max_length=256)]
Members: TypeAlias = Annotated[
    list[Line],
    Meta(
        description="Codes or numbers, in order. Makes the product a group.",
        min_length=1,
        max_length=MEMBERS_MAX,
    ),
]
Owner: TypeAlias = Annotated[str | int, Meta(description="Number or name of the organisation.")]
Titles: TypeAlias = Annotated[
    dict[str, Line],
    Meta(
        description="By culture, such as en-US.",
        min_length=1,
        max_length=50,
        examples=[{"en-US": "Morning light", "de": "Morgenlicht"}],
    ),
]
Folder: TypeAlias = Annotated[
    str, Meta(description="Empty, or such as a/b.", max_length=1000, examples=["spring/print"])
]
Visibility: TypeAlias = Literal["public", "entitled"]
MediaGroup: TypeAlias = Literal[
    "Images", "Vectors", "Videos", "Audio", "Documents", "Archives", "Default"
]
DeliveryMethod: TypeAlias = Literal["download", "physical", "none"]
Right: TypeAlias = Literal["download", "use"]
ComplianceStatus: TypeAlias = Literal["approved", "pending", "blocked"]
Role: TypeAlias = Literal["customer", "organisation-admin", "publisher", "operator"]
Scope: TypeAlias = Literal["entitlements", "orders", "publish", "admin"]
Purpose: TypeAlias = Literal["token", "link"]
Revision: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]


# What comes in


class Incoming(Struct, forbid_unknown_fields=True):
    """A request body."""


class NewProduct(Incoming):
    """A product, or with `members` a group of products."""

    code: ProductCode
    name: Line
    description: Text = ""
    listed: bool = True
    us_eccn: Lines = []
    eccn_restricted: bool = False
    delivery_method: DeliveryMethod = "download"
    foundries: Lines = []
    process: Line | None = None
    licence_code: str | None = None
    members: Members | None = None


class ProductChange(Incoming):
    """What is left out stays; null takes away."""

    name: Line | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    listed: bool | UnsetType = UNSET
    us_eccn: Lines | UnsetType = UNSET
    eccn_restricted: bool | UnsetType = UNSET
    delivery_method: DeliveryMethod | UnsetType = UNSET
    foundries: Lines | UnsetType = UNSET
    process: Line | UnsetType | None = UNSET
    licence_code: str | UnsetType | None = UNSET
    members: Members | UnsetType = UNSET


class NewLicence(Incoming):
    """A licence with its first text."""

    code: LicenceCode
    name: Line
    text: Text


class NewRevision(Incoming):
    """A new text of a licence; everyone has to accept it anew."""

    text: Text


class NewRelease(Incoming):
    """A draft; its name is unique within the product."""

    name: Line
    revision: Part | None = None
    patch: Part | None = None
    major_version: Part | None = None
    minor_version: Part | None = None
    quality: Quality = "EAC"
    type: Line = "Release"


class Availability(Incoming):
    """From when on customers see the release; left out: from now on."""

    available_at: Instant | None = None


class AssetChange(Incoming):
    """What is left out stays. `title` replaces the titles of all cultures."""

    title: Titles | UnsetType = UNSET
    folder: Folder | UnsetType = UNSET
    file_name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    product: Line | UnsetType | None = UNSET


class NewEntitlement(Incoming):
    """Windows include their start and exclude their end. Empty lists: every one.

    With `again` it is given also where a live entitlement says the same already.
    """

    organisation: Owner
    product: Annotated[str | int, Meta(description="Number or code of the product.")]
    right_to: Right = "download"
    free: bool = False
    qualities: Qualities = []
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    maintenance_from: Instant | None = None
    maintenance_to: Instant | None = None
    design_start: Foundries = []
    allowed_countries: Countries = []
    compliance: ComplianceStatus = "approved"
    compliance_reason: Line | None = None
    pinned_licence: str | None = None
    pinned_revision: Revision | None = None
    sales_order_item: Line | None = None
    again: bool = False


class EntitlementChange(Incoming):
    """What is left out stays; null takes away. Organisation and product never change."""

    right_to: Right | UnsetType = UNSET
    free: bool | UnsetType = UNSET
    qualities: Qualities | UnsetType = UNSET
    valid_from: Instant | UnsetType = UNSET
    valid_to: Instant | UnsetType | None = UNSET
    maintenance_from: Instant | UnsetType | None = UNSET
    maintenance_to: Instant | UnsetType | None = UNSET
    design_start: Foundries | UnsetType = UNSET
    allowed_countries: Countries | UnsetType = UNSET
    compliance: ComplianceStatus | UnsetType = UNSET
    compliance_reason: Line | UnsetType | None = UNSET
    pinned_licence: str | UnsetType | None = UNSET
    pinned_revision: Revision | UnsetType | None = UNSET
    sales_order_item: Line | UnsetType | None = UNSET


class NewOrganisation(Incoming):
    """An organisation; its name is unique."""

    name: Line
    country: Country


class NewUser(Incoming):
    """A person. Without a password the person cannot sign in by one."""

    email: Annotated[str, Meta(max_length=254, examples=["ada@example.com"])]
    given_name: Line
    organisation: Owner
    family_name: Annotated[str, Meta(max_length=LINE_LENGTH_MAX)] = ""
    roles: list[Role] = field(default_factory=lambda: ["customer"])
    password: Password | None = None


class Roles(Incoming):
    """All the roles of a person from now on."""

    roles: list[Role]


class NewPassword(Incoming):
    """A password; every open session of the person ends."""

    password: Password


class NewClient(Incoming):
    """A machine that signs in by client credentials."""

    client_id: ClientId
    name: Line
    organisation: Owner
    scopes: list[Scope]
    roles: list[Role] = field(default_factory=lambda: ["customer"])


class Rotation(Incoming):
    """Which keys get a successor."""

    purpose: Purpose


# What goes out

Moment: TypeAlias = Annotated[
    str, Meta(description="ISO 8601, UTC, milliseconds.", examples=["2026-01-31T12:00:00.000Z"])
]
Digest: TypeAlias = Annotated[str, Meta(description="Hexadecimal.")]


class Wire(Struct):
    """A response body or a part of one."""


class ProductItem(Wire):
    """A product; `members` are the codes of a group's products, null where it is none."""

    id: int
    code: str
    name: str
    description: str
    grouped: bool
    listed: bool
    us_eccn: list[str]
    eccn_restricted: bool
    delivery_method: str
    foundries: list[str]
    process: str | None
    licence_code: str | None
    members: list[str] | None
    created_at: Moment
    changed_at: Moment


class ProductPage(Wire):
    """Products by code."""

    total: int
    items: Sequence[ProductItem]


class LicenceItem(Wire):
    """A licence and the number of its newest revision."""

    code: str
    name: str
    revision: int
    created_at: Moment


class LicencePage(Wire):
    """Licences by code."""

    total: int
    items: Sequence[LicenceItem]


class LicenceText(Wire):
    """One revision of a licence; `sha256` of the text in UTF-8."""

    code: str
    name: str
    revision: int
    text: str
    sha256: Digest
    published_at: Moment


class StoredArtifact(Wire):
    """A file of a release; `size` in bytes."""

    id: Annotated[str, Meta(description="UUID.")]
    release_id: Annotated[str, Meta(description="UUID.")]
    position: Annotated[int, Meta(description="In the publisher's order, from 1.")]
    name: str
    description: str
    type: str
    file_name: str
    content_type: str
    repository: str
    controlled: bool
    size: int
    md5: Digest
    sha256: Digest
    created_at: Moment


class StoredRelease(Wire):
    """A release; `available_at` is null while it is a draft that was never available."""

    id: Annotated[str, Meta(description="UUID.")]
    product_id: int
    name: str
    revision: str | None
    patch: str | None
    major_version: str | None
    minor_version: str | None
    quality: str
    type: str
    state: Literal["draft", "available", "withdrawn"]
    available_at: Moment | None
    created_at: Moment
    changed_at: Moment


class StoredReleasePage(Wire):
    """Releases in any state, newest first, without their files."""

    total: int
    items: Sequence[StoredRelease]


class ReleaseWithArtifacts(StoredRelease):
    """A release and its files in the publisher's order."""

    artifacts: Sequence[StoredArtifact]


class StoredAsset(Wire):
    """A media asset; `size` in bytes, `facts` as they were found in the file.

    `content_type` and `media_group` follow from the bytes. An asset that is not public belongs
    to a product, whose entitlements give it.
    """

    id: int
    identifier: str
    title: Annotated[dict[str, str], Meta(description="By culture.")]
    folder: str
    media_group: MediaGroup
    file_name: str
    content_type: str
    size: int
    md5: Digest
    sha256: Digest
    facts: dict[str, str | int | float | bool]
    visibility: Visibility
    product_id: int | None
    product_code: str | None
    created_at: Moment
    changed_at: Moment


class StoredAssetPage(Wire):
    """Assets by number."""

    total: int
    items: Sequence[StoredAsset]


class StoredEntitlement(Wire):
    """An entitlement as it is stored; `revoked_at` is null while it is not revoked."""

    id: int
    organisation_id: int
    organisation_name: str
    product_id: int
    product_code: str
    right_to: str
    free: bool
    qualities: list[str]
    valid_from: Moment
    valid_to: Moment | None
    maintenance_from: Moment | None
    maintenance_to: Moment | None
    design_start: list[str]
    allowed_countries: list[str]
    compliance: str
    compliance_reason: str | None
    pinned_licence: str | None
    pinned_revision: int | None
    sales_order_item: str | None
    activated_at: Moment
    revoked_at: Moment | None
    created_at: Moment
    changed_at: Moment


class StoredEntitlementPage(Wire):
    """Entitlements by number."""

    total: int
    items: Sequence[StoredEntitlement]


class DownloadItem(Wire):
    """All that one principal took of one file within a day; sizes in bytes.

    `completed_at` is null until the ranges sent cover the file.
    """

    id: int
    principal: Annotated[str, Meta(description="user:<number> or client:<client id>.")]
    organisation_id: int
    organisation_name: str
    kind: Annotated[
        Literal["artifact", "release", "order", "asset"],
        Meta(
            description="A file, all files of a release in a ZIP, the ZIP of an order, or a file "
            "of an asset."
        ),
    ]
    entitlement_id: int | None
    product_code: str | None
    release_id: str | None
    release_name: str | None
    artifact_id: str | None
    order_id: int | None
    asset_id: int | None
    file_name: str
    size: int
    bytes_sent: int
    started_at: Moment
    last_byte_at: Moment
    completed_at: Moment | None


class DownloadPage(Wire):
    """Downloads, newest first."""

    total: int
    items: Sequence[DownloadItem]


class OrganisationItem(Wire):
    """An organisation; a blocked one downloads nothing."""

    id: int
    name: str
    country: str
    blocked: bool
    created_at: Moment


class OrganisationPage(Wire):
    """Organisations by number."""

    total: int
    items: Sequence[OrganisationItem]


class UserItem(Wire):
    """A person; `disabled_at` is null for one who may come in."""

    id: int
    email: str
    given_name: str
    family_name: str
    organisation_id: int
    organisation_name: str
    roles: list[str]
    has_password: bool
    disabled_at: Moment | None
    created_at: Moment


class UserPage(Wire):
    """People by number."""

    total: int
    items: Sequence[UserItem]


class ClientItem(Wire):
    """A machine; `disabled_at` is null for one that may come in."""

    client_id: str
    name: str
    organisation_id: int
    organisation_name: str
    roles: list[str]
    scopes: list[str]
    disabled_at: Moment | None
    created_at: Moment


class ClientPage(Wire):
    """Machines by client id."""

    total: int
    items: Sequence[ClientItem]


class ClientSecret(Wire):
    """The secret is shown this once: the hub keeps only its hash."""

    client_id: str
    client_secret: str


class KeyItem(Wire):
    """A signing key without its secret half; `retires_at` is null until it has a successor."""

    kid: str
    purpose: Purpose
    created_at: Moment
    signs_from: Moment
    retires_at: Moment | None


class KeyList(Wire):
    """Every key there was, by purpose and age."""

    total: int
    items: Sequence[KeyItem]


W = TypeVar("W", bound=Wire)


def fill(kind: type[W], row: Row[Any], **more: Any) -> W:
    """A wire object whose fields are the row's columns of the same names, or those in `more`."""
    columns = row._mapping
    names = kind.__struct_fields__
    return kind(*(_plain(more[name] if name in more else columns[name]) for name in names))


def moment(instant: datetime) -> str:
    """An instant as it goes out."""
    return format_instant(instant)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return list(value) if isinstance(value, tuple) else value
