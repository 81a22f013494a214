"""Errors as pages: what is wrong, what to do, and nothing else."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from entrepot.assembly import Policy
from entrepot.errors import EntrepotError, NotFound, Unauthenticated
from entrepot.web.http.errors import headers_of, status_of
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import SignInNeeded, visitor_kept

_log = logging.getLogger("entrepot.portal")
_TITLES = {
    400: "That did not work",
    401: "Please sign in",
    403: "Not allowed",
    404: "Page not found",
    408: "That took too long",
    409: "That clashes with something",
    410: "No longer there",
    413: "Too large",
    429: "Too many attempts",
    500: "Something broke here",
    503: "Not available now",
    507: "The hub is full",
}
_UNKNOWN_PAGE = NotFound("There is no such page, or it is not yours.")
Handler = Callable[[Request[Any, Any, Any], Any], Response[Any]]


def error_handlers(pages: Pages) -> dict[type[Exception], Handler]:
    """The exception handlers of the door's router."""

    def lead_to_sign_in(_request: Request[Any, Any, Any], error: SignInNeeded) -> Response[Any]:
        return pages.redirect(pages.url("sign-in", next=error.next_path))

    def explain(request: Request[Any, Any, Any], error: EntrepotError) -> Response[Any]:
        return error_page(pages, request, error)

    def explain_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        return _http_error_page(pages, request, error)

    def explain_defect(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        _log.error("a page failed", exc_info=error)
        return _page(
            pages,
            request,
            status=500,
            message="The hub made a mistake. It is written down in its log.",
            remedy=f"Try again; if it happens again, tell the operator: {_request_id(request)}",
        )

    return {
        SignInNeeded: lead_to_sign_in,
        EntrepotError: explain,
        HTTPException: explain_http,
        Exception: explain_defect,
    }


def error_page(
    pages: Pages, request: Request[Any, Any, Any], error: EntrepotError
) -> Response[Any]:
    """The page of an error of ours."""
    shown = _UNKNOWN_PAGE if isinstance(error, NotFound) else error
    headers = {} if isinstance(error, Unauthenticated) else headers_of(error)
    return _page(
        pages,
        request,
        status=status_of(error),
        message=shown.message,
        remedy="Start again from the first page." if shown is _UNKNOWN_PAGE else shown.remedy,
        headers=headers,
    )


def answer_unknown_page(
    policy: Policy, otherwise: Callable[[Request[Any, Any, Any], HTTPException], Response[Any]]
) -> Callable[[Request[Any, Any, Any], HTTPException], Response[Any]]:
    """A handler for addresses that belong to no door: a page for browsers, else `otherwise`."""
    pages = Pages(policy)

    def answer(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        if "text/html" not in request.headers.get("accept", ""):
            return otherwise(request, error)
        return _http_error_page(pages, request, error)

    return answer


def _http_error_page(
    pages: Pages, request: Request[Any, Any, Any], error: HTTPException
) -> Response[Any]:
    if error.status_code == 404:
        return error_page(pages, request, _UNKNOWN_PAGE)
    return _page(
        pages,
        request,
        status=error.status_code,
        message=f"{HTTPStatus(error.status_code).phrase}.",
        remedy="Start again from the first page.",
        headers=dict(error.headers or {}),
    )


def _page(
    pages: Pages,
    request: Request[Any, Any, Any],
    *,
    status: int,
    message: str,
    remedy: str,
    headers: dict[str, str] | None = None,
) -> Response[Any]:
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    return pages.page(
        "error.html",
        visitor_kept(request),
        status=status,
        headers=headers,
        title=title,
        code=status,
        message=message,
        remedy=remedy,
    )


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("request_id", ""))
