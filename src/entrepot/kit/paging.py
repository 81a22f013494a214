"""Pages counted from 1, as the public dialects count them."""

from dataclasses import dataclass

from entrepot.kit.ids import INT64_MAX


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `number` from 1, `size` rows a page."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """Rows before this page, at most what a database can count."""
        return min((self.number - 1) * self.size, INT64_MAX)
