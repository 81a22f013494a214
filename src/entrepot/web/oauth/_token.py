"""POST /oauth/token, and its aliases of the contract."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from entrepot.core.accounts import MSAL_CLIENT_ID, PASSWORD, Proven, prove_password
from entrepot.errors import Unauthenticated
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.http.forms import MEDIA_TYPE, read_form
from entrepot.web.oauth._errors import NO_STORE, answer_fault
from entrepot.web.oauth._grants import GRANT_TYPES
from entrepot.web.oauth._server import TOKEN_PATHS, Answer, Asked, answer_token_request
from entrepot.web.oauth._wire import Fault, TokenAnswer

CHECKS_AT_ONCE = 1  # of passwords, as on the sign-in page: each costs 64 MiB and a core
FAULTS = {
    400: "The request is wrong, or asks for what this client may not have.",
    401: "The client id or the secret is wrong.",
    408: "The form did not come in time.",
    413: "The body is too large.",
    429: "Too many wrong secrets.",
    503: "Not now.",
}
_FORM = {
    "grant_type": Schema(type=OpenAPIType.STRING, enum=[*GRANT_TYPES, PASSWORD]),
    "scope": Schema(type=OpenAPIType.STRING, description="Left out: all scopes of the client."),
    "client_id": Schema(type=OpenAPIType.STRING),
    "client_secret": Schema(type=OpenAPIType.STRING),
    "code": Schema(type=OpenAPIType.STRING, description="Of the authorization endpoint."),
    "redirect_uri": Schema(type=OpenAPIType.STRING, description="As it was at that endpoint."),
    "code_verifier": Schema(type=OpenAPIType.STRING, description="PKCE (RFC 7636), S256."),
    "refresh_token": Schema(type=OpenAPIType.STRING, description="Good once."),
    "device_code": Schema(type=OpenAPIType.STRING, description="Of the device endpoint."),
    "assertion": Schema(
        type=OpenAPIType.STRING, description="A JWT, HS256 by the client's secret (RFC 7523)."
    ),
    "username": Schema(type=OpenAPIType.STRING, description="Only where the hub takes passwords."),
    "password": Schema(type=OpenAPIType.STRING, description="Only where the hub takes passwords."),
}


@dataclass
class _TokenOperation(Operation):
    """The token endpoint reads its form by itself, so Litestar cannot tell its shape."""

    def __post_init__(self) -> None:
        self.request_body = form_body(_FORM, required=["grant_type"])


def form_body(fields: dict[str, Schema], *, required: list[str]) -> RequestBody:
    """A form in the API document."""
    schema = Schema(type=OpenAPIType.OBJECT, properties=dict(fields), required=required)
    return RequestBody(content={MEDIA_TYPE: OpenAPIMediaType(schema=schema)}, required=True)


def token_routes(edge: Edge) -> list[HTTPRouteHandler]:
    """The token endpoint at its address and at those of the contract."""

    line = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = await asked_by(edge, request)
        if _has_password(edge, asked):
            async with line:
                asked = replace(asked, person=await edge.run(lambda: _person(edge, asked)))
        result = await edge.write(lambda tx: answer_token_request(tx, edge.hub, asked))
        return answer_program(result, TokenAnswer)

    @post(
        "/oauth/token",
        operation_id="requestToken",
        operation_class=_TokenOperation,
        summary="Get an access token",
        description="RFC 6749; a secret by Basic or in the form, a public client by its id.",
        tags=["oauth"],
        security=[{}],
        status_code=200,
        responses={
            200: ResponseSpec(TokenAnswer, generate_examples=False, description="An access token.")
        }
        | {
            status: ResponseSpec(Fault, generate_examples=False, description=text)
            for status, text in FAULTS.items()
        },
    )
    async def request_token(request: Request[Any, Any, Any]) -> Response[Any]:
        return await answer(request)

    @post(list(TOKEN_PATHS[1:]), include_in_schema=False, status_code=200)
    async def request_token_alias(request: Request[Any, Any, Any]) -> Response[Any]:
        return await answer(request)

    return [request_token, request_token_alias]


async def asked_by(edge: Edge, request: Request[Any, Any, Any]) -> Asked:
    """What a program posts, and when it came in."""
    at = edge.hub.now()
    return Asked(
        form=await read_form(request),
        authorization=request.headers.get("authorization", ""),
        address=caller_of(request.scope, edge.hub.policy).address,
        at=at,
    )


def answer_program(answer: Answer, shape: type[msgspec.Struct]) -> Response[Any]:
    """An answer as JSON of `shape`, or as a fault; nobody may store either."""
    if answer.status != 200:
        return answer_fault(answer.status, Fault(**answer.body))
    return Response(shape(**answer.body), status_code=200, headers=NO_STORE)


def _has_password(edge: Edge, asked: Asked) -> bool:
    """Whether a password has to be checked: only for the one client that may send one."""
    form = asked.form
    return (
        edge.hub.policy.password_grant
        and form.get("grant_type") == PASSWORD
        and form.get("client_id") == MSAL_CLIENT_ID
        and bool(form.get("username"))
    )


def _person(edge: Edge, asked: Asked) -> Proven | None:
    """The person behind user name and password, under the limits of signing in (TooMany)."""
    hub, form = edge.hub, asked.form
    try:
        return prove_password(
            hub.database,
            email=form["username"],
            password=form.get("password", ""),
            address=asked.address,
            now=hub.now,
        )
    except Unauthenticated:
        return None
