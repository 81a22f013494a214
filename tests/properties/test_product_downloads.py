"""Product downloads: filters and pages against a model of the list, and any moves of a sequence."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.core import catalogue
from entrepot.core.catalogue import (
    DOWNLOAD_VISIBILITIES,
    DownloadFile,
    Place,
    Placement,
    StoredFile,
    add_product_download,
    change_product_download,
    list_product_downloads,
    remove_product_download,
)
from entrepot.core.catalogue.product_download_lists import DownloadFilter
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.kit.ids import INT64_MAX
from entrepot.kit.paging import Page
from entrepot.web.products_api._query import LIMIT_MAX, NAMES, parse_list
from tests import factories
from tests.databases import *  # noqa: F403
from tests.factories import NOW

pytestmark = pytest.mark.parametrize("dialect", ["sqlite"])
SHOWN = 12
Listed = list[tuple[int, str]]  # number and visibility, in sequence


@pytest.fixture
def shelf(tx: Tx) -> tuple[Tx, int, Listed]:
    """A product with downloads whose numbers and places differ, among those of another."""
    home, other = (factories.add_product(tx) for _ in range(2))
    for at in range(SHOWN):
        factories.add_product_download(tx, other)
        visibility = DOWNLOAD_VISIBILITIES[at % 3]
        factories.add_product_download(tx, home, visibility=visibility, place=1 if at % 2 else None)
    product_id = catalogue.find_product(tx, home).id
    rows, total = list_product_downloads(tx, product_id, DownloadFilter(), Page(1, 100))
    assert total == SHOWN
    return tx, product_id, [(row.id, row.visibility) for row in rows]


def numbers(shown: Listed) -> st.SearchStrategy[int]:
    known = [number for number, _ in shown]
    return st.one_of(
        st.sampled_from(known),
        st.integers(min(known) - 2, max(known) + 2).filter(lambda number: number >= 0),
        st.sampled_from([0, 1, INT64_MAX]),
    )


def chosen(asked: Sequence[tuple[str, str]], shown: Listed) -> list[int]:
    """The model: which numbers a query means, in sequence."""
    wanted = [number for number, _ in shown]
    visible = dict(shown)
    listed = [value for name, value in asked if name == "id:in"]
    if listed:
        allowed = {int(part) for value in listed for part in value.split(",")}
        wanted = [number for number in wanted if number in allowed]
    holds = {
        "id:min": lambda number, bound: number >= bound,
        "id:max": lambda number, bound: number <= bound,
        "id:after": lambda number, bound: number > bound,
        "id:before": lambda number, bound: number < bound,
    }
    for name, value in asked:
        if name in holds:
            wanted = [number for number in wanted if holds[name](number, int(value))]
        if name == "visibility":
            wanted = [number for number in wanted if visible[number] == value]
    return wanted


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_filters_and_pages_give_what_the_model_gives(
    shelf: tuple[Tx, int, Listed], data: st.DataObject
) -> None:
    tx, product_id, shown = shelf
    number = numbers(shown)
    asked: list[tuple[str, str]] = []
    for name in data.draw(st.sets(st.sampled_from(NAMES[1:5]))):
        asked.append((name, str(data.draw(number))))
    positive = st.lists(number.filter(lambda one: one > 0), min_size=1, max_size=5)
    for few in data.draw(st.lists(positive, max_size=2)):
        asked.append(("id:in", ",".join(map(str, few))))
    if data.draw(st.booleans()):
        asked.append(("visibility", data.draw(st.sampled_from(DOWNLOAD_VISIBILITIES))))
    size = data.draw(st.integers(1, SHOWN + 1))
    page = data.draw(st.integers(1, SHOWN))
    asked = data.draw(st.permutations([*asked, ("limit", str(size)), ("page", str(page))]))
    encode = data.draw(st.sampled_from(["", ":,"]))  # the characters left as they are
    query = "&".join(
        f"{quote(name, safe=encode)}={quote(value, safe=encode)}" for name, value in asked
    )

    parsed = parse_list(query.encode())
    rows, total = list_product_downloads(tx, product_id, parsed.wanted, parsed.page)
    expected = chosen(asked, shown)
    assert total == len(expected)
    assert [row.id for row in rows] == expected[(page - 1) * size : page * size]
    # Links keep the filters, whatever they are.
    again = parse_list(parsed.query().encode())
    assert (again.wanted, again.page) == (parsed.wanted, parsed.page)
    other = parse_list(parsed.query(7).encode())
    assert (other.wanted, other.page) == (parsed.wanted, Page(7, size))
    assert dict(parse_qsl(parsed.query(7)))["page"] == "7"


@given(query=st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode)))
def test_any_query_is_read_or_named(query: bytes, dialect: str) -> None:
    del dialect
    try:
        parsed = parse_list(query)
    except Invalid as error:
        assert error.field
        assert len(error.message) < 300
    else:
        assert 1 <= parsed.page.size <= LIMIT_MAX


def places(count: int) -> st.SearchStrategy[tuple[str, int]]:
    """The kind of a place, and an index or a number that goes with it."""
    kinds = ("number", "first", "last", "before", "after", "none")
    return st.tuples(st.sampled_from(kinds), st.integers(0, count + 2))


def moved(model: list[int], number: int, kind: str, at: int) -> list[int] | None:
    """The model after a place; None where it is refused. `number` is not among `model`."""
    if kind in ("before", "after"):
        if at >= len(model):
            return None
        index = at + (kind == "after")
    elif kind == "number":
        if at < 1:
            return None
        index = min(at - 1, len(model))
    else:
        index = 0 if kind == "first" else len(model)
    return [*model[:index], number, *model[index:]]


def place_of(model: list[int], kind: str, at: int) -> Place | None:
    if kind == "none":
        return None
    if kind == "number":
        return at
    beside = (model[at] if at < len(model) else INT64_MAX) if kind in ("before", "after") else None
    return Placement(kind, beside)  # type: ignore[arg-type]


Step = tuple[str, int, tuple[str, int]]
steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "move", "remove"]), st.integers(0, 9), places(6)),
    max_size=12,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(walk=steps)
def test_any_steps_keep_the_sequence_of_the_model(tx: Tx, walk: list[Step]) -> None:
    point = tx.begin_nested()
    try:
        product_id = catalogue.find_product(tx, factories.add_product(tx)).id
        model: list[int] = []
        for verb, which, (kind, at) in walk:
            model = take_step(tx, product_id, model, verb, which, kind, at)
            rows, _ = list_product_downloads(tx, product_id, DownloadFilter(), Page(1, 100))
            assert [(row.sequence, row.id) for row in rows] == list(enumerate(model, start=1))
    finally:
        point.rollback()


def take_step(
    tx: Tx, product_id: int, model: list[int], verb: str, which: int, kind: str, at: int
) -> list[int]:
    """One call, and the model after it."""
    file = DownloadFile(StoredFile(factories.digests_of(b"x"), "text/plain"), "a.txt")
    if verb == "add":
        place, after = place_of(model, kind, at), moved(model, 0, kind, at)
        if after is None:
            with pytest.raises(Invalid):
                add_product_download(tx, product_id, {}, file, place=place, actor="x", now=NOW)
            return model
        made = add_product_download(tx, product_id, {}, file, place=place, actor="x", now=NOW)
        return [made if number == 0 else number for number in after]
    if not model:
        return model
    number = model[which % len(model)]
    others = [each for each in model if each != number]
    if verb == "remove":
        remove_product_download(tx, product_id, number, actor="x", now=NOW)
        return others
    place = place_of(others, kind, at)
    wanted = model if place is None else moved(others, number, kind, at)
    if wanted is None:
        with pytest.raises(Invalid):
            change_product_download(tx, product_id, number, {}, place=place, actor="x", now=NOW)
        return model
    change_product_download(tx, product_id, number, {}, place=place, actor="x", now=NOW)
    return wanted
