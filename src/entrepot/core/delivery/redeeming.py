"""Redeeming a link: what the lease behind it gives now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from entrepot.core import orders
from entrepot.core.catalogue.tables import blobs
from entrepot.core.delivery._signing import BATCH_DIGITS, batch_of, invalid_link
from entrepot.core.delivery.archive import Archive
from entrepot.core.delivery.packages import Package
from entrepot.core.delivery.product_download_links import ANYONE, taker_of_lease
from entrepot.core.delivery.releases import release_file_name, release_package
from entrepot.core.delivery.tables import leases
from entrepot.core.delivery.transfers import Delivery
from entrepot.core.entitlements import (
    ArtifactRequest,
    PermittedArtifact,
    Reference,
    permitted_among,
    permitted_artifact,
    permitted_artifacts,
    permitted_asset_for,
    permitted_product_download,
)
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.errors import Gone, NotFound

ZIP_TYPE = "application/zip"
# Of a digest, enough to tell the ZIPs of one order apart, or the files of one asset.
_DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes that are stored as they are sent; `size` of them."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class RedeemedLink:
    """What a lease gives now: whose it is, and the file or the ZIP."""

    lease_id: str
    principal: str
    organisation_id: int
    file_name: str
    content_type: str
    last_modified: datetime
    content: StoredFile | Package
    entitlement_id: int | None = None
    release_id: str | None = None
    artifact_id: str | None = None
    order_id: int | None = None
    asset_id: int | None = None
    product_download_id: int | None = None
    limited: bool = False  # the entitlement has a quota

    def delivery(self, archive: Archive | None = None) -> Delivery:
        """How the record names what is sent; a ZIP must have been laid out."""
        if isinstance(self.content, StoredFile):
            named, size = f"artifact:{self.artifact_id}", self.content.size
            if self.asset_id is not None:
                named = f"asset:{self.asset_id}/{self.content.sha256[:_DIGEST_CHARS]}"
            elif self.product_download_id is not None:
                named = self._product_download(self.content.sha256)
        elif archive is None:
            raise ValueError("a ZIP is recorded by its layout")
        else:
            whole = f"release:{self.release_id}"
            if self.order_id is not None:
                whole = f"order:{self.order_id}"
            named = f"{whole}/{archive.etag[1 : 1 + _DIGEST_CHARS]}"
            size = archive.size
        return Delivery(
            named,
            self.file_name,
            size,
            self.entitlement_id,
            self.release_id,
            self.artifact_id,
            self.order_id,
            self.asset_id,
            self.product_download_id,
            limited=self.limited,
        )

    def _product_download(self, sha256: str) -> str:
        named = f"product-download:{self.product_download_id}/{sha256[:_DIGEST_CHARS]}"
        # What many take whom nobody can tell apart are as many downloads.
        return f"{named}/{self.lease_id}" if self.principal == ANYONE else named


_COLUMNS = leases.c[
    "id",
    "principal",
    "user_id",
    "api_client_id",
    "organisation_id",
    "entitlement_id",
    "child_product_id",
    "release_id",
    "artifact_id",
    "order_id",
    "asset_id",
    "product_download_id",
    "sha256",
    "file_name",
    "content_type",
    "country",
    "declared_country",
]
_LEASE = Prepared(
    select(*_COLUMNS).where(leases.c.id == bindparam("lease_id", type_=leases.c.id.type))
)
_FOLLOWING = Prepared(
    select(*_COLUMNS)
    .where(
        leases.c.id > bindparam("lease_id", type_=leases.c.id.type),
        leases.c.id <= bindparam("last_id", type_=leases.c.id.type),
    )
    .order_by(leases.c.id)
    .limit(bindparam("take", type_=Number))
)


def redeem_link(
    tx: Tx, lease_id: str, *, embargoed: Sequence[str] = (), now: datetime
) -> RedeemedLink:
    """Ask the predicate again for the lease behind a genuine link.

    Denied: a condition fails by now (revoked, withdrawn, ...). Gone: the object is no more.
    """
    lease = _LEASE.one_or_none(tx, {"lease_id": lease_id})
    if lease is None:
        raise invalid_link()
    try:
        if lease.order_id is not None:
            return _redeem_order(tx, lease_id, lease, embargoed, now)
        if lease.asset_id is not None:
            return _redeem_asset(tx, lease_id, lease, embargoed, now)
        if lease.product_download_id is not None:
            return _redeem_product_download(tx, lease_id, lease, embargoed, now)
        if lease.artifact_id is None:
            return _redeem_release(tx, lease_id, lease, embargoed, now)
        return _redeem_artifact(tx, lease, embargoed, now)
    except NotFound as error:
        raise Gone(
            "What this link led to is no longer there.",
            code="object-gone",
            remedy="List the releases that your organisation is entitled to, or your orders.",
        ) from error


def redeem_following(
    tx: Tx, link: RedeemedLink, *, take: int, embargoed: Sequence[str] = (), now: datetime
) -> list[RedeemedLink]:
    """What the leases give that were issued together with a redeemed one, for the files after it.

    At most `take` of them, and none that `redeem_link` would refuse.
    """
    last = batch_of(link.lease_id) + "f" * BATCH_DIGITS
    bound = {"lease_id": link.lease_id, "last_id": last, "take": take}
    following = [lease for lease in _FOLLOWING.all(tx, bound) if lease.artifact_id is not None]
    if not following:
        return []
    asked = _request(following[0], embargoed, "")
    # Issued together they are one caller's, of one release; what is not is asked for by itself.
    leased = {
        lease.artifact_id: lease
        for lease in following
        if lease.principal == link.principal and _request(lease, embargoed, "") == asked
    }
    return [
        _redeemed(leased[artifact.artifact_id], artifact)
        for artifact in permitted_among(tx, asked, leased, now=now)
    ]


def _redeem_artifact(tx: Tx, lease: Any, embargoed: Sequence[str], now: datetime) -> RedeemedLink:
    request = _request(lease, embargoed, lease.artifact_id)
    return _redeemed(lease, permitted_artifact(tx, request, now=now))


def _redeemed(lease: Any, artifact: PermittedArtifact) -> RedeemedLink:
    return RedeemedLink(
        lease.id,
        lease.principal,
        lease.organisation_id,
        artifact.file_name,
        artifact.content_type,
        artifact.available_at,
        StoredFile(artifact.sha256, artifact.size),
        lease.entitlement_id,
        artifact.release_id,
        artifact.artifact_id,
        limited=artifact.limited,
    )


def _redeem_release(
    tx: Tx, lease_id: str, lease: Any, embargoed: Sequence[str], now: datetime
) -> RedeemedLink:
    granted = permitted_artifacts(tx, _request(lease, embargoed, ""), now=now)
    return RedeemedLink(
        lease_id,
        lease.principal,
        lease.organisation_id,
        release_file_name(granted),
        ZIP_TYPE,
        granted.available_at,
        release_package(granted),
        lease.entitlement_id,
        granted.release_id,
        limited=granted.limited,
    )


def _redeem_order(
    tx: Tx, lease_id: str, lease: Any, embargoed: Sequence[str], now: datetime
) -> RedeemedLink:
    package = orders.permitted_package(
        tx,
        lease.order_id,
        user_id=lease.user_id,
        api_client_id=lease.api_client_id,
        organisation_id=lease.organisation_id,
        country=lease.country,
        embargoed=embargoed,
        now=now,
    )
    return RedeemedLink(
        lease_id,
        lease.principal,
        lease.organisation_id,
        package.file_name,
        ZIP_TYPE,
        package.completed_at,
        Package(package.package_sha256, package.completed_at),
        order_id=package.order_id,
    )


_FILE = Prepared(
    select(*blobs.c["size", "created_at"]).where(
        blobs.c.sha256 == bindparam("sha256", type_=blobs.c.sha256.type)
    )
)


def _redeem_asset(
    tx: Tx, lease_id: str, lease: Any, embargoed: Sequence[str], now: datetime
) -> RedeemedLink:
    asset = permitted_asset_for(
        tx,
        lease.asset_id,
        organisation_id=lease.organisation_id,
        user_id=lease.user_id,
        api_client_id=lease.api_client_id,
        country=lease.country,
        embargoed=embargoed,
        now=now,
    )
    file = _FILE.one_or_none(tx, {"sha256": lease.sha256})
    if file is None:
        raise NotFound  # replaced or purged since, and nobody else needs it
    return _leased_file(
        lease_id,
        lease,
        file.created_at,
        file.size,
        asset.entitlement_id,
        asset_id=asset.asset_id,
    )


def _redeem_product_download(
    tx: Tx, lease_id: str, lease: Any, embargoed: Sequence[str], now: datetime
) -> RedeemedLink:
    download = permitted_product_download(
        tx, taker_of_lease(lease), lease.product_download_id, embargoed=embargoed, now=now
    )
    if download.sha256 != lease.sha256:
        raise NotFound  # replaced since: the stable address leads to what is there now
    return _leased_file(
        lease_id,
        lease,
        download.stored_at,
        download.size,
        download.entitlement_id,
        product_download_id=download.download_id,
    )


def _leased_file(
    lease_id: str,
    lease: Any,
    stored_at: datetime,
    size: int,
    entitlement_id: int | None,
    *,
    asset_id: int | None = None,
    product_download_id: int | None = None,
) -> RedeemedLink:
    """The file whose digest, name and type the lease itself has."""
    return RedeemedLink(
        lease_id,
        lease.principal,
        lease.organisation_id,
        lease.file_name,
        lease.content_type,
        stored_at,
        StoredFile(lease.sha256, size),
        entitlement_id,
        asset_id=asset_id,
        product_download_id=product_download_id,
    )


def _request(lease: Any, embargoed: Sequence[str], artifact_id: str) -> ArtifactRequest:
    return ArtifactRequest(
        organisation_id=lease.organisation_id,
        user_id=lease.user_id,
        api_client_id=lease.api_client_id,
        reference=Reference(lease.entitlement_id, lease.child_product_id),
        release_id=lease.release_id,
        artifact_id=artifact_id,
        country=lease.country,
        declared_country=lease.declared_country,
        embargoed=embargoed,
    )
