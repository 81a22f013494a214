"""Dates as HTTP writes them (RFC 9110 section 5.6.7): one form out, three forms in."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_DAYS: Final = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ")  # noqa: SIM905
_DAY = "|".join(_DAYS)
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

_IMF_FIXDATE = re.compile(
    rf"(?:{_DAY}), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"
)
_RFC850 = re.compile(
    rf"(?:{_LONG_DAYS}), (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"
)
_ASCTIME = re.compile(
    rf"(?:{_DAY}) {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"
)
_LEAP_SECOND: Final = 60
_CENTURY_YEARS: Final = 100
_FUTURE_YEARS: Final = 50


@lru_cache(maxsize=4096)
def format_http_date(instant: datetime) -> str:
    """`instant`, which must carry a zone, as IMF-fixdate; fractions of a second are dropped."""
    utc = instant.astimezone(UTC)
    return (
        f"{_DAYS[utc.weekday()]}, {utc.day:02d} {_MONTHS[utc.month - 1]} {utc.year:04d}"
        f" {utc.hour:02d}:{utc.minute:02d}:{utc.second:02d} GMT"
    )


def parse_http_date(text: str, now: datetime) -> datetime | None:
    """The UTC instant that `text` names in any of the three forms, or None where it names none.

    `now` serves the two-digit year of the oldest form: a date that would lie more than 50
    years ahead is taken from the century before. The weekday must be a weekday's name but
    need not fit the date.
    """
    match = _IMF_FIXDATE.fullmatch(text) or _ASCTIME.fullmatch(text)
    if match:
        return _instant(match, int(match["year"]))
    match = _RFC850.fullmatch(text)
    if not match:
        return None
    year = now.year - now.year % _CENTURY_YEARS + int(match["year"])
    instant = _instant(match, year)
    if year > now.year + _FUTURE_YEARS or (instant and instant > _years_on(now)):
        return _instant(match, year - _CENTURY_YEARS)
    return instant


def _years_on(now: datetime) -> datetime:
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    return now.replace(year=now.year + _FUTURE_YEARS, day=day)


def _instant(match: re.Match[str], year: int) -> datetime | None:
    second = int(match["second"])
    leap = second == _LEAP_SECOND
    try:
        instant = datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            second - leap,
            tzinfo=UTC,
        )
        return instant + timedelta(seconds=1) if leap else instant
    except (ValueError, OverflowError):
        return None
