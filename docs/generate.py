"""Writes the reference pages that follow from the code: `make docs`, or python -m docs.generate.

A page is a function from nothing to its text; tests compare each with the committed file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from docs._entrepot import command_page
from docs._entrepotd import commands_page, exit_codes_page
from docs._postman import collection_page
from entrepot.settings import DECLARED
from entrepot.web.http.catalogue import CATALOGUE

DOCS = Path(__file__).parent
NOTE = "<!-- Made by `make docs` from the code. Do not edit by hand. -->"
SETTINGS = """\
What the operator decides. `entrepotd` reads these variables of its environment when it starts and
reports everything that is wrong at once; `entrepotd check` prints the values in force and where
each comes from. Secrets are never printed.

An empty variable counts as unset. In the descriptions names stand without their prefix
`ENTREPOT_`. Sizes are in bytes, or with a unit, as in `64 MiB`. Lists have commas between their
members."""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


def settings_page() -> str:
    """docs/reference/settings.md: every setting of the hub."""
    rows = []
    for name, setting in DECLARED.items():
        default = setting.derived or (f"`{setting.default}`" if setting.default else "none")
        meaning = f"{setting.meaning} **Secret.**" if setting.secret else setting.meaning
        rows.append((f"`ENTREPOT_{name.upper()}`", setting.kind.label, default, meaning))
    head = ("Variable", "Written as", "Default", "Meaning")
    return "\n".join([NOTE, "", "# Settings", "", SETTINGS, "", *_table(head, rows), ""])


ERRORS = """\
Every error that the hub answers with has a stable code. It is `code` in a problem document
(RFC 9457), `reason` in the entitlement API, and what the log says. Codes without a status stop
the hub from starting and are told on the terminal."""


def errors_page() -> str:
    """docs/reference/errors.md: the error catalogue."""
    rows = [
        (f"`{code}`", str(entry.status or "-"), entry.meaning, entry.remedy)
        for code, entry in CATALOGUE.items()
    ]
    head = ("Code", "Status", "Meaning", "What to do")
    return "\n".join([NOTE, "", "# Errors", "", ERRORS, "", *_table(head, rows), ""])


PAGES: dict[str, Callable[[], str]] = {
    "reference/entrepot.postman_collection.json": collection_page,
    "reference/entrepot.md": lambda: command_page(NOTE),
    "reference/entrepotd.md": lambda: commands_page(NOTE),
    "reference/entrepotd-exit-codes.md": lambda: exit_codes_page(NOTE),
    "reference/errors.md": errors_page,
    "reference/settings.md": settings_page,
}


def main() -> None:
    """Writes every page."""
    for path, page in PAGES.items():
        (DOCS / path).write_text(page())


if __name__ == "__main__":
    main()
