"""The table of docs/explanation/security.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "explanation" / "security.md"


def test_every_test_that_the_page_names_exists() -> None:
    defined = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    table = PAGE.read_text().partition("## What is proven")[2]
    rows = re.findall(r"^\| (?!Line|-)(.+?) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) > 40
    named = {name for _, tests in rows for name in re.findall(r"`(test_\w+)`", tests)}
    assert named - defined == set()
    unheld = [line for line, tests in rows if "`test_" not in tests and "None" not in tests]
    assert unheld == []
