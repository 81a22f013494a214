"""Why somebody may have a file or not: the answer agrees with the decision, and writes nothing."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, note, settings
from sqlalchemy import func, select

from entrepot.core import delivery, entitlements
from entrepot.core.delivery.tables import leases, reservations
from entrepot.core.entitlements import FAILED, NOT_REACHED, PASSED, ChainFilter, Explanation
from entrepot.core.entitlements.predicate import WHOLE_ARTIFACT_RULES
from entrepot.core.events.tables import events
from entrepot.db import Tx
from entrepot.errors import Denied, NotFound
from tests import factories
from tests.core import permission_model as model
from tests.core.permission_model import GRANTED, MISSING, Right, World
from tests.core.test_predicate_model import KEYRING, Built, build, issued
from tests.factories import DAY, NOW


def test_the_questions_are_the_rules_of_the_predicate_in_their_order() -> None:
    asked = [verdict for question in entitlements.QUESTIONS for verdict in question.verdicts]
    assert asked == [rule.verdict for rule in WHOLE_ARTIFACT_RULES]


def _rows(tx: Tx) -> list[int]:
    tables = (leases, reservations, events)
    return [tx.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def explained(tx: Tx, built: Built, person: int, right: Right, release: int) -> str:
    """The verdict that an explanation gives, which is that of its first failed check."""
    world, made = built.world, built.releases[release]
    who = replace(built.people[person], country=world.country)
    try:
        found = delivery.explain_artifact_link(
            tx,
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
    failed = [check for check in found.checks if check.state == FAILED]
    assert found.allowed == (not failed)
    assert found.verdict == (failed[0].reason if failed else GRANTED)
    for check in found.checks:
        assert "{" not in check.message + check.remedy
        assert (check.state == FAILED) == bool(check.reason)
        assert bool(check.remedy) == bool(check.reason)
        assert bool(check.message) == (check.state != NOT_REACHED)
    return found.verdict


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=model.worlds())
def test_an_explanation_says_allowed_exactly_where_a_link_is_issued(tx: Tx, world: World) -> None:
    point = tx.begin_nested()
    try:
        built = build(tx, world)
        before = _rows(tx)
        told = {
            (person, right, at): explained(tx, built, person, right, at)
            for person in range(len(world.people))
            for right in model.rights(world)
            for at in range(len(world.releases))
        }
        assert _rows(tx) == before, "asking writes nothing"
        for (person, right, at), verdict in told.items():
            note(f"person {person}, {right}, release {at}")
            assert verdict == issued(tx, built, person, right, at)
    finally:
        point.rollback()


def _asked(tx: Tx, **grant: object) -> tuple[Explanation, str]:
    """What is told of a file under such an entitlement, and how asking for a link to it ends."""
    organisation = factories.add_organisation(tx)
    who = factories.add_user(tx, organisation)
    product = factories.add_product(tx)
    made = factories.add_release(tx, product, files=[("a.bin", b"12345")])
    number = str(factories.grant(tx, organisation, product, **grant))
    file = made.artifact_ids[0]
    found = delivery.explain_artifact_link(
        tx, who, number=number, release_id=made.id, artifact_id=file, declared_country=None, now=NOW
    )
    try:
        delivery.issue_artifact_link(
            tx,
            KEYRING,
            who,
            number=number,
            release_id=made.id,
            artifact_id=file,
            declared_country=None,
            now=NOW,
        )
    except Denied as error:
        return found, error.code
    return found, GRANTED


@pytest.mark.parametrize("downloads_max", [None, 1])
@pytest.mark.parametrize(("bytes_max", "fits"), [(None, True), (5, True), (4, False)])
def test_the_quota_is_asked_last_and_decides_as_for_a_link(
    tx: Tx, downloads_max: int | None, bytes_max: int | None, fits: bool
) -> None:
    found, ended = _asked(tx, downloads_max=downloads_max, bytes_max=bytes_max)
    quota = found.checks[-1]
    assert (found.verdict, quota.name) == (ended, "quota")
    assert (quota.state, found.allowed) == (PASSED if fits else FAILED, fits)
    if bytes_max is not None:
        assert quota.facts["bytes_left"] == bytes_max


def test_everything_that_fails_is_told_at_once_and_the_quota_not_reached(tx: Tx) -> None:
    found, ended = _asked(tx, valid_to=NOW - DAY, allowed_countries=("FR",), bytes_max=1)
    states = {check.name: check.state for check in found.checks}
    failed = [name for name, state in states.items() if state == FAILED]
    assert failed == ["entitlement", "country"]
    assert (ended, states["quota"]) == ("entitlement-expired", NOT_REACHED)
    entitlement = next(check for check in found.checks if check.name == "entitlement")
    assert entitlement.ends == NOW - DAY


def test_files_are_found_by_id_release_name_and_product(tx: Tx) -> None:
    organisation, other = factories.add_organisation(tx), factories.add_organisation(tx)
    who, stranger = factories.add_user(tx, organisation), factories.add_user(tx, other)
    product = factories.add_product(tx)
    old = factories.add_release(tx, product, name="1.0", available_at=NOW - 9 * DAY)
    new = factories.add_release(
        tx, product, name="2.0", files=[("a", b"a"), ("b", b"b")], available_at=NOW - DAY
    )
    factories.add_release(tx, product, name="3.0", draft=True)
    group = factories.add_product(tx, members=[product])
    lapsed = factories.grant(tx, organisation, product, maintenance_to=NOW - 5 * DAY)
    factories.grant(tx, organisation, group)

    def ask(**wanted: str) -> list[tuple[str, str, bool]]:
        found, total = delivery.explain_links(
            tx, who, ChainFilter(**wanted), declared_country=None, now=NOW
        )
        assert total == len(found)
        return [(each.release_name, each.file_name, each.allowed) for each in found]

    both = [("2.0", "a", False), ("2.0", "a", True), ("2.0", "b", False), ("2.0", "b", True)]
    assert ask(product_code=product) == both
    assert ask(product_code=product, release_name="2.0") == both
    assert ask(release_id=new.id) == both
    assert ask(artifact_id=new.artifact_ids[0]) == both[:2]
    assert ask(product_code=product, release_name="1.0") == [("1.0", "file.bin", True)] * 2
    found, _ = delivery.explain_links(
        tx, who, ChainFilter(artifact_id=old.artifact_ids[0]), declared_country=None, now=NOW
    )
    assert found[0].number == lapsed
    for wanted in (
        ChainFilter(product_code=product, release_name="3.0"),
        ChainFilter(product_code="\0"),
        ChainFilter(artifact_id="nonsense"),
        ChainFilter(product_code=group),
    ):
        with pytest.raises(NotFound):
            delivery.explain_links(tx, who, wanted, declared_country=None, now=NOW)
    with pytest.raises(NotFound):
        delivery.explain_links(
            tx, stranger, ChainFilter(release_id=new.id), declared_country=None, now=NOW
        )
    with pytest.raises(ValueError, match="names"):
        delivery.explain_links(tx, who, ChainFilter(), declared_country=None, now=NOW)
