"""The door's routes: one for each action, and the one that takes files in."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import HttpMethod, Router, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import AnyCallable

from entrepot.core.accounts import Principal, require_role
from entrepot.db import Tx
from entrepot.errors import EntrepotError
from entrepot.web.admin_api._actions import Allowed, AnyAction, Call, Outcome
from entrepot.web.admin_api._asset_uploads import (
    ASSET_UPLOAD,
    FILE_UPLOAD,
    asset_upload,
    file_upload,
)
from entrepot.web.admin_api._assets import ASSET_ACTIONS
from entrepot.web.admin_api._bodies import decode
from entrepot.web.admin_api._clients import client_actions
from entrepot.web.admin_api._downloads import DOWNLOAD_ACTIONS
from entrepot.web.admin_api._entitlements import ENTITLEMENT_ACTIONS
from entrepot.web.admin_api._errors import AnyRequest, answer_error
from entrepot.web.admin_api._events import EVENTS, PAGES, parse_events, stream_events
from entrepot.web.admin_api._keys import key_actions
from entrepot.web.admin_api._licences import LICENCE_ACTIONS
from entrepot.web.admin_api._operations import operation_class, responses
from entrepot.web.admin_api._organisations import ORGANISATION_ACTIONS
from entrepot.web.admin_api._personal_tokens import PERSONAL_TOKEN_ACTIONS
from entrepot.web.admin_api._products import PRODUCT_ACTIONS
from entrepot.web.admin_api._query import Slice, parse_parameters, parse_slice
from entrepot.web.admin_api._releases import release_actions
from entrepot.web.admin_api._uploads import (
    UPLOAD,
    UPLOAD_BODY,
    Upload,
    Uploads,
    artifact_upload,
)
from entrepot.web.admin_api._users import USER_ACTIONS
from entrepot.web.admin_api._webhooks import webhook_actions
from entrepot.web.admin_api._wire import PATH
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.http.problems import answer_http_error
from entrepot.web.http.receiving import receive_body
from entrepot.web.http.routing import DoorRouter

_CACHE_CONTROL = "private, no-store"
_encode = msgspec.json.Encoder().encode


class _Door:
    """What the operations share: who asks, what with, and how the answer is written."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.hub = edge.hub
        self.policy = edge.hub.policy

    async def enter(self, request: AnyRequest, allowed: Allowed) -> Principal:
        """The caller, who has the role and the scope."""
        who = await self.edge.authenticate(caller_of(request.scope, self.policy))
        require_role(who, *allowed.roles, scope=allowed.scope)
        return who

    def query_of(self, request: AnyRequest, action: AnyAction) -> dict[str, str]:
        """The query's parameters, each known to the action."""
        known = [*(("skip", "take") if action.paged else ()), *(p.name for p in action.filters)]
        return parse_parameters(request.scope["query_string"], known)

    def answer(self, status: int, outcome: Outcome, body: bytes) -> ASGIResponse:
        """The response; its Location is an absolute URL."""
        headers = [("cache-control", _CACHE_CONTROL)]
        if outcome.location:
            headers.append(("location", f"{self.policy.public_url}{PATH}{outcome.location}"))
        return ASGIResponse(
            status_code=status, body=body, headers=headers, media_type="application/json"
        )


def _handler(door: _Door, action: AnyAction) -> HTTPRouteHandler:
    decoder = msgspec.json.Decoder(action.body) if action.body else None
    edge = door.edge
    transaction = edge.read if action.method == "GET" else edge.write
    described = operation_class(action, take_max=door.policy.page_size_max)
    limit = {"request_max_body_size": action.body_bytes_max} if action.body_bytes_max else {}

    async def body_of(request: AnyRequest) -> Any:
        if decoder is None:
            return None
        sent = await receive_body(request)
        body = decode(sent if sent or action.body_required else b"{}", decoder)
        beforehand = action.beforehand
        return body if beforehand is None else await edge.run(lambda: beforehand(body))

    @_routed(action, operation_class=described, **limit)
    async def handler(request: AnyRequest) -> ASGIResponse:
        who = await door.enter(request, action.allowed)
        query = door.query_of(request, action)
        rows = parse_slice(query, take_max=door.policy.page_size_max)
        body = await body_of(request)
        if decoder is not None:  # which may have taken its time
            who = await door.enter(request, action.allowed)
        call: Call[Any] = Call(who, door.hub.now(), request.path_params, query, rows, body)

        def run(tx: Tx) -> tuple[Outcome, bytes]:
            outcome = action.verb(tx, call)
            return outcome, b"" if outcome.item is None else _encode(outcome.item)

        outcome, encoded = await transaction(run)
        if outcome.afterwards is not None:
            await edge.run(outcome.afterwards)
        return door.answer(action.status, outcome, encoded)

    return handler


def _events_handler(door: _Door) -> HTTPRouteHandler:
    edge = door.edge

    @_routed(EVENTS, operation_class=operation_class(EVENTS, take_max=1))
    async def handler(request: AnyRequest) -> ASGIResponse:
        who = await door.enter(request, EVENTS.allowed)
        query = door.query_of(request, EVENTS)
        call: Call[Any] = Call(who, door.hub.now(), {}, query, Slice(0, 1), None)
        if query.get("format", PAGES) != PAGES:
            asked = await edge.read(lambda tx: parse_events(tx, call))
            return stream_events(edge, asked).to_asgi_response(None, request)

        def run(tx: Tx) -> tuple[Outcome, bytes]:
            outcome = EVENTS.verb(tx, call)
            return outcome, _encode(outcome.item)

        return door.answer(EVENTS.status, *await edge.read(run))

    return handler


_MakeUpload = Callable[[AnyRequest, Principal, Mapping[str, str]], Upload]


def _upload_handler(
    door: _Door, uploads: Uploads, action: AnyAction, upload_of: _MakeUpload
) -> HTTPRouteHandler:
    described, edge = operation_class(action, take_max=1, body=UPLOAD_BODY), door.edge

    # The limit on bodies is for those that are held in memory.
    @_routed(action, 408, 413, operation_class=described, request_max_body_size=None)
    async def handler(request: AnyRequest) -> ASGIResponse:
        who = await door.enter(request, action.allowed)
        query = door.query_of(request, action)
        caller, began = caller_of(request.scope, door.policy), door.hub.now()

        def still() -> None:
            found = edge.look_again(caller, began)
            require_role(found, *action.allowed.roles, scope=action.allowed.scope)

        outcome = await uploads.take_in(request, upload_of(request, who, query), still)
        return door.answer(action.status, outcome, _encode(outcome.item))

    return handler


def _routed(
    action: AnyAction, *more_refusals: int, **options: Any
) -> Callable[[AnyCallable], HTTPRouteHandler]:
    return route(
        action.path,
        http_method=HttpMethod(action.method),
        status_code=200,
        operation_id=action.operation_id,
        summary=action.summary,
        description=action.description or None,
        tags=[action.tag],
        responses=responses(action, *more_refusals),
        **options,
    )


def create_router(edge: Edge) -> Router:
    """The door, under /api/admin/v1."""
    door = _Door(edge)
    actions = [
        *PRODUCT_ACTIONS,
        *LICENCE_ACTIONS,
        *release_actions(edge.hub),
        *ASSET_ACTIONS,
        *ENTITLEMENT_ACTIONS,
        *DOWNLOAD_ACTIONS,
        *ORGANISATION_ACTIONS,
        *USER_ACTIONS,
        *PERSONAL_TOKEN_ACTIONS,
        *client_actions(edge.hub),
        *key_actions(edge.hub),
        *webhook_actions(edge.hub),
    ]
    uploads = Uploads(edge)
    taking_in: list[tuple[AnyAction, _MakeUpload]] = [
        (UPLOAD, artifact_upload),
        (ASSET_UPLOAD, asset_upload),
        (FILE_UPLOAD, file_upload),
    ]
    return DoorRouter(
        path=PATH,
        route_handlers=[
            *(_handler(door, action) for action in actions),
            _events_handler(door),
            *(_upload_handler(door, uploads, *each) for each in taking_in),
        ],
        exception_handlers={EntrepotError: answer_error, HTTPException: answer_http_error},
        security=[{"bearer": []}],
    )
