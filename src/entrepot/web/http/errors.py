"""Kind of error -> HTTP status: the one table. The body's shape is each door's own."""

from entrepot.errors import (
    Conflict,
    Denied,
    EntrepotError,
    Gone,
    Invalid,
    Late,
    NotFound,
    StorageFull,
    TooMany,
    Unauthenticated,
    Unavailable,
)

# The most specific kind comes first.
STATUS: tuple[tuple[type[EntrepotError], int], ...] = (
    (NotFound, 404),
    (Unauthenticated, 401),
    (Denied, 403),
    (Invalid, 400),
    (Conflict, 409),
    (Gone, 410),
    (Late, 408),
    (TooMany, 429),
    (StorageFull, 507),
    (Unavailable, 503),
)


def status_of(error: EntrepotError) -> int:
    """The status for an error of ours; 500 for one without a kind, which is a defect."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def headers_of(error: EntrepotError) -> dict[str, str]:
    """The headers that go with the status, whatever the body's shape."""
    headers = {"cache-control": "no-store"}
    if isinstance(error, Unauthenticated):
        # RFC 6750 section 3.1: no error code when no token was sent.
        missing = error.code == "token-missing"
        headers["www-authenticate"] = "Bearer" if missing else 'Bearer error="invalid_token"'
    if isinstance(error, Late):
        # RFC 9110 section 15.5.9: the rest of the body is not the next request.
        headers["connection"] = "close"
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    return headers


def explain(error: EntrepotError) -> str:
    """Message and remedy as one text for people."""
    return f"{error.message} {error.remedy}".strip()
