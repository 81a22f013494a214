"""POST /oauth/token, the key set, and the metadata."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.params import FromPath

from entrepot.assembly import Hub, Policy
from entrepot.core.accounts import SCOPES
from entrepot.errors import EntrepotError, NotFound
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.http.forms import MEDIA_TYPE, read_form
from entrepot.web.oauth._clients import AUTH_METHODS
from entrepot.web.oauth._errors import NO_STORE, answer_error, answer_fault, answer_http_error
from entrepot.web.oauth._grants import GRANTS
from entrepot.web.oauth._server import Asked, answer_token_request
from entrepot.web.oauth._wire import Fault, KeySet, Metadata, TokenAnswer

KEYS_SECONDS = 300  # a new key signs no earlier than this after it is published
_METADATA = "/.well-known/oauth-authorization-server"
_KEYS = CacheControlHeader(public=True, max_age=KEYS_SECONDS)
_FORM = {
    "grant_type": Schema(type=OpenAPIType.STRING, enum=[grant.GRANT_TYPE for grant in GRANTS]),
    "scope": Schema(type=OpenAPIType.STRING, description="Left out: all scopes of the client."),
    "client_id": Schema(type=OpenAPIType.STRING),
    "client_secret": Schema(type=OpenAPIType.STRING),
}
_FAULTS = {
    400: "The request is wrong, or asks for what this client may not have.",
    401: "The client id or the secret is wrong.",
    413: "The body is too large.",
    429: "Too many wrong secrets.",
    503: "Not now.",
}


@dataclass
class _TokenOperation(Operation):
    """The token endpoint reads its form by itself, so Litestar cannot tell its shape."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.OBJECT, properties=dict(_FORM), required=["grant_type"])
        self.request_body = RequestBody(
            content={MEDIA_TYPE: OpenAPIMediaType(schema=schema)}, required=True
        )


def create_router(edge: Edge) -> Router:
    """The door's routes."""
    return Router(
        path="/",
        route_handlers=[_token_route(edge), *_key_routes(edge.hub), *_metadata_routes(edge.hub)],
        exception_handlers={EntrepotError: answer_error, HTTPException: answer_http_error},
    )


def _token_route(edge: Edge) -> HTTPRouteHandler:
    hub = edge.hub

    @post(
        "/oauth/token",
        operation_id="requestToken",
        operation_class=_TokenOperation,
        summary="Get an access token",
        description="Client credentials (RFC 6749, 4.4); the secret by Basic or in the form.",
        tags=["oauth"],
        security=[{}],
        status_code=200,
        responses={200: ResponseSpec(TokenAnswer, description="An access token.")}
        | {status: ResponseSpec(Fault, description=text) for status, text in _FAULTS.items()},
    )
    async def request_token(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = Asked(
            form=await read_form(request),
            authorization=request.headers.get("authorization", ""),
            address=caller_of(request.scope, hub.policy).address,
        )
        answer = await edge.write(lambda tx: answer_token_request(tx, hub, asked))
        if answer.status != 200:
            return answer_fault(answer.status, Fault(**answer.body))
        return Response(TokenAnswer(**answer.body), status_code=200, headers=NO_STORE)

    return request_token


def _key_routes(hub: Hub) -> list[HTTPRouteHandler]:
    def key_set() -> KeySet:
        return msgspec.convert(hub.keys.current.jwks(), KeySet)

    @get(
        "/.well-known/jwks.json",
        operation_id="listKeys",
        summary="The public keys that access tokens are signed with",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def list_keys() -> KeySet:
        return key_set()

    @get(
        "/keys",
        operation_id="listKeysAlias",
        summary="The same keys, where some clients look for them",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def list_keys_alias() -> KeySet:
        return key_set()

    return [list_keys, list_keys_alias]


def _metadata_routes(hub: Hub) -> list[HTTPRouteHandler]:
    @get(
        _METADATA,
        operation_id="describeAuthorizationServer",
        summary="What this authorization server can do (RFC 8414)",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def describe() -> Metadata:
        return _metadata(hub.policy)

    # RFC 8414 section 3.1 puts the path of an issuer that has one behind the well-known name.
    @get(f"{_METADATA}/{{rest:path}}", include_in_schema=False, cache_control=_KEYS)
    async def describe_below(rest: FromPath[str]) -> Metadata:
        if rest != hub.policy.path_prefix:
            raise NotFound
        return _metadata(hub.policy)

    return [describe, describe_below]


def _metadata(policy: Policy) -> Metadata:
    url = policy.public_url
    return Metadata(
        issuer=url,
        token_endpoint=f"{url}/oauth/token",
        jwks_uri=f"{url}/.well-known/jwks.json",
        scopes_supported=list(SCOPES),
        response_types_supported=[],
        grant_types_supported=[grant.GRANT_TYPE for grant in GRANTS],
        token_endpoint_auth_methods_supported=list(AUTH_METHODS),
    )
