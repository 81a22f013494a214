"""Pages of product downloads that are kept in memory hold no more rows than are kept."""

import pytest

from entrepot.core.catalogue import DownloadFilter, find_product, product_download_lists
from entrepot.core.catalogue.product_download_lists import find_shelf, list_product_downloads
from entrepot.db import Tx
from entrepot.kit.paging import Page
from tests import factories

_ROWS_MAX, _SIZE = 20, 5


def test_pages_go_with_the_rows_that_they_are_made_of(
    tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_download_lists, "MADE_MAX", _ROWS_MAX)
    monkeypatch.setattr(product_download_lists, "_kept", {})
    monkeypatch.setattr(product_download_lists, "_pages", {"": ()})
    code = factories.add_product(tx)
    number = find_product(tx, code).id
    for _ in range(60):
        factories.add_product_download(tx, code)
    seen = 0
    for index in range(1, 60 // _SIZE + 1):
        page = Page(index, _SIZE)
        rows, total = list_product_downloads(tx, number, DownloadFilter(), page)
        shelf = find_shelf(tx, number, code, DownloadFilter(), page)
        assert shelf is not None
        if shelf.page is not None:
            assert (list(shelf.page[0]), shelf.page[1]) == (rows, total)
            seen += 1
        held = {row.id for rows in product_download_lists._pages.values() for row in rows}
        assert len(held) <= _ROWS_MAX
    assert seen > 0
