"""The query of a request: every parameter known, once, and within its limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from entrepot.errors import Invalid

PARAMETERS_MAX = 16
SKIP_MAX = 1_000_000_000
TAKE = 100


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows of a list: `take` of them after the first `skip`."""

    skip: int
    take: int


def parse_parameters(query_string: bytes, known: Iterable[str]) -> dict[str, str]:
    """The query's parameters; Invalid names one that is unknown or comes twice."""
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
            remedy="Encode it as a URL's query: ?skip=100&take=50",
        ) from error
    names, parameters = list(known), dict[str, str]()
    for name, value in pairs:
        if name not in names:
            raise Invalid(
                f"There is no parameter {name[:80]!r}.",
                field=name[:80],
                code="parameter-unknown",
                remedy=f"Parameters: {', '.join(names)}." if names else "Leave it out.",
            )
        if name in parameters:
            raise Invalid(
                f"The parameter {name!r} comes twice.",
                field=name,
                code="parameter-repeated",
                remedy="Send each parameter once.",
            )
        parameters[name] = value
    return parameters


def parse_slice(parameters: Mapping[str, str], *, take_max: int) -> Slice:
    """`skip` and `take`, each within its limits."""
    return Slice(
        _number(parameters, "skip", 0, 0, SKIP_MAX),
        _number(parameters, "take", min(TAKE, take_max), 1, take_max),
    )


def _number(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not plain or not least <= int(text) <= most:
        raise Invalid(f"{name} is a number from {least} to {most}.", field=name)
    return int(text)
