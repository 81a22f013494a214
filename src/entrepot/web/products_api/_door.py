"""What the operations of this door share: who asks, for which product, and the answer."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import OPERATOR, PUBLISHER, Principal, require_role, require_scope
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.products_api._bodies import Bodies
from entrepot.web.products_api._errors import MEDIA_TYPE, AnyRequest
from entrepot.web.products_api._intake import Intake
from entrepot.web.products_api._wire import Wire, Writer

SCOPE = "products"
READING_SCOPE = "products.readonly"
CACHE_CONTROL = "private, no-cache"
encode = msgspec.json.Encoder().encode


class Door:
    """One per process."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.hub = edge.hub
        self.policy = edge.hub.policy
        self.writer = Writer(self.policy.public_url)
        self.bodies = Bodies(edge)
        self.intake = Intake(edge)

    async def reader(self, request: AnyRequest) -> Principal:
        """The caller, whose token may read."""
        who = await self.edge.authenticate(caller_of(request.scope, self.policy))
        if SCOPE not in who.scopes:
            require_scope(who, READING_SCOPE)
        return who

    async def publisher(self, request: AnyRequest) -> Principal:
        """The caller, who may change what products show."""
        who = await self.edge.authenticate(caller_of(request.scope, self.policy))
        require_role(who, PUBLISHER, OPERATOR, scope=SCOPE)
        return who

    def still_publisher(self, request: AnyRequest) -> Callable[[], None]:
        """What raises on a worker thread where the caller may not change it any more."""
        caller, began = caller_of(request.scope, self.policy), self.hub.now()

        def check() -> None:
            who = self.edge.look_again(caller, began)
            require_role(who, PUBLISHER, OPERATOR, scope=SCOPE)

        return check

    async def show(self, verb: Callable[[Tx], Wire]) -> ASGIResponse:
        """The answer with what a verb reads, encoded on its thread: a list may be long."""
        return answer(await self.edge.glance(lambda tx: encode(verb(tx))))


def answer(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> ASGIResponse:
    """A JSON answer, for the caller alone."""
    every: dict[str, Any] = {"cache-control": CACHE_CONTROL, "vary": "authorization"}
    return ASGIResponse(
        body=body,
        status_code=status,
        headers=every | dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def number_of(segment: str) -> int:
    """The number in `48646.json`; NotFound where it is none.

    The framework's own typed parameters never match before an ending.
    """
    number = parse_number(segment.removesuffix(".json")) if segment.endswith(".json") else None
    if number is None:
        raise NotFound
    return number
