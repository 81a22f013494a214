"""The dialect's error body (contract, "Errors"), for every status.

    {"success": false, "status": 422, "context": "data",
     "errors": [{"name": "file", "message": "...", "ref": "error.uri-scheme-invalid"}]}

`context` says where the fault lies: `data` is the body's object, `parameters` all else. `ref` is
`error.` and a code of the catalogue; where that would be the plain `invalid`, the name of the
field says more: `error.title-invalid`.
"""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from entrepot.errors import EntrepotError, Invalid, NotFound, Unauthenticated, Unavailable
from entrepot.web.http.errors import explain, headers_of, status_of
from entrepot.web.products_api._wire import ErrorItem, Failure

MEDIA_TYPE = "application/json"
NAME_LENGTH_MAX = 80  # of what a caller called a thing, when it is told back
FAULTS_MAX = 50

AnyRequest: TypeAlias = Request[Any, Any, Any]
_Handler: TypeAlias = Callable[[AnyRequest, HTTPException], Response[Any]]
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class Faults(Invalid):
    """The body's object does not hold: every fault that was found. `status` is 400 or 422."""

    def __init__(self, faults: Sequence[Invalid], *, status: int = 422) -> None:
        super().__init__(faults[0].message, field=faults[0].field, code=faults[0].code)
        self.faults = faults[:FAULTS_MAX]
        self.status = status


@contextmanager
def data_faults() -> Generator[None, None, None]:
    """What a verb finds wrong inside is wrong in the body's object, also what it refers to."""
    try:
        yield
    except Faults:
        raise
    except Invalid as error:
        raise Faults([error]) from error


@contextmanager
def file_faults() -> Generator[None, None, None]:
    """As `data_faults`, of `file`: also that the host it should come from does not answer."""
    try:
        yield
    except Unavailable as error:
        if error.code != "remote-failed":
            raise
        raise Faults([_of_file(error)]) from error
    except Faults:
        raise
    except Invalid as error:
        kept = error.field in ("filename", "directory", "file")
        raise Faults([error if kept else _of_file(error)]) from error


def _of_file(error: EntrepotError) -> Invalid:
    return Invalid(error.message, field="file", code=error.code, remedy=error.remedy)


def failure_of(error: EntrepotError) -> Failure:
    """The body for an error of ours."""
    if isinstance(error, Faults):
        return Failure(
            status=error.status,
            context="data",
            errors=[_item(each, each.field) for each in error.faults],
        )
    name = "id"
    if isinstance(error, Invalid):
        name = error.field or "query"
    elif isinstance(error, Unauthenticated):
        name = "Authorization"
    elif not isinstance(error, NotFound):
        name = "scope" if "scope" in error.details else "request"
    return Failure(status=status_of(error), context="parameters", errors=[_item(error, name)])


def _item(error: EntrepotError, name: str) -> ErrorItem:
    name = name[:NAME_LENGTH_MAX] or "data"
    code = f"{name}-invalid".lower() if error.code == "invalid" else error.code
    return ErrorItem(name, explain(error), f"error.{code}")


def answer_error(_request: AnyRequest, error: EntrepotError) -> Response[bytes]:
    """Litestar exception handler for errors of ours."""
    return _answer(failure_of(error), headers_of(error))


_HTTP = {
    404: (
        "path",
        "There is no such endpoint. /openapi.json has every endpoint.",
        "endpoint-unknown",
    ),
    405: ("method", "The address does not answer to this method.", "method-not-allowed"),
    413: ("body", "The body of the request is larger than this hub takes.", "body-too-large"),
}


def answer_http_error(_request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar exception handler for what the framework refuses: route, method, body."""
    told = _HTTP.get(error.status_code, ("request", error.detail or "Refused.", "invalid"))
    name, message, code = told
    item = ErrorItem(name, message, f"error.{code}")
    failure = Failure(status=error.status_code, context="parameters", errors=[item])
    return _answer(failure, {"cache-control": "no-store", **(error.headers or {})})


def answer_stray(otherwise: _Handler) -> _Handler:
    """A handler for what no route matched: this dialect's shape below /api/v2, else `otherwise`."""

    def answer(request: AnyRequest, error: HTTPException) -> Response[Any]:
        if request.scope["path"].startswith("/api/v2/"):
            return answer_http_error(request, error)
        return otherwise(request, error)

    return answer


def answer_cut_off(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar exception handler for its own 500, which it also gives where the client left."""
    if "disconnected" not in error.detail:
        return answer_defect(request, error)
    item = ErrorItem("body", "The request ended before its body did.", "error.upload-incomplete")
    return _answer(
        Failure(status=400, context="data", errors=[item]), {"cache-control": "no-store"}
    )


def answer_defect(_request: AnyRequest, error: Exception) -> Response[bytes]:
    """Litestar exception handler for what nobody expected: logged whole, told in one line."""
    _log.error("defect", exc_info=error)
    told = "The hub has a defect here. Tell its operator the id in the header X-Request-Id."
    item = ErrorItem("request", told, "error.error")
    return _answer(
        Failure(status=500, context="parameters", errors=[item]), {"cache-control": "no-store"}
    )


def _answer(failure: Failure, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(
        _encode(failure), status_code=failure.status, headers=dict(headers), media_type=MEDIA_TYPE
    )
