"""Pages of an organisation's administrator: its members; and the page of an invitation."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy import Row

from entrepot.core.accounts import (
    CUSTOMER,
    INVITATION_DAYS,
    ORGANISATION_ADMIN,
    Principal,
    accept_invitation,
    find_invitation,
    find_member,
    hash_password,
    invite_again,
    invite_member,
    list_members,
    revoke_member_token,
    set_member_disabled,
    set_member_roles,
)
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.http.edge import Edge
from entrepot.web.http.errors import status_of
from entrepot.web.http.forms import read_form
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import (
    Person,
    Visitor,
    find_person,
    read_post,
    refuse_cross_site,
)
from entrepot.web.portal._paging import PageLinks, page_number
from entrepot.web.portal._personal_tokens import token_number

PAGE, PAGE_SIZE = "/members", 50
_ONE = f"{PAGE}/{{number:str}}"
_FIELDS = ("email", "given_name", "family_name", "administers")


def member_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET and POST /members, and what can be done with one member."""
    return [*_list_pages(edge, pages), *_one_member(edge, pages), *_invitation(edge, pages)]


def _list_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    hub = edge.hub

    async def show(
        person: Person,
        number: int,
        invitation: str | None,
        fault: Invalid | Conflict | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Response[Any]:
        rows, total = await edge.read(
            lambda tx: list_members(tx, person.who, skip=(number - 1) * PAGE_SIZE, take=PAGE_SIZE)
        )
        return pages.page(
            "members.html",
            person.visitor,
            status=200 if fault is None else status_of(fault),
            fault=fault,
            at_fault=_field_of(fault),
            values={name: (fields or {}).get(name, "") for name in _FIELDS},
            who=person.who,
            members=rows,
            links=PageLinks(number, PAGE_SIZE, total),
            invitation=invitation,
            days=INVITATION_DAYS,
            script=invitation is not None,
        )

    @get(PAGE)
    async def show_members(request: Request[Any, Any, Any]) -> Response[Any]:
        return await show(await find_person(request, edge), page_number(request), None)

    @post(PAGE)
    async def add_member(request: Request[Any, Any, Any]) -> Response[Any]:
        person, fields = await read_post(request, edge, page=PAGE)
        try:
            _, secret = await edge.write(
                lambda tx: invite_member(
                    tx,
                    person.who,
                    email=fields.get("email", ""),
                    given_name=fields.get("given_name", ""),
                    family_name=fields.get("family_name", ""),
                    roles=_roles(fields.get("administers")),
                    now=hub.now(),
                )
            )
        except (Invalid, Conflict) as fault:
            return await show(person, 1, None, fault, fields)
        return await show(person, 1, _link(edge, secret))

    return [show_members, add_member]


def _one_member(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    hub = edge.hub

    async def show(person: Person, number: int, invitation: str | None) -> Response[Any]:
        member = await edge.read(lambda tx: find_member(tx, person.who, number))
        return pages.page(
            "member.html",
            person.visitor,
            member=member,
            administers=ORGANISATION_ADMIN in member.row.roles,
            now=hub.now(),
            invitation=invitation,
            days=INVITATION_DAYS,
            script=invitation is not None,
        )

    @get(_ONE)
    async def show_member(request: Request[Any, Any, Any], number: FromPath[str]) -> Response[Any]:
        return await show(await find_person(request, edge), _number(number), None)

    @post(f"{_ONE}/invite")
    async def invite(request: Request[Any, Any, Any], number: FromPath[str]) -> Response[Any]:
        person, _ = await read_post(request, edge, page=PAGE)
        whom, now = _number(number), hub.now()
        secret = await edge.write(lambda tx: invite_again(tx, person.who, whom, now=now))
        return await show(person, whom, _link(edge, secret))

    def change(
        path: str, verb: Callable[[Tx, Principal, int, dict[str, str]], None]
    ) -> HTTPRouteHandler:
        @post(f"{_ONE}/{path}")
        async def handler(request: Request[Any, Any, Any], number: FromPath[str]) -> Response[Any]:
            person, fields = await read_post(request, edge, page=PAGE)
            whom = _number(number)
            await edge.write(lambda tx: verb(tx, person.who, whom, dict(fields)))
            return pages.redirect(pages.url("members", whom))

        return handler

    def set_roles(tx: Tx, who: Principal, whom: int, fields: dict[str, str]) -> None:
        set_member_roles(tx, who, whom, _roles(fields.get("administers")), now=hub.now())

    def disable(tx: Tx, who: Principal, whom: int, _fields: dict[str, str]) -> None:
        set_member_disabled(tx, who, whom, disabled=True, now=hub.now())

    def enable(tx: Tx, who: Principal, whom: int, _fields: dict[str, str]) -> None:
        set_member_disabled(tx, who, whom, disabled=False, now=hub.now())

    def revoke(tx: Tx, who: Principal, whom: int, fields: dict[str, str]) -> None:
        token_id = token_number(fields.get("token_id", ""))
        revoke_member_token(tx, who, whom, token_id, now=hub.now())

    return [
        show_member,
        invite,
        change("roles", set_roles),
        change("disable", disable),
        change("enable", enable),
        change("revoke-token", revoke),
    ]


def _invitation(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """The secret is in the query, which no log of ours holds, and posted as a field."""
    hub = edge.hub
    # Hashing a password costs a core and 64 MiB for a while: one at a time.
    line = asyncio.Semaphore(1)

    def show(row: Row[Any], secret: str, fault: Invalid | None = None) -> Response[Any]:
        return pages.page(
            "invitation.html",
            Visitor(None, None),
            status=200 if fault is None else 400,
            email=row.email,
            secret=secret,
            fault=fault,
        )

    @get("/invitation")
    async def show_invitation(request: Request[Any, Any, Any]) -> Response[Any]:
        secret = request.query_params.get("token", "")
        row = await edge.read(lambda tx: find_invitation(tx, secret, now=hub.now()))
        return show(row, secret)

    @post("/invitation")
    async def take_invitation(request: Request[Any, Any, Any]) -> Response[Any]:
        refuse_cross_site(request, hub.policy)
        edge.charge_address()
        fields = await read_form(request)
        secret, password = fields.get("token", ""), fields.get("password", "")
        row = await edge.read(lambda tx: find_invitation(tx, secret, now=hub.now()))
        if password != fields.get("again"):
            return show(row, secret, Invalid("The two passwords differ.", field="password"))
        try:
            async with line:
                hashed = await edge.run(lambda: hash_password(password))
        except Invalid as fault:
            return show(row, secret, fault)
        await edge.write(lambda tx: accept_invitation(tx, secret, hashed, now=hub.now()))
        return pages.redirect(pages.url("sign-in"))

    return [show_invitation, take_invitation]


def _field_of(fault: Invalid | Conflict | None) -> str:
    if isinstance(fault, Invalid):
        return fault.field
    return "email" if fault is not None and fault.code == "email-taken" else ""


def _link(edge: Edge, secret: str) -> str:
    return f"{edge.hub.policy.public_url}/invitation?token={secret}"


def _roles(administers: str | None) -> tuple[str, ...]:
    return (CUSTOMER, ORGANISATION_ADMIN) if administers else (CUSTOMER,)


def _number(text: str) -> int:
    number = parse_number(text)
    if number is None:
        raise NotFound
    return number
