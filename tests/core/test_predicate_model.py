"""The permission predicate against an independent model, over worlds drawn at random."""

from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from entrepot.core import accounts, catalogue, delivery, entitlements
from entrepot.core.accounts import Keyring, LinkKey, Principal
from entrepot.core.accounts.tables import users
from entrepot.core.catalogue.tables import licence_revisions, licences
from entrepot.core.entitlements.tables import acceptances
from entrepot.core.entitlements.tables import entitlements as entitlements_table
from entrepot.db import Tx
from entrepot.errors import Denied, NotFound, Unauthenticated
from entrepot.kit.paging import Page
from tests import factories
from tests.core import permission_model as model
from tests.core.permission_model import GRANTED, MISSING, Right, World
from tests.factories import NOW, OPERATOR

KEY = LinkKey("0a0b0c0d", b"k" * 32, NOW - timedelta(days=1))
KEYRING = Keyring({}, {KEY.kid: KEY})


@dataclass
class Built:
    """A world in the database: what its indexes became."""

    world: World
    organisations: list[int]
    products: list[int]
    codes: list[str]
    releases: list[factories.Published]
    entitlements: list[int]
    people: list[Principal]

    def number(self, right: Right) -> str:
        """The public number of a reference."""
        stored = self.entitlements[right.entitlement]
        if right.child is None:
            return str(stored)
        return str(entitlements.child_number(stored, self.products[right.child]))


def build(tx: Tx, world: World) -> Built:
    """Put a world into the database, by the verbs as far as they can."""
    organisations = [factories.add_organisation(tx) for _ in world.blocked]
    texts = _add_licences(tx, world)
    products, codes = _add_products(tx, world, texts)
    releases = [_add_release(tx, codes[each.product], each) for each in world.releases]
    people = [_add_person(tx, organisations, each) for each in world.people]
    granted = [_grant(tx, organisations, codes, texts, each) for each in world.entitlements]
    for given_ in world.acceptances:
        person = people[given_.person]
        values = {
            "revision_id": texts[given_.licence][given_.revision - 1],
            "user_id": person.id,
            "organisation_id": organisations[given_.organisation],
            "for_organisation": given_.for_organisation,
            "accepted_at": NOW,
        }
        tx.execute(insert(acceptances), values)
    for organisation, blocked in zip(organisations, world.blocked, strict=True):
        if blocked:
            accounts.block_organisation(tx, organisation, blocked=True, actor=OPERATOR, now=NOW)
    return Built(world, organisations, products, codes, releases, granted, people)


def _add_licences(tx: Tx, world: World) -> list[list[int]]:
    """For each licence the ids of its revisions."""
    found = []
    for index, revisions in enumerate(world.licences):
        code = f"LIC{index}"
        catalogue.add_licence(tx, code=code, name=code, text="one", actor=OPERATOR, now=NOW)
        if revisions == 2:
            catalogue.revise_licence(tx, code=code, text="two", actor=OPERATOR, now=NOW)
        query = (
            select(licence_revisions.c.id)
            .join(licences)
            .where(licences.c.code == code)
            .order_by(licence_revisions.c.revision)
        )
        found.append(list(tx.execute(query).scalars()))
    return found


def _add_products(tx: Tx, world: World, texts: list[list[int]]) -> tuple[list[int], list[str]]:
    codes: list[str] = []
    for product in world.products:
        licence = None if product.licence is None else f"LIC{product.licence}"
        members = None if product.members is None else [codes[at] for at in product.members]
        code = factories.add_product(
            tx, eccn_restricted=product.restricted, licence_code=licence, members=members
        )
        codes.append(code)
    return [catalogue.find_product(tx, code).id for code in codes], codes


def _add_release(tx: Tx, code: str, release: model.Release) -> factories.Published:
    made = factories.add_release(
        tx,
        code,
        available_at=release.available_at,
        quality=release.quality,
        repository="controlled-files" if release.controlled else "general",
        draft=release.state == "draft",
    )
    if release.state == "withdrawn":
        catalogue.withdraw_release(tx, made.id, actor=OPERATOR, now=NOW)
    return made


def _add_person(tx: Tx, organisations: list[int], person: model.Person) -> Principal:
    home = organisations[person.organisation]
    if person.machine:
        who, _ = factories.add_client(tx, home)
        if person.disabled or person.left_for is not None:
            client_id = who.label.removeprefix("client:")
            accounts.disable_client(tx, client_id, actor=OPERATOR, now=NOW)
        return who
    who = factories.add_user(tx, home)
    if person.disabled:
        accounts.disable_user(tx, who.id, actor=OPERATOR, now=NOW)
    if person.left_for is not None:
        moved = update(users).where(users.c.id == who.id)
        tx.execute(moved.values(organisation_id=organisations[person.left_for]))
    return who


def _grant(
    tx: Tx,
    organisations: list[int],
    codes: list[str],
    texts: list[list[int]],
    wanted: model.Entitlement,
) -> int:
    number = factories.grant(
        tx,
        organisations[wanted.organisation],
        codes[wanted.product],
        right_to=wanted.right_to,
        qualities=wanted.qualities,
        valid_from=wanted.valid[0],
        valid_to=wanted.valid[1],
        maintenance_from=wanted.maintenance[0],
        maintenance_to=wanted.maintenance[1],
        compliance=wanted.compliance,
        allowed_countries=wanted.countries,
        pinned_licence=None if wanted.pinned is None else f"LIC{wanted.pinned[0]}",
        pinned_revision=None if wanted.pinned is None else wanted.pinned[1],
    )
    row = update(entitlements_table).where(entitlements_table.c.id == number)
    tx.execute(row.values(activated_at=wanted.activated_at))
    if wanted.revoked:
        entitlements.revoke(tx, number, actor=OPERATOR, now=NOW)
    return number


def check_denial(error: Denied) -> str:
    """The reason; every denial says what happened and what to do, with nothing left to fill in."""
    assert error.message
    assert error.remedy
    assert "{" not in error.message + error.remedy
    assert isinstance(error, Unauthenticated) == (error.code == "account-disabled")
    return error.code


def issued(tx: Tx, built: Built, person: int, right: Right, release: int) -> str:
    """Issue and, where it is granted, redeem; the verdict. Both must agree."""
    world, made = built.world, built.releases[release]
    who = replace(built.people[person], country=world.country)
    try:
        link = delivery.issue_artifact_link(
            tx,
            KEYRING,
            who,
            number=built.number(right),
            release_id=made.id,
            artifact_id=made.artifact_ids[0],
            declared_country=world.declared,
            embargoed=world.embargoed,
            now=NOW,
        )
    except NotFound:
        return MISSING
    except Denied as error:
        return check_denial(error)
    redeemed = delivery.redeem_link(tx, link.lease_id, embargoed=world.embargoed, now=NOW)
    assert redeemed.artifact_id == made.artifact_ids[0]
    assert redeemed.release_id == made.id
    assert redeemed.entitlement_id == built.entitlements[right.entitlement]
    return GRANTED


def looked_at(tx: Tx, built: Built, who: Principal, right: Right, release: int) -> str:
    """The verdict on looking at a release."""
    made = built.releases[release]
    try:
        shown = entitlements.permitted_release(tx, who, built.number(right), made.id, now=NOW)
    except NotFound:
        return MISSING
    except Denied as error:
        return check_denial(error)
    assert [artifact.id for artifact in shown.artifacts] == list(made.artifact_ids)
    return GRANTED


def listed(tx: Tx, built: Built, who: Principal, right: Right) -> str | list[str]:
    """The ids of the releases listed, or why there is no list."""
    try:
        found, total = entitlements.list_permitted_releases(tx, who, built.number(right), now=NOW)
    except NotFound:
        return MISSING
    except Denied as error:
        return check_denial(error)
    assert total == len(found)
    return [release.id for release in found]


def expected_list(built: Built, person: int, right: Right) -> str | list[str]:
    """What the model lists."""
    world = built.world
    who = world.people[person]
    if not model.owns(world, who, right):
        return MISSING
    if world.entitlements[right.entitlement].right_to != "download":
        return MISSING
    if model.standing(world, right) != GRANTED:
        return model.standing(world, right)
    shown = [
        (release.available_at, made.id)
        for release, made in zip(world.releases, built.releases, strict=True)
        if model.release_verdict(world, who, right, release) == GRANTED
    ]
    newest_first = sorted(
        sorted(shown, key=lambda each: each[1]), key=lambda each: -each[0].timestamp()
    )
    return [identity for _, identity in newest_first]


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=model.worlds())
def test_listing_issuing_and_redeeming_agree_with_the_model(tx: Tx, world: World) -> None:
    point = tx.begin_nested()
    try:
        built = build(tx, world)
        for person, who in enumerate(world.people):
            for right in model.rights(world):
                assert listed(tx, built, built.people[person], right) == expected_list(
                    built, person, right
                )
                for at, release in enumerate(world.releases):
                    note(f"person {person}, {right}, release {at}")
                    wanted = model.release_verdict(world, who, right, release)
                    assert looked_at(tx, built, built.people[person], right, at) == wanted
                    wanted = model.artifact_verdict(world, who, right, release)
                    assert issued(tx, built, person, right, at) == wanted
    finally:
        point.rollback()


def expected_entitlements(
    built: Built, organisation: int, wanted: entitlements.EntitlementFilter
) -> list[tuple[int, str, str]]:
    """Number, status and product code of what the model lists, in order."""
    world, found = built.world, []
    by_product = wanted.product_code
    if by_product is not None and by_product.isdigit():
        by_product = dict(zip(map(str, built.products), built.codes, strict=True)).get(by_product)
    for right in model.rights(world):
        entitlement = world.entitlements[right.entitlement]
        product = model.entitled_product(world, right)
        if entitlement.organisation != organisation or product is None:
            continue
        if wanted.product_code is None and right.child is not None:
            continue
        if wanted.product_code is not None and built.codes[product] != by_product:
            continue
        if wanted.right_to is not None and entitlement.right_to != wanted.right_to:
            continue
        if wanted.activated_from is not None and entitlement.activated_at < wanted.activated_from:
            continue
        found.append((int(built.number(right)), model.status(world, right), built.codes[product]))
    rank = {"Active": 0, "Lapsed": 1}
    return sorted(found, key=lambda each: (rank.get(each[1], 2), each[0]))


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=model.worlds(), data=st.data())
def test_lists_of_entitlements_agree_with_the_model(
    tx: Tx, world: World, data: st.DataObject
) -> None:
    point = tx.begin_nested()
    try:
        built = build(tx, world)
        numbers = [str(number) for number in built.products]
        wanted = entitlements.EntitlementFilter(
            product_code=data.draw(st.sampled_from([None, *built.codes, *numbers, "none", "77"])),
            right_to=data.draw(st.sampled_from([None, "download", "use", "elsewise"])),
            activated_from=data.draw(st.sampled_from([None, NOW, NOW - model.HOUR])),
        )
        page = data.draw(
            st.none() | st.builds(Page, number=st.integers(1, 4), size=st.integers(1, 3))
        )
        who = built.people[0]
        found, total = entitlements.list_entitlements(tx, who, wanted, page, now=NOW)
        everything = expected_entitlements(built, 0, wanted)
        shown = everything if page is None else everything[page.skip : page.skip + page.size]
        assert [(each.number, each.status, each.product.code) for each in found] == shown
        assert total == len(everything)
        for each in found:
            single = entitlements.permitted_entitlement(tx, who, str(each.number), now=NOW)
            assert single == each
    finally:
        point.rollback()
