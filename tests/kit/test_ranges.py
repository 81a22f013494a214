from datetime import UTC, datetime, timedelta, timezone

import pytest

from entrepot.kit.httpdate import format_http_date, parse_http_date
from entrepot.kit.ranges import (
    RANGES_MAX,
    UNCONDITIONAL,
    ByteRange,
    Conditions,
    Full,
    NotModified,
    Outcome,
    Partial,
    PreconditionFailed,
    Representation,
    Unsatisfiable,
    conditions_of,
    evaluate,
    select_ranges,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CHANGED = datetime(2026, 3, 1, 12, 30, 15, 999_000, tzinfo=UTC)
DATE = "Sun, 01 Mar 2026 12:30:15 GMT"
BEFORE = "Sun, 01 Mar 2026 12:30:14 GMT"
AFTER = "Sun, 01 Mar 2026 12:30:16 GMT"
STORED = Representation(1000, '"abc"', CHANGED)


def partial(*spans: tuple[int, int]) -> Partial:
    return Partial(tuple(ByteRange(start, length) for start, length in spans))


@pytest.mark.parametrize(
    ("field", "selected"),
    [
        ("bytes=0-0", partial((0, 1))),
        ("bytes=0-499", partial((0, 500))),
        ("bytes=500-", partial((500, 500))),
        ("bytes=500-99999999999999999999999", partial((500, 500))),
        ("bytes=-1", partial((999, 1))),
        ("bytes=-5000", partial((0, 1000))),
        ("BYTES=1-2", partial((1, 2))),
        ("bytes= 1-2\t, ,5-6,", partial((1, 2), (5, 2))),
        ("bytes=900-,0-9", partial((900, 100), (0, 10))),
        ("bytes=5000-,0-9", partial((0, 10))),
        ("bytes=0-9,10-19", partial((0, 20))),
        ("bytes=50-59,0-9,55-70", partial((50, 21), (0, 10))),
        ("bytes=0-,-1,3-4", partial((0, 1000))),
        ("bytes=1000-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=-0,1000-1001", Unsatisfiable()),
        ("bytes=2-1", Full()),
        ("bytes=0-1,2-1", Full()),
        ("bytes=", Full()),
        ("bytes=,", Full()),
        ("bytes", Full()),
        ("bytes=-", Full()),
        ("bytes=1", Full()),
        ("bytes=+1-2", Full()),
        ("bytes=1 - 2", Full()),
        ("bytes=0x1-2", Full()),
        ("bytes=١-٢", Full()),
        ("bytes=--1", Full()),
        ("bytes=1-2-3", Full()),
        ("bytes =1-2", Full()),
        ("lines=1-2", Full()),
        ("", Full()),
        ("bytes=" + ",".join(f"{10 * n}-{10 * n}" for n in range(RANGES_MAX + 1)), Full()),
        ("bytes=0-" + "9" * 1100, Full()),
    ],
)
def test_what_a_range_selects(field: str, selected: Outcome) -> None:
    assert select_ranges(field, 1000) == selected


def test_as_many_ranges_as_allowed() -> None:
    field = "bytes=" + ",".join(f"{10 * n}-{10 * n}" for n in range(RANGES_MAX))
    assert select_ranges(field, 1000) == partial(*((10 * n, 1) for n in range(RANGES_MAX)))


@pytest.mark.parametrize(
    ("field", "selected"),
    [("bytes=0-", Unsatisfiable()), ("bytes=-0", Unsatisfiable()), ("bytes=-1", Full())],
)
def test_ranges_of_nothing(field: str, selected: Outcome) -> None:
    assert select_ranges(field, 0) == selected


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        (Conditions(if_match='"abc"'), Full()),
        (Conditions(if_match="*"), Full()),
        (Conditions(if_match=' "x", "abc"'), Full()),
        (Conditions(if_match='W/"abc"'), PreconditionFailed()),
        (Conditions(if_match='"x,"'), PreconditionFailed()),
        (Conditions(if_match="abc"), PreconditionFailed()),
        (Conditions(if_match='"abc", *'), PreconditionFailed()),
        (Conditions(if_match=""), PreconditionFailed()),
        (Conditions(if_match='"abc"', if_unmodified_since=BEFORE), Full()),
        (Conditions(if_unmodified_since=BEFORE), PreconditionFailed()),
        (Conditions(if_unmodified_since=DATE), Full()),
        (Conditions(if_unmodified_since=AFTER), Full()),
        (Conditions(if_unmodified_since="yesterday"), Full()),
        (Conditions(if_none_match='"abc"'), NotModified()),
        (Conditions(if_none_match='W/"abc"'), NotModified()),
        (Conditions(if_none_match="*"), NotModified()),
        (Conditions(if_none_match='"x"', if_modified_since=AFTER), Full()),
        (Conditions(if_none_match='"x'), Full()),
        (Conditions(if_modified_since=BEFORE), Full()),
        (Conditions(if_modified_since=DATE), NotModified()),
        (Conditions(if_modified_since=AFTER), NotModified()),
        (Conditions(if_modified_since=f"{DATE}, {DATE}"), Full()),
        (Conditions(if_match='"x"', if_none_match='"abc"'), PreconditionFailed()),
        (Conditions(if_match='"abc"', if_none_match='"abc"'), NotModified()),
        (Conditions(if_none_match='"abc"', range="bytes=0-1"), NotModified()),
        (Conditions(range="bytes=0-1"), partial((0, 2))),
        (Conditions(range="bytes=0-1", if_range='"abc"'), partial((0, 2))),
        (Conditions(range="bytes=0-1", if_range='W/"abc"'), Full()),
        (Conditions(range="bytes=0-1", if_range='"x"'), Full()),
        (Conditions(range="bytes=0-1", if_range="*"), Full()),
        (Conditions(range="bytes=0-1", if_range=DATE), partial((0, 2))),
        (Conditions(range="bytes=0-1", if_range=BEFORE), Full()),
        (Conditions(range="bytes=0-1", if_range=AFTER), Full()),
        (Conditions(range="bytes=2000-", if_range='"x"'), Full()),
        (Conditions(range="bytes=2000-", if_range='"abc"'), Unsatisfiable()),
        (Conditions(if_range='"x"'), Full()),
    ],
)
def test_conditions(conditions: Conditions, outcome: Outcome) -> None:
    assert evaluate("GET", conditions, STORED, NOW) == outcome
    without_range = {Partial: Full, Unsatisfiable: Full}.get(type(outcome), type(outcome))
    assert type(evaluate("HEAD", conditions, STORED, NOW)) is without_range


def test_conditions_are_read_from_the_request() -> None:
    assert conditions_of([(b"host", b"x"), (b"accept", b"*/*")]) is UNCONDITIONAL
    headers = [
        (b"if-match", b'"a" '),
        (b"if-match", b' "b"'),
        (b"if-none-match", b'"\xe9"'),
        (b"if-range", b"r"),
        (b"range", b"bytes=0-1"),
        (b"range", b"bytes=2-3"),
        (b"if-modified-since", b"m"),
        (b"if-unmodified-since", b"u"),
    ]
    assert conditions_of(headers) == Conditions(
        if_match='"a", "b"',
        if_unmodified_since="u",
        if_none_match='"\xe9"',
        if_modified_since="m",
        if_range="r",
        range="bytes=0-1, bytes=2-3",
    )
    assert select_ranges("bytes=0-1, bytes=2-3", 1000) == Full()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun Nov  6 08:49:37 1994", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Wed Nov 16 08:49:37 1994", datetime(1994, 11, 16, 8, 49, 37, tzinfo=UTC)),
        ("Sunday, 22-Nov-76 12:00:00 GMT", datetime(2076, 11, 22, 12, tzinfo=UTC)),
        ("Monday, 22-Nov-76 12:00:01 GMT", datetime(1976, 11, 22, 12, 0, 1, tzinfo=UTC)),
        ("Tuesday, 01-Jan-77 00:00:00 GMT", datetime(1977, 1, 1, tzinfo=UTC)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2017, 1, 1, tzinfo=UTC)),
        ("Fri, 31 Dec 9999 23:59:60 GMT", None),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 31 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, 06 nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 gmt", None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        (" Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT\n", None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
        ("", None),
    ],
)
def test_dates_are_read_in_three_forms(text: str, instant: datetime | None) -> None:
    assert parse_http_date(text, NOW) == instant


def test_a_leap_day_has_a_half_century() -> None:
    now = datetime(2028, 2, 29, tzinfo=UTC)
    text = "Monday, 01-Jan-78 00:00:00 GMT"
    assert parse_http_date(text, now) == datetime(2078, 1, 1, tzinfo=UTC)


def test_dates_are_written_in_one_form() -> None:
    assert format_http_date(CHANGED) == DATE
    ahead = timezone(timedelta(hours=2))
    assert format_http_date(CHANGED.astimezone(ahead)) == DATE
