"""The dialect's error bodies (contract, "Errors").

A 400 is `{propertyName: message}` and nothing else, because the vendor's SDK takes every key
for a failure; every other error is `{"Message": "..."}`.
"""

from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from entrepot.errors import EntrepotError, Invalid, NotFound
from entrepot.web.http.errors import explain, headers_of, status_of
from entrepot.web.orders_api._wire import Message

MEDIA_TYPE = "application/json"
CACHE_CONTROL = "private, no-cache"

AnyRequest: TypeAlias = Request[Any, Any, Any]
_encode = msgspec.json.Encoder().encode


def answer_error(_request: AnyRequest, error: EntrepotError) -> Response[bytes]:
    """Litestar exception handler for errors of ours."""
    status = status_of(error)
    if isinstance(error, Invalid):
        body = _encode({error.field or "request": explain(error)})
    else:
        body = _encode(Message(explain(error)))
    headers = headers_of(error) | {"x-error-code": error.code}
    return Response(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def answer_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar exception handler for what the framework refuses: route, method, body."""
    if error.status_code == 404:
        return answer_error(request, NotFound())
    if error.status_code == 400:
        body = _encode({"request": error.detail})
    else:
        body = _encode(Message(error.detail))
    headers = {"cache-control": "no-store", **(error.headers or {})}
    return Response(body, status_code=error.status_code, headers=headers, media_type=MEDIA_TYPE)
