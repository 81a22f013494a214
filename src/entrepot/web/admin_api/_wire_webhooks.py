"""On the wire: webhooks and their deliveries."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from entrepot.kit.text import LINE_LENGTH_MAX
from entrepot.web.admin_api._wire import Incoming, Moment, Owner, Wire

Patterns: TypeAlias = Annotated[
    list[str],
    Meta(
        description="Types (order/completed), all of a noun (product/*), or *.",
        min_length=1,
        max_length=32,
        examples=[["product/*", "order/completed"]],
    ),
]
Url: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=2048, examples=["https://shop.example.com/hooks"])
]
Description: TypeAlias = Annotated[str, Meta(max_length=LINE_LENGTH_MAX)]


class NewWebhook(Incoming):
    """A subscription; without `organisation` it is the caller's.

    `everything`: to events of every organisation and of the catalogue, else of its own alone.
    """

    url: Url
    events: Patterns
    description: Description = ""
    organisation: Owner | None = None
    everything: bool = True


class WebhookChange(Incoming):
    """What is to change; what is left out stays."""

    url: Url | None = None
    events: Patterns | None = None
    description: Description | None = None


class WebhookItem(Wire):
    """A subscription. `failing_since`: no attempt has succeeded since then."""

    id: int
    organisation_id: int
    organisation_name: str
    everything: bool
    url: str
    events: Sequence[str]
    description: str
    created_by: str
    created_at: Moment
    changed_at: Moment
    former_until: Annotated[
        Moment | None, Meta(description="Until then the former secret signs as well.")
    ]
    failing_since: Moment | None
    disabled_at: Moment | None
    disabled_why: str | None


class WebhookPage(Wire):
    """Webhooks by number."""

    total: int
    items: Sequence[WebhookItem]


class WebhookSecret(Wire):
    """The secret that signs, shown this once."""

    id: int
    secret: str


class DeliveryItem(Wire):
    """An event on its way to one receiver; `id` is what the receiver knows it by."""

    id: str
    webhook_id: int
    event_id: int
    type: str
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    due_at: Moment | None
    created_at: Moment
    ended_at: Moment | None


class DeliveryPage(Wire):
    """Deliveries, newest first."""

    total: int
    items: Sequence[DeliveryItem]


class AttemptItem(Wire):
    """One attempt; `status` is null where there was no answer, `reason` says why."""

    at: Moment
    milliseconds: int
    status: int | None
    reason: str


class DeliveryDetails(DeliveryItem):
    """A delivery with what is sent, and every attempt at it."""

    body: str
    log: Sequence[AttemptItem]
