"""Checks on short texts that people type, each with a stated limit."""

import re
import unicodedata
from datetime import UTC, datetime

from entrepot.errors import Invalid
from entrepot.kit.countries import COUNTRY_NAMES, country_named

LINE_LENGTH_MAX = 200
TEXT_LENGTH_MAX = 1_000_000
_SHOWN = 40  # characters of a bad value that an error repeats
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the text around them, so that a name reads as another.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_line(
    text: str, *, field: str, empty: bool = False, length_max: int = LINE_LENGTH_MAX
) -> str:
    """One line of text without control characters, trimmed; Invalid names `field`."""
    line = text.strip()
    if not line and not empty:
        raise Invalid(f"{field} must not be empty.", field=field)
    if len(line) > length_max:
        raise Invalid(f"{field} has more than {length_max} characters.", field=field)
    if any(unicodedata.category(char) in _CONTROLS or char in _BIDI for char in line):
        raise Invalid(f"{field} must not hold control characters.", field=field)
    return line


def is_storable(text: str) -> bool:
    """Whether both databases can hold the text: no NUL, no halves of surrogate pairs."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def check_text(text: str, *, field: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """A text of any number of lines, as it is; Invalid names `field`."""
    if len(text) > length_max:
        raise Invalid(f"{field} has more than {length_max} characters.", field=field)
    if not is_storable(text):
        raise Invalid(f"{field} holds characters that cannot be stored.", field=field)
    return text


COUNTRIES = frozenset(COUNTRY_NAMES)


def check_country(code: str, *, field: str) -> str:
    """An ISO 3166-1 alpha-2 country code in upper case; Invalid names `field`."""
    upper = code.strip().upper()
    if not code.isascii() or upper not in COUNTRIES:
        meant = country_named(code)
        raise Invalid(
            f"{code[:_SHOWN]!r} is not a country code.",
            field=field,
            code="country-invalid",
            remedy=f"The code of {COUNTRY_NAMES[meant]} is {meant}."
            if meant
            else "Give two letters as in ISO 3166-1, such as DE or US.",
        )
    return upper


# RFC 3339, and a date alone; the offset may lack its colon, as some clients write it.
_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?:[Tt ](?:[01]\d|2[0-3]):\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d{2}:?\d{2}))?",
    re.ASCII,
)


def parse_instant(text: str, *, field: str) -> datetime:
    """An ISO 8601 date (midnight UTC) or date and time with zone, in UTC; Invalid names `field`.

    Fractions finer than a millisecond are cut off. Week dates, dates without hyphens and
    24:00 are refused.
    """
    try:
        parsed = datetime.fromisoformat(text.upper() if _INSTANT.fullmatch(text) else "")
        instant = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{field}: {text[:_SHOWN]!r} is not a date, or a time with its zone.",
            field=field,
            code="date-invalid",
            remedy="Write 2026-01-31 or 2026-01-31T12:00:00Z.",
        ) from error
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def format_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z: 2026-01-31T12:00:00.000Z."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
