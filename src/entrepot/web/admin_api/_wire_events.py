"""On the wire: the log of events."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from entrepot.web.admin_api._wire import Moment, Wire


class EventItem(Wire):
    """One thing that happened, or that was refused: then `reason` is a code of the catalogue."""

    id: int
    at: Moment
    type: Annotated[str, Meta(examples=["order.completed"])]
    actor: Annotated[
        str,
        Meta(description="user:<number>, client:<client id>, operator (on the server), system."),
    ]
    organisation_id: int | None
    subject: Annotated[str, Meta(examples=["order:7001"])]
    request_id: str | None
    reason: str | None
    data: dict[str, Any]


class EventPage(Wire):
    """Events; `next` is the cursor for the page that follows, null at the end."""

    items: Sequence[EventItem]
    next: int | None
