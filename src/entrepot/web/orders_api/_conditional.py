"""200 or 304 for a look at an order (RFC 9110 section 13), so that whoever polls costs little."""

import hashlib
from datetime import datetime, timedelta

from litestar.response.base import ASGIResponse

from entrepot.core.delivery import link_bucket
from entrepot.kit.httpdate import format_http_date
from entrepot.kit.ranges import Conditions, NotModified, Representation, conditions_of, evaluate
from entrepot.web.orders_api._door import AnyRequest, Door, answer, encode
from entrepot.web.orders_api._wire import Order

# A change may bear a time that lies so far back: another node's clock is up to 5 s behind, and
# a commit takes a moment. A date that young must not be told as the one of the last change.
SETTLING = timedelta(seconds=6)
_DELIVERED = ("Completed", "CompletedWithErrors")


def conditional(door: Door, request: AnyRequest, shown: Order) -> ASGIResponse:
    """The order with ETag and Last-Modified, or 304 where it was not modified.

    The link to the ZIP is part of it: a new one is a change, so 304 never keeps a dead link.
    """
    body, now = encode(shown), door.hub.now()
    changed_at = datetime.fromisoformat(shown.modified_on)
    if shown.status in _DELIVERED:
        # Without its link since a right has ended: nothing of the order says since when.
        lost = shown.download_location is None
        bucket = link_bucket(now, seconds=door.policy.link_seconds)
        changed_at = now if lost else max(changed_at, bucket)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    told = min(changed_at, now - SETTLING)
    headers = {"etag": etag, "last-modified": format_http_date(told)}
    conditions = conditions_of(request.scope["headers"])
    if _is_current(conditions, Representation(len(body), etag, changed_at), now):
        return answer(b"", status=304, headers=headers)
    return answer(body, headers=headers)


def _is_current(conditions: Conditions, representation: Representation, now: datetime) -> bool:
    since = _iso_instant(conditions.if_modified_since or "")
    if since is None or conditions.if_none_match is not None:
        return isinstance(evaluate("GET", conditions, representation, now), NotModified)
    changed_at = representation.last_modified
    if not since.microsecond:  # whole seconds, as Last-Modified tells them
        changed_at = changed_at.replace(microsecond=0)
    return changed_at <= since


def _iso_instant(text: str) -> datetime | None:
    """The vendor's documents show If-Modified-Since in ISO 8601, which HTTP does not have."""
    if not text[:1].isdigit():
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None
