"""Products and groups on both databases."""

from dataclasses import replace

import pytest

from entrepot.core import catalogue
from entrepot.core.catalogue import ProductSpec
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from tests import factories
from tests.factories import NOW, OPERATOR


def add(tx: Tx, code: str, **values: object) -> int:
    spec = replace(ProductSpec(code=code, name=f"Product {code}"), **values)  # type: ignore[arg-type]
    return catalogue.add_product(tx, spec, actor=OPERATOR, now=NOW)


def test_code_and_number_name_the_same_product(tx: Tx) -> None:
    number = add(tx, "CAT001", us_eccn=["5D002"], foundries=["North"], process="7nm")
    by_code = catalogue.find_product(tx, "CAT001")
    assert by_code == catalogue.find_product(tx, number) == catalogue.find_product(tx, str(number))
    assert (by_code.us_eccn, by_code.foundries, by_code.process) == (["5D002"], ["North"], "7nm")
    assert by_code.listed is True
    assert by_code.grouped is False


@pytest.mark.parametrize(
    "reference",
    ["NOBODY", "", "0", "-1", "²", "٣", "9" * 30, "a\0b", "half \ud800", "01"],
)
def test_what_is_no_product_is_not_found(tx: Tx, reference: str) -> None:
    with pytest.raises(NotFound):
        catalogue.find_product(tx, reference)


@pytest.mark.parametrize("code", ["", "abc", "A B", "12", "-A", "A" * 65, "Ä"])
def test_a_code_is_plain(tx: Tx, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, code)
    assert caught.value.field == "code"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"description": "x" * 1_000_001}, "description"),
        ({"description": "nul \0"}, "description"),
        ({"delivery_method": "pigeon"}, "delivery_method"),
        ({"us_eccn": ["5D002"] * 101}, "us_eccn"),
        ({"foundries": [""]}, "foundries"),
        ({"members": []}, "members"),
    ],
)
def test_a_bad_field_is_named(tx: Tx, values: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, "CAT002", **values)
    assert caught.value.field == field


def test_a_code_is_taken_once_and_the_transaction_goes_on(tx: Tx) -> None:
    add(tx, "CAT003")
    with pytest.raises(Conflict) as caught:
        add(tx, "CAT003")
    assert caught.value.code == "code-taken"
    assert catalogue.find_product(tx, "CAT003").name == "Product CAT003"


def test_a_product_needs_a_licence_that_exists(tx: Tx) -> None:
    with pytest.raises(NotFound):
        add(tx, "CAT004", licence_code="NONE")


def test_a_change_keeps_code_and_number(tx: Tx) -> None:
    number = add(tx, "CAT005")
    spec = ProductSpec(code="CAT005", name="New name", listed=False)
    catalogue.change_product(tx, number, spec, actor=OPERATOR, now=NOW)
    row = catalogue.find_product(tx, number)
    assert (row.name, row.listed, row.code) == ("New name", False, "CAT005")
    for changed, code in (
        (replace(spec, code="CAT006"), "code-fixed"),
        (replace(spec, members=["CAT005"]), "group-fixed"),
    ):
        with pytest.raises(Conflict) as caught:
            catalogue.change_product(tx, number, changed, actor=OPERATOR, now=NOW)
        assert caught.value.code == code


def test_a_group_holds_products_in_order(tx: Tx) -> None:
    one, two, three = (factories.add_product(tx) for _ in range(3))
    group = add(tx, "CATGROUP", members=[two, one])
    assert catalogue.list_members(tx, group) == [two, one]
    spec = ProductSpec(code="CATGROUP", name="Group", members=[three, two, one])
    catalogue.change_product(tx, group, spec, actor=OPERATOR, now=NOW)
    assert catalogue.list_members(tx, group) == [three, two, one]
    assert catalogue.list_members(tx, catalogue.find_product(tx, one).id) == []


def test_a_group_takes_each_product_once_and_no_group(tx: Tx) -> None:
    code = factories.add_product(tx)
    number = catalogue.find_product(tx, code).id
    add(tx, "CATGROUP", members=[code])
    for members in ([code, code], [code, str(number)], [code, "CATGROUP"], [code] * 1001):
        with pytest.raises(Invalid) as caught, tx.begin_nested():
            add(tx, "CATOUTER", members=members)
        assert caught.value.field == "members"
    with pytest.raises(NotFound), tx.begin_nested():
        add(tx, "CATOUTER", members=[code, "NOBODY"])


def test_lists_come_by_code_in_pages(tx: Tx) -> None:
    for code in ("ZCAT3", "ZCAT1", "ZCAT2"):
        add(tx, code, listed=code != "ZCAT2")
    everything = [row.code for row in catalogue.list_products(tx, take=1000)]
    assert [code for code in everything if code.startswith("ZCAT")] == ["ZCAT1", "ZCAT2", "ZCAT3"]
    assert len(everything) == catalogue.count_products(tx)
    listed = [row.code for row in catalogue.list_products(tx, listed_only=True, take=1000)]
    assert "ZCAT2" not in listed
    assert len(listed) == catalogue.count_products(tx, listed_only=True)
    page = [row.code for row in catalogue.list_products(tx, skip=1, take=2)]
    assert page == everything[1:3]
