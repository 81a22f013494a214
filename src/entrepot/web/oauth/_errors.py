"""Errors as RFC 6749 section 5.2 shapes them."""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from entrepot.errors import EntrepotError, Invalid, Late, TooMany, Unavailable
from entrepot.web.http.errors import explain, headers_of, status_of
from entrepot.web.oauth._wire import Fault

NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
CHALLENGE = {"www-authenticate": 'Basic realm="entrepot", charset="UTF-8"'}


def answer_fault(status: int, fault: Fault, headers: dict[str, str] | None = None) -> Response[Any]:
    """A fault with its status; 401 challenges for Basic credentials (RFC 7617)."""
    challenge = CHALLENGE if status == 401 else {}
    return Response(fault, status_code=status, headers=NO_STORE | challenge | (headers or {}))


def answer_error(_request: Request[Any, Any, Any], error: EntrepotError) -> Response[Any]:
    """Litestar exception handler for errors of ours."""
    if isinstance(error, Invalid | Late):
        name = "invalid_request"
    elif isinstance(error, TooMany | Unavailable):
        name = "temporarily_unavailable"
    else:
        name = "server_error"
    field = f" ({error.field})" if isinstance(error, Invalid) and error.field else ""
    fault = Fault(name, printable(explain(error) + field))
    return answer_fault(status_of(error), fault, headers_of(error))


def answer_http_error(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Litestar exception handler for what the framework refuses: method, size."""
    name = "invalid_request" if error.status_code < 500 else "server_error"
    fault = Fault(name, printable(error.detail))
    return answer_fault(error.status_code, fault, dict(error.headers or {}))


def printable(text: str) -> str:
    """`text` in the characters that RFC 6749 section 5.2 allows."""
    kept = text.replace('"', "'").replace("\\", "/")
    return "".join(char if " " <= char <= "~" else "?" for char in kept)
