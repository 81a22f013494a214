"""Problem details (RFC 9457): the error body of the doors that have no dialect of their own."""

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from entrepot.errors import EntrepotError, Invalid
from entrepot.web.http.errors import headers_of, status_of

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


class Problem(msgspec.Struct, omit_defaults=True):
    """`type` is a relative reference into the error catalogue; `code` is stable."""

    title: str
    status: int
    code: str
    type: str = "about:blank"
    detail: str = ""
    remedy: str = ""
    field: str = ""
    details: dict[str, str | int | bool] = {}


def problem_of(error: EntrepotError) -> Problem:
    """The problem document for an error of ours."""
    return Problem(
        title=error.message,
        status=status_of(error),
        code=error.code,
        type=f"/docs/errors#{error.code}",
        remedy=error.remedy,
        field=error.field if isinstance(error, Invalid) else "",
        details=dict(error.details),
    )


def answer_error(_request: Request[Any, Any, Any], error: EntrepotError) -> Response[Problem]:
    """Litestar exception handler for errors of ours."""
    problem = problem_of(error)
    return Response(
        problem, status_code=problem.status, headers=headers_of(error), media_type=MEDIA_TYPE
    )


def answer_http_error(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar exception handler for what the framework refuses: route, method, body."""
    if error.status_code == 404:
        return _answer_no_endpoint()
    code = {405: "method-not-allowed", 413: "body-too-large"}.get(error.status_code, "invalid")
    detail = error.detail
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        faults = [f"{item.get('key', '')}: {item.get('message', '')}" for item in error.extra]
        detail = "; ".join(faults) or detail
    problem = Problem(
        title=detail or code,
        status=error.status_code,
        code=code,
        type=f"/docs/errors#{code}",
    )
    headers = {"cache-control": "no-store", **(error.headers or {})}
    return Response(problem, status_code=error.status_code, headers=headers, media_type=MEDIA_TYPE)


def _answer_no_endpoint() -> Response[Problem]:
    """The framework's 404 means the path; objects that are not there are errors of ours."""
    problem = Problem(
        title="There is no such endpoint.",
        status=404,
        code="endpoint-unknown",
        type="/docs/errors#endpoint-unknown",
        remedy="Check the path; /openapi.json of this hub has every endpoint.",
    )
    return Response(
        problem, status_code=404, headers={"cache-control": "no-store"}, media_type=MEDIA_TYPE
    )


def answer_cut_off(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar exception handler for its own 500, which it also gives where the client left.

    Nobody hears that answer, but logs and alarms must not take a client's doing for a defect.
    """
    if "disconnected" not in error.detail:
        return answer_defect(request, error)
    problem = Problem("The request ended before its body did.", 400, "invalid")
    return Response(problem, status_code=400, media_type=MEDIA_TYPE)


def answer_defect(_request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Litestar exception handler for what nobody expected: logged whole, told in one line."""
    _log.error("defect", exc_info=error)
    problem = Problem(
        title="The hub has a defect here.",
        status=500,
        code="error",
        type="/docs/errors#error",
        remedy="Tell its operator the id in the header X-Request-Id.",
    )
    return Response(
        problem, status_code=500, headers={"cache-control": "no-store"}, media_type=MEDIA_TYPE
    )
