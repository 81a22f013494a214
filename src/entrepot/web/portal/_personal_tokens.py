"""The page of a person's own access tokens for CI: list, make, revoke."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.core.accounts import (
    DAYS_DEFAULT,
    NewPersonalToken,
    list_personal_tokens,
    make_personal_token,
    revoke_personal_token,
    scopes_of_roles,
)
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.http.edge import Edge
from entrepot.web.http.errors import status_of
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import Person, find_person, read_post, require_session

PAGE = "/personal-tokens"
_SCOPE_FIELD = "scope."
_MEANINGS = {
    "entitlements": "List entitlements and download releases.",
    "orders": "Order and download media.",
    "products": "List and manage the files of products.",
    "products.readonly": "List the files of products.",
    "publish": "Publish: products, releases, assets, grants.",
    "admin": "Run the hub: organisations, people, clients, keys.",
}


def personal_token_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET and POST /personal-tokens, POST /personal-tokens/{id}/revoke. A value is shown once."""
    hub = edge.hub

    async def show(
        person: Person,
        made: NewPersonalToken | None = None,
        fault: Invalid | Conflict | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Response[Any]:
        tokens = await edge.read(lambda tx: list_personal_tokens(tx, person.who.id))
        allowed = scopes_of_roles(person.who.roles)
        return pages.page(
            "personal_tokens.html",
            person.visitor,
            status=200 if fault is None else status_of(fault),
            fault=fault,
            at_fault=fault.field if isinstance(fault, Invalid) else "",
            values=_values(fields or {}),
            tokens=tokens,
            now=hub.now(),
            made=made,
            scopes=[(scope, _MEANINGS[scope]) for scope in allowed],
            script=made is not None,
        )

    def make(tx: Tx, person: Person, fields: Mapping[str, str], days: int) -> NewPersonalToken:
        now = hub.now()
        require_session(tx, person.visitor, page=PAGE, now=now)
        return make_personal_token(
            tx,
            person.who.id,
            name=fields.get("name", ""),
            scopes=_scopes(fields),
            days=days,
            networks=fields.get("networks", "").replace(",", " ").split(),
            actor=person.who.label,
            now=now,
        )

    @get(PAGE)
    async def show_tokens(request: Request[Any, Any, Any]) -> Response[Any]:
        return await show(await find_person(request, edge))

    @post(PAGE)
    async def make_token(request: Request[Any, Any, Any]) -> Response[Any]:
        person, fields = await read_post(request, edge, page=PAGE)
        try:
            days = _days(fields)
            made = await edge.write(lambda tx: make(tx, person, fields, days))
        except (Invalid, Conflict) as fault:
            return await show(person, fault=fault, fields=fields)
        return await show(person, made)

    @post(f"{PAGE}/{{number:str}}/revoke")
    async def revoke_token(request: Request[Any, Any, Any], number: FromPath[str]) -> Response[Any]:
        person, _ = await read_post(request, edge, page=PAGE)
        token_id = token_number(number)
        await edge.write(
            lambda tx: revoke_personal_token(
                tx, person.who.id, token_id, actor=person.who.label, now=hub.now()
            )
        )
        return pages.redirect(pages.url("personal-tokens"))

    return [show_tokens, make_token, revoke_token]


def token_number(text: str) -> int:
    """The number of a token in an address; NotFound where it is none."""
    number = parse_number(text)
    if number is None:
        raise NotFound
    return number


def _scopes(fields: Mapping[str, str]) -> list[str]:
    return [name[len(_SCOPE_FIELD) :] for name in fields if name.startswith(_SCOPE_FIELD)]


def _values(fields: Mapping[str, str]) -> dict[str, Any]:
    """What stands in the form: as it was sent, so that nothing has to be typed twice."""
    return {
        "name": fields.get("name", ""),
        "days": fields.get("days", str(DAYS_DEFAULT)),
        "networks": fields.get("networks", ""),
        "scopes": _scopes(fields),
    }


def _days(fields: Mapping[str, str]) -> int:
    text = fields.get("days", "").strip()
    number = parse_number(text)
    if number is None:
        raise Invalid("Say in whole days how long the token lives.", field="days")
    return number
