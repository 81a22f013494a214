"""The door's routes: token endpoint, pages, the key set, and the metadata."""

from litestar import Router
from litestar.exceptions import HTTPException

from entrepot.errors import EntrepotError
from entrepot.web.http.edge import Edge
from entrepot.web.http.routing import DoorRouter
from entrepot.web.oauth._authorize import authorize_pages
from entrepot.web.oauth._device import device_pages, device_routes
from entrepot.web.oauth._endpoints import endpoint_routes
from entrepot.web.oauth._errors import answer_error, answer_http_error
from entrepot.web.oauth._metadata import key_routes, metadata_routes
from entrepot.web.oauth._token import token_routes
from entrepot.web.oauth._userinfo import userinfo_routes
from entrepot.web.pages.errors import error_handlers
from entrepot.web.pages.rendering import Pages


def create_router(edge: Edge) -> Router:
    """The door's routes."""
    pages = Pages(edge.hub.policy)
    for_programs = DoorRouter(
        path="/",
        route_handlers=[
            *token_routes(edge),
            *device_routes(edge),
            *endpoint_routes(edge),
            *userinfo_routes(edge),
            *key_routes(edge.hub),
            *metadata_routes(edge.hub),
        ],
        exception_handlers={EntrepotError: answer_error, HTTPException: answer_http_error},
    )
    for_people = DoorRouter(
        path="/",
        route_handlers=[*authorize_pages(edge, pages), *device_pages(edge, pages)],
        exception_handlers=error_handlers(pages),  # type: ignore[arg-type]
        include_in_schema=False,
    )
    return DoorRouter(path="/", route_handlers=[for_programs, for_people])
