"""Products and groups of products: number, code, name, export data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.catalogue.licences import find_licence
from entrepot.core.catalogue.tables import licences, product_members, products
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.db.schema import is_set
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.kit.text import check_line, check_text, is_storable

CODE = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,63}")
GROUP_MEMBERS_MAX = 1000
LIST_LENGTH_MAX = 100
DELIVERY_METHODS = ("download", "physical", "none")


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """What a publisher says of a product. `members` (codes, in order) makes it a group."""

    code: str
    name: str
    description: str = ""
    listed: bool = True
    us_eccn: Sequence[str] = ()
    eccn_restricted: bool = False
    delivery_method: str = "download"
    foundries: Sequence[str] = ()
    process: str | None = None
    licence_code: str | None = None
    members: Sequence[str] | None = None


_PRODUCTS = select(products, licences.c.code.label("licence_code")).outerjoin(licences)


def find_product(tx: Tx, reference: str | int) -> Row[Any]:
    """The product with this code or number, with `licence_code`; NotFound where there is none."""
    text = str(reference)
    number = parse_number(text)
    match = products.c.code == text if number is None else products.c.id == number
    row = tx.execute(_PRODUCTS.where(match)).one_or_none() if is_storable(text) else None
    if row is None:
        raise NotFound(f"There is no product {text!r}.")
    return row


def add_product(tx: Tx, spec: ProductSpec, *, actor: str, now: datetime) -> int:
    """Put a product into the catalogue; returns its number."""
    values = _values(tx, spec) | {"code": _check_code(spec.code), "created_at": now}
    values |= {"changed_at": now, "grouped": spec.members is not None}
    try:
        with tx.begin_nested():
            number: int = tx.execute(insert(products).returning(products.c.id), values).scalar_one()
    except IntegrityError as error:
        raise Conflict(f"There is a product {spec.code!r} already.", code="code-taken") from error
    _set_members(tx, number, spec.members)
    event = Event("product.added", actor, f"product:{number}", data={"code": spec.code})
    record(tx, event, now=now)
    return number


def change_product(tx: Tx, number: int, spec: ProductSpec, *, actor: str, now: datetime) -> None:
    """Replace all that is said of a product; its number and code stay."""
    row = find_product(tx, number)
    if spec.code != row.code:
        raise Conflict("The code of a product never changes.", code="code-fixed")
    if (spec.members is not None) != row.grouped:
        raise Conflict(
            "A product never turns into a group, nor back.",
            code="group-fixed",
            remedy="Add a product of another code, with the members that it is to have.",
        )
    tx.execute(
        update(products).where(products.c.id == row.id).values(**_values(tx, spec), changed_at=now)
    )
    _set_members(tx, row.id, spec.members)
    record(tx, Event("product.changed", actor, f"product:{row.id}"), now=now)


def _values(tx: Tx, spec: ProductSpec) -> dict[str, Any]:
    licence = None if spec.licence_code is None else find_licence(tx, spec.licence_code).id
    return _said(spec) | {"licence_id": licence}


def product_values(spec: ProductSpec) -> dict[str, Any]:
    """What is said of a product but for its licence, checked; Invalid names the field."""
    return _said(spec) | {"code": _check_code(spec.code)}


def _said(spec: ProductSpec) -> dict[str, Any]:
    if spec.delivery_method not in DELIVERY_METHODS:
        raise Invalid(
            f"There is no delivery method {spec.delivery_method!r}.",
            field="delivery_method",
            remedy=f"Methods: {', '.join(DELIVERY_METHODS)}.",
        )
    return {
        "name": check_line(spec.name, field="name"),
        "description": check_text(spec.description, field="description"),
        "listed": spec.listed,
        "us_eccn": _check_list(spec.us_eccn, "us_eccn"),
        "eccn_restricted": spec.eccn_restricted,
        "delivery_method": spec.delivery_method,
        "foundries": _check_list(spec.foundries, "foundries"),
        "process": None if spec.process is None else check_line(spec.process, field="process"),
    }


def _check_code(code: str) -> str:
    if not CODE.fullmatch(code):
        raise Invalid(
            f"{code!r} is not a product code.",
            field="code",
            remedy="Use 1 to 64 of A-Z, 0-9, '.', '_' and '-'.",
        )
    if code.isdigit():
        raise Invalid("A product code needs a letter: numbers name products too.", field="code")
    return code


def _check_list(entries: Sequence[str], field: str) -> list[str]:
    if len(entries) > LIST_LENGTH_MAX:
        raise Invalid(f"{field} has more than {LIST_LENGTH_MAX} entries.", field=field)
    return [check_line(entry, field=field) for entry in entries]


def _set_members(tx: Tx, group_id: int, codes: Sequence[str] | None) -> None:
    if codes is None:
        return
    members = [find_product(tx, code) for code in codes[: GROUP_MEMBERS_MAX + 1]]
    distinct = {member.id for member in members}
    if len(distinct) != len(members) or not 1 <= len(members) <= GROUP_MEMBERS_MAX:
        raise Invalid(f"A group has 1 to {GROUP_MEMBERS_MAX} members, each once.", field="members")
    if any(member.grouped for member in members):
        raise Invalid("A group cannot hold another group.", field="members")
    tx.execute(delete(product_members).where(product_members.c.group_id == group_id))
    rows = [
        {"group_id": group_id, "product_id": member.id, "position": position}
        for position, member in enumerate(members, start=1)
    ]
    tx.execute(insert(product_members), rows)


def list_products(
    tx: Tx, *, listed_only: bool = False, skip: int = 0, take: int = 100
) -> list[Row[Any]]:
    """Products by code, with `licence_code`. `listed_only`: what anybody may know of."""
    query = _PRODUCTS.order_by(products.c.code).offset(skip).limit(take)
    if listed_only:
        query = query.where(is_set(products.c.listed))
    return list(tx.execute(query))


def describe_product(tx: Tx, reference: str | int) -> ProductSpec:
    """What is said of a product now, to be changed in part and given to `change_product`."""
    row = find_product(tx, reference)
    return ProductSpec(
        code=row.code,
        name=row.name,
        description=row.description,
        listed=row.listed,
        us_eccn=row.us_eccn,
        eccn_restricted=row.eccn_restricted,
        delivery_method=row.delivery_method,
        foundries=row.foundries,
        process=row.process,
        licence_code=row.licence_code,
        members=list_members(tx, row.id) if row.grouped else None,
    )


def list_members(tx: Tx, group_id: int) -> list[str]:
    """The codes of a group's members, in their order; none for a product that is no group."""
    query = (
        select(products.c.code)
        .join(product_members, product_members.c.product_id == products.c.id)
        .where(product_members.c.group_id == group_id)
        .order_by(product_members.c.position)
    )
    return list(tx.execute(query).scalars())


def count_products(tx: Tx, *, listed_only: bool = False) -> int:
    """How many `list_products` would give without a limit."""
    query = select(func.count()).select_from(products)
    if listed_only:
        query = query.where(is_set(products.c.listed))
    return tx.execute(query).scalar_one()
