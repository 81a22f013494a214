"""On the wire: what was downloaded."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from entrepot.web.admin_api._wire import Moment, Wire


class DownloadItem(Wire):
    """All that one principal took of one file within a day; sizes in bytes.

    `completed_at` is null until the ranges sent cover the file.
    """

    id: int
    principal: Annotated[
        str, Meta(description="user:<number>, client:<client id>, contact:<number> or anyone.")
    ]
    organisation_id: Annotated[int, Meta(description="0 where nobody was signed in.")]
    organisation_name: str | None
    kind: Annotated[
        Literal["artifact", "release", "order", "asset", "product-download"],
        Meta(
            description="A file, all files of a release in a ZIP, the ZIP of an order, a file of "
            "an asset, or a file that is shown with a product."
        ),
    ]
    entitlement_id: int | None
    product_code: str | None
    release_id: str | None
    release_name: str | None
    artifact_id: str | None
    order_id: int | None
    asset_id: int | None
    product_download_id: int | None
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
