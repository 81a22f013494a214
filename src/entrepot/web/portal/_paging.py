"""Long lists in pages."""

from dataclasses import dataclass
from typing import Any

from litestar import Request

from entrepot.errors import NotFound
from entrepot.kit.ids import parse_number

PAGE_NUMBER_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Where a page lies among all: `number` from 1, `size` rows a page, `total` rows."""

    number: int
    size: int
    total: int

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(1, -(-self.total // self.size))


def page_number(request: Request[Any, Any, Any]) -> int:
    """The page that the query asks for, the first unless told; NotFound where it is none."""
    number = parse_number(request.query_params.get("page", "1"))
    if number is None or number > PAGE_NUMBER_MAX:
        raise NotFound
    return number
