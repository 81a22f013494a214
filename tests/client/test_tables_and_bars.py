"""Tables and bars: every value as it is, in the room that there is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.cli.bars import Bar, bar_line
from entrepot.cli.output import Column, render_table
from entrepot.cli.widths import cut, fold, width_of

WORDS = st.text(alphabet="ab c-é名\u0301", max_size=60)
COLUMNS = (Column("ID", whole=True), Column("Name"), Column("Words"))


def test_cells_of_letters() -> None:
    assert [width_of(text) for text in ("abc", "名前", "e\u0301", "a\u200bb", "")] == [
        3,
        4,
        1,
        2,
        0,
    ]
    assert cut("名前です", 5) == "名前…"
    assert fold("one two three", 7) == ["one two", "three"]
    assert fold("0123456789", 4) == ["0123", "4567", "89"]
    assert fold("a\nb", 9) == ["a", "b"]


@given(WORDS, st.integers(2, 30))
@settings(max_examples=60)
def test_folding_loses_nothing_but_white_space(text: str, cells: int) -> None:
    lines = fold(text, cells)
    assert all(width_of(line) <= cells for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert width_of(cut(text, cells)) <= cells


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=4), st.integers(1, 200), st.booleans())
@settings(max_examples=60)
def test_a_table_is_a_block_and_keeps_whole_columns(
    rows: list[tuple[str, str, str]], width: int, plain: bool
) -> None:
    table = render_table(COLUMNS, rows, width=width, plain=plain).splitlines()
    assert len({width_of(line) for line in table}) == 1
    least = max([2, *(width_of(row[0]) for row in rows)]) + 10
    assert width_of(table[0]) <= max(width, least + 2 * 12)
    wall = "|" if plain else "│"
    for row in rows:
        assert any(f"{wall} {row[0]} " in line for line in table), "on one line"


def test_a_table_without_a_width_is_as_wide_as_it_needs() -> None:
    long = "x" * 500
    assert render_table(COLUMNS, [["1.10", "0099", long]], width=None) == (
        "┌──────┬──────┬" + "─" * 502 + "┐\n"
        "│ ID   │ Name │ Words" + " " * 496 + "│\n"
        "├──────┼──────┼" + "─" * 502 + "┤\n"
        "│ 1.10 │ 0099 │ " + long + " │\n"
        "└──────┴──────┴" + "─" * 502 + "┘\n"
    )
    plain = render_table((Column("A"),), [["1"], ["2"]], width=None, plain=True)
    assert plain == "+---+\n| A |\n+---+\n| 1 |\n| 2 |\n+---+\n"


@pytest.mark.parametrize("columns", [10, 40, 80, 200])
@pytest.mark.parametrize("name", ["short.zip", "名" * 80, "x" * 300])
def test_a_bar_fits_its_line(columns: int, name: str) -> None:
    bar = Bar(name, 1000)
    for moment, done in enumerate((0, 250, 1000)):
        bar.done = done
        assert width_of(bar_line(bar, columns, float(moment))) <= columns
    assert width_of(bar_line(Bar(name, None, note="3 of 4 files"), columns, 0.0)) <= columns


def test_a_bar_tells_how_far_how_fast_and_how_long() -> None:
    bar = Bar("a.zip", 10_000_000)
    assert bar_line(bar, 100, 0.0).endswith("0 B of 10 MB")
    bar.done = 2_500_000
    line = bar_line(bar, 100, 5.0)
    assert "2.5 MB of 10 MB  500 kB/s  0:15" in line
    assert "━━━━━━━┄" in line
    assert "#######." in bar_line(bar, 100, 5.0, plain=True)
