"""Handing out: leases and signed links, redeeming them, the ZIP that is never built, the record."""

from entrepot.core.delivery._coverage import covers
from entrepot.core.delivery._signing import (
    SignedLink,
    batch_of,
    invalid_link,
    key_id_of,
    next_of,
    sign_link,
    verify_link,
)
from entrepot.core.delivery.archive import Archive, lay_out
from entrepot.core.delivery.asset_links import KEPT, issue_asset_link, rendition_file_name
from entrepot.core.delivery.explaining import explain_artifact_link, explain_links
from entrepot.core.delivery.lessees import Lessee, find_lessee
from entrepot.core.delivery.links import (
    LINK_SECONDS_MAX,
    IssuedLink,
    issue_artifact_link,
    issue_artifact_links,
    issue_release_link,
)
from entrepot.core.delivery.order_links import issue_order_link, link_bucket, order_link
from entrepot.core.delivery.packages import Package, lay_out_package
from entrepot.core.delivery.product_download_links import ANYONE, issue_product_download_link
from entrepot.core.delivery.quotas import (
    Quota,
    Reservation,
    Taking,
    find_quota,
    give_back,
    note_bytes,
    reserve,
)
from entrepot.core.delivery.redeeming import RedeemedLink, StoredFile, redeem_following, redeem_link
from entrepot.core.delivery.releases import release_file_name, release_package
from entrepot.core.delivery.transfers import (
    Delivery,
    Transfer,
    count_downloads,
    list_downloads,
    record_transfers,
)

__all__ = [
    "ANYONE",
    "KEPT",
    "LINK_SECONDS_MAX",
    "Archive",
    "Delivery",
    "IssuedLink",
    "Lessee",
    "Package",
    "Quota",
    "RedeemedLink",
    "Reservation",
    "SignedLink",
    "StoredFile",
    "Taking",
    "Transfer",
    "batch_of",
    "count_downloads",
    "covers",
    "explain_artifact_link",
    "explain_links",
    "find_lessee",
    "find_quota",
    "give_back",
    "invalid_link",
    "issue_artifact_link",
    "issue_artifact_links",
    "issue_asset_link",
    "issue_order_link",
    "issue_product_download_link",
    "issue_release_link",
    "key_id_of",
    "lay_out",
    "lay_out_package",
    "link_bucket",
    "list_downloads",
    "next_of",
    "note_bytes",
    "order_link",
    "record_transfers",
    "redeem_following",
    "redeem_link",
    "release_file_name",
    "release_package",
    "rendition_file_name",
    "reserve",
    "sign_link",
    "verify_link",
]
