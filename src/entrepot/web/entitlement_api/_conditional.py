"""200 or 304 for a list (RFC 9110 section 13), so that whoever keeps a copy in step costs little.

The tag is of the bytes, and they are read anew each time: 304 saves the way to the caller, never
a decision. The answer stays `no-store`: it is for a client that keeps it on purpose, as
`entrepot sync` does, and not for caches on the way.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from litestar.response.base import ASGIResponse

from entrepot.kit.ranges import Conditions, NotModified, Representation, conditions_of, evaluate
from entrepot.web.entitlement_api._errors import CACHE_CONTROL

_TAG_BYTES = 16


def answer_list(body: bytes, headers: Iterable[tuple[bytes, bytes]], now: datetime) -> ASGIResponse:
    """The list with its ETag, or 304 where the request's If-None-Match names it."""
    etag = f'"{hashlib.blake2b(body, digest_size=_TAG_BYTES).hexdigest()}"'
    told = [("cache-control", CACHE_CONTROL), ("etag", etag)]
    wanted = conditions_of(headers).if_none_match
    if wanted is not None:
        conditions = Conditions(if_none_match=wanted)
        outcome = evaluate("GET", conditions, Representation(len(body), etag, now), now)
        if isinstance(outcome, NotModified):
            return ASGIResponse(body=b"", status_code=304, headers=told)
    return ASGIResponse(body=body, headers=told, media_type="application/json")
