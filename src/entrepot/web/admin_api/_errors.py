"""This door's errors: problem documents (RFC 9457) as everywhere, and 413 for a large file."""

from typing import Any, TypeAlias

from litestar import Request, Response

from entrepot.errors import EntrepotError, NotFound
from entrepot.web.http import problems
from entrepot.web.http.problems import Problem

AnyRequest: TypeAlias = Request[Any, Any, Any]
TOO_LARGE = "object-too-large"


def answer_error(request: AnyRequest, error: EntrepotError) -> Response[Problem]:
    """Litestar exception handler for errors of ours."""
    response = problems.answer_error(request, error)
    if isinstance(error, NotFound):
        response.content.remedy = "Check the number, name, code or id in the address."
    if error.code == TOO_LARGE:
        # Elsewhere a file is too large for what is asked; here it is the body itself.
        response.status_code = response.content.status = 413
    return response
