"""On the wire: products and groups of products."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType, field

from entrepot.web.admin_api._wire import Incoming, Line, Moment, Text, Wire

LIST_LENGTH_MAX = 100
MEMBERS_MAX = 1000

Lines: TypeAlias = Annotated[list[Line], Meta(max_length=LIST_LENGTH_MAX)]
ProductCode: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,63}$", examples=["DS000B"])
]
Members: TypeAlias = Annotated[
    list[Line],
    Meta(
        description="Codes or numbers, in order. Makes the product a group.",
        min_length=1,
        max_length=MEMBERS_MAX,
    ),
]
DeliveryMethod: TypeAlias = Literal["download", "physical", "none"]


class NewProduct(Incoming):
    """A product, or with `members` a group of products."""

    code: ProductCode
    name: Line
    description: Text = ""
    listed: bool = True
    us_eccn: Lines = field(default_factory=list)
    eccn_restricted: bool = False
    delivery_method: DeliveryMethod = "download"
    foundries: Lines = field(default_factory=list)
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
