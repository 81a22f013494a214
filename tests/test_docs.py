"""The reference pages that are made from the code are the committed ones."""

import pytest

from docs.generate import DOCS, PAGES


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_what_make_docs_writes(path: str) -> None:
    assert (DOCS / path).read_text() == PAGES[path](), "run `make docs` and commit the page"
