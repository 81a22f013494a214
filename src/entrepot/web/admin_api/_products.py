"""Products and groups of products."""

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from entrepot.core.catalogue import (
    ProductSpec,
    add_product,
    change_product,
    count_products,
    describe_product,
    find_licence,
    find_product,
    list_members,
    list_products,
)
from entrepot.db import Tx
from entrepot.web.admin_api._actions import PUBLISHING, Action, AnyAction, Call, Outcome
from entrepot.web.admin_api._bodies import field_named
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_products import (
    NewProduct,
    ProductChange,
    ProductItem,
    ProductPage,
)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    found = list_products(tx, skip=call.rows.skip, take=call.rows.take)
    return Outcome(ProductPage(count_products(tx), [_item(tx, row) for row in found]))


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(_item(tx, find_product(tx, call.ids["product"])))


def _item(tx: Tx, row: Row[Any]) -> ProductItem:
    return fill(ProductItem, row, members=list_members(tx, row.id) if row.grouped else None)


def _add(tx: Tx, call: Call[NewProduct]) -> Outcome:
    spec = ProductSpec(**msgspec.structs.asdict(call.body))
    _check_references(tx, spec)
    number = add_product(tx, spec, actor=call.actor, now=call.now)
    return Outcome(_item(tx, find_product(tx, number)), f"/products/{number}")


def _change(tx: Tx, call: Call[ProductChange]) -> Outcome:
    told = {
        name: value
        for name, value in msgspec.structs.asdict(call.body).items()
        if value is not UNSET
    }
    number = find_product(tx, call.ids["product"]).id
    spec = replace(describe_product(tx, number), **told)
    _check_references(tx, spec)
    change_product(tx, number, spec, actor=call.actor, now=call.now)
    return Outcome(_item(tx, find_product(tx, number)))


def _check_references(tx: Tx, spec: ProductSpec) -> None:
    if spec.licence_code is not None:
        with field_named("licence_code"):
            find_licence(tx, spec.licence_code)
    with field_named("members"):
        for member in spec.members or ():
            find_product(tx, member)


_TAG = "products"
_ONE = "/products/{product:str}"
PRODUCT_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/products",
        "listProducts",
        "List products by code",
        PUBLISHING,
        _list,
        answer=ProductPage,
        paged=True,
    ),
    Action(
        _TAG,
        "POST",
        "/products",
        "addProduct",
        "Add a product, or a group of products",
        PUBLISHING,
        _add,
        status=201,
        answer=ProductItem,
        body=NewProduct,
        conflicts=True,
    ),
    Action(
        _TAG, "GET", _ONE, "showProduct", "Show a product", PUBLISHING, _show, answer=ProductItem
    ),
    Action(
        _TAG,
        "PATCH",
        _ONE,
        "changeProduct",
        "Change what is said of a product",
        PUBLISHING,
        _change,
        answer=ProductItem,
        body=ProductChange,
        conflicts=True,
    ),
)
