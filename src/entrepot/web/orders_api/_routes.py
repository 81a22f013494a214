"""The door: every operation, in the contract's error shape."""

from litestar import Router
from litestar.exceptions import HTTPException, InternalServerException

from entrepot.errors import EntrepotError
from entrepot.web.http.edge import Edge
from entrepot.web.http.routing import DoorRouter
from entrepot.web.orders_api import _discovery, _entities, _orders, _selections, _watching
from entrepot.web.orders_api._door import Door
from entrepot.web.orders_api._errors import (
    answer_cut_off,
    answer_defect,
    answer_error,
    answer_http_error,
)


def create_router(edge: Edge) -> Router:
    """The door, at the paths that the contract gives it."""
    door = Door(edge)
    modules = (_discovery, _watching, _selections, _entities)
    handlers = [build(door) for module in modules for build in module.OPERATIONS]
    return DoorRouter(
        path="/",
        route_handlers=[*_orders.operations(door), *handlers],
        exception_handlers={
            EntrepotError: answer_error,
            HTTPException: answer_http_error,
            InternalServerException: answer_cut_off,
            Exception: answer_defect,
        },
        tags=["Download orders"],
        security=[{"bearer": []}],
    )
