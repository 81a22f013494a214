"""Conditional and range requests (RFC 9110 sections 13 and 14), decided without any I/O.

`evaluate` takes what the client asked and what is stored and says which of five answers is
due; it is the only place that decides it. What is stored never changes under its ETag
(content-addressed), so the ETag is strong, and so is Last-Modified where it is compared.

Limits: a Range header of more than RANGE_HEADER_LENGTH_MAX characters or RANGES_MAX ranges
is ignored, as section 14.2 allows, and the whole representation is the answer. Ranges that
overlap or touch are merged, so no answer carries a byte twice.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from entrepot.kit.httpdate import parse_http_date

RANGES_MAX: Final = 16
RANGE_HEADER_LENGTH_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes (at least 1) from offset `start`."""

    start: int
    length: int

    @property
    def last(self) -> int:
        """Offset of the last byte, as Content-Range writes it."""
        return self.start + self.length - 1


@dataclass(frozen=True, slots=True)
class Full:
    """200: the whole representation."""


@dataclass(frozen=True, slots=True)
class Partial:
    """206: these ranges, disjoint, not adjacent, in the order asked for; at least one."""

    ranges: tuple[ByteRange, ...]


@dataclass(frozen=True, slots=True)
class NotModified:
    """304: what the client has is current."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """412: what the client means is not what is stored."""


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """416: every range lies outside the representation."""


Outcome: TypeAlias = Full | Partial | NotModified | PreconditionFailed | Unsatisfiable


@dataclass(frozen=True, slots=True)
class Representation:
    """What is stored: `size` in bytes, strong `etag` with its quotes, UTC `last_modified`."""

    size: int
    etag: str
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class Conditions:
    """The request's six header fields, each None where absent, lines joined by a comma."""

    if_match: str | None = None
    if_unmodified_since: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_range: str | None = None
    range: str | None = None


UNCONDITIONAL: Final = Conditions()
_FULL: Final = Full()
_FIELDS: Final = {
    b"if-match": "if_match",
    b"if-unmodified-since": "if_unmodified_since",
    b"if-none-match": "if_none_match",
    b"if-modified-since": "if_modified_since",
    b"if-range": "if_range",
    b"range": "range",
}


def conditions_of(headers: Iterable[tuple[bytes, bytes]]) -> Conditions:
    """The conditions among `headers` (lower-case names, as ASGI gives them)."""
    found: dict[str, str] = {}
    for name, value in headers:
        field = _FIELDS.get(name)
        if field is not None:
            text = value.decode("latin-1").strip(" \t")
            found[field] = f"{found[field]}, {text}" if field in found else text
    return Conditions(**found) if found else UNCONDITIONAL


def evaluate(
    method: str, conditions: Conditions, representation: Representation, now: datetime
) -> Outcome:
    """The answer due to a GET or HEAD, in the order of RFC 9110 section 13.2.2.

    To be asked only where the plain request would succeed. Range counts for GET alone.
    """
    if conditions is UNCONDITIONAL:
        return _FULL
    if not _is_wanted_state(conditions, representation, now):
        return PreconditionFailed()
    if _is_current(conditions, representation, now):
        return NotModified()
    if method != "GET" or conditions.range is None:
        return _FULL
    if conditions.if_range is not None and not _may_resume(
        conditions.if_range, representation, now
    ):
        return _FULL
    return select_ranges(conditions.range, representation.size)


def _is_wanted_state(conditions: Conditions, representation: Representation, now: datetime) -> bool:
    """If-Match, else If-Unmodified-Since (steps 1 and 2)."""
    if conditions.if_match is not None:
        return _names_etag(conditions.if_match, representation.etag, weakly=False)
    if conditions.if_unmodified_since is not None:
        since = parse_http_date(conditions.if_unmodified_since, now)
        return since is None or _whole_seconds(representation.last_modified) <= since
    return True


def _is_current(conditions: Conditions, representation: Representation, now: datetime) -> bool:
    """If-None-Match, else If-Modified-Since (steps 3 and 4)."""
    if conditions.if_none_match is not None:
        return _names_etag(conditions.if_none_match, representation.etag, weakly=True)
    if conditions.if_modified_since is not None:
        since = parse_http_date(conditions.if_modified_since, now)
        return since is not None and _whole_seconds(representation.last_modified) <= since
    return False


def _may_resume(if_range: str, representation: Representation, now: datetime) -> bool:
    """If-Range (step 5, section 13.1.5): strong comparison, or the very date."""
    if '"' in if_range[:3]:
        return if_range == representation.etag
    return parse_http_date(if_range, now) == _whole_seconds(representation.last_modified)


def _whole_seconds(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)


_ETAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ETAG_LIST = re.compile(rf"[ \t,]*{_ETAG}(?:[ \t]*,[ \t,]*{_ETAG})*[ \t,]*")
_ETAGS = re.compile(_ETAG)


def _names_etag(field: str, etag: str, *, weakly: bool) -> bool:
    """Whether an If-Match or If-None-Match value names `etag`; a malformed one names nothing."""
    if field == "*":
        return True
    if not _ETAG_LIST.fullmatch(field):
        return False
    tags = _ETAGS.findall(field)
    return etag in tags or (weakly and f"W/{etag}" in tags)


_RANGE_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")


def select_ranges(field: str, size: int) -> Full | Partial | Unsatisfiable:
    """What a Range value selects of `size` bytes; one that must or may be ignored: Full."""
    spans = _parse_spans(field)
    if spans is None:
        return _FULL
    ranges = [found for span in spans if (found := _clip(span, size))]
    if ranges:
        return Partial(_merge(ranges))
    if size == 0 and any(first is None and last for first, last in spans):
        return _FULL  # satisfiable by section 14.1.2, yet Content-Range cannot write 0 bytes
    return Unsatisfiable()


_Span: TypeAlias = tuple[int | None, int | None]  # (first, last), (first, None), (None, suffix)


def _parse_spans(field: str) -> list[_Span] | None:
    """The ranges asked for, or None where the header is to be ignored."""
    unit, equals, range_set = field.partition("=")
    if not equals or unit.lower() != "bytes" or len(field) > RANGE_HEADER_LENGTH_MAX:
        return None
    spans: list[_Span] = []
    for element in range_set.split(","):
        text = element.strip(" \t")
        if not text:
            continue  # section 5.6.1.2: empty list elements do not count
        match = _RANGE_SPEC.fullmatch(text)
        if not match or len(spans) == RANGES_MAX:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            spans.append((None, int(suffix)))
        elif last and int(last) < int(first):
            return None
        else:
            spans.append((int(first), int(last) if last else None))
    return spans or None


def _clip(span: _Span, size: int) -> ByteRange | None:
    """The part of `span` inside the representation, None where there is none."""
    first, last = span
    if first is None:
        length = min(last or 0, size)
        return ByteRange(size - length, length) if length else None
    if first >= size:
        return None
    end = size if last is None else min(last + 1, size)
    return ByteRange(first, end - first)


def _merge(ranges: list[ByteRange]) -> tuple[ByteRange, ...]:
    """Join what overlaps or touches; a joined range stands where its first part stood."""
    if len(ranges) == 1:
        return tuple(ranges)
    merged: list[tuple[int, int, int]] = []  # place, start, end
    for start, end, place in sorted((r.start, r.start + r.length, i) for i, r in enumerate(ranges)):
        if merged and start <= merged[-1][2]:
            first, begin, reach = merged[-1]
            merged[-1] = (min(first, place), begin, max(reach, end))
        else:
            merged.append((place, start, end))
    return tuple(ByteRange(start, end - start) for _, start, end in sorted(merged))
