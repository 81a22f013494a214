"""docs/reference/benchmarks.md: one generated section for each bench, between two marks.

What stands outside the marks is written by hand and stays.
"""

from dataclasses import dataclass
from pathlib import Path

from bench._figures import TABLE_HEAD, Figure

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/reference/benchmarks.md"
_BUSY = "**The machine was busy** (load average {load:.1f}): take ratios and orders of magnitude."


@dataclass(frozen=True, slots=True)
class Run:
    """One bench with its figures and all that one needs to repeat it."""

    name: str
    shape: str
    figures: tuple[Figure, ...]
    date: str
    machine: str
    versions: str
    load: float

    def text(self) -> str:
        """For a terminal."""
        lines = [f"{self.name} ({self.date}, load {self.load:.1f})"]
        lines += [f"  {figure.line()}" for figure in self.figures]
        return "\n".join(lines)

    def section(self) -> str:
        """For the document."""
        rows = "\n".join(figure.row() for figure in self.figures)
        # Pinned like this, the server has one core and the clients the other: 2 is full.
        busy = f"\n{_BUSY.format(load=self.load)}\n" if self.load > 2.5 else ""
        return (
            f"Shape: {self.shape}\n{busy}\n{TABLE_HEAD}\n{rows}\n\n"
            f"`python -m bench {self.name}`, {self.date}; {self.machine}; {self.versions}.\n"
        )


def replace_section(run: Run) -> None:
    """Put the run between its marks; ValueError where the document lacks them."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- {run.name}: generated -->\n", f"<!-- {run.name}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{DOCUMENT} has no section for {run.name}")
    DOCUMENT.write_text(f"{before}{begin}{run.section()}{end}{after}")
