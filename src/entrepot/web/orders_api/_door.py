"""What the operations of this door share: who asks, what with, and how an answer is written."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import Principal, require_scope
from entrepot.db import Tx
from entrepot.errors import Invalid, Unauthenticated
from entrepot.kit.ids import INT64_MAX
from entrepot.web.http.callers import Caller, caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.orders_api._bodies import Bodies
from entrepot.web.orders_api._errors import CACHE_CONTROL, MEDIA_TYPE
from entrepot.web.orders_api._hrefs import Hrefs
from entrepot.web.orders_api._wire import Wire

SCOPE = "orders"
PAGE_SIZE = 25
PAGE_SIZE_MAX = 100
_PARAMETERS_MAX = 20
_CLIENT_HEADERS = ("x-client-id", "client_id")

AnyRequest: TypeAlias = Request[Any, Any, Any]
T = TypeVar("T")
encode = msgspec.json.Encoder().encode


class Door:
    """One per process."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.hub = edge.hub
        self.policy = edge.hub.policy
        self.hrefs = Hrefs(self.policy.public_url)
        self._bodies = Bodies(edge)

    async def enter(self, request: AnyRequest) -> tuple[Principal, dict[str, str]]:
        """The caller, who may use this API, and the query's parameters."""
        caller = caller_of(request.scope, self.policy)
        who = await self.edge.authenticate(caller)
        require_scope(who, SCOPE)
        _check_client(caller)
        return who, _parameters(request.scope["query_string"])

    async def show(self, verb: Callable[[Tx], Wire]) -> ASGIResponse:
        """The answer with what a verb reads, encoded on its thread: a list may be long."""
        return answer(await self.edge.read(lambda tx: encode(verb(tx))))

    async def body(self, request: AnyRequest, parse: Callable[[Any], T]) -> T:
        """What `parse` makes of the JSON in the body, whatever media type it says.

        A large body is decoded and taken apart away from the event loop, few at a time. Whoever
        sent it must be let in after it has come as well.
        """
        parsed = await self._bodies.read(request, parse)
        await self.edge.authenticate(caller_of(request.scope, self.policy))
        return parsed


def answer(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> ASGIResponse:
    """A JSON answer, for the caller alone."""
    return ASGIResponse(
        body=body,
        status_code=status,
        headers={"cache-control": CACHE_CONTROL, "vary": "authorization", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def _check_client(caller: Caller) -> None:
    """A client id that is sent must be the token's (contract, "Rules [ours]")."""
    told = {caller.headers.get(name) for name in _CLIENT_HEADERS} - {None, ""}
    if told and told != {_token_client(caller.bearer_token() or "")}:
        raise Unauthenticated(
            "The access token was not issued to this client.",
            code="client-mismatch",
            remedy="Leave X-Client-Id out, or send the client id that the token was made for.",
        )


def _token_client(token: str) -> str | None:
    """The claim `client_id` of a token that has been verified."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return None
    told = claims.get("client_id") if isinstance(claims, dict) else None
    return told if isinstance(told, str) else None


def _parameters(query: bytes) -> dict[str, str]:
    """The query's parameters by their names in lower case; the last of a name counts."""
    try:
        pairs = parse_qsl(
            query.decode(), keep_blank_values=True, max_num_fields=_PARAMETERS_MAX, errors="strict"
        )
    except ValueError as error:
        raise Invalid("The query cannot be read.", field="query") from error
    return {name.lower(): value for name, value in pairs}


def skip_and_take(parameters: Mapping[str, str]) -> tuple[int, int]:
    """`skip` from 0 and `take` from 1 to 100; Invalid names the one at fault."""
    skip = whole_number(parameters, "skip", 0, INT64_MAX, otherwise=0)
    return skip, whole_number(parameters, "take", 1, PAGE_SIZE_MAX, otherwise=PAGE_SIZE)


def whole_number(
    parameters: Mapping[str, str], name: str, least: int, most: int, *, otherwise: int
) -> int:
    """A parameter as a number."""
    text = parameters.get(name.lower(), "")
    if not text:
        return otherwise
    if text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most:
        return int(text)
    raise Invalid(f"{name} must be a whole number from {least} to {most}.", field=name)
