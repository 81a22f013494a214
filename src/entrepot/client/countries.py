"""Where a controlled file goes has to be declared: which files these are, and how it is said."""

from collections.abc import Mapping
from typing import Any

from entrepot.client.errors import InvalidUse

HEADER = "declared-country-code"


def declaring(country: str | None) -> dict[str, str]:
    """The header that declares it, none for None. Raises InvalidUse where it is no country."""
    return {HEADER: country_code(country)} if country else {}


def is_controlled(artifact: Mapping[str, Any]) -> bool:
    """Whether a download of this artifact must declare a country."""
    return "controlled" in str(artifact.get("repository", ""))


def country_code(country: str) -> str:
    """A country as two capital letters. Raises InvalidUse."""
    code = country.strip().upper()
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        raise InvalidUse(f"{country[:20]!r} is not a country code.", remedy="Write it like GB.")
    return code
