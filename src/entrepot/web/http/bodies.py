"""From the outcome of a conditional request to status, headers and the extents of the body."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from entrepot.kit.extents import Extent, MemoryExtent
from entrepot.kit.httpdate import format_http_date
from entrepot.kit.ranges import (
    ByteRange,
    Full,
    NotModified,
    Outcome,
    Partial,
    PreconditionFailed,
    Representation,
)

Headers: TypeAlias = list[tuple[bytes, bytes]]
SliceExtents: TypeAlias = Callable[[int, int], Iterable[Extent]]
"""`slice_extents(start, length)`: the extents of that stretch; may make them as they are read."""

_ACCEPT_RANGES: Final = (b"accept-ranges", b"bytes")
_PLAIN_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_CHANGED: Final = (
    b"The file is not the one this request was made for: it has changed since.\n"
    b"Ask again without If-Match and If-Unmodified-Since, and start from the first byte.\n"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: `headers` with lower-case names, `extents` to be read once, in order."""

    status: int
    headers: Headers
    extents: Iterable[Extent]


def answer(
    outcome: Outcome,
    representation: Representation,
    *,
    content_type: str,
    slice_extents: SliceExtents,
) -> Answer:
    """200, 206, 304, 412 or 416 for `outcome`, by RFC 9110 sections 14 and 15.

    Never a Content-Encoding; always an exact Content-Length, save on 304. What belongs to
    the door (Content-Disposition, Cache-Control) is for the door to add.
    """
    if isinstance(outcome, Full):
        headers = _describe(representation, representation.size, content_type.encode("latin-1"))
        return Answer(200, headers, slice_extents(0, representation.size))
    if isinstance(outcome, Partial):
        if len(outcome.ranges) == 1:
            return _one_part(outcome.ranges[0], representation, content_type, slice_extents)
        return _many_parts(outcome.ranges, representation, content_type, slice_extents)
    if isinstance(outcome, NotModified):
        return Answer(304, _validators(representation), ())
    if isinstance(outcome, PreconditionFailed):
        return _refuse(412, _CHANGED, _validators(representation))
    size = representation.size
    text = f"The file has {size} bytes; no range asked for lies inside it.\n"
    return _refuse(416, text.encode(), [(b"content-range", b"bytes */%d" % size), _ACCEPT_RANGES])


def _one_part(
    part: ByteRange, representation: Representation, content_type: str, slice_extents: SliceExtents
) -> Answer:
    headers = _describe(representation, part.length, content_type.encode("latin-1"))
    headers.append((b"content-range", _content_range(part, representation.size)))
    return Answer(206, headers, slice_extents(part.start, part.length))


def _many_parts(
    parts: tuple[ByteRange, ...],
    representation: Representation,
    content_type: str,
    slice_extents: SliceExtents,
) -> Answer:
    """multipart/byteranges (section 14.6); the random boundary cannot occur in the data."""
    boundary = secrets.token_hex(16).encode()
    heads = [
        b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
        % (boundary, content_type.encode("latin-1"), _content_range(part, representation.size))
        for part in parts
    ]
    heads[0] = heads[0].removeprefix(b"\r\n")
    tail = b"\r\n--%b--\r\n" % boundary
    length = sum(map(len, heads)) + sum(part.length for part in parts) + len(tail)

    def extents() -> Iterator[Extent]:
        for head, part in zip(heads, parts, strict=True):
            yield MemoryExtent(head)
            yield from slice_extents(part.start, part.length)
        yield MemoryExtent(tail)

    kind = b"multipart/byteranges; boundary=" + boundary
    return Answer(206, _describe(representation, length, kind), extents())


def _content_range(part: ByteRange, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (part.start, part.last, size)


def _describe(representation: Representation, length: int, content_type: bytes) -> Headers:
    return [
        (b"content-type", content_type),
        (b"content-length", b"%d" % length),
        _ACCEPT_RANGES,
        *_validators(representation),
    ]


def _validators(representation: Representation) -> Headers:
    return [
        (b"etag", representation.etag.encode("latin-1")),
        (b"last-modified", format_http_date(representation.last_modified).encode()),
    ]


def _refuse(status: int, text: bytes, headers: Headers) -> Answer:
    headers = [_PLAIN_TEXT, (b"content-length", b"%d" % len(text)), *headers]
    return Answer(status, headers, (MemoryExtent(text),))
