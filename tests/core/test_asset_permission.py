"""Who may have which asset: against the independent model, and each answer at its edge."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import insert, select, text

from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.accounts import Principal
from entrepot.core.catalogue.tables import assets
from entrepot.core.entitlements import asset_condition, granted_products, permitted_asset
from entrepot.db import Tx
from entrepot.errors import Denied, NotFound, Unauthenticated
from tests import factories
from tests.core import permission_model as model
from tests.core.permission_model import GRANTED, MISSING, World
from tests.core.test_predicate_model import Built, build, check_denial
from tests.factories import DAY, NOW, OPERATOR


def ask(tx: Tx, who: Principal, asset: int | str, embargoed: tuple[str, ...] = ()) -> str:
    """The verdict on one asset."""
    try:
        permitted_asset(tx, who, asset, embargoed=embargoed, now=NOW)
    except NotFound:
        return MISSING
    except Denied as error:
        return check_denial(error)
    return GRANTED


def seen(tx: Tx, who: Principal, embargoed: tuple[str, ...] = ()) -> set[int]:
    """The assets that a SELECT over all of them gives the caller."""
    granted = granted_products(
        tx,
        organisation_id=who.organisation_id,
        user_id=who.user_id,
        api_client_id=who.api_client_id,
        country=who.country,
        embargoed=embargoed,
        now=NOW,
    )
    return set(tx.execute(select(assets.c.id).where(asset_condition(granted))).scalars())


def customer(tx: Tx, **given: Any) -> tuple[Principal, str]:
    """A person whose organisation is granted a product of its own."""
    organisation = factories.add_organisation(tx)
    product = factories.add_product(tx)
    factories.grant(tx, organisation, product, **given)
    return factories.add_user(tx, organisation), product


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=model.worlds())
def test_one_asset_and_all_of_them_agree_with_the_model(tx: Tx, world: World) -> None:
    point = tx.begin_nested()
    try:
        built = build(tx, world)
        public = factories.add_asset(tx)
        gone = factories.add_asset(tx)
        catalogue.delete_asset(tx, gone, actor=OPERATOR, now=NOW)
        # A group has no assets of its own.
        owned = {at: factories.add_asset(tx, built.codes[at]) for at in (0, 1)}
        for person in range(len(world.people)):
            check_person(tx, built, person, public, owned)
            assert ask(tx, built.people[person], gone) == MISSING
    finally:
        point.rollback()


def check_person(tx: Tx, built: Built, person: int, public: int, owned: dict[int, int]) -> None:
    world, modelled = built.world, built.world.people[person]
    who = replace(built.people[person], country=world.country)
    caller = model.caller_verdict(world, modelled)
    assert ask(tx, who, public, world.embargoed) == caller
    wanted = {at: model.asset_verdicts(world, modelled, at) for at in owned}
    for at, asset in owned.items():
        verdict = ask(tx, who, asset, world.embargoed)
        verdicts = wanted[at]
        assert verdict == (GRANTED if GRANTED in verdicts else verdict)
        assert verdict in (verdicts or {MISSING})
    home = built.organisations[modelled.organisation]
    numbers = {built.products[at] for at, verdicts in wanted.items() if verdicts}
    any_right = entitlements.products_with_any_right(tx, home)
    assert any_right & {built.products[0], built.products[1]} == numbers
    if caller != GRANTED:
        with pytest.raises(Denied) as caught:
            seen(tx, who, world.embargoed)
        assert caught.value.code == caller
        return
    expected = {owned[at] for at, verdicts in wanted.items() if GRANTED in verdicts}
    assert seen(tx, who, world.embargoed) == {public} | expected


def test_not_yours_and_not_there_are_told_in_the_same_words(tx: Tx) -> None:
    who, _ = customer(tx)
    other = factories.add_asset(tx, factories.add_product(tx), identifier="theirs")
    told = []
    for reference in (other, "theirs", 999_999, "nothing", "", "a\0b", "0", "-1", "9" * 40):
        with pytest.raises(NotFound) as caught:
            permitted_asset(tx, who, reference, now=NOW)
        told.append((caught.value.message, caught.value.remedy, caught.value.details))
    assert len(set(map(str, told))) == 1


def test_granted_says_what_it_rests_on(tx: Tx) -> None:
    who, product = customer(tx)
    asset = factories.add_asset(tx, product, data=b"text", file_name="a.csv", identifier="one")
    got = permitted_asset(tx, who, "one", now=NOW)
    assert got == permitted_asset(tx, who, asset, now=NOW)
    assert (got.asset_id, got.identifier, got.size, got.content_type) == (
        asset,
        "one",
        4,
        "text/csv",
    )
    assert got.product_id == catalogue.find_product(tx, product).id
    assert got.entitlement_id is not None
    assert got.sha256 == factories.digests_of(b"text").sha256
    public = permitted_asset(tx, who, factories.add_asset(tx), now=NOW)
    assert (public.product_id, public.entitlement_id) == (None, None)


def test_one_entitlement_that_holds_is_enough(tx: Tx) -> None:
    who, product = customer(tx, valid_to=NOW)
    asset = factories.add_asset(tx, product)
    assert ask(tx, who, asset) == "entitlement-expired"
    factories.grant(tx, who.organisation_id, product)
    assert ask(tx, who, asset) == GRANTED


def test_of_several_that_fail_the_one_that_came_furthest_is_told(tx: Tx) -> None:
    who, product = customer(tx, valid_to=NOW)
    factories.grant(tx, who.organisation_id, product, allowed_countries=("FR",))
    asset = factories.add_asset(tx, product)
    assert ask(tx, who, asset) == "country-not-allowed"


def test_a_revoked_entitlement_stops_the_next_question(tx: Tx) -> None:
    who, product = customer(tx)
    asset = factories.add_asset(tx, product)
    granted = permitted_asset(tx, who, asset, now=NOW)
    assert granted.entitlement_id is not None
    entitlements.revoke(tx, granted.entitlement_id, actor=OPERATOR, now=NOW)
    assert ask(tx, who, asset) == "entitlement-revoked"
    assert asset not in seen(tx, who)


def test_the_licence_that_is_missing_is_named(tx: Tx) -> None:
    catalogue.add_licence(tx, code="TERMS", name="Terms", text="text", actor=OPERATOR, now=NOW)
    organisation = factories.add_organisation(tx)
    product = factories.add_product(tx, licence_code="TERMS")
    factories.grant(tx, organisation, product)
    who = factories.add_user(tx, organisation)
    asset = factories.add_asset(tx, product)
    with pytest.raises(Denied) as caught:
        permitted_asset(tx, who, asset, now=NOW)
    assert caught.value.code == "licence-required"
    assert caught.value.details["licence"] == "TERMS"
    entitlements.accept_licence(tx, who, code="TERMS", revision=1, now=NOW)
    assert ask(tx, who, asset) == GRANTED
    assert asset in seen(tx, who)


def test_a_disabled_person_gets_no_public_asset_either(tx: Tx) -> None:
    who, _ = customer(tx)
    asset = factories.add_asset(tx)
    accounts.disable_user(tx, who.id, actor=OPERATOR, now=NOW)
    with pytest.raises(Unauthenticated):
        permitted_asset(tx, who, asset, now=NOW)


def test_an_entitlement_counts_from_its_first_to_before_its_last_millisecond(tx: Tx) -> None:
    who, product = customer(tx, valid_from=NOW, valid_to=NOW + DAY)
    asset = factories.add_asset(tx, product)
    moment = timedelta(milliseconds=1)
    for now, holds in ((NOW, True), (NOW - moment, False), (NOW + DAY, False)):
        try:
            permitted_asset(tx, who, asset, now=now)
            found = True
        except Denied:
            found = False
        assert found is holds


def test_a_condition_of_many_products_is_one_pass_over_100_000_assets(tx: Tx) -> None:
    product = catalogue.find_product(tx, factories.add_product(tx)).id
    other = catalogue.find_product(tx, factories.add_product(tx)).id
    sample = factories.add_asset(tx)
    row = dict(tx.execute(select(assets).where(assets.c.id == sample)).one()._mapping)
    del row["id"]
    many = [
        row
        | {
            "identifier": f"many-{at}",
            "visibility": "entitled" if at % 2 else "public",
            "product_id": (product, other)[at % 4 // 2],
        }
        for at in range(10_000)
    ]
    tx.execute(insert(assets), many)
    columns = [column for column in assets.c if column.name not in ("id", "identifier")]
    for copy in range(9):
        named = (assets.c.identifier + f" {copy}").label("identifier")
        copied = select(named, *columns).where(assets.c.id > sample).limit(10_000)
        names = ["identifier", *(column.name for column in columns)]
        copied = copied.order_by(assets.c.id)
        tx.execute(insert(assets).from_select(names, copied))
    # Far more than a statement takes bound values.
    granted = {product, *range(10**6, 10**6 + 40_000)}
    query = select(assets.c.id).where(asset_condition(granted))
    began = time.process_time()
    found = tx.execute(query).all()
    assert len(found) == 75_000 + 1
    assert time.process_time() - began < 3.0
    few = select(assets.c.id).where(asset_condition({product}), assets.c.id.in_([1, 2, 3]))
    if tx.dialect.name == "sqlite":
        compiled = few.compile(tx, compile_kwargs={"literal_binds": True})
        plan = " ".join(str(each) for each in tx.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
        assert "USING INTEGER PRIMARY KEY" in plan
