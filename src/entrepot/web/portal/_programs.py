"""The page of the programs that may act for a person: what they may do, and how to end it."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.core.accounts import end_program, list_programs
from entrepot.web.http.edge import Edge
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import find_person, read_post

PAGE = "/programs"


def program_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET /programs, POST /programs/{client_id}/end."""
    hub = edge.hub

    @get(PAGE)
    async def show_programs(request: Request[Any, Any, Any]) -> Response[Any]:
        person = await find_person(request, edge)
        programs = await edge.read(
            lambda tx: list_programs(tx, user_id=person.who.id, now=hub.now())
        )
        return pages.page("programs.html", person.visitor, programs=programs)

    @post(f"{PAGE}/{{client_id:str}}/end")
    async def end(request: Request[Any, Any, Any], client_id: FromPath[str]) -> Response[Any]:
        person, _ = await read_post(request, edge, page=PAGE)
        await edge.write(
            lambda tx: end_program(tx, user_id=person.who.id, client_id=client_id, now=hub.now())
        )
        return pages.redirect(pages.url("programs"))

    return [show_programs, end]
