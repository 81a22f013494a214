"""Leases and links: what is written down, and what ends them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from entrepot.core import accounts, catalogue, delivery, entitlements
from entrepot.core.accounts import Keyring, LinkKey, SecretBox
from entrepot.core.catalogue.tables import releases
from entrepot.core.delivery import (
    IssuedLink,
    StoredFile,
    issue_artifact_link,
    issue_artifact_links,
    redeem_following,
    redeem_link,
    verify_link,
)
from entrepot.core.delivery.tables import leases
from entrepot.core.events.tables import events
from entrepot.db import Tx
from entrepot.errors import Denied, Gone, Invalid, NotFound
from entrepot.kit.context import request_id
from tests import factories
from tests.core.test_predicate import Case, case, licensed
from tests.factories import DAY, NOW, OPERATOR

KEY = LinkKey("0a0b0c0d", b"k" * 32, NOW - DAY)
KEYRING = Keyring({}, {KEY.kid: KEY})


def issue(one: Case, *, declared: str | None = None, seconds: int = 600) -> IssuedLink:
    return issue_artifact_link(
        one.tx,
        KEYRING,
        one.who,
        number=str(one.number),
        release_id=one.release.id,
        artifact_id=one.release.artifact_ids[0],
        declared_country=declared,
        seconds=seconds,
        now=NOW,
    )


def test_a_lease_says_who_got_what_by_which_right_for_how_long(tx: Tx) -> None:
    one = licensed(tx, code="EULA-L")
    entitlements.accept_licence(tx, one.who, code="EULA-L", revision=1, now=NOW)
    token = request_id.set("request-1")
    try:
        link = issue(one, declared="fr ")
    finally:
        request_id.reset(token)
    lease = tx.execute(select(leases).where(leases.c.id == link.lease_id)).one()
    assert lease._asdict() == {
        "id": link.lease_id,
        "principal": one.who.label,
        "user_id": one.who.id,
        "api_client_id": None,
        "organisation_id": one.who.organisation_id,
        "entitlement_id": one.number,
        "child_product_id": None,
        "release_id": one.release.id,
        "artifact_id": one.release.artifact_ids[0],
        "order_id": None,
        "asset_id": None,
        "product_download_id": None,
        "sha256": None,
        "file_name": None,
        "content_type": None,
        "country": "DE",
        "declared_country": "FR",
        "licence_revision_id": catalogue.find_revision(tx, "EULA-L").id,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(seconds=600),
        "request_id": "request-1",
    }
    event = tx.execute(select(events).where(events.c.type == "link.issued")).one()
    assert event.actor == one.who.label
    assert event.subject == f"artifact:{lease.artifact_id}"
    assert event.request_id == "request-1"
    assert event.data == {
        "entitlement": str(one.number),
        "country": "DE",
        "declared_country": "FR",
    }


def test_the_path_carries_the_lease_and_nothing_to_guess(tx: Tx) -> None:
    one = case(tx, release={"files": [("ü 1.bin", b"x")]})
    first, second = issue(one), issue(one)
    assert first.lease_id != second.lease_id
    token, _, name = first.path.encode().partition(b"/")
    assert name == b"%C3%BC%201.bin"
    signed = verify_link(KEYRING.link_keys, token, name, now=NOW)
    assert (signed.lease_id, signed.expires_at) == (first.lease_id, first.expires_at)


@pytest.mark.parametrize(("asked", "given"), [(60, 60), (600, 600), (86_400, 600)])
def test_a_link_lives_ten_minutes_at_most(tx: Tx, asked: int, given: int) -> None:
    assert issue(case(tx), seconds=asked).expires_at == NOW + timedelta(seconds=given)


def test_a_lease_gives_the_bytes_and_whose_they_are(tx: Tx) -> None:
    one = case(tx, release={"files": [("a.bin", b"abc")]})
    redeemed = redeem_link(tx, issue(one).lease_id, now=NOW)
    assert redeemed.principal == one.who.label
    assert redeemed.organisation_id == one.who.organisation_id
    assert redeemed.entitlement_id == one.number
    assert redeemed.content == StoredFile(factories.digests_of(b"abc").sha256, 3)
    assert (redeemed.file_name, redeemed.artifact_id) == ("a.bin", one.release.artifact_ids[0])


def test_a_child_of_a_group_is_leased_as_that_child(tx: Tx) -> None:
    one = case(tx)
    group = factories.add_product(tx, members=[one.product])
    parent = factories.grant(tx, one.who.organisation_id, group)
    member = catalogue.find_product(tx, one.product).id
    child = replace(one, number=entitlements.child_number(parent, member))
    link = issue(child)
    assert redeem_link(tx, link.lease_id, now=NOW).entitlement_id == parent
    entitlements.revoke(tx, one.number, actor=OPERATOR, now=NOW)
    assert redeem_link(tx, link.lease_id, now=NOW)
    entitlements.revoke(tx, parent, actor=OPERATOR, now=NOW)
    with pytest.raises(Denied, match="revoked"):
        redeem_link(tx, link.lease_id, now=NOW)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("revoke", "entitlement-revoked"),
        ("withdraw", "release-withdrawn"),
        ("block", "organisation-blocked"),
        ("disable", "account-disabled"),
        ("expire", "entitlement-expired"),
        ("revise", "licence-required"),
    ],
)
def test_what_ends_a_right_ends_its_links(tx: Tx, end: str, reason: str) -> None:
    one = licensed(tx, code="EULA-E", valid_to=NOW + DAY)
    entitlements.accept_licence(tx, one.who, code="EULA-E", revision=1, now=NOW)
    lease_id, now = issue(one).lease_id, NOW
    assert redeem_link(tx, lease_id, now=now)
    if end == "revoke":
        entitlements.revoke(tx, one.number, actor=OPERATOR, now=NOW)
    elif end == "withdraw":
        catalogue.withdraw_release(tx, one.release.id, actor=OPERATOR, now=NOW)
    elif end == "block":
        organisation = one.who.organisation_id
        accounts.block_organisation(tx, organisation, blocked=True, actor=OPERATOR, now=NOW)
    elif end == "disable":
        accounts.disable_user(tx, one.who.id, actor=OPERATOR, now=NOW)
    elif end == "expire":
        now = NOW + DAY
    else:
        catalogue.revise_licence(tx, code="EULA-E", text="two", actor=OPERATOR, now=NOW)
    with pytest.raises(Denied) as caught:
        redeem_link(tx, lease_id, now=now)
    assert caught.value.code == reason


def test_what_is_no_more_is_gone_and_what_never_was_is_no_link(tx: Tx) -> None:
    one = case(tx)
    lease_id = issue(one).lease_id
    tx.execute(delete(releases).where(releases.c.id == one.release.id))
    with pytest.raises(Gone) as caught:
        redeem_link(tx, lease_id, now=NOW)
    assert caught.value.code == "object-gone"
    assert caught.value.remedy
    with pytest.raises(Denied) as refused:
        redeem_link(tx, "00" * 16, now=NOW)
    assert refused.value.code == "link-invalid"


@pytest.mark.parametrize("declared", ["XX", "DEU", "DE,FR", ",", "1"])
def test_a_declared_country_must_be_one(tx: Tx, declared: str) -> None:
    one = case(tx, release={"repository": "controlled"}, allowed_countries=("DE", "FR"))
    with pytest.raises(Invalid) as caught:
        issue(one, declared=declared)
    assert caught.value.field == "declared_country"
    assert issue(one, declared="de")
    for none in (None, "", " "):
        with pytest.raises(Denied) as missing:
            issue(one, declared=none)
        assert missing.value.code == "declared-country-required"


def test_those_named_of_a_release_are_issued_together_or_not_at_all(tx: Tx) -> None:
    one = case(tx, release={"files": [(f"{n}.bin", bytes([n])) for n in range(6)]})
    other = factories.add_release(tx, one.product)
    ids = one.release.artifact_ids

    def ask(*only: str) -> list[str]:
        issued, granted = issue_artifact_links(
            tx,
            KEYRING,
            one.who,
            number=str(one.number),
            release_id=one.release.id,
            only=only,
            declared_country=None,
            now=NOW,
        )
        assert len(issued) == len(granted.files)
        return [file.artifact_id for file in granted.files]

    assert ask(ids[4], ids[1].upper(), ids[4]) == [ids[1], ids[4]], "in the publisher's order"
    assert ask() == list(ids)
    written = len(tx.execute(select(leases)).all())
    for stranger in (other.artifact_ids[0], "x", "", f"{ids[0]},{ids[1]}", '"'):
        with pytest.raises(NotFound):
            ask(ids[0], stranger)
    assert len(tx.execute(select(leases)).all()) == written


def test_links_that_were_issued_together_are_asked_about_together(tx: Tx) -> None:
    one = case(tx, release={"files": [(f"{n}.bin", bytes([n])) for n in range(6)]})
    asked: dict[str, Any] = {
        "number": str(one.number),
        "release_id": one.release.id,
        "declared_country": None,
    }
    batches = [
        [link.lease_id for link in issue_artifact_links(tx, KEYRING, who, **asked, now=NOW)[0]]
        for who in (one.who, one.who, factories.add_user(tx, one.who.organisation_id))
    ]
    single = issue(one).lease_id
    every = [lease_id for batch in batches for lease_id in batch]
    assert len({*every, single}) == 19

    def following(lease_id: str, take: int = 100) -> list[str]:
        first = redeem_link(tx, lease_id, now=NOW)
        found = redeem_following(tx, first, take=take, now=NOW)
        assert found == [redeem_link(tx, each.lease_id, now=NOW) for each in found]
        return [each.lease_id for each in found]

    for batch in batches:
        assert following(batch[0]) == batch[1:], "none of another batch"
        assert following(batch[2], take=2) == batch[3:5]
        assert following(batch[5]) == []
    assert following(single) == []
    # What `redeem_link` would refuse is not among them.
    first = redeem_link(tx, batches[0][0], now=NOW)
    entitlements.revoke(tx, one.number, actor=OPERATOR, now=NOW)
    assert redeem_following(tx, first, take=100, now=NOW) == []


def test_nothing_is_written_where_nothing_is_granted(tx: Tx) -> None:
    one = case(tx, valid_to=NOW)
    with pytest.raises(Denied):
        issue(one)
    for number in ("", "x", "0", "-1", "99999999999999999999", "999999"):
        with pytest.raises(NotFound):
            issue_artifact_link(
                tx,
                KEYRING,
                one.who,
                number=number,
                release_id=one.release.id,
                artifact_id=one.release.artifact_ids[0],
                declared_country=None,
                now=NOW,
            )
    assert tx.execute(select(leases)).all() == []
    assert tx.execute(select(events).where(events.c.type == "link.issued")).all() == []


def test_a_link_outlives_the_rotation_of_its_key(tx: Tx) -> None:
    box = SecretBox("a secret key that is long enough")
    accounts.ensure_keys(tx, box, now=NOW)
    before = accounts.load_keyring(tx, box, now=NOW)
    old = before.signing_link_key(NOW)
    path = delivery.sign_link(
        old, lease_id="0a" * 16, expires_at=NOW + timedelta(seconds=600), file_name="a"
    ).encode()
    token, _, name = path.partition(b"/")
    kid = accounts.rotate_keys(tx, box, "link", actor=OPERATOR, now=NOW)
    for seconds in (0, 60, 599):
        moment = NOW + timedelta(seconds=seconds)
        keyring = accounts.load_keyring(tx, box, now=moment)
        assert verify_link(keyring.link_keys, token, name, now=moment).lease_id == "0a" * 16
    later = NOW + timedelta(seconds=60)
    keyring = accounts.load_keyring(tx, box, now=later)
    assert keyring.signing_link_key(later).kid == kid != old.kid
    # Once the old key has retired its links are nobody's; they expired long before.
    retired = NOW + timedelta(days=1)
    keyring = accounts.load_keyring(tx, box, now=retired)
    assert old.kid not in keyring.link_keys
    with pytest.raises(Denied):
        verify_link(keyring.link_keys, token, name, now=retired)
