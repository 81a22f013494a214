"""What a list is asked for: filters and paging (contract, "List"), each fault named."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn
from urllib.parse import parse_qsl, urlencode

from entrepot.core.catalogue import DOWNLOAD_VISIBILITIES, IDS_MAX, DownloadFilter
from entrepot.errors import Invalid
from entrepot.kit.ids import INT64_MAX, parse_number
from entrepot.kit.paging import Page

LIMIT = 100
LIMIT_MAX = 500
PAGE_MAX = 1_000_000_000
NAMES = ("id:in", "id:min", "id:max", "id:after", "id:before", "visibility", "page", "limit")
_FIELDS_MAX = IDS_MAX + len(NAMES)
_PLAIN = re.compile(r"[a-z0-9:,&=]*")


@dataclass(frozen=True, slots=True)
class Asked:
    """A list that is asked for; `pairs` are the query's parameters as they came, decoded."""

    wanted: DownloadFilter
    page: Page
    pairs: Sequence[tuple[str, str]]

    def query(self, page: int | None = None) -> str:
        """The query as it came, or with another page; the names keep their colons."""
        pairs = self.pairs
        if page is not None:
            pairs = [*(pair for pair in pairs if pair[0] != "page"), ("page", str(page))]
        # No value that was taken has `&` or `=` in it. `urlencode` costs ten times as much.
        text = "&".join([f"{name}={value}" for name, value in pairs])
        return text if _PLAIN.fullmatch(text) else urlencode(pairs, safe=":,")


def parse_list(query_string: bytes) -> Asked:
    """The list that a query asks for; Invalid names the parameter that is wrong.

    `id:in` takes numbers with commas between and may be repeated; all of them count. Names may
    be percent-encoded like anything else in a query.
    """
    if len(query_string) <= _SHORT:
        return _parse_again(query_string)
    return _parse(query_string)


def _parse(query_string: bytes) -> Asked:
    pairs = _pairs(query_string)
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in NAMES:
            raise Invalid(
                f"There is no parameter {name[:80]!r}.",
                field=name[:80],
                code="parameter-unknown",
                remedy=f"Parameters: {', '.join(NAMES)}.",
            )
        if name in values and name != "id:in":
            raise Invalid(
                f"The parameter {name!r} comes twice.",
                field=name,
                code="parameter-repeated",
                remedy="Send each parameter once; only `id:in` may be repeated.",
            )
        values[name] = value
    page = _number(values, "page", 1, PAGE_MAX, otherwise=1)
    limit = _number(values, "limit", 1, LIMIT_MAX, otherwise=LIMIT)
    return Asked(_filter(values, pairs), Page(page, limit), pairs)


_SHORT = 100  # bytes: what people and programs ask for page by page, again and again
_parse_again = lru_cache(maxsize=1024)(_parse)


def _pairs(query_string: bytes) -> Sequence[tuple[str, str]]:
    if not query_string:
        return ()
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError as error:  # UnicodeError is one
        raise Invalid(
            f"The query is not UTF-8, percent-encoded, with at most {_FIELDS_MAX} parameters.",
            field="query",
            remedy="Encode it as a URL's query: ?id:in=1,2&page=1",
        ) from error


def _filter(values: dict[str, str], pairs: Sequence[tuple[str, str]]) -> DownloadFilter:
    visibility = values.get("visibility")
    if visibility is not None and visibility not in DOWNLOAD_VISIBILITIES:
        _refuse("visibility", f"one of {', '.join(DOWNLOAD_VISIBILITIES)}", visibility)
    first = _number(values, "id:min", 0, INT64_MAX, otherwise=0)
    last = _number(values, "id:max", 0, INT64_MAX, otherwise=INT64_MAX)
    if "id:after" in values:
        first = max(first, _number(values, "id:after", 0, INT64_MAX) + 1)
    if "id:before" in values:
        last = min(last, _number(values, "id:before", 0, INT64_MAX) - 1)
    if first > last:  # also where a number would be beyond 64 bits
        first, last = 1, 0
    ids = _ids([value for name, value in pairs if name == "id:in"])
    return DownloadFilter(ids, first, last, visibility)


def _ids(values: Sequence[str]) -> frozenset[int] | None:
    if not values:
        return None
    parts = [part.strip(" ") for value in values for part in value.split(",")]
    if len(parts) > IDS_MAX:
        _refuse("id:in", f"at most {IDS_MAX} numbers", f"{len(parts)} of them")
    numbers = [parse_number(part) for part in parts]
    for part, number in zip(parts, numbers, strict=True):
        if number is None:
            _refuse("id:in", "numbers with commas between", part)
    return frozenset(number for number in numbers if number is not None)


def _number(values: dict[str, str], name: str, least: int, most: int, *, otherwise: int = 0) -> int:
    text = values.get(name)
    if text is None:
        return otherwise
    number = 0 if text == "0" else parse_number(text)
    if number is None or not least <= number <= most:
        _refuse(name, f"a whole number from {least} to {most}", text)
    return number


def _refuse(name: str, kind: str, given: str) -> NoReturn:
    raise Invalid(f"{name} is {kind}, not {given[:40]!r}.", field=name, code="parameter-invalid")
