"""GET and POST /oauth/userinfo: who an access token is of (OpenID Connect Core 1.0, 5.3)."""

from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from entrepot.core.accounts import Principal, person_claims, require_scope
from entrepot.errors import Denied, EntrepotError, Unauthenticated
from entrepot.web.http.callers import caller_of
from entrepot.web.http.denials import note_error
from entrepot.web.http.edge import Edge
from entrepot.web.http.errors import explain, headers_of, status_of
from entrepot.web.oauth._errors import NO_STORE, printable
from entrepot.web.oauth._wire import Fault, UserInfo


def userinfo_routes(edge: Edge) -> list[HTTPRouteHandler]:
    """The endpoint."""

    @route(
        "/oauth/userinfo",
        http_method=[HttpMethod.GET, HttpMethod.POST],
        operation_id=_userinfo_operation,
        summary="Who the access token is of (OpenID Connect Core 1.0, 5.3)",
        tags=["oauth"],
        security=[{"bearer": []}],
        status_code=200,
        responses={
            200: ResponseSpec(UserInfo, generate_examples=False, description="The person."),
            401: ResponseSpec(
                Fault,
                generate_examples=False,
                description="No access token, or one that does not hold.",
            ),
            403: ResponseSpec(
                Fault,
                generate_examples=False,
                description="The token is a machine's, or lacks openid.",
            ),
            429: ResponseSpec(Fault, generate_examples=False, description="Too many requests."),
        },
    )
    async def show_userinfo(request: Request[Any, Any, Any]) -> Response[Any]:
        try:
            who = await edge.authenticate(caller_of(request.scope, edge.hub.policy))
            number = _person_of(who)
            claims = await edge.read(lambda tx: person_claims(tx, number, who.scopes))
        except Denied as error:
            return _refuse_bearer(error)
        return Response(UserInfo(**claims), status_code=200, headers=NO_STORE)

    return [show_userinfo]


def _person_of(who: Principal) -> int:
    require_scope(who, "openid")
    if who.user_id is None:
        raise Denied("The token is a machine's.", code="person-required")
    return who.user_id


def _userinfo_operation(_handler: object, method: Any, _path: object) -> str:
    return "showUserInfo" if str(method).upper().endswith("GET") else "showUserInfoByPost"


def _refuse_bearer(error: EntrepotError) -> Response[Any]:
    """RFC 6750 section 3.1."""
    note_error(error)
    headers = NO_STORE | headers_of(error)
    name = "invalid_token"
    if not isinstance(error, Unauthenticated):
        name = "insufficient_scope"
        headers["www-authenticate"] = 'Bearer error="insufficient_scope", scope="openid"'
    fault = Fault(name, printable(explain(error)))
    return Response(fault, status_code=status_of(error), headers=headers)
