"""The device flow (RFC 8628): POST /oauth/device_authorization, and the page /device."""

from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error, UnauthorizedClientError
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Schema
from sqlalchemy import Row

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    DEVICE_CODE,
    DEVICE_SECONDS,
    INTERVAL_SECONDS,
    Principal,
    count_device_request,
    count_user_code_guess,
    decide_device,
    find_device,
    find_organisation,
    issue_device,
    read_user_code,
    refuse_user_code_guessing,
)
from entrepot.db import Tx
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.oauth._clients import AUTH_METHODS
from entrepot.web.oauth._scopes import MEANINGS, asked_scopes, open_to
from entrepot.web.oauth._server import Answer, Asked, HubRequest, HubServer
from entrepot.web.oauth._token import FAULTS, answer_program, asked_by, form_body
from entrepot.web.oauth._wire import DeviceAnswer, Fault
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import Person, find_person, read_post, require_session

_PAGE = "/device"
_FORM = {
    "client_id": Schema(type=OpenAPIType.STRING),
    "client_secret": Schema(type=OpenAPIType.STRING, description="Of a client that has one."),
    "scope": Schema(type=OpenAPIType.STRING, description="Left out: all scopes of the client."),
}


@dataclass
class _DeviceOperation(Operation):
    def __post_init__(self) -> None:
        self.request_body = form_body(_FORM, required=["client_id"])


def device_routes(edge: Edge) -> list[HTTPRouteHandler]:
    """The endpoint where a program gets its pair of codes."""

    @post(
        "/oauth/device_authorization",
        operation_id="authorizeDevice",
        operation_class=_DeviceOperation,
        summary="Begin to sign in on a device without a browser (RFC 8628)",
        description="Show the user code and the address; poll the token endpoint meanwhile.",
        tags=["oauth"],
        security=[{}],
        status_code=200,
        responses={
            200: ResponseSpec(DeviceAnswer, generate_examples=False, description="A pair of codes.")
        }
        | {
            status: ResponseSpec(Fault, generate_examples=False, description=text)
            for status, text in FAULTS.items()
        },
    )
    async def authorize_device(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = await asked_by(edge, request)
        answer = await edge.write(lambda tx: _authorize(tx, edge.hub, asked))
        return answer_program(answer, DeviceAnswer)

    return [authorize_device]


def _authorize(tx: Tx, hub: Hub, asked: Asked) -> Answer:
    server, request = HubServer(tx, hub, asked), HubRequest(asked)
    try:
        client = server.authenticate_client(request, AUTH_METHODS, "device_authorization")
        if not client.check_grant_type(DEVICE_CODE):
            raise UnauthorizedClientError("This client is not registered for device codes.")
        scopes = asked_scopes(request.payload.scope, client.row)
    except OAuth2Error as error:
        return server.handle_error_response(request, error)
    count_device_request(tx, address=asked.address, now=hub.now())
    made = issue_device(tx, api_client_id=client.row.id, scopes=scopes, now=hub.now())
    page = f"{hub.policy.public_url}{_PAGE}"
    return Answer(
        200,
        {
            "device_code": made.device_code,
            "user_code": made.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={made.user_code}",
            "expires_in": DEVICE_SECONDS,
            "interval": INTERVAL_SECONDS,
        },
    )


def device_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET and POST /device: a person types the code, sees who asks for what, and decides."""
    hub = edge.hub

    def decide(tx: Tx, person: Person, found: _Found, *, approved: bool) -> bool:
        now = hub.now()
        require_session(tx, person.visitor, page=_PAGE, now=now)
        return decide_device(
            tx,
            found.row.user_code,
            user_id=person.who.id,
            scopes=found.scopes,
            approved=approved,
            now=now,
        )

    @get(_PAGE)
    async def show_device(request: Request[Any, Any, Any]) -> Response[Any]:
        person = await find_person(request, edge)
        # From verification_uri_complete. It is only filled in: who opens a link has not yet
        # compared it with what the device shows (RFC 8628 section 5.4).
        code = read_user_code(request.query_params.get("user_code", ""))
        return pages.page("device.html", person.visitor, step="enter", code=code, fault=False)

    @post(_PAGE)
    async def take_device(request: Request[Any, Any, Any]) -> Response[Any]:
        person, fields = await read_post(request, edge, page=_PAGE)
        address = caller_of(request.scope, hub.policy).address
        typed = fields.get("user_code", "")
        decision = fields.get("decision")
        found = await edge.write(lambda tx: _find(tx, hub, person.who, typed, address))
        if found is None:
            code = typed[:40]
            return pages.page(
                "device.html", person.visitor, status=400, step="enter", code=code, fault=True
            )
        if decision is None:
            return pages.page("device.html", person.visitor, step="decide", **_shown(found))
        approved = decision == "allow"
        decided = await edge.write(lambda tx: decide(tx, person, found, approved=approved))
        step = "late" if not decided else "allowed" if approved else "denied"
        return pages.page("device.html", person.visitor, step=step, **_shown(found))

    return [show_device, take_device]


@dataclass(frozen=True, slots=True)
class _Found:
    row: Row[Any]
    owner: str
    scopes: tuple[str, ...]  # those that the person's roles make use of


def _find(tx: Tx, hub: Hub, who: Principal, typed: str, address: str) -> _Found | None:
    """The request behind a code; a wrong one is counted, and TooMany ends the guessing."""
    refuse_user_code_guessing(tx, user_id=who.id, address=address, now=hub.now())
    code = read_user_code(typed)
    row = find_device(tx, code, now=hub.now()) if code else None
    if row is None:
        count_user_code_guess(tx, user_id=who.id, address=address, now=hub.now())
        return None
    owner = row.organisation_id
    name = "" if owner is None else str(find_organisation(tx, owner).name)
    return _Found(row, name, open_to(who, row.scopes))


def _shown(found: _Found) -> dict[str, Any]:
    code = found.row.user_code
    return {
        "code": f"{code[:4]}-{code[4:]}",
        "program": found.row.name,
        "owner": found.owner,
        "meanings": [MEANINGS[scope] for scope in found.scopes],
    }
