"""POST /oauth/revoke (RFC 7009) and POST /oauth/introspect (RFC 7662)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, OAuth2Error
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Schema

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    find_family,
    load_user,
    principal_of,
    revoke_access_token,
    revoke_family,
    verify_token,
)
from entrepot.db import Tx
from entrepot.errors import Unauthenticated
from entrepot.web.http.edge import Edge
from entrepot.web.oauth._clients import AUTH_METHODS, SECRET_METHODS, Client
from entrepot.web.oauth._scopes import open_to
from entrepot.web.oauth._server import Answer, Asked, HubRequest, HubServer, WrongSecret
from entrepot.web.oauth._token import FAULTS, answer_program, asked_by, form_body
from entrepot.web.oauth._wire import Fault, Introspection, Nothing

_TEXT = Schema(type=OpenAPIType.STRING)
_FORM = {
    "token": Schema(type=OpenAPIType.STRING, description="An access token or a refresh token."),
    "token_type_hint": Schema(type=OpenAPIType.STRING, description="Not needed, not believed."),
    "client_id": _TEXT,
    "client_secret": _TEXT,
}
_INACTIVE = {"active": False}


@dataclass
class _TokenFormOperation(Operation):
    def __post_init__(self) -> None:
        self.request_body = form_body(_FORM, required=["token"])


def endpoint_routes(edge: Edge) -> list[HTTPRouteHandler]:
    """Revocation and introspection."""
    faults = {
        status: ResponseSpec(Fault, generate_examples=False, description=text)
        for status, text in FAULTS.items()
    }

    @post(
        "/oauth/revoke",
        operation_id="revokeToken",
        operation_class=_TokenFormOperation,
        summary="End a token before its time (RFC 7009)",
        description="A refresh token ends all that came of the same sign-in; 200 if none is known.",
        tags=["oauth"],
        security=[{}],
        status_code=200,
        responses={
            200: ResponseSpec(Nothing, generate_examples=False, description="It holds no more.")
        }
        | faults,
    )
    async def revoke_token(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = await asked_by(edge, request)
        answer = await edge.write(lambda tx: _revoke(tx, edge.hub, asked))
        return answer_program(answer, Nothing)

    @post(
        "/oauth/introspect",
        operation_id="introspectToken",
        operation_class=_TokenFormOperation,
        summary="What a token is good for now (RFC 7662)",
        description="For clients with a secret. Of a refresh token only its own client hears.",
        tags=["oauth"],
        security=[{}],
        status_code=200,
        responses={
            200: ResponseSpec(
                Introspection, generate_examples=False, description="The token, or that it is none."
            )
        }
        | faults,
    )
    async def introspect_token(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = await asked_by(edge, request)
        try:
            # It comes with every request to somebody's API: it must not wait for who writes.
            answer = await edge.glance(lambda tx: introspect(tx, edge.hub, asked, reading=True))
        except WrongSecret:
            answer = await edge.write(lambda tx: introspect(tx, edge.hub, asked))
        return answer_program(answer, Introspection)

    return [revoke_token, introspect_token]


def _begin(
    server: HubServer, asked: Asked, methods: Sequence[str], endpoint: str
) -> tuple[Client, str]:
    """The client and the token that it sends."""
    request = HubRequest(asked)
    client = server.authenticate_client(request, methods, endpoint)
    token = request.form.get("token")
    if token is None:
        raise InvalidRequestError("The parameter token is missing.")
    return client, token


def _revoke(tx: Tx, hub: Hub, asked: Asked) -> Answer:
    server, now = HubServer(tx, hub, asked), hub.now()
    try:
        client, token = _begin(server, asked, AUTH_METHODS, "revocation")
        # Whoever signs out with a token that was exchanged meanwhile wants no part of it to live.
        family = _family(tx, token, now, used=True)
        if family is not None:
            _require_own(family.api_client_id == client.row.id)
            revoke_family(tx, family.family_id, why="asked", now=now)
        elif claims := _claims(hub, token):
            _require_own(claims.get("client_id") == client.client_id)
            expires_at = datetime.fromtimestamp(int(claims["exp"]) + 1, UTC)
            actor = f"client:{client.client_id}"
            revoke_access_token(tx, claims["jti"], expires_at=expires_at, actor=actor, now=now)
    except OAuth2Error as error:
        return server.handle_error_response(HubRequest(asked), error)
    return Answer(200, {})


def _require_own(own: bool) -> None:
    """RFC 7009 section 2.1: a token of another client is refused, not revoked."""
    if not own:
        raise InvalidGrantError("The token was issued to another client.")


def introspect(tx: Tx, hub: Hub, asked: Asked, *, reading: bool = False) -> Answer:
    """What the token is good for. `reading`: WrongSecret is raised where one is to be counted."""
    server, now = HubServer(tx, hub, asked, reading=reading), hub.now()
    try:
        client, token = _begin(server, asked, SECRET_METHODS, "introspection")
    except OAuth2Error as error:
        return server.handle_error_response(HubRequest(asked), error)
    family = _family(tx, token, now)
    if family is not None:
        own = family.api_client_id == client.row.id
        return Answer(200, _told_of_refresh(tx, hub, client, family) if own else _INACTIVE)
    claims = _claims(hub, token)
    try:
        who = principal_of(tx, claims) if claims else None
    except Unauthenticated:
        who = None
    if who is None or claims is None:
        return Answer(200, _INACTIVE)
    names = ("client_id", "exp", "iat", "sub", "aud", "iss", "jti")
    told = {name: claims[name] for name in names if name in claims}
    held = [name for name in str(claims["scope"]).split() if name in who.scopes]
    # What a person's roles do not open any more is told to nobody as theirs.
    scope = " ".join(held if who.kind == "client" else open_to(who, held))
    more = {"active": True, "scope": scope, "token_type": "Bearer", "username": who.email}
    return Answer(200, told | more)


def _family(tx: Tx, token: str, now: datetime, *, used: bool = False) -> Any:
    """The living family of a refresh token, which has no dots; else None."""
    return None if "." in token else find_family(tx, token, used=used, now=now)


def _told_of_refresh(tx: Tx, hub: Hub, client: Client, family: Any) -> dict[str, Any]:
    try:
        who = load_user(tx, family.user_id)
    except Unauthenticated:
        return _INACTIVE
    return {
        "active": True,
        "scope": " ".join(open_to(who, family.scopes)),
        "client_id": client.client_id,
        "username": who.email,
        "exp": int(family.expires_at.timestamp()),
        "iat": int(family.created_at.timestamp()),
        "sub": str(who.id),
        "iss": hub.policy.public_url,
    }


def _claims(hub: Hub, token: str) -> dict[str, Any] | None:
    """What an access token of this hub says that holds by its signature; else None."""
    issuer, now = hub.policy.public_url, hub.now()
    try:
        claims = verify_token(hub.keys.current, token, issuer=issuer, now=now)
        if claims is None:  # perhaps by a key that this process has not seen yet
            refreshed = hub.keys.refresh_for_unknown()
            claims = verify_token(refreshed, token, issuer=issuer, now=now)
    except Unauthenticated:
        return None
    return claims
