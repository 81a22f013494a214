"""Texts that people type: what is taken, what is refused, and that the refusal names the field."""

import string
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.errors import Invalid
from entrepot.kit.countries import COUNTRY_NAMES, country_choices
from entrepot.kit.text import (
    COUNTRIES,
    check_country,
    check_line,
    check_text,
    format_instant,
    is_storable,
    parse_instant,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
        ("2026-01-31T12:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00-0530", datetime(2026, 1, 31, 17, 30, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00,123Z", datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123999Z", datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    parsed = parse_instant(text, field="from")
    assert parsed == expected
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2026",
        "2026-01",
        "2026-1-1",
        "2026-02-29",
        "2026-13-01",
        "2026-00-10",
        "20260131",
        "20260131T120000Z",
        "2026-W05-1",
        "2026W051",
        "2026W05T12",
        "2026-031",
        "2026-01-31T12",
        "2026-01-31T12:00",
        "2026-01-31T12:00:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31 24:00Z",
        "2026-01-31T23:59:60Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+2",
        "2026-01-31x12:00:00Z",
        "2026-01-31T12:00:00 Z",
        "2026-01-31T12:00:00UTC",
        "2026-01-31T12:00:00Z[UTC]",
        " 2026-01-31",
        "2026-01-31\n",
        "2026-01-31Z",
        "+2026-01-31",
        "-2026-01-31",
        "10000-01-01",
        "0000-01-01",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "٢٠٢٦-٠١-٣١",
        "1769860800",
        "9" * 10_000,
        "2026-01-31\0",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_instant(text, field="activatedFrom")
    assert caught.value.field == "activatedFrom"
    assert caught.value.code == "date-invalid"
    assert "2026-01-31" in caught.value.remedy
    assert len(caught.value.message) < 300


@given(st.text(max_size=40) | st.text(string.digits + "-:TZ.+W ", max_size=30))
def test_parsing_an_instant_never_breaks(text: str) -> None:
    try:
        parsed = parse_instant(text, field="from")
    except Invalid:
        return
    assert parse_instant(format_instant(parsed), field="from") == parsed


@given(
    st.datetimes(
        timezones=st.integers(-14 * 60, 14 * 60).map(
            lambda minutes: timezone(timedelta(minutes=minutes))
        ),
        min_value=datetime(1, 1, 2),  # noqa: DTZ001 - the zone is drawn
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    )
)
def test_what_is_written_is_read_back_to_the_millisecond(instant: datetime) -> None:
    cut = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    assert parse_instant(instant.isoformat(), field="from") == cut
    written = format_instant(instant)
    assert written.endswith("Z")
    assert len(written) == len("2026-01-31T12:00:00.000Z")
    assert parse_instant(written, field="from") == cut


def test_an_instant_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_instant(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_countries_are_the_assigned_ones() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in COUNTRIES)
    assert {"XK", "UK", "EU", "AN", "ZZ", "SU"}.isdisjoint(COUNTRIES)


def test_countries_are_named_as_the_time_zone_database_names_them() -> None:
    table = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    assert dict(rows) == COUNTRY_NAMES
    names = [name for _, name in country_choices()]
    assert sorted(names) == sorted(COUNTRY_NAMES.values())
    # Where people look for it: not behind Zimbabwe.
    assert names.index("Afghanistan") < names.index("Åland Islands") < names.index("Albania")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Germany", "DE"),
        ("UK", "GB"),
        ("cote d’ivoire", "CI"),
        ("Korea", "two letters"),  # there are two
        ("Niger", "NE"),
        ("", "two letters"),
        ("x" * 9999, "two letters"),
    ],
)
def test_who_writes_a_name_is_told_the_code(text: str, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_country(text, field="country")
    assert told in caught.value.remedy


@pytest.mark.parametrize("text", ["DE", "de", " De ", "dE\n"])
def test_a_country_is_upper_case(text: str) -> None:
    assert check_country(text, field="country") == "DE"


@pytest.mark.parametrize(
    "text",
    ["", " ", "D", "DEU", "D E", "UK", "ZZ", "DE,FR", ",DE,", "276", "ıt", "ＤＥ", "x" * 9999],
)
def test_what_is_no_country_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_country(text, field="country")
    assert (caught.value.field, caught.value.code) == ("country", "country-invalid")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("text", ["a", "  a b  ", "naïve", "日本語", "👩‍👩‍👧", "x" * 200])
def test_a_line_is_trimmed(text: str) -> None:
    assert check_line(text, field="name") == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "\n", "a\nb", "a\0b", "a\x1bb", "a\u2028b", "a\u2029b", "a\ud800b"),
        *("x" * 201, "invoice\u202efdp.exe", "\u2066isolated", "a\u2069b"),
    ],
    ids=ascii,
)
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_line(text, field="name")
    assert caught.value.field == "name"


def test_an_empty_line_may_be_allowed_and_a_limit_given() -> None:
    assert check_line(" ", field="name", empty=True) == ""
    assert check_line("abcde", field="name", length_max=5) == "abcde"
    with pytest.raises(Invalid, match="more than 4"):
        check_line("abcde", field="name", length_max=4)


@given(st.text(max_size=50))
def test_a_checked_text_can_be_stored(text: str) -> None:
    try:
        kept = check_text(text, field="text", length_max=40)
    except Invalid:
        assert len(text) > 40 or not is_storable(text)
        return
    assert kept == text
    assert "\0" not in kept
    assert kept.encode().decode() == kept
