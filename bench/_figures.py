"""What a measurement gives back, and how it is printed and written down."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: `value` is the median of `samples`; `target` and `peer` may be empty."""

    what: str
    value: float
    unit: str
    samples: tuple[float, ...] = ()
    target: str = ""
    peer: str = ""

    def line(self) -> str:
        """For a terminal."""
        extra = [f"target {self.target}"] if self.target else []
        if self.samples:
            extra.append(f"{_short(min(self.samples))} to {_short(max(self.samples))}")
        extra += [self.peer] if self.peer else []
        return f"{self.what}: {_short(self.value)} {self.unit} ({'; '.join(extra)})"

    def row(self) -> str:
        """As a row of the table in docs/reference/benchmarks.md."""
        spread = (
            f"{_short(min(self.samples))} to {_short(max(self.samples))}" if self.samples else ""
        )
        cells = (
            self.what,
            f"**{_short(self.value)}** {self.unit}",
            self.target,
            spread,
            self.peer,
        )
        return f"| {' | '.join(cells)} |"


TABLE_HEAD = "| what | median | target | samples | peer in the same run |\n|---|---|---|---|---|"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one name, and the shape of the data they were measured on."""

    shape: str
    figures: Sequence[Figure]
