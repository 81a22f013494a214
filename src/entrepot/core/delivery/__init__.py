"""Handing out: leases and signed links, redeeming them, the record of what was sent."""

from entrepot.core.delivery._signing import (
    SignedLink,
    invalid_link,
    key_id_of,
    sign_link,
    verify_link,
)
from entrepot.core.delivery.links import (
    LINK_SECONDS_MAX,
    IssuedLink,
    RedeemedLink,
    issue_artifact_link,
    redeem_link,
)
from entrepot.core.delivery.transfers import (
    Transfer,
    count_downloads,
    covers,
    list_downloads,
    record_transfers,
)

__all__ = [
    "LINK_SECONDS_MAX",
    "IssuedLink",
    "RedeemedLink",
    "SignedLink",
    "Transfer",
    "count_downloads",
    "covers",
    "invalid_link",
    "issue_artifact_link",
    "key_id_of",
    "list_downloads",
    "record_transfers",
    "redeem_link",
    "sign_link",
    "verify_link",
]
