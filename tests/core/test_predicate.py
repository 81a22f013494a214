"""Each rule of the permission predicate alone, at its edges, with its reason and its remedy."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.accounts import Principal
from entrepot.core.accounts.tables import users
from entrepot.core.entitlements import REASONS, ArtifactRequest, PermittedArtifact, refer
from entrepot.core.entitlements.predicate import ARTIFACT_RULES, ENTITLEMENT_RULES, RELEASE_RULES
from entrepot.core.entitlements.reasons import denial
from entrepot.db import Tx
from entrepot.errors import Denied, NotFound, Unauthenticated
from tests import factories
from tests.factories import DAY, NOW, OPERATOR

MOMENT = timedelta(milliseconds=1)


@dataclass
class Case:
    """One organisation, person, product, release and entitlement."""

    tx: Tx
    who: Principal
    product: str
    release: factories.Published
    number: int

    def ask(self, *, now: datetime = NOW, **changes: Any) -> PermittedArtifact:
        """Ask for the artifact."""
        request = ArtifactRequest(
            organisation_id=self.who.organisation_id,
            user_id=self.who.user_id,
            api_client_id=self.who.api_client_id,
            reference=refer(str(self.number)),
            release_id=self.release.id,
            artifact_id=self.release.artifact_ids[0],
            country="DE",
            declared_country=None,
        )
        return entitlements.permitted_artifact(self.tx, replace(request, **changes), now=now)

    def denied(self, *, now: datetime = NOW, **changes: Any) -> Denied:
        """Ask, and be denied."""
        with pytest.raises(Denied) as caught:
            self.ask(now=now, **changes)
        return caught.value


def case(tx: Tx, *, release: dict[str, Any] | None = None, **given: Any) -> Case:
    """A case that is granted unless told otherwise."""
    organisation = factories.add_organisation(tx)
    who = factories.add_user(tx, organisation)
    product = factories.add_product(tx)
    made = factories.add_release(tx, product, **(release or {}))
    return Case(tx, who, product, made, factories.grant(tx, organisation, product, **given))


def test_every_rule_has_a_reason_and_every_reason_a_rule() -> None:
    rules = [*ENTITLEMENT_RULES, *RELEASE_RULES, *ARTIFACT_RULES]
    assert sorted(rule.verdict for rule in rules) == sorted(REASONS)


@pytest.mark.parametrize("verdict", REASONS)
def test_every_reason_renders_and_names_what_to_do(verdict: str) -> None:
    names = ("valid_from", "valid_to", "maintenance_from", "maintenance_to", "owned")
    details = dict.fromkeys((*names, "country", "declared_country", "licence", "revision"), "?")
    error = denial(verdict, details)
    assert error.code == verdict
    assert error.message.endswith(".")
    assert error.remedy
    assert isinstance(error, Unauthenticated) == (verdict == "account-disabled")


def test_granted_says_what_it_rests_on(tx: Tx) -> None:
    one = case(tx, release={"files": [("a.bin", b"abc")], "available_at": NOW - DAY})
    granted = one.ask()
    assert (granted.file_name, granted.size) == ("a.bin", 3)
    assert granted.entitlement_id == one.number
    assert granted.available_at == NOW - DAY
    assert granted.licence_revision_id is None


def test_an_entitlement_holds_from_its_first_moment_to_its_last(tx: Tx) -> None:
    end = NOW + DAY
    one = case(tx, valid_from=NOW, valid_to=end)
    assert one.ask(now=NOW)
    assert one.ask(now=end - MOMENT)
    early = one.denied(now=NOW - MOMENT)
    assert early.code == "entitlement-not-started"
    assert "2026-06-15" in early.message
    late = one.denied(now=end)
    assert late.code == "entitlement-expired"
    assert "2026-06-16" in late.message


def test_maintenance_gives_what_came_inside_it(tx: Tx) -> None:
    start, end = NOW - 10 * DAY, NOW - 5 * DAY
    one = case(tx, maintenance_from=start, maintenance_to=end, release={"draft": True})
    inside = {"first": start, "last": end - MOMENT}
    outside = {"before-maintenance": start - MOMENT, "maintenance-ended": end}
    made = {
        name: factories.add_release(tx, one.product, name=name, available_at=moment)
        for name, moment in {**inside, **outside}.items()
    }
    for name in inside:
        assert one.ask(release_id=made[name].id, artifact_id=made[name].artifact_ids[0])
    for name in outside:
        error = one.denied(release_id=made[name].id, artifact_id=made[name].artifact_ids[0])
        assert error.code == name
        assert f"The newest release you still own is last ({made['last'].id})" in error.remedy
        assert error.details["newest_release_id"] == made["last"].id
    assert "ended on 2026-06-10" in error.message
    assert "renew the maintenance" in error.remedy


def test_maintenance_without_any_release_says_so(tx: Tx) -> None:
    error = case(tx, maintenance_to=NOW - 5 * DAY).denied()
    assert error.code == "maintenance-ended"
    assert "includes no release" in error.remedy


def test_a_release_exists_from_the_moment_it_is_available(tx: Tx) -> None:
    one = case(tx, release={"available_at": NOW})
    assert one.ask(now=NOW)
    with pytest.raises(NotFound):
        one.ask(now=NOW - MOMENT)


def test_a_draft_is_not_there_and_a_withdrawn_release_is_denied(tx: Tx) -> None:
    with pytest.raises(NotFound):
        case(tx, release={"draft": True}).ask()
    one = case(tx)
    catalogue.withdraw_release(tx, one.release.id, actor=OPERATOR, now=NOW)
    assert one.denied().code == "release-withdrawn"


def test_qualities_that_are_not_included_are_not_there(tx: Tx) -> None:
    assert case(tx, release={"quality": "EAC"}, qualities=("BETA", "EAC")).ask()
    for quality in ("EA", "AC", "BET", "LAC"):
        with pytest.raises(NotFound):
            case(tx, release={"quality": quality}, qualities=("BETA", "EAC")).ask()


def test_only_the_right_to_download_downloads(tx: Tx) -> None:
    with pytest.raises(NotFound):
        case(tx, right_to="use").ask()


def test_the_chain_is_checked_whole(tx: Tx) -> None:
    one, other = case(tx), case(tx)
    for changes in (
        {"organisation_id": other.who.organisation_id, "user_id": other.who.user_id},
        {"organisation_id": 999_999},
        {"reference": refer(str(other.number))},
        {"reference": refer("999999")},
        {"reference": refer(str(entitlements.child_number(one.number, 999)))},
        {"reference": refer(str(2**63 - 1))},
        {"release_id": other.release.id},
        {"artifact_id": other.release.artifact_ids[0]},
        {"release_id": one.release.artifact_ids[0], "artifact_id": one.release.id},
        {"release_id": "no uuid"},
        {"artifact_id": ""},
        {"artifact_id": "\0"},
    ):
        with pytest.raises(NotFound):
            one.ask(**changes)
    assert one.ask(release_id=one.release.id.upper(), artifact_id=one.release.artifact_ids[0])


def test_revoked_and_blocked_are_denied(tx: Tx) -> None:
    one = case(tx)
    entitlements.revoke(tx, one.number, actor=OPERATOR, now=NOW)
    assert one.denied().code == "entitlement-revoked"
    two = case(tx)
    organisation = two.who.organisation_id
    accounts.block_organisation(tx, organisation, blocked=True, actor=OPERATOR, now=NOW)
    assert two.denied().code == "organisation-blocked"


def test_compliance_matters_once_blocked_or_for_restricted_products(tx: Tx) -> None:
    assert case(tx, compliance="blocked").denied().code == "compliance-blocked"
    assert case(tx, compliance="pending").ask()
    restricted = factories.add_product(tx, eccn_restricted=True)
    made = factories.add_release(tx, restricted)
    one = case(tx)
    number = factories.grant(tx, one.who.organisation_id, restricted, compliance="pending")
    pending = replace(one, number=number, release=made)
    assert pending.denied().code == "compliance-pending"


def test_disabled_and_moved_people_and_machines_are_shut_out(tx: Tx) -> None:
    one = case(tx)
    machine, _ = factories.add_client(tx, one.who.organisation_id)
    asks: dict[str, Any] = {"user_id": None, "api_client_id": machine.api_client_id}
    assert one.ask(**asks)
    # A number is a person's or a machine's, never either's.
    assert one.denied(user_id=machine.id).code == "account-disabled"
    assert one.denied(user_id=None, api_client_id=one.who.id).code == "account-disabled"
    assert one.denied(user_id=None).code == "account-disabled"
    client_id = machine.label.removeprefix("client:")
    accounts.disable_client(tx, client_id, actor=OPERATOR, now=NOW)
    assert one.denied(**asks).code == "account-disabled"
    elsewhere = factories.add_organisation(tx)
    tx.execute(update(users).where(users.c.id == one.who.id).values(organisation_id=elsewhere))
    assert isinstance(one.denied(), Unauthenticated)


def test_countries(tx: Tx) -> None:
    one = case(tx, allowed_countries=("DE", "FR"))
    assert one.ask(country="FR")
    for country in ("GB", "D", "E", "", "DE,FR", ",", "de"):
        error = one.denied(country=country)
        assert error.code == "country-not-allowed"
        assert error.details["country"] == country
    assert one.denied(country="DE", embargoed=("KP", "DE")).code == "country-embargoed"
    assert one.ask(country="DE", embargoed=("KP", "IR"))
    assert case(tx).ask(country="GB")


def test_controlled_files_need_a_declared_country_that_is_allowed(tx: Tx) -> None:
    one = case(tx, release={"repository": "eu-controlled"}, allowed_countries=("DE", "FR"))
    missing = one.denied()
    assert missing.code == "declared-country-required"
    assert "declared-country-code" in missing.remedy
    assert one.ask(declared_country="FR")
    assert one.denied(declared_country="GB").code == "declared-country-not-allowed"
    assert one.denied(declared_country="").code == "declared-country-not-allowed"
    error = one.denied(declared_country="FR", embargoed=("FR",))
    assert error.code == "declared-country-not-allowed"
    assert "FR" in error.message
    free = case(tx, release={"repository": "controlled"})
    assert free.ask(declared_country="GB")
    assert free.denied(declared_country="KP", embargoed=("KP",)).code == (
        "declared-country-not-allowed"
    )
    # Of other files no declaration is asked, and none is held against the caller.
    assert case(tx, allowed_countries=("DE",)).ask(declared_country="GB")


def licensed(tx: Tx, *, code: str, **given: Any) -> Case:
    """A case whose product has a licence."""
    catalogue.add_licence(tx, code=code, name="A licence", text="one", actor=OPERATOR, now=NOW)
    organisation = factories.add_organisation(tx)
    who = factories.add_user(
        tx, organisation, roles=[accounts.CUSTOMER, accounts.ORGANISATION_ADMIN]
    )
    product = factories.add_product(tx, licence_code=code)
    made = factories.add_release(tx, product)
    return Case(tx, who, product, made, factories.grant(tx, organisation, product, **given))


def test_a_licence_is_accepted_by_the_person_and_anew_when_revised(tx: Tx) -> None:
    one = licensed(tx, code="EULA-1")
    error = one.denied()
    assert error.code == "licence-required"
    assert "EULA-1 (revision 1)" in error.message
    assert (error.details["licence"], error.details["revision"]) == ("EULA-1", 1)
    entitlements.accept_licence(tx, one.who, code="EULA-1", revision=1, now=NOW)
    assert one.ask().licence_revision_id is not None
    colleague = factories.add_user(tx, one.who.organisation_id)
    assert one.denied(user_id=colleague.id).code == "licence-required"
    catalogue.revise_licence(tx, code="EULA-1", text="two", actor=OPERATOR, now=NOW)
    assert one.denied().details["revision"] == 2


def test_a_licence_is_accepted_for_everyone_in_the_organisation(tx: Tx) -> None:
    one = licensed(tx, code="EULA-2")
    machine, _ = factories.add_client(tx, one.who.organisation_id)
    asks: dict[str, Any] = {"user_id": None, "api_client_id": machine.id}
    assert one.denied(**asks).code == "licence-required"
    entitlements.accept_licence(
        tx, one.who, code="EULA-2", revision=1, for_organisation=True, now=NOW
    )
    assert one.ask(**asks)
    assert one.ask(user_id=factories.add_user(tx, one.who.organisation_id).id)


def test_a_pinned_licence_stays_at_its_revision(tx: Tx) -> None:
    one = licensed(tx, code="EULA-3", pinned_licence="EULA-3", pinned_revision=1)
    entitlements.accept_licence(tx, one.who, code="EULA-3", revision=1, now=NOW)
    catalogue.revise_licence(tx, code="EULA-3", text="two", actor=OPERATOR, now=NOW)
    assert one.ask()


def test_an_acceptance_stays_with_the_organisation_it_was_given_in(tx: Tx) -> None:
    one = licensed(tx, code="EULA-4")
    entitlements.accept_licence(tx, one.who, code="EULA-4", revision=1, now=NOW)
    elsewhere = factories.add_organisation(tx)
    tx.execute(update(users).where(users.c.id == one.who.id).values(organisation_id=elsewhere))
    moved = accounts.load_user(tx, one.who.id)
    number = factories.grant(tx, elsewhere, one.product)
    there = replace(one, who=moved, number=number)
    assert there.denied().code == "licence-required"
    entitlements.accept_licence(tx, moved, code="EULA-4", revision=1, now=NOW)
    assert there.ask()


def test_children_of_a_group_inherit_and_leave_with_the_group(tx: Tx) -> None:
    one = case(tx)
    group = factories.add_product(tx, members=[one.product])
    parent = factories.grant(tx, one.who.organisation_id, group, valid_to=NOW + DAY)
    member = catalogue.find_product(tx, one.product).id
    child = replace(one, number=entitlements.child_number(parent, member))
    assert child.ask().product_id == member
    assert child.denied(now=NOW + DAY).code == "entitlement-expired"
    stranger = factories.add_product(tx)
    made = factories.add_release(tx, stranger)
    outside = catalogue.find_product(tx, stranger).id
    wrong = replace(one, number=entitlements.child_number(parent, outside), release=made)
    with pytest.raises(NotFound):
        wrong.ask()
    spec = catalogue.ProductSpec(code=group, name="Group", members=[stranger])
    number = catalogue.find_product(tx, group).id
    catalogue.change_product(tx, number, spec, actor=OPERATOR, now=NOW)
    assert wrong.ask()
    with pytest.raises(NotFound):
        child.ask()
