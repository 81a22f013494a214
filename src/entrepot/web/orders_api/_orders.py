"""Placing orders, looking at them, ending them, and trying again what failed."""

import asyncio
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import Principal
from entrepot.core.delivery import IssuedLink, issue_order_link, order_link
from entrepot.core.orders import (
    BUILD_ORDER,
    OrderJob,
    OrderRequest,
    OrderView,
    PlacedOrder,
    cancel_order,
    compile_ahead,
    complete_order,
    find_target,
    list_orders,
    list_targets,
    order_view,
    parse_order_request,
    permitted_orders,
    place_order,
    retry_order,
)
from entrepot.db import Tx
from entrepot.errors import Denied, Gone, NotFound, Unavailable
from entrepot.jobs import conversions_on
from entrepot.kit.ids import parse_number
from entrepot.web.orders_api import _spelling
from entrepot.web.orders_api._bodies import BODY_BYTES_MAX
from entrepot.web.orders_api._conditional import conditional
from entrepot.web.orders_api._door import AnyRequest, Door, answer, encode, skip_and_take
from entrepot.web.orders_api._hrefs import ORDER, ORDERS
from entrepot.web.orders_api._operations import (
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    ORDER_BODY,
    SKIP,
    TAKE,
    answers,
    described,
)
from entrepot.web.orders_api._operations import ORDER as EXAMPLE
from entrepot.web.orders_api._wire import Order, OrderList, Target, TargetList

_LINKS_AT_ONCE = 25  # leases written in one transaction
OfOrder: TypeAlias = Annotated[str, PathParameter(description="Number of an order of yours.")]
OfTarget: TypeAlias = Annotated[str, PathParameter(description="Number of an asset in it.")]


def number_of(text: str) -> int:
    """The number of an order or asset in a path; NotFound where it is none."""
    number = parse_number(text)
    if number is None:
        raise NotFound
    return number


def _why_ended(view: OrderView, permitted: Container[int], now: datetime) -> str | None:
    """What to tell of an order that was delivered and can be downloaded no more."""
    over = view.is_downloadable and view.expires_at is not None and view.expires_at <= now
    if over or view.status == "Expired":
        return _spelling.EXPIRED
    if view.is_downloadable and view.id not in permitted:
        return _spelling.RIGHT_ENDED
    return None


class Orders:
    """The order verbs as this door uses them: in its transactions, with its policy."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._hub = door.hub
        # Freezing 200,000 assets takes SQLite's only writer a second: what others write comes
        # between two orders, not behind all that are waiting.
        self._placing = asyncio.Semaphore(1)

    async def place(self, who: Principal, request: OrderRequest) -> int:
        """Accept an order, with its job in the same transaction; its number.

        One that consists of stored files alone is packed before the caller hears of it.
        """
        hub, policy = self._hub, self._door.policy

        def accept(tx: Tx) -> PlacedOrder:
            placed = place_order(
                tx,
                who,
                request,
                rules=hub.media,
                conversions_on=conversions_on(tx),
                lives_days=policy.order_days,
                embargoed=policy.embargoed,
                ahead=ahead,
                now=hub.now(),
            )
            self._enqueue(tx, placed.job)
            return placed

        async with self._placing:
            ahead = await self._door.edge.read(lambda tx: compile_ahead(tx, who, request))
            placed = await self._door.edge.write(accept)
        if placed.job is None:
            await self._pack(placed.order_id)
        return placed.order_id

    async def _pack(self, order_id: int) -> None:
        hub = self._hub
        try:
            await self._door.edge.run(
                lambda: complete_order(
                    hub.database, hub.blobs, order_id, rules=hub.media, now=hub.now
                )
            )
        except Unavailable:
            # The order is accepted: a worker's schedule packs it once that can be done.
            return

    def _enqueue(self, tx: Tx, job: OrderJob | None) -> None:
        if job is not None:
            self._hub.jobs.enqueue(
                tx,
                BUILD_ORDER,
                [job.order_id, job.generation],
                job_id=job.job_id,
                partition=job.partition,
                priority=job.priority,
            )

    async def cancel(self, who: Principal, order_id: int) -> None:
        """Cancel a running order, end a delivered one."""
        hub = self._hub
        stopped = await self._door.edge.write(
            lambda tx: cancel_order(tx, who, order_id, now=hub.now())
        )
        if stopped:
            await self._door.edge.run(lambda: hub.jobs.cancel(stopped))

    async def retry(self, who: Principal, order_id: int) -> None:
        """Try again what failed."""

        def again(tx: Tx) -> None:
            self._enqueue(tx, retry_order(tx, who, order_id, now=self._hub.now()))

        await self._door.edge.write(again)

    async def look(self, who: Principal, order_id: int) -> Order:
        """The order, with this bucket's link to its ZIP."""
        view = await self._door.edge.read(lambda tx: order_view(tx, who, order_id))
        return (await self._spell(who, [view]))[0]

    async def page(self, who: Principal, skip: int, take: int) -> OrderList:
        """A page of the caller's orders."""
        views, total = await self._door.edge.read(
            lambda tx: list_orders(tx, who, skip=skip, take=take)
        )
        shown = await self._spell(who, views)
        return _spelling.order_list(self._door.hrefs, shown, skip, take, total)

    async def _spell(self, who: Principal, views: Sequence[OrderView]) -> list[Order]:
        """Orders with their links; only the first look in a bucket writes a lease."""
        now = self._hub.now()
        ready = [view for view in views if view.is_downloadable]
        links: dict[int, IssuedLink | None] = {}
        if ready:
            links = await self._door.edge.read(lambda tx: self._known_links(tx, who, ready, now))
        missing = [view for view in ready if view.id in links and links[view.id] is None]
        for start in range(0, len(missing), _LINKS_AT_ONCE):
            batch = missing[start : start + _LINKS_AT_ONCE]
            links |= await self._door.edge.write(
                lambda tx, batch=batch: {  # type: ignore[misc]
                    view.id: self._new_link(tx, who, view, now) for view in batch
                }
            )
        return [
            _spelling.order(
                self._door.hrefs, view, links.get(view.id), ended=_why_ended(view, links, now)
            )
            for view in views
        ]

    def _known_links(
        self, tx: Tx, who: Principal, views: Sequence[OrderView], now: datetime
    ) -> dict[int, IssuedLink | None]:
        """Of the orders that may be had now; None: there is no link yet."""
        permitted = permitted_orders(
            tx,
            [view.id for view in views],
            user_id=who.user_id,
            api_client_id=who.api_client_id,
            organisation_id=who.organisation_id,
            country=who.country,
            embargoed=self._door.policy.embargoed,
            now=now,
        )
        return {
            view.id: self._known_link(tx, who, view, now) for view in views if view.id in permitted
        }

    def _known_link(
        self, tx: Tx, who: Principal, view: OrderView, now: datetime
    ) -> IssuedLink | None:
        return order_link(
            tx,
            self._hub.keys.current,
            who,
            order_id=view.id,
            generation=view.generation,
            file_name=view.zip_file_name,
            seconds=self._door.policy.link_seconds,
            now=now,
        )

    def _new_link(
        self, tx: Tx, who: Principal, view: OrderView, now: datetime
    ) -> IssuedLink | None:
        """None where it may not be had any more, or is made anew: the order can be looked at."""
        policy = self._door.policy
        try:
            return issue_order_link(
                tx,
                self._hub.keys.current,
                who,
                order_id=view.id,
                generation=view.generation,
                file_name=view.zip_file_name,
                embargoed=policy.embargoed,
                seconds=policy.link_seconds,
                now=now,
            )
        except (Denied, Gone):
            return None
        except Unavailable as error:
            if error.code != "order-not-ready":
                raise
            return None  # somebody retried it just now


def _place(door: Door, orders: Orders) -> HTTPRouteHandler:
    @post(
        ORDERS,
        operation_id="placeOrder",
        summary="Place a download order",
        operation_class=described(body=ORDER_BODY),
        request_max_body_size=BODY_BYTES_MAX,
        responses=answers(
            Order,
            "The order, accepted; of stored files alone it is Completed already.",
            408,
            413,
            507,
            status=201,
            example=EXAMPLE,
        ),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        who, _ = await door.enter(request)
        number = await orders.place(who, await door.body(request, parse_order_request))
        shown = await orders.look(who, number)
        return answer(encode(shown), status=201, headers={"location": shown.self.href})

    return handler


def _list(door: Door, orders: Orders) -> HTTPRouteHandler:
    @get(
        ORDERS,
        operation_id="listOrders",
        summary="List your download orders",
        operation_class=described(SKIP, TAKE),
        responses=answers(OrderList, "Newest first."),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        who, parameters = await door.enter(request)
        return answer(encode(await orders.page(who, *skip_and_take(parameters))))

    return handler


def _show(door: Door, orders: Orders) -> HTTPRouteHandler:
    @get(
        ORDER,
        operation_id="showOrder",
        summary="Show a download order",
        operation_class=described(IF_NONE_MATCH, IF_MODIFIED_SINCE),
        responses=answers(
            Order, "The order; ETag and Last-Modified.", example=EXAMPLE, not_modified=True
        ),
    )
    async def handler(request: AnyRequest, order_id: OfOrder) -> ASGIResponse:
        who, _ = await door.enter(request)
        shown = await orders.look(who, number_of(order_id))
        return conditional(door, request, shown)

    return handler


def _cancel(door: Door, orders: Orders) -> HTTPRouteHandler:
    @delete(
        ORDER,
        operation_id="cancelOrder",
        summary="Cancel a running order, or expire a delivered one",
        status_code=200,
        responses=answers(Order, "The order as it is now; doing it again changes nothing."),
    )
    async def handler(request: AnyRequest, order_id: OfOrder) -> ASGIResponse:
        who, _ = await door.enter(request)
        number = number_of(order_id)
        await orders.cancel(who, number)
        return answer(encode(await orders.look(who, number)))

    return handler


def _retry(door: Door, orders: Orders) -> HTTPRouteHandler:
    @post(
        ORDER + "/retry",
        operation_id="retryOrder",
        summary="Try again what failed, or go on with a cancelled order",
        status_code=202,
        responses=answers(Order, "The order, pending again.", 409, 507, status=202),
    )
    async def handler(request: AnyRequest, order_id: OfOrder) -> ASGIResponse:
        who, _ = await door.enter(request)
        number = number_of(order_id)
        await orders.retry(who, number)
        return answer(encode(await orders.look(who, number)), status=202)

    return handler


def _targets(door: Door) -> HTTPRouteHandler:
    @get(
        ORDER + "/targets",
        operation_id="listTargets",
        summary="List the assets of an order",
        operation_class=described(SKIP, TAKE),
        responses=answers(TargetList, "By number."),
    )
    async def handler(request: AnyRequest, order_id: OfOrder) -> ASGIResponse:
        who, parameters = await door.enter(request)
        number = number_of(order_id)
        skip, take = skip_and_take(parameters)

        def shown(tx: Tx) -> TargetList:
            found, total = list_targets(tx, who, number, skip=skip, take=take)
            return _spelling.target_list(door.hrefs, number, found, skip, take, total)

        return await door.show(shown)

    return handler


def _target(door: Door) -> HTTPRouteHandler:
    @get(
        ORDER + "/targets/{entity_id:str}",
        operation_id="showTarget",
        summary="Show one asset of an order",
        responses=answers(Target, "The asset."),
    )
    async def handler(request: AnyRequest, order_id: OfOrder, entity_id: OfTarget) -> ASGIResponse:
        who, _ = await door.enter(request)
        number, asset_id = number_of(order_id), number_of(entity_id)
        return await door.show(
            lambda tx: _spelling.target(door.hrefs, number, find_target(tx, who, number, asset_id))
        )

    return handler


def operations(door: Door) -> list[HTTPRouteHandler]:
    """Every operation on orders; they share one `Orders`, and so its turns at placing."""
    orders = Orders(door)
    shared = [build(door, orders) for build in (_place, _list, _show, _cancel, _retry)]
    return [*shared, _targets(door), _target(door)]
