"""A second grant that says the same is a slip unless it is meant, on both databases."""

from dataclasses import replace

import pytest

from entrepot.core import entitlements
from entrepot.core.entitlements import Grant
from entrepot.db import Tx
from entrepot.errors import Conflict
from tests import factories
from tests.factories import DAY, NOW, OPERATOR


def give(tx: Tx, owner: int, given: Grant, *, again: bool = False, age_days: int = 0) -> int:
    moment = NOW - age_days * DAY
    return entitlements.grant(tx, owner, given, again=again, actor=OPERATOR, now=moment)


def test_what_a_live_entitlement_gives_is_given_again_only_where_that_is_said(tx: Tx) -> None:
    owner = factories.add_organisation(tx)
    given = Grant(
        factories.add_product(tx),
        qualities=("eac",),
        design_start=("Foundry",),
        allowed_countries=("DE", "FR"),
        maintenance_to=NOW + 9 * DAY,
        sales_order_item="4711",
    )
    first = give(tx, owner, given, age_days=3)
    with pytest.raises(Conflict) as caught:
        give(tx, owner, given)
    assert caught.value.code == "already-granted"
    assert caught.value.details == {"entitlement": first}
    assert give(tx, owner, given, again=True) > first


@pytest.mark.parametrize(
    "change",
    [
        {"right_to": "use"},
        {"free": True},
        {"qualities": ("BETA",)},
        {"valid_from": NOW - DAY},
        {"valid_to": NOW + DAY},
        {"maintenance_from": NOW},
        {"design_start": ("Foundry",)},
        {"allowed_countries": ("DE",)},
        {"compliance": "pending"},
        {"compliance_reason": "checked"},
        {"sales_order_item": "4711"},
    ],
)
def test_what_differs_in_anything_is_no_slip(tx: Tx, change: dict[str, object]) -> None:
    owner = factories.add_organisation(tx)
    given = Grant(factories.add_product(tx))
    other = replace(given, **change)  # type: ignore[arg-type]
    give(tx, owner, given)
    give(tx, owner, other)
    give(tx, factories.add_organisation(tx), given)
    give(tx, owner, replace(given, product=factories.add_product(tx)))
    with pytest.raises(Conflict):
        give(tx, owner, other)


def test_what_has_ended_or_not_begun_stands_in_nobodys_way(tx: Tx) -> None:
    owner = factories.add_organisation(tx)
    given = Grant(factories.add_product(tx))
    entitlements.revoke(tx, give(tx, owner, given), actor=OPERATOR, now=NOW)
    ended = replace(given, valid_to=NOW)
    give(tx, owner, ended, age_days=2)
    give(tx, owner, replace(given, valid_from=NOW + DAY))
    give(tx, owner, given)
