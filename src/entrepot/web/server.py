"""The web process: request ids, host check, security headers, and the doors behind them.

The links door is called as raw ASGI before anything else is looked at, because it carries
the bytes; all other doors are Litestar routers.
"""

import asyncio
import gc
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import msgspec
from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.exceptions import HTTPException, InternalServerException
from litestar.routes import HTTPRoute

from entrepot.assembly import Hub
from entrepot.errors import EntrepotError
from entrepot.kit.access_log import log_request
from entrepot.kit.context import request_id
from entrepot.kit.ids import new_uuid
from entrepot.web import admin_api, entitlement_api, oauth, orders_api, portal, products_api
from entrepot.web.http import metrics
from entrepot.web.http.denial_record import DenialRecord
from entrepot.web.http.denials import begin_notes, note_error
from entrepot.web.http.edge import Edge
from entrepot.web.http.health import HealthDoor
from entrepot.web.http.problems import (
    Problem,
    answer_cut_off,
    answer_defect,
    answer_error,
    answer_http_error,
)
from entrepot.web.http.rates import Ticket, ticket
from entrepot.web.links import LinksDoor
from entrepot.web.openapi import openapi_config
from entrepot.web.pages.errors import answer_unknown_page
from entrepot.web.pages.visitors import cookie_name

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Headers: TypeAlias = list[tuple[bytes, bytes]]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HOUSEKEEPING_SECONDS = 5.0
METRICS_FLUSH_SECONDS = 1.0
# Young objects before the collector looks: a response makes about a hundred, and those that
# wait (transfers not yet recorded) are looked at again and again for nothing below this.
YOUNG_OBJECTS_MAX = 5_000
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_DOORS = (
    ("/dl/", "links"),
    ("/e-product-entitlement-customer/", "entitlement_api"),
    ("/oauth/", "oauth"),
    ("/admin/oauth/", "oauth"),
    ("/adfs/", "oauth"),
    ("/device", "oauth"),
    ("/api/admin/", "admin_api"),
    ("/api/v2/", "products_api"),
    ("/downloads/", "products_api"),
    ("/api", "orders_api"),
    ("/healthz", "health"),
    ("/readyz", "health"),
    ("/metrics", "health"),
)
# Doors whose requests count against no limit: the bytes of links, and probes.
_NOT_COUNTED = frozenset({"links", "health"})
# Where a token is looked at whatever is asked, and where a session is not, or not always.
_BY_TOKEN = ("/e-product-entitlement-customer/", "/api", "/downloads/")
_OPEN = ("/oauth/", "/admin/oauth/", "/adfs/", "/openapi", "/docs", "/sign-in", "/invitation")
# What others keep for a while or for ever is not counted.
_KEPT = ("/static/", "/.well-known/", "/keys")
_log = logging.getLogger(__name__)


def build_app(hub: Hub) -> "Server":
    """The ASGI application of one web process."""
    return Server(hub)


class Server:
    """ASGI: lifespan, then one request after the other to its door."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._edge = Edge(hub)
        self._denials = DenialRecord(self._edge)
        self._links = LinksDoor(self._edge)
        self._health = HealthDoor(self._edge)
        self._pages = _litestar(self._edge)
        self._methods = {
            route.path_format: _methods_of(route)
            for route in self._pages.routes
            if isinstance(route, HTTPRoute)
        }
        self._prefix = hub.policy.path_prefix.encode()
        self._hosts = {host.encode() for host in hub.policy.allowed_hosts}
        self._headers = _common_headers(hub)
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._links.start()
        self._tasks.append(asyncio.create_task(self._keep_house()))
        self._tasks.append(asyncio.create_task(_flush_metrics()))
        _settle_memory()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._tasks:
            task.cancel()
        await self._links.stop()
        await self._denials.flush(ending=True)
        metrics.flush()
        self._edge.close()
        self._hub.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            for chore in (self._hub.keys.refresh, self._hub.reserve.restore):
                try:
                    await self._edge.run(chore)
                except EntrepotError as error:
                    _log.warning("housekeeping failed", extra={"reason": error.message})
            await self._denials.flush()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        identity = given.decode() if _REQUEST_ID.fullmatch(given) else new_uuid()
        request_id.set(identity)
        scope["request_id"] = identity
        self._strip_prefix(scope)
        status = 0
        extra = [*self._headers, (b"x-request-id", identity.encode())]
        silent = scope["method"] == "HEAD"

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if notes.denial is not None:
                    await self._denials.keep(notes.denial)
                present = {name for name, _ in message["headers"]}
                told = one.told if one is not None else ()
                added = [pair for pair in (*extra, *told) if pair[0] not in present]
                given = message["headers"]
                if scope["method"] == "OPTIONS" and status < 300:
                    given = self._with_methods(given, scope)
                message = {**message, "headers": [*given, *added]}
            await send(message)

        door = _door_of(scope["path"])
        one = None if door in _NOT_COUNTED else Ticket(scope, headers)
        ticket.set(one)
        notes = begin_notes(scope, self._hub.policy)
        try:
            if _host_of(headers) not in self._hosts:
                await _refuse_host(answer)
            elif door == "links":
                await self._links(scope, receive, answer)
            elif door == "health":
                await self._health(scope, receive, answer)
            elif silent:
                await self._pages({**scope, "method": "GET"}, receive, _without_body(answer))  # type: ignore[arg-type]
            else:
                await self._pages(scope, receive, answer)  # type: ignore[arg-type]
        finally:
            seconds = time.perf_counter() - started
            metrics.count_request(door, scope["method"], status, seconds)
            log_request(
                request_id=identity,
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=seconds,
                peer=(scope.get("client") or ("",))[0],
            )

    def _with_methods(self, headers: Headers, scope: Scope) -> Headers:
        """Every method of the address, where the answer says which there are."""
        methods = self._methods.get(scope.get("path_template", ""))
        return [
            (name, methods if methods and name.lower() == b"allow" else value)
            for name, value in headers
        ]

    def _strip_prefix(self, scope: Scope) -> None:
        """Take the path prefix of the public URL off, where the proxy in front left it on."""
        prefix, raw = self._prefix, scope["raw_path"]
        if prefix and (raw == prefix or raw.startswith(prefix + b"/")):
            scope["raw_path"] = raw[len(prefix) :] or b"/"
            scope["path"] = scope["path"][len(prefix.decode()) :] or "/"


def _methods_of(route: HTTPRoute) -> bytes:
    """What there is at an address: Litestar's answer to OPTIONS has its first handler's alone.

    Handlers that are in no document beside one that is refuse a method in their door's words.
    """
    shown = [each for each in route.route_handlers if each.resolve_include_in_schema()]
    names = {str(name) for each in shown or route.route_handlers for name in each.http_methods}
    return ", ".join(sorted({*names, "OPTIONS"})).encode()


async def _flush_metrics() -> None:
    while True:
        await asyncio.sleep(METRICS_FLUSH_SECONDS)
        metrics.flush()


def _settle_memory() -> None:
    """Take what lives as long as the process (modules, routes) out of the collector's sight."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, 10, 10)


def _litestar(edge: Edge) -> Litestar:
    policy = edge.hub.policy

    def keep_quiet(config: AppConfig) -> AppConfig:
        # Our own formatter and access log are enough; Litestar's would log bodies.
        config.logging_config = None
        return config

    return Litestar(
        route_handlers=[
            entitlement_api.create_router(edge),
            oauth.create_router(edge),
            admin_api.create_router(edge),
            orders_api.create_router(edge),
            products_api.create_router(edge),
            portal.create_router(edge),
        ],
        exception_handlers={
            EntrepotError: answer_error,
            HTTPException: orders_api.answer_stray(
                products_api.answer_stray(answer_unknown_page(policy, answer_http_error))
            ),
            InternalServerException: answer_cut_off,
            Exception: answer_defect,
        },
        before_request=_meter(edge),
        openapi_config=openapi_config(policy),
        request_max_body_size=policy.body_bytes_max,
        on_app_init=[keep_quiet],
        after_exception=[note_error],
        debug=False,
    )


def _meter(edge: Edge) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Counts requests without a credential, before their door: TooMany in that door's shape.

    Those with a token or a session are counted for a principal where it is found
    (`Edge.authenticate`, `find_visitor`).
    """
    session = cookie_name(edge.hub.policy).encode() + b"="

    async def meter(_request: Request[Any, Any, Any]) -> None:
        one = ticket.get()
        if one is None:
            return
        path, sent = one.scope["path"], one.sent
        by_token = b"authorization" in sent and path.startswith(_BY_TOKEN)
        by_session = session in sent.get(b"cookie", b"") and not path.startswith(_OPEN)
        if not (by_token or by_session or path.startswith(_KEPT)):
            edge.charge_address()

    return meter


def _common_headers(hub: Hub) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if hub.policy.public_url.startswith("https:"):
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    if hub.policy.sandbox:
        headers.append((b"entrepot-sandbox", b"true"))
    return headers


def _door_of(path: str) -> str:
    return next((door for start, door in _DOORS if path.startswith(start)), "portal")


def _host_of(headers: dict[bytes, bytes]) -> bytes:
    """The host name without port, lower case; IPv6 keeps its brackets."""
    host = headers.get(b"host", b"").lower()
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host


async def _refuse_host(send: Send) -> None:
    body = msgspec.json.encode(
        Problem("This hub does not answer to that host name.", 421, "host-unknown")
    )
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _without_body(send: Send) -> Send:
    """HEAD is GET without the body (RFC 9110 section 9.3.2); Litestar itself answers 405."""
    finished = False

    async def answer(message: Message) -> None:
        nonlocal finished
        if message["type"] != "http.response.body":
            await send(message)
        elif not finished:
            finished = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return answer
