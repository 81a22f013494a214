"""Pages counted from 1, as the public dialects count them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `number` from 1, `size` rows a page."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """Rows before this page."""
        return (self.number - 1) * self.size
