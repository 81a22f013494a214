"""On the wire: media assets."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from entrepot.web.admin_api._wire import Digest, Incoming, Line, Moment, Wire

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


class AssetChange(Incoming):
    """What is left out stays. `title` replaces the titles of all cultures."""

    title: Titles | UnsetType = UNSET
    folder: Folder | UnsetType = UNSET
    file_name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    product: Line | UnsetType | None = UNSET


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
