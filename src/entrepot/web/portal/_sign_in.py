"""Signing in and out."""

import asyncio
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from entrepot.core.accounts import (
    close_session,
    name_account,
    sign_in,
    sign_out_everywhere,
)
from entrepot.core.events import Denial
from entrepot.errors import Unauthenticated
from entrepot.web.http.callers import caller_of
from entrepot.web.http.denials import note_denial
from entrepot.web.http.edge import Edge
from entrepot.web.http.forms import read_form
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import (
    Visitor,
    cookie_name,
    find_visitor,
    read_post,
    refuse_cross_site,
    same_site_path,
    session_cookie,
)

# Checking a password costs 64 MiB and a core for a while: a flood of guesses must wait in
# line, and leave the worker threads to everybody else.
CHECKS_AT_ONCE = 2


def sign_in_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET and POST /sign-in, POST /sign-out (with `everywhere`: of every session and program)."""
    hub = edge.hub
    providers = hub.policy.identity_providers
    line = asyncio.Semaphore(CHECKS_AT_ONCE)

    def address_of(path: str | None) -> str:
        return hub.policy.path_prefix + (same_site_path(path) or "/")

    @get("/sign-in")
    async def show_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor = await find_visitor(request, edge)
        next_path = same_site_path(request.query_params.get("next"))
        again = "again" in request.query_params  # a program wants to be sure who it is
        if visitor.who is not None and not again:
            return pages.redirect(address_of(next_path))
        return pages.page(
            "sign_in.html",
            visitor,
            email="",
            next_path=next_path,
            fault=None,
            providers=providers,
            again=again,
        )

    @post("/sign-in")
    async def take_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
        refuse_cross_site(request, hub.policy)
        fields = await read_form(request)
        email, next_path = fields.get("email", ""), same_site_path(fields.get("next"))
        address = caller_of(request.scope, hub.policy).address
        password = fields.get("password", "")
        try:
            async with line:
                _, token = await edge.run(
                    lambda: sign_in(
                        hub.database, email=email, password=password, address=address, now=hub.now
                    )
                )
        except Unauthenticated as error:
            account = await edge.glance(lambda tx: name_account(tx, email))
            note_denial(Denial("sign-in.failed", "", account, error.code))
            return pages.page(
                "sign_in.html",
                Visitor(None, None),
                status=401,
                email=email[:254],
                next_path=next_path,
                fault=error,
                providers=providers,
                again=False,
            )
        earlier = request.cookies.get(cookie_name(hub.policy))
        if earlier:
            await edge.write(lambda tx: close_session(tx, earlier))
        return pages.redirect(address_of(next_path), session_cookie(hub.policy, token))

    @post("/sign-out")
    async def take_sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
        person, fields = await read_post(request, edge, page="/")
        session, who, now = person.visitor.session or "", person.who, hub.now()
        if fields.get("everywhere"):
            await edge.write(lambda tx: sign_out_everywhere(tx, who.id, now=now))
            edge.forget_tokens()
        else:
            await edge.write(lambda tx: close_session(tx, session))
        return pages.redirect(address_of("/"), session_cookie(hub.policy, None))

    return [show_sign_in, take_sign_in, take_sign_out]
