"""JSON values that a customer wrote, with the place where each stands, and how they are read.

Numbers may come as strings, words in any letter case, names of fields with underscores or in
camel case. What cannot be read is Invalid (conversion-invalid), with the place and what is
expected.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.errors import Invalid
from entrepot.kit.text import check_line, is_storable

_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})", re.ASCII)
_TIME = re.compile(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,6})?)", re.ASCII)
_SHOWN = 40  # characters of a bad value that a message repeats
_YES = {"true", "yes", "on"}
_NO = {"false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Given:
    """A value and its place, such as `conversions[0][1].value.width`."""

    value: Any
    field: str

    def refuse(self, expected: str) -> Invalid:
        """The error to raise: what is expected here, and what stands here."""
        return Invalid(
            f"Expected {expected}, not {show(self.value)}.",
            field=self.field,
            code="conversion-invalid",
        )

    def at(self, name: str, value: Any) -> "Given":
        """A part of the value."""
        return Given(value, f"{self.field}.{name}")


def show(value: object) -> str:
    """A value for an error message: short, and fit to be written in any encoding."""
    if isinstance(value, Mapping):
        return "an object with other fields" if value else "an empty object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        short = value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "..."
        return json.dumps(short, ensure_ascii=not is_storable(short))
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = "a very large number" if _is_huge(value) else repr(value)
    return text[:_SHOWN]


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) > 10**_SHOWN


def plain(name: str) -> str:
    """A name without what people write differently: `longest_edge` and `longestEdge` are one."""
    return re.sub(r"[\s_-]", "", name).lower()


def read_fields(given: Given, names: Iterable[str], expected: str) -> dict[str, Given]:
    """The fields of an object by the names wanted; null counts as left out, unknown is refused."""
    if not isinstance(given.value, Mapping) or not given.value:
        raise given.refuse(f"an object with {expected}")
    known = {plain(name): name for name in names}
    found: dict[str, Given] = {}
    for written, value in given.value.items():
        name = known.get(plain(written)) if isinstance(written, str) else None
        if name is None:
            raise Invalid(
                f"There is no field {show(written)} here; expected {expected}.",
                field=given.field,
                code="conversion-invalid",
            )
        if name in found:
            raise given.at(name, value).refuse("the field once")
        if value is not None:
            found[name] = given.at(name, value)
    return found


def read_number(
    given: Given, least: float, most: float, *, whole: bool = False, unit: str = ""
) -> int | float:
    """A finite number from `least` to `most`; an int where it is whole."""
    number = _number(given.value)
    if number is None or not least <= number <= most or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise given.refuse(f"{kind}{unit and f' of {unit}'} from {least} to {most}")
    return tidy(number)


def _number(value: object) -> int | float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        return float(text) if "." in text else int(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def tidy(number: float) -> int | float:
    """One way to write a number: whole as int, and else at most six decimals."""
    rounded = round(number, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def read_whole(given: Given, least: int, most: int, *, unit: str = "") -> int:
    """A whole number from `least` to `most`."""
    return int(read_number(given, least, most, whole=True, unit=unit))


def read_flag(given: Given) -> bool:
    """true or false."""
    if isinstance(given.value, bool):
        return given.value
    word = given.value.strip().lower() if isinstance(given.value, str) else ""
    if word in _YES | _NO:
        return word in _YES
    raise given.refuse("true or false")


def read_word(given: Given, words: Mapping[str, str]) -> str:
    """What the word written stands for; `words` has every spelling, as `plain` gives it."""
    if isinstance(given.value, str) and plain(given.value) in words:
        return words[plain(given.value)]
    raise given.refuse(" or ".join(dict.fromkeys(words.values())))


def read_text(given: Given, expected: str, length_max: int) -> str:
    """One line of text."""
    if not isinstance(given.value, str):
        raise given.refuse(expected)
    try:
        return check_line(given.value, field=given.field, length_max=length_max)
    except Invalid as error:
        raise given.refuse(f"{expected}: 1 to {length_max} characters in one line") from error


def read_seconds(given: Given, most: int) -> int | float:
    """Seconds as a number, or hours, minutes and seconds as in 00:01:30.5."""
    match = _TIME.fullmatch(given.value.strip()) if isinstance(given.value, str) else None
    if match:
        hours, minutes, seconds = match.groups()
        total = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
        return read_number(Given(total, given.field), 0, most, unit="seconds")
    try:
        return read_number(given, 0, most, unit="seconds")
    except Invalid as error:
        raise given.refuse(f"seconds from 0 to {most}, or a time such as 00:01:30") from error


def words(*names: str, **others: str) -> Mapping[str, str]:
    """A table for `read_word`: each name for itself, and further spellings of them."""
    return {plain(name): name for name in names} | others
