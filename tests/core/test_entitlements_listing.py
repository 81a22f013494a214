"""Lists of entitlements and releases: order, totals, filters, and that they stay quick."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from entrepot.core import catalogue, entitlements
from entrepot.core.accounts import Principal
from entrepot.core.accounts.tables import organisations
from entrepot.core.entitlements import (
    EntitlementFilter,
    ReleaseFilter,
    child_number,
    list_entitlements,
    list_permitted_releases,
    permitted_entitlement,
)
from entrepot.core.entitlements.tables import entitlements as table
from entrepot.db import Database, Prepared, Tx
from entrepot.errors import Denied, NotFound
from entrepot.kit.paging import Page
from tests import factories
from tests.factories import DAY, NOW, OPERATOR

ALL, EVERY_RELEASE = EntitlementFilter(), ReleaseFilter()


def someone(tx: Tx) -> Principal:
    return factories.add_user(tx, factories.add_organisation(tx))


def numbers(
    tx: Tx,
    who: Principal,
    wanted: EntitlementFilter = ALL,
    page: Page | None = None,
) -> list[int]:
    return [each.number for each in list_entitlements(tx, who, wanted, page, now=NOW)[0]]


def test_active_come_before_lapsed_before_ended_each_by_number(tx: Tx) -> None:
    who, product = someone(tx), factories.add_product(tx)
    other = someone(tx)
    kinds: list[dict[str, Any]] = [
        {"valid_to": NOW},
        {"maintenance_to": NOW},
        {},
        {"compliance": "blocked"},
        {"maintenance_to": NOW + DAY},
        {"valid_from": NOW + DAY},
        {"maintenance_to": NOW - DAY},
    ]
    made = [factories.grant(tx, who.organisation_id, product, **kind) for kind in kinds]
    factories.grant(tx, other.organisation_id, product)
    revoked = factories.grant(tx, who.organisation_id, product)
    entitlements.revoke(tx, revoked, actor=OPERATOR, now=NOW)
    found, total = list_entitlements(tx, who, now=NOW)
    assert [each.number for each in found] == [
        *(made[2], made[4]),
        *(made[1], made[6]),
        *(made[0], made[3], made[5], revoked),
    ]
    statuses = ["Active"] * 2 + ["Lapsed"] * 2 + ["Expired", "Suspended", "Pending", "Revoked"]
    assert [each.status for each in found] == statuses
    assert total == 8
    paged = [numbers(tx, who, page=Page(number, 3)) for number in (1, 2, 3, 4)]
    assert paged == [[each.number for each in found[at : at + 3]] for at in (0, 3, 6, 9)]
    assert list_entitlements(tx, who, page=Page(4, 3), now=NOW) == ([], 8)
    assert list_entitlements(tx, who, page=Page(10**9, 1000), now=NOW) == ([], 8)
    assert list_entitlements(tx, who, page=Page(10**30, 1000), now=NOW) == ([], 8)
    assert list_entitlements(tx, someone(tx), page=Page(1, 10), now=NOW) == ([], 0)


def test_a_product_finds_itself_and_its_place_in_groups_by_code_and_by_number(tx: Tx) -> None:
    who = someone(tx)
    one, two = factories.add_product(tx), factories.add_product(tx)
    group = factories.add_product(tx, members=[two, one])
    lapsed_group = factories.grant(tx, who.organisation_id, group, maintenance_to=NOW)
    in_group = factories.grant(tx, who.organisation_id, group)
    for_use = factories.grant(tx, who.organisation_id, group, right_to="use")
    direct = factories.grant(tx, who.organisation_id, one)
    number = catalogue.find_product(tx, one).id
    expected = [direct, child_number(in_group, number), child_number(lapsed_group, number)]
    for reference in (one, str(number)):
        wanted = EntitlementFilter(product_code=reference)
        found, total = list_entitlements(tx, who, wanted, now=NOW)
        assert [each.number for each in found] == expected
        assert [each.virtual for each in found] == [False, True, True]
        assert total == 3
        assert numbers(tx, who, wanted, Page(2, 2)) == expected[2:]
        assert list_entitlements(tx, who, wanted, Page(2, 2), now=NOW)[1] == 3
    assert numbers(tx, who) == [in_group, for_use, direct, lapsed_group]
    assert numbers(tx, who, EntitlementFilter(product_code="no such")) == []
    assert numbers(tx, who, EntitlementFilter(product_code="9" * 30)) == []


def test_a_group_shows_its_members_in_order_with_their_licences(tx: Tx) -> None:
    who = someone(tx)
    for code in ("EULA-A", "EULA-G"):
        catalogue.add_licence(tx, code=code, name=code, text="x", actor=OPERATOR, now=NOW)
    own, plain = factories.add_product(tx, licence_code="EULA-A"), factories.add_product(tx)
    group = factories.add_product(tx, members=[plain, own], licence_code="EULA-G")
    parent = factories.grant(tx, who.organisation_id, group)
    found = permitted_entitlement(tx, who, str(parent), now=NOW)
    ids = [catalogue.find_product(tx, code).id for code in (plain, own)]
    assert [number for number, _ in found.children] == [child_number(parent, each) for each in ids]
    assert [facts.code for _, facts in found.children] == [plain, own]
    # As the child itself has it: its own licence, else the group's.
    assert [facts.licence_code for _, facts in found.children] == ["EULA-G", "EULA-A"]
    for number, facts in found.children:
        assert permitted_entitlement(tx, who, str(number), now=NOW).product == facts


def test_the_licence_shown_is_the_one_required(tx: Tx) -> None:
    who = someone(tx)
    for code in ("OWN", "GROUP", "PINNED"):
        catalogue.add_licence(tx, code=code, name=code, text="x", actor=OPERATOR, now=NOW)
    pin = {"pinned_licence": "PINNED", "pinned_revision": 1}
    plain, bound = factories.add_product(tx), factories.add_product(tx, licence_code="OWN")
    group = factories.add_product(tx, members=[plain, bound], licence_code="GROUP")
    made = {
        factories.grant(tx, who.organisation_id, product, **more): licences
        for product, more, licences in (
            (plain, {}, [None]),
            (plain, pin, ["PINNED"]),
            (bound, {}, ["OWN"]),
            (bound, pin, ["PINNED"]),
            (group, {}, ["GROUP", "GROUP", "OWN"]),
            (group, pin, ["PINNED", "PINNED", "PINNED"]),
        )
    }
    shown = {
        each.number: [
            each.product.licence_code,
            *(facts.licence_code for _, facts in each.children),
        ]
        for each in list_entitlements(tx, who, now=NOW)[0]
    }
    assert shown == made
    for each in list_entitlements(tx, who, now=NOW)[0]:
        for number, facts in [(each.number, each.product), *each.children]:
            assert permitted_entitlement(tx, who, str(number), now=NOW).product == facts


def test_activated_from_includes_its_moment(tx: Tx) -> None:
    who = someone(tx)
    number = factories.grant(tx, who.organisation_id, factories.add_product(tx))
    for moment, found in ((NOW, [number]), (NOW + timedelta(milliseconds=1), [])):
        assert numbers(tx, who, EntitlementFilter(activated_from=moment)) == found


def test_what_is_not_yours_is_not_there(tx: Tx) -> None:
    who, other = someone(tx), someone(tx)
    number = factories.grant(tx, other.organisation_id, factories.add_product(tx))
    for reference in (str(number), "", "0", "x", "1.0", str(2**63 - 1), "9" * 40, "\0"):
        with pytest.raises(NotFound):
            permitted_entitlement(tx, who, reference, now=NOW)
        with pytest.raises(NotFound):
            list_permitted_releases(tx, who, reference, now=NOW)


def test_releases_come_newest_first_in_pages(tx: Tx) -> None:
    who, product = someone(tx), factories.add_product(tx)
    number = str(factories.grant(tx, who.organisation_id, product, maintenance_to=NOW - DAY))
    days = [5, 3, 4, 2, 1]
    made = {
        day: factories.add_release(tx, product, available_at=NOW - day * DAY).id for day in days
    }
    shown = [made[day] for day in (5, 4, 3, 2)][::-1]

    def listed(
        wanted: ReleaseFilter = EVERY_RELEASE, page: Page | None = None
    ) -> tuple[list[str], int]:
        found, total = list_permitted_releases(tx, who, number, wanted, page, now=NOW)
        return [release.id for release in found], total

    assert listed() == (shown, 4)
    assert listed(page=Page(2, 3)) == (shown[3:], 4)
    assert listed(page=Page(3, 3)) == ([], 4)
    assert listed(page=Page(10**30, 3)) == ([], 4)
    since = ReleaseFilter(available_from=NOW - 3 * DAY)
    assert listed(since) == (shown[:2], 2)
    assert listed(ReleaseFilter(latest=True)) == (shown[:1], 1)
    assert listed(ReleaseFilter(latest=True), Page(1, 10)) == (shown[:1], 1)
    assert listed(ReleaseFilter(latest=True), Page(2, 10)) == ([], 1)
    assert listed(ReleaseFilter(available_from=NOW, latest=True)) == ([], 0)


def test_releases_of_an_entitlement_that_has_ended_are_denied(tx: Tx) -> None:
    who, product = someone(tx), factories.add_product(tx)
    number = str(factories.grant(tx, who.organisation_id, product, valid_to=NOW))
    release = factories.add_release(tx, product)
    for verb in (
        lambda: list_permitted_releases(tx, who, number, now=NOW),
        lambda: entitlements.permitted_release(tx, who, number, release.id, now=NOW),
    ):
        with pytest.raises(Denied, match="ended on 2026-06-15") as caught:
            verb()
        assert caught.value.code == "entitlement-expired"


def test_artifacts_keep_the_publishers_order(tx: Tx) -> None:
    who, product = someone(tx), factories.add_product(tx)
    number = str(factories.grant(tx, who.organisation_id, product))
    files = [(name, name.encode()) for name in ("z.bin", "a.bin", "m.bin")]
    made = factories.add_release(tx, product, files=files)
    release = entitlements.permitted_release(tx, who, number, made.id, now=NOW)
    assert [artifact.file_name for artifact in release.artifacts] == ["z.bin", "a.bin", "m.bin"]
    artifact = entitlements.describe_artifact(
        tx, who, number, made.id, made.artifact_ids[1], now=NOW
    )
    digests = factories.digests_of(b"a.bin")
    assert (artifact.md5, artifact.sha256, artifact.size) == (digests.md5, digests.sha256, 5)
    for other in (made.id, "", "\0"):
        with pytest.raises(NotFound):
            entitlements.describe_artifact(tx, who, number, made.id, other, now=NOW)


HOLDERS, EACH = 200, 100


def fill(tx: Tx) -> list[int]:
    """HOLDERS organisations with EACH entitlements; returns the organisations."""
    named = [
        {"name": f"Holder {at}", "country": "DE", "blocked": False, "created_at": NOW}
        for at in range(HOLDERS)
    ]
    tx.execute(insert(organisations), named)
    holders = list(tx.execute(select(organisations.c.id)).scalars())
    products = [catalogue.find_product(tx, factories.add_product(tx)).id for _ in range(EACH)]
    first = factories.grant(tx, holders[0], str(products[0]))
    row = tx.execute(select(table).where(table.c.id == first)).one()._asdict()
    del row["id"]
    pairs = [(holder, product) for holder in holders for product in products][1:]
    rows = [row | {"organisation_id": holder, "product_id": product} for holder, product in pairs]
    tx.execute(insert(table), rows)
    return holders


def plans_of(
    tx: Tx, who: Principal, wanted: EntitlementFilter, monkeypatch: pytest.MonkeyPatch
) -> str:
    """How the database goes about the statements of a listing."""
    plans: list[str] = []
    run = Prepared.made

    def explain(statement: Prepared, tx: Tx, bound: dict[str, Any], make: Any) -> list[Any]:
        compiled = statement._for(tx)
        kept = compiled.text
        prefix = "EXPLAIN QUERY PLAN " if tx.dialect.name == "sqlite" else "EXPLAIN "
        compiled.text = prefix + kept
        plans.extend(str(tuple(row)) for row in compiled.execute(tx, bound).fetchall())
        compiled.text = kept
        return run(statement, tx, bound, make)

    with monkeypatch.context() as patch:
        patch.setattr(Prepared, "made", explain)
        _, total = list_entitlements(tx, who, wanted, Page(1, 20), now=NOW)
    assert total == (EACH if wanted.product_code is None else 1)
    return "\n".join(plans)


def test_a_listing_among_many_reads_only_the_callers_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with database.write() as tx:
        holders = fill(tx)
        who = factories.add_user(tx, holders[HOLDERS // 2])
    with database.write() as tx:
        tx.execute(text("ANALYZE"))
    some = "SELECT code FROM products ORDER BY id LIMIT 1"
    with database.read() as tx:
        code = tx.execute(text(some)).scalar_one()
        plans = {
            "all": plans_of(tx, who, EntitlementFilter(), monkeypatch),
            "by product": plans_of(tx, who, EntitlementFilter(product_code=code), monkeypatch),
        }
    for name, plan in plans.items():
        assert "ix_entitlements_organisation_id_product_id" in plan, (name, plan)
        if database.dialect == "sqlite":
            assert "SCAN entitlements" not in plan, (name, plan)
        else:
            assert "Seq Scan on entitlements" not in plan, (name, plan)
    if database.dialect == "sqlite":
        # Ranking needs no row of the table, only the index.
        assert "COVERING INDEX ix_entitlements_organisation_id_product_id" in plans["all"]
