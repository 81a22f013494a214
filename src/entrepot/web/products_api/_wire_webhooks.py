"""On the wire: webhooks (contract, "Webhooks")."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from entrepot.web.products_api._wire import Wire, moment


class WebhookItem(Wire):
    """A subscription. `secret` is there in the answer that made it, and null ever after."""

    id: int
    url: str
    events: Annotated[
        Sequence[str], Meta(description="Types (order/completed), nouns (product/*), or *.")
    ]
    description: str
    secret: str | None
    disabled_on: str | None
    disabled_why: str | None
    created_on: str
    modified_on: str


class WebhookList(Wire):
    """The webhooks of the caller's organisation, by number."""

    status: int
    data: Sequence[WebhookItem]
    success: Literal[True] = True


class OneWebhook(Wire):
    """One webhook; `status` repeats that of the answer."""

    status: int
    data: WebhookItem
    success: Literal[True] = True


def webhook_item(row: Any, secret: str | None = None) -> WebhookItem:
    """A row as it goes out."""
    return WebhookItem(
        row.id,
        row.url,
        row.events,
        row.description,
        secret,
        row.disabled_at and moment(row.disabled_at),
        row.disabled_why,
        moment(row.created_at),
        moment(row.changed_at),
    )
