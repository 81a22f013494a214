"""What the papers of a package tell people, beside what test_orders_packaging.py finds in them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from entrepot.core.conversions import runners
from entrepot.core.orders.papers import Missing, report


def refusals() -> Iterator[str]:
    """Every code that a runner refuses a file with, as written in its source."""
    for path in Path(runners.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                for each in ast.walk(node.args[0]):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str):
                        yield each.value


def what_to_do(code: str) -> str:
    missing = Missing(20001, "bay", "conversion", "bay.jpg", code, "It cannot be.")
    told = report(SimpleNamespace(id=50001, name=None), [missing], "1 of 2").decode()
    return next(line for line in told.splitlines() if "what to do" in line)


CODES = sorted(set(refusals()))


@pytest.mark.parametrize("code", CODES)
def test_nobody_is_told_to_retry_what_the_file_cannot_give(code: str) -> None:
    assert "Retry" not in what_to_do(code)


def test_the_codes_of_the_runners_were_found() -> None:
    assert {"page-outside", "frame-outside", "max-bytes", "media-damaged"} <= set(CODES)
    assert "Retry" in what_to_do("internal-error")
