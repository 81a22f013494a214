"""Pages counted from 1."""

from hypothesis import given
from hypothesis import strategies as st

from entrepot.kit.paging import Page


@given(st.integers(1, 100), st.integers(1, 50), st.integers(0, 300))
def test_pages_cut_a_list_without_gap_or_overlap(number: int, size: int, length: int) -> None:
    rows = list(range(length))
    page = Page(number, size)
    before = [row for each in range(1, number) for row in rows[Page(each, size).skip :][:size]]
    assert before == rows[: page.skip]


def test_a_page_beyond_all_counting_skips_what_a_database_can_count() -> None:
    assert Page(10**30, 1000).skip == 2**63 - 1
