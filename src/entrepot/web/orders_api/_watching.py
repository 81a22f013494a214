"""What stands behind an order: its work, its events as they happen, and who placed it."""

from typing import Annotated, TypeAlias

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response import Stream
from litestar.response.base import ASGIResponse

from entrepot.core.orders import find_person, job_view, list_order_events, order_view
from entrepot.kit.ids import INT64_MAX
from entrepot.web.http.callers import caller_of
from entrepot.web.orders_api import _spelling
from entrepot.web.orders_api._door import AnyRequest, Door
from entrepot.web.orders_api._events import ENDED, Streams, Watch
from entrepot.web.orders_api._hrefs import ORDER
from entrepot.web.orders_api._operations import (
    EVENTS,
    LAST_EVENT,
    LAST_EVENT_ID,
    answers,
    described,
)
from entrepot.web.orders_api._orders import OfOrder, number_of
from entrepot.web.orders_api._wire import Job, User

OfUser: TypeAlias = Annotated[
    str, PathParameter(description="A person's number, or `client:<client id>`.")
]


def _job(door: Door) -> HTTPRouteHandler:
    @get(
        "/api/jobs/{order_id:str}",
        operation_id="showJob",
        summary="Show the work behind an order",
        responses=answers(Job, "State, counts, and the first 100 errors."),
    )
    async def handler(request: AnyRequest, order_id: OfOrder) -> ASGIResponse:
        who, _ = await door.enter(request)
        number = number_of(order_id)
        return await door.show(lambda tx: _spelling.job(door.hrefs, job_view(tx, who, number)))

    return handler


def _user(door: Door) -> HTTPRouteHandler:
    @get(
        "/api/users/{user_id:str}",
        operation_id="showColleague",
        summary="Show somebody of your own organisation",
        responses=answers(User, "Name and organisation."),
    )
    async def handler(request: AnyRequest, user_id: OfUser) -> ASGIResponse:
        who, _ = await door.enter(request)
        return await door.show(lambda tx: _spelling.user(door.hrefs, find_person(tx, who, user_id)))

    return handler


def _events(door: Door) -> HTTPRouteHandler:
    streams = Streams(door)

    @get(
        ORDER + "/events",
        operation_id="watchOrder",
        summary="Progress of an order as server-sent events",
        operation_class=described(LAST_EVENT_ID, LAST_EVENT),
        media_type="text/event-stream",
        responses=answers(None, "", nothing=True) | {200: EVENTS},
    )
    async def handler(request: AnyRequest, order_id: OfOrder) -> Response[bytes] | Stream:
        who, parameters = await door.enter(request)
        number = number_of(order_id)
        told = request.headers.get("last-event-id") or parameters.get("lasteventid") or ""
        after = int(told) if told.isascii() and told.isdigit() and len(told) <= 19 else 0
        after = min(after, INT64_MAX)
        status, events = await door.edge.read(
            lambda tx: (
                order_view(tx, who, number).status,
                list_order_events(tx, who, number, after=after),
            )
        )
        if status in ENDED and not events:
            return Response(b"", status_code=204)
        return Stream(
            streams.open(Watch(caller_of(request.scope, door.policy), who, number, after), events),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return handler


OPERATIONS = (_job, _user, _events)
