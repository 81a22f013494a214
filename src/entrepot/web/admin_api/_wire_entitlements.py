"""On the wire: entitlements."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from entrepot.web.admin_api._wire import (
    Country,
    Incoming,
    Instant,
    Line,
    Moment,
    Owner,
    Quality,
    Wire,
)

CODES_MAX = 300

Foundries: TypeAlias = Annotated[list[Line], Meta(max_length=CODES_MAX)]
Countries: TypeAlias = Annotated[list[Country], Meta(max_length=CODES_MAX)]
Qualities: TypeAlias = Annotated[list[Quality], Meta(max_length=CODES_MAX)]
Right: TypeAlias = Literal["download", "use"]
ComplianceStatus: TypeAlias = Literal["approved", "pending", "blocked"]
Most: TypeAlias = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Revision: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class NewEntitlement(Incoming):
    """Windows include their start and exclude their end. Empty lists: every one.

    With `again` it is given also where a live entitlement says the same already. What may be
    taken in all: downloads, bytes of whole files, addresses; null: no limit.
    """

    organisation: Owner
    product: Annotated[str | int, Meta(description="Number or code of the product.")]
    right_to: Right = "download"
    free: bool = False
    qualities: Qualities = field(default_factory=list)
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    maintenance_from: Instant | None = None
    maintenance_to: Instant | None = None
    design_start: Foundries = field(default_factory=list)
    allowed_countries: Countries = field(default_factory=list)
    compliance: ComplianceStatus = "approved"
    compliance_reason: Line | None = None
    pinned_licence: str | None = None
    pinned_revision: Revision | None = None
    sales_order_item: Line | None = None
    downloads_max: Most | None = None
    bytes_max: Most | None = None
    addresses_max: Most | None = None
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
    downloads_max: Most | UnsetType | None = UNSET
    bytes_max: Most | UnsetType | None = UNSET
    addresses_max: Most | UnsetType | None = UNSET


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
    downloads_max: int | None
    bytes_max: int | None
    addresses_max: int | None
    activated_at: Moment
    revoked_at: Moment | None
    created_at: Moment
    changed_at: Moment


class StoredEntitlementPage(Wire):
    """Entitlements by number."""

    total: int
    items: Sequence[StoredEntitlement]


class QuotaItem(Wire):
    """What an entitlement gives in all (null: no limit), and how much of it is used now.

    `returns_at`: when the first of what is used comes back, unless its download goes on.
    """

    entitlement_id: int
    downloads_max: int | None
    downloads_used: int
    bytes_max: int | None
    bytes_used: int
    addresses_max: int | None
    addresses_used: int
    returns_at: Moment | None
