"""The door: every operation, in the contract's error shape."""

from litestar import HttpMethod, Response, Router, route
from litestar.exceptions import HTTPException, NotFoundException

from entrepot.errors import EntrepotError
from entrepot.web.http.edge import Edge
from entrepot.web.orders_api import _discovery, _entities, _orders, _selections, _watching
from entrepot.web.orders_api._door import Door
from entrepot.web.orders_api._errors import answer_error, answer_http_error


@route(
    ["/api/{rest:path}"],
    http_method=[
        HttpMethod.GET,
        HttpMethod.POST,
        HttpMethod.PUT,
        HttpMethod.PATCH,
        HttpMethod.DELETE,
    ],
    include_in_schema=False,
)
async def refuse_path() -> Response[bytes]:
    """What is no endpoint at all, in this dialect's shape."""
    raise NotFoundException


def create_router(edge: Edge) -> Router:
    """The door, at the paths that the contract gives it."""
    door = Door(edge)
    modules = (_discovery, _orders, _watching, _selections, _entities)
    return Router(
        path="/",
        route_handlers=[build(door) for module in modules for build in module.OPERATIONS],
        exception_handlers={EntrepotError: answer_error, HTTPException: answer_http_error},
        tags=["Download orders"],
        security=[{"bearer": []}],
    )
