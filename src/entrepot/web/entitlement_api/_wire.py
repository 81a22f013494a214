"""The objects of the contract (section 2), field by field; wire names live only here.

A field that may be missing is left out, never null: the field's common client fails on null.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote, urlencode

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field
from msgspec.json import Encoder

from entrepot.core import entitlements
from entrepot.core.entitlements import (
    Artifact,
    Entitlement,
    Explanation,
    ProductFacts,
    Release,
    Required,
)
from entrepot.kit.text import format_instant

PATH = "/e-product-entitlement-customer/v1/entitlements"

Moment: TypeAlias = Annotated[
    str, Meta(description="ISO 8601, UTC, milliseconds.", examples=["2026-01-31T12:00:00.000Z"])
]
Uri: TypeAlias = Annotated[str, Meta(description="Absolute URI.")]


class Wire(Struct, gc=False, rename="camel", omit_defaults=True):
    """Camel case, and what is unset is left out."""


class Named(Wire):
    """A thing that is named by id and URI."""

    id: str
    uri: Uri


class Customer(Wire):
    """The organisation that holds the entitlement."""

    id: str
    name: str
    uri: Uri
    blocked: bool


class Product(Wire):
    """The entitled product; `id` is its code, `eula` the licence it comes with."""

    id: str
    name: str
    uri: Uri
    standard_delivery_method: str
    eula: Named | UnsetType = UNSET


class Characteristics(Wire):
    """`grouped`: for a group of products. `virtual`: computed, the child of a grouped one."""

    free: bool
    grouped: bool
    virtual: bool


class Quality(Wire):
    """A quality of releases that is included."""

    quality: str


class Foundry(Wire):
    """A foundry for which designs may be started."""

    foundry: str


class Rights(Wire):
    """No qualities listed: every quality. Windows exclude their end; none: open."""

    qualities: Sequence[Quality]
    design_start: Sequence[Foundry]
    maintenance_from: Moment | UnsetType = UNSET
    maintenance_to: Moment | UnsetType = UNSET


class Compliance(Wire):
    """Export rules. No country listed: every country."""

    status: str
    eccn_restricted: bool
    us_eccn: Sequence[str] = field(name="usECCN")
    allowed_countries: Sequence[Named]
    status_reason: str | UnsetType = UNSET


class History(Wire):
    """When the entitlement was made and last changed."""

    created_at: Moment
    last_changed_at: Moment


class VirtualProduct(Wire):
    """The product of a group's child."""

    id: str
    name: str
    uri: Uri
    foundry: Sequence[str]
    process: str | UnsetType = UNSET


class VirtualEntitlement(Wire):
    """A child of a grouped entitlement; its `id` works wherever an entitlement's does."""

    id: str
    product: VirtualProduct


class SalesOrderItem(Wire):
    """Where the entitlement was bought."""

    id: str


class EntitlementItem(Wire):
    """An entitlement: Active, Lapsed, Pending, Suspended, Blocked, Expired or Revoked."""

    id: Annotated[str, Meta(description="A number.", examples=["169189"])]
    uri: Uri
    customer: Customer
    product: Product
    status: str
    right_to: Annotated[str, Meta(examples=["download"])]
    valid_from: Moment
    characteristics: Characteristics
    rights: Rights
    compliance: Compliance
    history: History
    valid_to: Moment | UnsetType = UNSET
    virtual_entitlements: Sequence[VirtualEntitlement] | UnsetType = UNSET
    sales_order_item: SalesOrderItem | UnsetType = UNSET


class EntitlementPage(Wire):
    """Entitlements, and how many there are on all pages."""

    total_number_of_items: int
    items: Sequence[EntitlementItem]


class ArtifactItem(Wire):
    """A file; `fileSize` in bytes, digests in hexadecimal."""

    id: Annotated[str, Meta(description="UUID.")]
    name: str
    description: str
    type: str
    file_name: str
    file_size: int
    md5: str
    sha256: str
    repository: Annotated[
        str, Meta(description="Where its name contains `controlled`, declare your country.")
    ]


class EntitlementId(Wire):
    """The entitlement that a release was asked for by."""

    id: str


class ReleaseItem(Wire):
    """A release with its files in the publisher's order."""

    id: Annotated[str, Meta(description="UUID.")]
    entitlement: EntitlementId
    name: str
    quality: str
    type: str
    available_at: Moment
    artifacts: Sequence[ArtifactItem]
    revision: str | UnsetType = UNSET
    patch: str | UnsetType = UNSET
    major_version: str | UnsetType = UNSET
    minor_version: str | UnsetType = UNSET


class ReleasePage(Wire):
    """Releases, newest first, and how many there are on all pages."""

    total_number_of_items: int
    items: Sequence[ReleaseItem]


class DownloadUrl(Wire):
    """A link that authorises itself; ask for it without Authorization, within 10 minutes."""

    download_url: Uri
    message: str


class ReleaseZip(Wire):
    """A link to all files of a release in one ZIP; it authorises itself, for 10 minutes.

    The entries have the artifacts' `fileName`s and bytes, so `sha256` says of each whether it
    is right.
    """

    download_url: Uri
    message: str
    file_name: str
    file_size: int


class Check(Wire):
    """One question that the decision asks. `from` and `to` are the period that was looked at.

    `reason` and `remedy` are there where it failed, and the facts that they name. An artifact
    of a quality that is not included is not found at all, so `quality` never fails.
    """

    name: Annotated[
        str,
        Meta(
            description="account, organisation, entitlement, export-control, quality, release, "
            "maintenance, country, declared-country, licence or quota, in the order of asking."
        ),
    ]
    state: Annotated[str, Meta(description="passed, failed or not-reached.")]
    message: str | UnsetType = UNSET
    reason: Annotated[str | UnsetType, Meta(description="As the refusal of a link gives it.")] = (
        UNSET
    )
    remedy: str | UnsetType = UNSET
    begins: Annotated[Moment | UnsetType, Meta(description="First moment of the period.")] = field(
        default=UNSET, name="from"
    )
    ends: Annotated[Moment | UnsetType, Meta(description="Excluded; none: open.")] = field(
        default=UNSET, name="to"
    )
    facts: dict[str, str | int | bool] | UnsetType = UNSET


class PermissionProduct(Wire):
    """The product that the release is of; `id` is its code."""

    id: str


class PermissionRelease(Wire):
    """The release that the artifact lies in."""

    id: str
    name: str


class PermissionArtifact(Wire):
    """The artifact; `fileSize` in bytes."""

    id: str
    file_name: str
    file_size: int


class Permission(Wire):
    """Whether a link to an artifact would be issued now, and why.

    Nothing comes of asking: no lease, no use of a quota, no entry in the log. Where a check has
    failed, `reason` is that of the first.
    """

    allowed: bool
    entitlement: EntitlementId
    product: PermissionProduct
    release: PermissionRelease
    artifact: PermissionArtifact
    checks: Sequence[Check]
    reason: str | UnsetType = UNSET
    agreement_url: Annotated[
        Uri | UnsetType, Meta(description="Where a licence is read and accepted by a person.")
    ] = UNSET


class PermissionPage(Wire):
    """Permissions, at most 100, newest release first; and how many there are in all."""

    total_number_of_items: int
    items: Sequence[Permission]


class LicenceItem(Wire):
    """The licence that an entitlement asks for. `accepted`: the caller may go on.

    `revision` is one text for good, `sha256` that of the text in UTF-8.
    """

    licence: Annotated[str, Meta(description="Its code.", examples=["TOOLS"])]
    name: str
    revision: int
    sha256: str
    agreement_url: Annotated[Uri, Meta(description="The page on which a person reads it.")]
    accepted_by: Annotated[
        Sequence[str], Meta(description="`me`, `organisation`, or both; nobody: none.")
    ]
    accepted: bool
    text: str


class Fault(Wire):
    """An error. `reason` is stable; `errorDescription` is message and remedy in one text."""

    error_code: Annotated[int, Meta(description="The HTTP status.")]
    error_description: str
    reason: str
    remedy: str
    field: Annotated[
        str | UnsetType, Meta(description="The part of the request that is wrong.")
    ] = UNSET
    error_name: Annotated[
        str | UnsetType, Meta(description="Only where a licence has to be accepted first.")
    ] = UNSET
    agreement_url: Annotated[
        Uri | UnsetType, Meta(description="The page on which a person reads and accepts it.")
    ] = UNSET
    details: Annotated[
        dict[str, str | int | bool] | UnsetType,
        Meta(description="What a refusal rests on, as data; which, follows from `reason`."),
    ] = UNSET


def _maybe(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


# A pure function of few distinct values: a page of 20 has about 100 instants.
_moment = lru_cache(maxsize=4096)(format_instant)


def _maybe_moment(instant: datetime | None) -> str | UnsetType:
    return UNSET if instant is None else _moment(instant)


def _check(given: entitlements.Check) -> Check:
    return Check(
        given.name,
        given.state,
        given.message or UNSET,
        given.reason or UNSET,
        given.remedy or UNSET,
        _maybe_moment(given.begins),
        _maybe_moment(given.ends),
        dict(given.facts) or UNSET,
    )


def agreement_page(public_url: str, facts: Mapping[str, Any], number: str) -> str:
    """The portal's page for the licence that `facts` name; it leads on to the entitlement's."""
    code = quote(str(facts["licence"]), safe="")
    query = urlencode({"revision": facts["revision"], "return": f"/entitlements/{number}"})
    return f"{public_url}/licences/{code}?{query}"


WRITTEN_MAX = 2048  # entitlements kept encoded
_encode = Encoder().encode


class Writer:
    """Turns what core gives into wire objects, with URIs under `public_url`."""

    def __init__(self, public_url: str) -> None:
        self._base = public_url
        self._entitlements = f"{public_url}{PATH}/"
        self._written: dict[int, tuple[Entitlement, Raw]] = {}

    def entitlement_page(self, found: Iterable[Entitlement], total: int) -> EntitlementPage:
        """Body of endpoint 1."""
        return EntitlementPage(total, [self._listed(each) for each in found])

    def _listed(self, given: Entitlement) -> Any:
        """As `entitlement`, encoded once: core gives the same object for an unchanged row."""
        written = self._written.get(id(given))
        if written is not None and written[0] is given:
            return written[1]
        item = Raw(_encode(self.entitlement(given)))
        if not given.children:  # what has some is made anew each time
            if len(self._written) >= WRITTEN_MAX:
                self._written = {}
            self._written[id(given)] = (given, item)
        return item

    def entitlement(self, given: Entitlement) -> EntitlementItem:
        """Body of endpoint 2."""
        identity = str(given.number)
        return EntitlementItem(
            identity,
            self._entitlements + identity,
            self._customer(given),
            self._product(given.product),
            given.status,
            given.right_to,
            _moment(given.valid_from),
            Characteristics(given.free, given.grouped, given.virtual),
            Rights(
                [Quality(quality) for quality in given.qualities],
                [Foundry(foundry) for foundry in given.design_start],
                _maybe_moment(given.maintenance_from),
                _maybe_moment(given.maintenance_to),
            ),
            self._compliance(given),
            History(_moment(given.created_at), _moment(given.changed_at)),
            _maybe_moment(given.valid_to),
            self._children(given) if given.grouped else UNSET,
            UNSET if given.sales_order_item is None else SalesOrderItem(given.sales_order_item),
        )

    def _customer(self, given: Entitlement) -> Customer:
        identity = str(given.organisation_id)
        return Customer(
            identity,
            given.organisation_name,
            f"{self._base}/customers/{identity}",
            given.organisation_blocked,
        )

    def _product(self, given: ProductFacts) -> Product:
        code = given.licence_code
        return Product(
            given.code,
            given.name,
            f"{self._base}/products/{given.code}",
            given.delivery_method,
            UNSET if code is None else Named(code, f"{self._base}/licences/{code}"),
        )

    def _compliance(self, given: Entitlement) -> Compliance:
        return Compliance(
            given.compliance,
            given.product.eccn_restricted,
            given.product.us_eccn,
            [Named(code, f"{self._base}/countries/{code}") for code in given.allowed_countries],
            _maybe(given.compliance_reason),
        )

    def licence(self, required: Required, number: str) -> LicenceItem:
        """Body of the licence's endpoint."""
        text, standing = required.text, required.standing
        by = {"me": standing.by_person, "organisation": standing.by_organisation}
        return LicenceItem(
            text.licence_code,
            text.licence_name,
            text.revision,
            text.sha256,
            agreement_page(
                self._base, {"licence": text.licence_code, "revision": text.revision}, number
            ),
            [who for who, accepted in by.items() if accepted],
            standing.holds,
            text.text,
        )

    def _children(self, given: Entitlement) -> list[VirtualEntitlement]:
        return [
            VirtualEntitlement(
                str(number),
                VirtualProduct(
                    product.code,
                    product.name,
                    f"{self._base}/products/{product.code}",
                    product.foundries,
                    _maybe(product.process),
                ),
            )
            for number, product in given.children
        ]

    def release_page(self, found: Iterable[Release], total: int) -> ReleasePage:
        """Body of endpoint 3."""
        return ReleasePage(total, [self.release(each) for each in found])

    def release(self, given: Release) -> ReleaseItem:
        """Body of endpoint 4."""
        return ReleaseItem(
            given.id,
            EntitlementId(str(given.entitlement_number)),
            given.name,
            given.quality,
            given.type,
            _moment(given.available_at),
            [self.artifact(each) for each in given.artifacts],
            _maybe(given.revision),
            _maybe(given.patch),
            _maybe(given.major_version),
            _maybe(given.minor_version),
        )

    def artifact(self, given: Artifact) -> ArtifactItem:
        """Body of endpoint 5."""
        return ArtifactItem(
            given.id,
            given.name,
            given.description,
            given.type,
            given.file_name,
            given.size,
            given.md5,
            given.sha256,
            given.repository,
        )

    def release_zip(self, path: str, release_id: str, file_name: str, file_size: int) -> ReleaseZip:
        """Body of the additive endpoint for all of a release."""
        message = f"Download Url for all files of {release_id}"
        return ReleaseZip(f"{self._base}/dl/{path}", message, file_name, file_size)

    def permission_page(self, found: Iterable[Explanation], total: int) -> PermissionPage:
        """Body of the additive endpoint that explains what a search finds."""
        return PermissionPage(total, [self.permission(each) for each in found])

    def permission(self, given: Explanation) -> Permission:
        """Body of the additive endpoint that explains one artifact."""
        licence = next((each for each in given.checks if each.reason == "licence-required"), None)
        return Permission(
            given.allowed,
            EntitlementId(str(given.number)),
            PermissionProduct(given.product_code),
            PermissionRelease(given.release_id, given.release_name),
            PermissionArtifact(given.artifact_id, given.file_name, given.size),
            [_check(each) for each in given.checks],
            UNSET if given.allowed else given.verdict,
            UNSET
            if licence is None
            else agreement_page(self._base, licence.facts, str(given.number)),
        )

    def download_url(self, path: str, artifact_id: str) -> DownloadUrl:
        """Body of endpoint 6."""
        return DownloadUrl(f"{self._base}/dl/{path}", f"Download Url for {artifact_id.lower()}")
