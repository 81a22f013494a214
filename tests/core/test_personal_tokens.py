"""Personal access tokens: what they may be made with, and what ends them."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from entrepot.core import accounts
from entrepot.core.accounts import (
    Principal,
    find_personal_token,
    is_personal_token,
    list_personal_tokens,
    make_personal_token,
    note_use,
    revoke_personal_token,
    scopes_of_roles,
)
from entrepot.core.accounts.grant_tables import personal_tokens
from entrepot.core.accounts.personal_tokens import (
    ENDED_KEPT_MAX,
    LIVE_MAX,
    check_networks,
    is_within,
)
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Invalid, NotFound, Unauthenticated
from entrepot.kit.redaction import HIDDEN, redact
from tests import factories
from tests.factories import DAY, NOW, OPERATOR

HOME = "192.0.2.7"


def person(tx: Tx, *roles: str) -> Principal:
    return factories.add_user(tx, factories.add_organisation(tx), roles=roles or ("customer",))


def make(tx: Tx, who: Principal, **values: object) -> accounts.NewPersonalToken:
    given: dict[str, object] = {"name": "CI", "scopes": ["entitlements"], "actor": who.label}
    return make_personal_token(tx, who.id, **given | values, now=NOW)  # type: ignore[arg-type]


def refusal(tx: Tx, value: str, *, address: str = HOME, at: timedelta = timedelta()) -> str:
    with pytest.raises(Unauthenticated) as caught:
        find_personal_token(tx, value, address=address, now=NOW + at)
    assert caught.value.remedy
    return caught.value.code


def test_a_token_speaks_for_its_person_within_its_scopes(tx: Tx) -> None:
    who = person(tx)
    made = make(tx, who, scopes=["orders", "entitlements"])
    assert is_personal_token(made.value)
    assert len(made.value) == len("ept_") + 43
    known = find_personal_token(tx, made.value, address=HOME, now=NOW)
    assert (known.who.label, known.who.id) == (who.label, who.id)
    assert known.who.scopes == {"entitlements", "orders"}
    assert known.expires_at == NOW + 90 * DAY
    row = tx.execute(select(personal_tokens).where(personal_tokens.c.id == made.id)).one()
    assert made.value not in str(row._asdict())
    event = tx.execute(select(events).where(events.c.type == "personal-token.made")).one()
    assert (event.actor, event.data["name"]) == (who.label, "CI")
    assert made.value not in str(event._asdict())


@pytest.mark.parametrize(
    ("roles", "closed"),
    [
        (("customer",), {"publish", "admin"}),
        (("organisation-admin",), {"publish", "admin"}),
        (("publisher",), {"admin"}),
        (("operator",), set()),
    ],
)
def test_nobody_gives_a_token_more_than_they_have(
    tx: Tx, roles: Sequence[str], closed: set[str]
) -> None:
    who = person(tx, *roles)
    assert set(accounts.SCOPES) - set(scopes_of_roles(who.roles)) == closed
    for scope in closed:
        with pytest.raises(Invalid) as caught:
            make(tx, who, scopes=["entitlements", scope])
        assert caught.value.field == "scopes"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
        ({"networks": ["home"]}, "networks"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"networks": ["fe80::1%eth0"]}, "networks"),
        ({"networks": ["::ffff:10.0.0.0/104"]}, "networks"),
        ({"networks": ["10.0.0.0/33"]}, "networks"),
        ({"networks": [f"10.0.{n}.0/24" for n in range(21)]}, "networks"),
    ],
)
def test_what_is_wrong_is_named(tx: Tx, values: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make(tx, person(tx), **values)
    assert caught.value.field == field
    with pytest.raises(NotFound):
        accounts.find_user(tx, 99_999_999)


def test_ranges_are_kept_in_their_shortest_spelling() -> None:
    told = ["192.0.2.1", "192.0.2.1/32", "2001:DB8:0::/32", " 10.0.0.0/255.0.0.0 "]
    assert check_networks(told) == ["192.0.2.1/32", "2001:db8::/32", "10.0.0.0/8"]


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.9", True),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", True),
        ("", False),
        ("unix", False),
    ],
)
def test_a_token_is_for_its_addresses(tx: Tx, address: str, inside: bool) -> None:
    made = make(tx, person(tx), networks=["192.0.2.0/24", "2001:db8::/32", "fe80::/10"])
    if inside:
        assert find_personal_token(tx, made.value, address=address, now=NOW).who.user_id
    else:
        assert refusal(tx, made.value, address=address) == "token-elsewhere"


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_a_range_holds_what_its_bits_say(base: int, bits: int, address: int) -> None:
    mask = (2**32 - 1) << (32 - bits) & (2**32 - 1)
    network = str(ip_network((base & mask, bits)))
    assert is_within(str(IPv4Address(address)), [network]) == (base & mask == address & mask)


def test_what_ends_a_token(tx: Tx) -> None:
    who = person(tx)
    made, kept = make(tx, who, days=1), make(tx, who, days=366)
    assert refusal(tx, made.value, at=DAY) == "token-expired"
    find_personal_token(tx, made.value, address=HOME, now=NOW + DAY - timedelta(milliseconds=1))
    revoke_personal_token(tx, who.id, made.id, actor=OPERATOR, now=NOW)
    revoke_personal_token(tx, who.id, made.id, actor=OPERATOR, now=NOW + DAY)
    assert refusal(tx, made.value) == "token-revoked"
    assert len(tx.execute(select(events).where(events.c.type == "personal-token.revoked")).all())
    accounts.block_organisation(tx, who.organisation_id, blocked=True, actor=OPERATOR, now=NOW)
    assert refusal(tx, kept.value) == "account-disabled"
    accounts.block_organisation(tx, who.organisation_id, blocked=False, actor=OPERATOR, now=NOW)
    find_personal_token(tx, kept.value, address=HOME, now=NOW)
    accounts.disable_user(tx, who.id, actor=OPERATOR, now=NOW)
    assert refusal(tx, kept.value) == "account-disabled"


@pytest.mark.parametrize("value", ["ept_", "ept_" + "x" * 43, "ept_" + "x" * 4000, "ept_\udc80"])
def test_a_made_up_token_is_none(tx: Tx, value: str) -> None:
    assert refusal(tx, value) == "token-invalid"


def test_the_last_use_is_kept_to_the_minute(tx: Tx) -> None:
    who = person(tx)
    made = make(tx, who)
    first = NOW + timedelta(seconds=59, milliseconds=7)
    assert find_personal_token(tx, made.value, address=HOME, now=first).use_is_news
    note_use(tx, made.id, now=first)
    assert list_personal_tokens(tx, who.id)[0].used_at == NOW
    assert not find_personal_token(tx, made.value, address=HOME, now=first).use_is_news
    later = NOW + timedelta(seconds=60)
    assert find_personal_token(tx, made.value, address=HOME, now=later).use_is_news
    note_use(tx, made.id, now=later)
    note_use(tx, made.id, now=first)  # another process, a little late
    assert list_personal_tokens(tx, who.id)[0].used_at == later


def test_nobody_revokes_what_is_not_theirs(tx: Tx) -> None:
    made = make(tx, person(tx))
    with pytest.raises(NotFound):
        revoke_personal_token(tx, person(tx).id, made.id, actor=OPERATOR, now=NOW)
    find_personal_token(tx, made.value, address=HOME, now=NOW)


def test_fifty_are_alive_at_most_and_fifty_that_ended_are_kept(tx: Tx) -> None:
    who = person(tx)
    for _ in range(ENDED_KEPT_MAX + 5):
        revoke_personal_token(tx, who.id, make(tx, who).id, actor=OPERATOR, now=NOW)
    for _ in range(LIVE_MAX):
        make(tx, who)
    with pytest.raises(Conflict) as caught:
        make(tx, who)
    assert caught.value.code == "tokens-used-up"
    assert len(list_personal_tokens(tx, who.id)) == LIVE_MAX + ENDED_KEPT_MAX


def test_the_fiftieth_is_made_once_by_those_who_race(database: Database) -> None:
    with database.write() as tx:
        who = person(tx)
        for _ in range(LIVE_MAX - 1):
            make(tx, who)
    start = threading.Barrier(4)

    def attempt(_: int) -> bool:
        start.wait()
        try:
            with database.write() as tx:
                make(tx, who)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1


def test_a_personal_token_is_hidden_in_logs(tx: Tx) -> None:
    value = make(tx, person(tx)).value
    for text in (value, f"Bearer {value}", f"/?x={value}&y=1", f"'{value}'"):
        assert value not in redact(text)
        assert HIDDEN in redact(text)
    assert redact("kept_ and slept_over") == "kept_ and slept_over"
