"""What the endpoints share: their paths, who asks, and how the answer is written."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import Principal, require_scope
from entrepot.db import Tx
from entrepot.errors import Denied
from entrepot.web.entitlement_api._errors import CACHE_CONTROL, AnyRequest, licence_required
from entrepot.web.entitlement_api._query import check_names, parse_parameters
from entrepot.web.entitlement_api._wire import Wire, Writer
from entrepot.web.http.callers import Caller, caller_of
from entrepot.web.http.edge import Edge

SCOPE = "entitlements"
LISTING = ("offset", "limit", "search")

RELEASES_PATH = "/{entitlement_id:str}/rights/download/releases"
RELEASE_PATH = RELEASES_PATH + "/{release_id:str}"
ARTIFACT_PATH = RELEASE_PATH + "/artifact/{artifact_id:str}"

OfEntitlement: TypeAlias = Annotated[
    str, PathParameter(description="Number of an entitlement, or of a group's child.")
]
OfRelease: TypeAlias = Annotated[str, PathParameter(description="UUID of a release.")]
OfArtifact: TypeAlias = Annotated[str, PathParameter(description="UUID of an artifact in it.")]
T = TypeVar("T")

encode = msgspec.json.Encoder().encode
HEADERS = [("cache-control", CACHE_CONTROL)]


class Door:
    """What the endpoints share: who asks, what with, and how the answer is written."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.policy = edge.hub.policy
        self.writer = Writer(self.policy.public_url)

    async def enter(
        self, request: AnyRequest, known: Sequence[str] = LISTING
    ) -> tuple[Principal, Caller, dict[str, str]]:
        """The caller, who may use this API, and the query's parameters, all of them `known`."""
        scope = request.scope
        caller = caller_of(scope, self.policy)
        who = await self.edge.authenticate(caller)
        require_scope(who, SCOPE)
        parameters = parse_parameters(scope["query_string"])
        check_names(parameters, known)
        return who, caller, parameters

    async def read(self, verb: Callable[[Tx], Wire]) -> bytes:
        """Run a verb that reads, and encode on its thread: a list may be long."""
        return await self.edge.read(lambda tx: encode(verb(tx)))

    async def show(self, verb: Callable[[Tx], Wire]) -> ASGIResponse:
        """The answer with what a verb reads."""
        return answer_json(await self.read(verb))

    async def decide(self, number: str, decision: Awaitable[T]) -> T:
        """Await a decision on an artifact; where a licence is missing, say where to accept it."""
        try:
            return await decision
        except Denied as error:
            if error.code != "licence-required":
                raise
            raise licence_required(error, self.policy.public_url, number) from error


def answer_json(body: bytes) -> ASGIResponse:
    """The answer with an encoded object."""
    return ASGIResponse(body=body, headers=HEADERS, media_type="application/json")
