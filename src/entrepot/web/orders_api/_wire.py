"""The objects of the contract ("Order body", "Fields, types, what we put in"), field by field.

Wire names live only here. A field without a value is null, never left out: that is how the
vendor's documents show them. `filename_properties` is always a list.
"""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

Moment: TypeAlias = Annotated[
    str, Meta(description="ISO 8601, UTC, milliseconds.", examples=["2026-01-31T12:00:00.000Z"])
]


class Wire(Struct, gc=False):
    """Names as they are spelled here."""


class Link(Wire):
    """Where a resource is. `templated`: `href` has parts to fill in (RFC 6570)."""

    href: Annotated[str, Meta(description="Absolute URL, or a URI template.")]
    title: str | None = None
    templated: bool = False
    filename_properties: list[str] = []


class Progress(Wire):
    """How far an order is, in files and bytes; counts only grow while it runs."""

    files_total: int
    files_completed: int
    files_failed: int
    bytes_total: Annotated[
        int,
        Meta(
            description="Bytes of what lies in the ZIP, order.json and the other papers too; 0"
            " until there is one, and after a retry those of the former one until the next is made."
        ),
    ]


class Order(Wire):
    """A download order."""

    order_id: int
    name: str | None
    target_count: int
    has_conversions: bool
    created_by: Link
    created_on: Moment
    modified_by: Link
    modified_on: Moment
    status: Annotated[
        str,
        Meta(
            description="Pending, InProgress, Completed, CompletedWithErrors, Failed, Cancelled"
            " or Expired.",
            examples=["Completed"],
        ),
    ]
    download_location: Annotated[
        Link | None, Meta(description="Signed link to the ZIP, good for 5 to 10 minutes.")
    ]
    additional_info: Annotated[
        str | None,
        Meta(description="What failed, and how many; why there is no link any more."),
    ]
    external_job_reference: Link
    targets: Link
    culture: str | None
    progress: Progress
    expires_on: Moment | None
    self: Link


class OrderList(Wire):
    """A page of orders, newest first."""

    items: list[Order]
    total_items: int
    returned_items: int
    offset: int
    next: Link | None
    previous: Link | None
    identifier: str
    self: Link


class Target(Wire):
    """One asset of an order."""

    entity: Link
    self: Link


class TargetList(Wire):
    """A page of an order's assets."""

    items: list[Target]
    total_items: int
    returned_items: int
    offset: int
    next: Link | None
    previous: Link | None
    identifier: str
    self: Link
    order: Link


class JobError(Wire):
    """What could not be delivered, and why."""

    asset_id: int
    identifier: str
    rendition: str
    code: str
    message: str
    remedy: Annotated[str, Meta(description="What can be done about it.")]


class Job(Wire):
    """The work behind an order, in the vendor's words."""

    job_id: int
    state: Annotated[str, Meta(description="Pending, InProgress, Completed, Failed or Cancelled.")]
    condition: Annotated[str, Meta(description="Pending, Success, Warning or Error.")]
    started_on: Moment | None
    completed_on: Moment | None
    file_count: int
    files_completed: int
    files_failed: int
    errors: Annotated[list[JobError], Meta(description="The first 100.")]
    order: Link
    self: Link


class User(Wire):
    """Somebody of the caller's own organisation: a person, or a machine (an API client)."""

    id: Annotated[str, Meta(description="A person's number, or `client:<client id>`.")]
    display_name: str
    organisation: str
    self: Link


class Rendition(Wire):
    """A form in which an asset can be had: a standard one, or one kept from an order."""

    name: str
    kind: Annotated[str, Meta(description="standard or user")]
    extension: Annotated[str | None, Meta(description="null: that of the stored file.")]
    content_type: str
    converted: Annotated[bool, Meta(description="false: it is the stored file.")]
    description: str | None
    culture: str | None
    size: Annotated[int | None, Meta(description="Bytes; null until it has been made.")]
    download_location: Annotated[
        Link | None,
        Meta(description="Leads on to the file itself; null until it has been made."),
    ]


class Entity(Wire):
    """A media asset."""

    id: int
    identifier: str
    title: Annotated[dict[str, str], Meta(description="By culture.")]
    media_group: Link
    file_name: str
    content_type: str
    size: int
    sha256: str
    facts: Annotated[dict[str, Any], Meta(description="width, height, pages, ... where known.")]
    renditions: Link
    self: Link


class RenditionList(Wire):
    """The renditions of one asset."""

    items: list[Rendition]
    total_items: int
    self: Link


class MediaGroup(Wire):
    """A kind of media. Orders name it by number or identifier."""

    id: int
    identifier: str
    default_renditions: Annotated[list[str], Meta(description="What a Standard order adds.")]
    renditions: list[str]


class MediaGroupList(Wire):
    """Every media group."""

    items: list[MediaGroup]
    total_items: int
    self: Link


class NamedRecipe(Wire):
    """A rendition or preset by name."""

    name: str
    title: str
    aliases: list[str]
    media_groups: Annotated[
        dict[str, Any],
        Meta(description="Identifier of a group -> `original`, `metadata`, or the steps."),
    ]


class NamedRecipeList(Wire):
    """Every rendition, or every preset."""

    items: list[NamedRecipe]
    total_items: int
    self: Link


class Resolver(Wire):
    """A way to name the files in the ZIP."""

    id: str
    title: str
    template: Annotated[str, Meta(description="The whole path in the ZIP, `/` between folders.")]
    default: bool


class ResolverList(Wire):
    """Every item name resolver."""

    items: list[Resolver]
    total_items: int
    self: Link


class EntityList(Wire):
    """A page of the assets that the caller may have."""

    items: list["Entity"]
    total_items: int
    returned_items: int
    offset: int
    next: Link | None
    previous: Link | None
    identifier: str
    self: Link


class Selection(Wire):
    """The assets that a caller has picked, under one definition of a pool."""

    selection_pool: str
    definition_name: str
    sub_pool_id: int | None
    total_items: int
    items: list[int]
    self: Link


class SelectionList(Wire):
    """The selections of a pool; `items` of each is empty."""

    items: list[Selection]


class Selected(Wire):
    """How many ids a selection has after a change."""

    selection_pool: str
    definition_name: str
    sub_pool_id: int | None
    total_items: int


class ApiRoot(Wire):
    """Where the resources are (GET /api)."""

    file_version: str
    product_version: str
    minimum_sdk_version: str
    routes: dict[str, Link]


class Message(Wire, rename="pascal"):
    """The body of every error that is not a 400."""

    message: str
