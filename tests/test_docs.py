"""The reference pages that are made from the code are the committed ones; events have a row."""

import ast
import re

import pytest

from docs.generate import DOCS, PAGES

COMMAND = DOCS.parent / "src" / "entrepot" / "cli"


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_what_make_docs_writes(path: str) -> None:
    assert (DOCS / path).read_text() == PAGES[path](), "run `make docs` and commit the page"


def test_every_event_of_the_command_is_documented() -> None:
    """What is told by `tell("NAME", ...)`, and what the page has a row for."""
    told = set()
    for path in COMMAND.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".tell"):
                [event, *_] = node.args
                assert isinstance(event, ast.Constant), f"{path.name}:{node.lineno}"
                told.add(event.value)
    page = (DOCS / "reference" / "events.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert rows - {"event"} == told
