"""Conditional and range requests against a second, naive reading of RFC 9110.

The model takes structured requests (never the header text it would have to parse) and, for
ranges, sets of byte offsets; the code under test only sees header text.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.kit.httpdate import format_http_date, parse_http_date
from entrepot.kit.ranges import (
    RANGES_MAX,
    Conditions,
    Full,
    NotModified,
    Outcome,
    Partial,
    PreconditionFailed,
    Representation,
    Unsatisfiable,
    evaluate,
    select_ranges,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CHANGED = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
ETAG = '"abc"'


@dataclass(frozen=True)
class Tag:
    weak: bool
    value: str

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.value}"'


@dataclass(frozen=True)
class Span:
    """first-last, first- or, without first, -last."""

    first: int | None
    last: int | None

    def __str__(self) -> str:
        first = "" if self.first is None else str(self.first)
        return f"{first}-{'' if self.last is None else self.last}"

    def offsets(self, size: int) -> set[int]:
        everything = range(size)
        if self.first is None:
            assert self.last is not None
            return {n for n in everything if n >= size - self.last}
        return {n for n in everything if n >= self.first and (self.last is None or n <= self.last)}

    def is_valid(self) -> bool:
        return self.first is None or self.last is None or self.first <= self.last


TAGS = st.builds(Tag, st.booleans(), st.sampled_from(["abc", "ab", "", "a,b", "abcd"]))
TAG_LISTS = st.one_of(st.none(), st.just("*"), st.lists(TAGS, min_size=1, max_size=4))
DATES = st.one_of(st.none(), st.integers(-2, 2))  # seconds from Last-Modified
NUMBERS = st.integers(0, 60)
SPANS = st.one_of(
    st.builds(Span, NUMBERS, st.one_of(st.none(), NUMBERS)),
    st.builds(Span, st.none(), NUMBERS),
)


def date(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return format_datetime(CHANGED + timedelta(seconds=seconds), usegmt=True)


def tag_list(tags: str | list[Tag] | None) -> str | None:
    return tags if tags is None or isinstance(tags, str) else ", ".join(map(str, tags))


def matches(tags: str | list[Tag], *, strong: bool) -> bool:
    if isinstance(tags, str):
        return True
    return any(tag.value == "abc" and not (strong and tag.weak) for tag in tags)


def model_of_ranges(spans: list[Span], size: int) -> set[int] | str:
    """The offsets selected, or "whole", or "none"."""
    if len(spans) > RANGES_MAX or not all(span.is_valid() for span in spans):
        return "whole"
    offsets = set().union(*(span.offsets(size) for span in spans))
    if offsets:
        return offsets
    suffix = any(span.first is None and span.last for span in spans)
    return "whole" if suffix and size == 0 else "none"


def check_ranges(outcome: Outcome, spans: list[Span], size: int) -> None:
    expected = model_of_ranges(spans, size)
    if expected == "whole":
        assert outcome == Full()
    elif expected == "none":
        assert outcome == Unsatisfiable()
    else:
        assert isinstance(outcome, Partial)
        got = [set(range(part.start, part.start + part.length)) for part in outcome.ranges]
        assert set().union(*got) == expected
        assert sum(map(len, got)) == len(expected)  # no byte twice, never more than there is
        edges = sorted((part.start, part.start + part.length) for part in outcome.ranges)
        assert all(a[1] < b[0] for a, b in pairwise(edges))
        # A part stands where the first range that it answers stood.
        places = [
            min(n for n, span in enumerate(spans) if span.offsets(size) & part) for part in got
        ]
        assert places == sorted(places)


@given(
    spans=st.lists(SPANS, min_size=1, max_size=RANGES_MAX + 2),
    size=st.integers(0, 50),
    gaps=st.lists(st.sampled_from([",", ", ", "\t,", " ,,  "]), min_size=20, max_size=20),
)
@settings(max_examples=300)
def test_ranges_select_what_the_model_selects(
    spans: list[Span], size: int, gaps: list[str]
) -> None:
    text = str(spans[0]) + "".join(
        gap + str(span) for gap, span in zip(gaps, spans[1:], strict=False)
    )
    check_ranges(select_ranges(f"bytes={text}", size), spans, size)


@given(st.text(max_size=30), st.integers(0, 50))
def test_any_text_is_taken_as_a_range_or_ignored(text: str, size: int) -> None:
    for field in (text, f"bytes={text}"):
        outcome = select_ranges(field, size)
        if isinstance(outcome, Partial):
            assert all(0 <= part.start <= part.last < size for part in outcome.ranges)


@given(
    method=st.sampled_from(["GET", "HEAD"]),
    if_match=TAG_LISTS,
    unmodified=DATES,
    if_none_match=TAG_LISTS,
    modified=DATES,
    if_range=st.one_of(st.none(), TAGS, st.integers(-2, 2)),
    spans=st.one_of(st.none(), st.lists(SPANS, min_size=1, max_size=3)),
    size=st.integers(0, 50),
)
@settings(max_examples=500)
def test_conditions_are_judged_in_the_order_of_the_standard(
    method: str,
    if_match: str | list[Tag] | None,
    unmodified: int | None,
    if_none_match: str | list[Tag] | None,
    modified: int | None,
    if_range: Tag | int | None,
    spans: list[Span] | None,
    size: int,
) -> None:
    conditions = Conditions(
        if_match=tag_list(if_match),
        if_unmodified_since=date(unmodified),
        if_none_match=tag_list(if_none_match),
        if_modified_since=date(modified),
        if_range=str(if_range) if isinstance(if_range, Tag) else date(if_range),
        range=None if spans is None else "bytes=" + ",".join(map(str, spans)),
    )
    stored = Representation(size, ETAG, CHANGED + timedelta(milliseconds=700))
    outcome = evaluate(method, conditions, stored, NOW)

    # Steps 1 and 2
    if if_match is not None:
        wanted = matches(if_match, strong=True)
    else:
        wanted = unmodified is None or unmodified >= 0
    if not wanted:
        assert outcome == PreconditionFailed()
        return
    # Steps 3 and 4
    if if_none_match is not None:
        current = matches(if_none_match, strong=False)
    else:
        current = modified is not None and modified >= 0
    if current:
        assert outcome == NotModified()
        return
    # Step 5
    if isinstance(if_range, Tag):
        resumable = if_range == Tag(weak=False, value="abc")
    else:
        resumable = if_range in (None, 0)
    if method == "HEAD" or spans is None or not resumable:
        assert outcome == Full()
    else:
        check_ranges(outcome, spans, size)


INSTANTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda naive: naive.replace(microsecond=0, tzinfo=UTC)
)


@given(INSTANTS)
def test_dates_survive_the_round_trip(instant: datetime) -> None:
    assert format_http_date(instant) == format_datetime(instant, usegmt=True)
    assert parse_http_date(format_http_date(instant), NOW) == instant
    assert parse_http_date(instant.strftime("%a %b %e %H:%M:%S %Y"), NOW) == instant


@given(INSTANTS.map(lambda i: i.replace(year=1977 + i.year % 100, day=min(i.day, 28))))
def test_two_digits_of_a_year_name_the_nearest_year(instant: datetime) -> None:
    text = instant.strftime("%A, %d-%b-%y %H:%M:%S GMT")
    parsed = parse_http_date(text, NOW)
    assert parsed is not None
    assert NOW.replace(year=1976) <= parsed <= NOW.replace(year=2076)
    assert parsed.strftime("%d-%b-%y %H:%M:%S") == instant.strftime("%d-%b-%y %H:%M:%S")


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    parsed = parse_http_date(text, NOW)
    assert parsed is None or parsed.tzinfo is UTC
