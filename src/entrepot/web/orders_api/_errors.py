"""The dialect's error bodies (contract, "Errors").

A 400 is `{propertyName: message}` and nothing else, because the vendor's SDK takes every key
for a failure; every other error is `{"Message": "..."}`. The stable code of an error goes in a
header, `X-Error-Code`.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from entrepot.core.orders import SeveralFaults
from entrepot.errors import EntrepotError, Invalid, NotFound
from entrepot.web.http.errors import explain, headers_of, status_of
from entrepot.web.orders_api._wire import Message

MEDIA_TYPE = "application/json"
CACHE_CONTROL = "private, no-cache"
# A key of the caller's own making is told back up to here.
FIELD_LENGTH_MAX = 300
_ELSEWHERE = ("/api/admin", "/api/v2")  # other doors, with error bodies of their own

_LOOK_IT_UP = (
    "Your orders are listed at /api/downloadorders, the assets that you may have at /api/entities,"
    " all addresses at /api."
)

AnyRequest: TypeAlias = Request[Any, Any, Any]
_Handler: TypeAlias = Callable[[AnyRequest, HTTPException], Response[Any]]
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


def answer_error(_request: AnyRequest, error: EntrepotError) -> Response[bytes]:
    """Litestar exception handler for errors of ours."""
    status = status_of(error)
    if isinstance(error, Invalid):
        one = {error.field or "request": explain(error)}
        told = error.details if isinstance(error, SeveralFaults) else one
        body = _encode({path[:FIELD_LENGTH_MAX]: text for path, text in told.items()})
    elif isinstance(error, NotFound):
        # One text for every 404: what is not there and what is not the caller's look the same.
        body = _encode(Message(f"{error.message} {_LOOK_IT_UP}"))
    else:
        body = _encode(Message(explain(error)))
    return _answer(status, body, headers_of(error) | {"x-error-code": error.code})


def answer_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar exception handler for what the framework refuses: route, method, body."""
    status = error.status_code
    if status == 404:
        return answer_error(request, NotFound())
    if status == 400:
        return _answer(400, _encode({"request": error.detail}), {"x-error-code": "invalid"})
    told, code = error.detail, "invalid"
    if status == 405:
        told, code = "The address does not answer to this method.", "method-not-allowed"
    if status == 413:
        told, code = _too_large(request), "body-too-large"
    headers = {**(error.headers or {}), "x-error-code": code}
    return _answer(status, _encode(Message(told)), headers)


def answer_cut_off(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar exception handler for its own 500, which it also gives where the client left."""
    if "disconnected" not in error.detail:
        return answer_defect(request, error)
    told = {"request": "The request ended before its body did."}
    return _answer(400, _encode(told), {"x-error-code": "invalid"})


def answer_defect(_request: AnyRequest, error: Exception) -> Response[bytes]:
    """Litestar exception handler for what nobody expected: logged whole, told in one line."""
    _log.error("defect", exc_info=error)
    told = "The hub has a defect here. Tell its operator the id in the header X-Request-Id."
    return _answer(500, _encode(Message(told)), {"x-error-code": "error"})


def answer_stray(otherwise: _Handler) -> _Handler:
    """A handler for what no route matched: this dialect's shape below /api, else `otherwise`."""

    def answer(request: AnyRequest, error: HTTPException) -> Response[Any]:
        path = request.scope["path"]
        if _is_below(path, "/api") and not any(_is_below(path, door) for door in _ELSEWHERE):
            return answer_http_error(request, error)
        return otherwise(request, error)

    return answer


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _too_large(request: AnyRequest) -> str:
    limit = request.route_handler.resolve_request_max_body_size()
    return f"The body has more than the {limit} bytes that are taken here. Send it in parts."


def _answer(status: int, body: bytes, headers: dict[str, str]) -> Response[bytes]:
    return Response(
        body,
        status_code=status,
        headers={"cache-control": "no-store", **headers},
        media_type=MEDIA_TYPE,
    )
