"""What a request asks for: paging and `search` (contract, section 1), each fault named."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from entrepot.core.entitlements import ChainFilter, EntitlementFilter, ReleaseFilter
from entrepot.errors import Invalid
from entrepot.kit.ids import parse_number
from entrepot.kit.paging import Page
from entrepot.kit.text import check_line, parse_instant

PAGE_SIZE = 10
OFFSET_MAX = 1_000_000_000
SEARCH_BYTES_MAX = 4096
PARAMETERS_MAX = 16
ARTIFACTS_MAX = 100

T = TypeVar("T")


def parse_parameters(query_string: bytes) -> dict[str, str]:
    """The query's parameters; Invalid where one comes twice or is no UTF-8."""
    if not query_string:
        return {}
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError as error:  # UnicodeError is one
        raise Invalid(
            f"The query is not UTF-8, percent-encoded, with at most {PARAMETERS_MAX} parameters.",
            field="query",
            remedy="Encode it as a URL's query: ?offset=1&limit=20",
        ) from error
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise Invalid(
                f"The parameter {name[:80]!r} comes twice.",
                field=name[:80],
                code="parameter-repeated",
                remedy="Send each parameter once.",
            )
        parameters[name] = value
    return parameters


def check_names(parameters: Mapping[str, str], known: Iterable[str]) -> None:
    """Invalid names a parameter that the endpoint does not know: a typo must not pass for all."""
    names = list(known)
    for name in parameters:
        if name not in names:
            raise Invalid(
                f"There is no parameter {name[:80]!r}.",
                field=name[:80],
                code="parameter-unknown",
                remedy=f"Parameters: {', '.join(names)}.",
            )


def parse_page(parameters: Mapping[str, str], *, size_max: int) -> Page | None:
    """The page; None (everything) where there is no offset: `limit` alone is only checked."""
    limit = _number(parameters, "limit", size_max)
    offset = _number(parameters, "offset", OFFSET_MAX)
    return None if offset is None else Page(offset, limit or min(PAGE_SIZE, size_max))


def _number(parameters: Mapping[str, str], name: str, most: int) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    number = parse_number(text)
    if number is None or number > most:
        raise Invalid(
            f"{name} is a number from 1 to {most}, not {text[:40]!r}.",
            field=name,
            remedy="offset is the page, counted from 1; limit the number of items on a page.",
        )
    return number


def parse_artifacts(parameters: Mapping[str, str]) -> list[str]:
    """The artifacts that `artifacts` names, none where it is not given; Invalid where too many.

    What is no UUID is left for the predicate, to which it is one that is not there.
    """
    text = parameters.get("artifacts")
    if text is None:
        return []
    named = text.split(",")
    if len(named) > ARTIFACTS_MAX:
        raise Invalid(
            f"artifacts has {len(named)} ids; {ARTIFACTS_MAX} is the most.",
            field="artifacts",
            remedy="Leave it out for all files of the release, or ask for them in parts.",
        )
    return named


def parse_entitlement_search(parameters: Mapping[str, str]) -> EntitlementFilter:
    """`search` of endpoint 1; conditions combine with AND."""
    found = _search(parameters, _ENTITLEMENT_KEYS)
    return EntitlementFilter(
        product_code=found.get("product.id"),
        right_to=found.get("rightTo"),
        activated_from=found.get("activatedFrom"),
    )


def parse_release_search(parameters: Mapping[str, str]) -> ReleaseFilter:
    """`search` of endpoint 3; conditions combine with AND."""
    found = _search(parameters, _RELEASE_KEYS)
    return ReleaseFilter(
        available_from=found.get("availableFrom"), latest=found.get("latestAvailable", False)
    )


def parse_permission_search(parameters: Mapping[str, str]) -> ChainFilter:
    """`search` of the permissions; Invalid where it names no artifact, release or product."""
    found = _search(parameters, _PERMISSION_KEYS)
    if not found.keys() & {"artifact.id", "release.id", "product.id"}:
        raise Invalid(
            "search names neither an artifact nor a release nor a product.",
            field="search",
            code="search-invalid",
            remedy='Send search, such as {"product.id":"DS000B","release.name":"2022.2"}.',
        )
    return ChainFilter(
        artifact_id=found.get("artifact.id"),
        release_id=found.get("release.id"),
        product_code=found.get("product.id"),
        release_name=found.get("release.name"),
    )


def _line(value: Any, key: str) -> str:
    return check_line(_text(value, key), field=key)


def _instant(value: Any, key: str) -> datetime:
    return parse_instant(_text(value, key)[:80], field=key)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{key} is a string.", field=key, code="search-invalid", remedy=_REMEDY)
    return value


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{key} is true or false.", field=key, code="search-invalid", remedy=_REMEDY)
    return value


_REMEDY = 'Send search as a JSON object, such as {"product.id":"DS000B"}.'
_ENTITLEMENT_KEYS: Mapping[str, Callable[[Any, str], Any]] = {
    "product.id": _line,
    "rightTo": _line,
    "activatedFrom": _instant,
}
_RELEASE_KEYS: Mapping[str, Callable[[Any, str], Any]] = {
    "availableFrom": _instant,
    "latestAvailable": _flag,
}


_PERMISSION_KEYS: Mapping[str, Callable[[Any, str], Any]] = {
    "artifact.id": _line,
    "release.id": _line,
    "product.id": _line,
    "release.name": _line,
}


def _search(
    parameters: Mapping[str, str], keys: Mapping[str, Callable[[Any, str], Any]]
) -> dict[str, Any]:
    text = parameters.get("search")
    if text is None:
        return {}
    found = {}
    for key, value in _parse_object(text).items():
        if key not in keys:
            raise Invalid(
                f"search has no key {key[:80]!r}.",
                field=key[:80],
                code="search-key-unknown",
                remedy=f"Keys: {', '.join(keys)}.",
            )
        found[key] = keys[key](value, key)
    return found


def _parse_object(text: str) -> dict[str, Any]:
    if len(text.encode()) > SEARCH_BYTES_MAX:
        raise _search_fault(f"search has more than {SEARCH_BYTES_MAX} bytes.")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _search_fault("search is not JSON.") from error
    if not isinstance(value, dict):
        raise _search_fault("search is not a JSON object.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _search_fault("search has a key twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _search_fault(message: str) -> Invalid:
    return Invalid(message, field="search", code="search-invalid", remedy=_REMEDY)
