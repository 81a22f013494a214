"""Codes, refresh tokens, device codes: what counts once, what ends with what."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from entrepot.core import accounts
from entrepot.core.accounts import Granted, Keyring
from entrepot.core.accounts.devices import INTERVAL_SECONDS, USER_CODE_LETTERS, read_user_code
from entrepot.core.accounts.grant_tables import (
    authorization_codes,
    device_codes,
    refresh_tokens,
    revoked_tokens,
    token_families,
    used_assertions,
)
from entrepot.core.events.tables import events
from entrepot.db import Tx
from entrepot.errors import NotFound, TooMany, Unauthenticated
from tests.core.grants_world import BOX, World, make_world
from tests.factories import NOW

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
ISSUER = "https://hub.example.com"


@pytest.fixture
def world(tx: Tx) -> World:
    return make_world(tx)


@pytest.fixture(scope="module")
def one_keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Keys made once, in a database of their own: an RSA key takes longer than most tests."""
    from entrepot.db import connect
    from entrepot.db.migrate import migrate

    database = connect(f"sqlite:///{tmp_path_factory.mktemp('keys')}/keys.sqlite3")
    migrate(database)
    with database.write() as tx:
        accounts.ensure_keys(tx, BOX, now=NOW)
        keyring = accounts.load_keyring(tx, BOX, now=NOW)
    database.close()
    return keyring


def begin(tx: Tx, world: World, **changed: Any) -> Granted:
    """A family, begun by redeeming a code."""
    code = accounts.issue_code(tx, world.request(**changed), now=NOW)
    found = accounts.find_code(tx, code, api_client_id=world.web, now=NOW)
    assert found is not None
    granted = accounts.redeem_code(tx, found, now=NOW)
    assert granted is not None
    return granted


def ended(tx: Tx, family: str) -> str | None:
    """Why a family has ended; None: it lives."""
    why: str | None = tx.execute(
        select(token_families.c.revoked_why).where(token_families.c.id == family)
    ).scalar_one()
    return why


def exchange(tx: Tx, world: World, token: str, asked_at: Any = NOW, now: Any = NOW) -> str | None:
    """Exchange a refresh token; None: refused."""
    found = accounts.find_refresh(tx, token, api_client_id=world.web, asked_at=asked_at, now=now)
    if found is None or not accounts.spend_refresh(tx, found, asked_at=asked_at, now=now):
        return None
    return accounts.add_refresh_token(tx, found.granted.family, found.granted.scopes, now=now)


def test_a_code_is_redeemed_once_and_a_second_use_ends_the_family(tx: Tx, world: World) -> None:
    request = world.request(nonce="n", redirect_uri=None)
    code = accounts.issue_code(tx, request, now=NOW)
    found = accounts.find_code(tx, code, api_client_id=world.web, now=NOW)
    assert found is not None
    assert found.request == request
    granted = accounts.redeem_code(tx, found, now=NOW)
    assert granted is not None
    assert granted == Granted(world.web, world.who.id, request.scopes, granted.family)
    assert ended(tx, granted.family) is None
    later = NOW + 2 * MINUTE  # the code is over, and its second use still tells of a theft
    assert accounts.find_code(tx, code, api_client_id=world.web, now=later) is None
    assert ended(tx, granted.family) == "replayed"
    event = tx.execute(select(events).where(events.c.type == "family.revoked")).one()
    assert (event.actor, event.data) == ("system", {"reason": "replayed"})


def test_a_code_that_was_found_twice_is_redeemed_once(tx: Tx, world: World) -> None:
    code = accounts.issue_code(tx, world.request(), now=NOW)
    found = [accounts.find_code(tx, code, api_client_id=world.web, now=NOW) for _ in range(2)]
    assert found[0] is not None
    assert found[1] is not None
    first = accounts.redeem_code(tx, found[0], now=NOW)
    assert first is not None
    assert accounts.redeem_code(tx, found[1], now=NOW) is None
    assert ended(tx, first.family) == "replayed"


def test_a_code_is_its_clients_and_lasts_a_minute(tx: Tx, world: World) -> None:
    code = accounts.issue_code(tx, world.request(), now=NOW)
    at = {"api_client_id": world.web}
    assert accounts.find_code(tx, code, api_client_id=world.other, now=NOW) is None
    assert accounts.find_code(tx, "x" * 43, now=NOW, **at) is None
    assert accounts.find_code(tx, code, now=NOW + MINUTE - SECOND, **at) is not None
    assert accounts.find_code(tx, code, now=NOW + MINUTE, **at) is None


def test_another_clients_use_of_a_used_code_ends_nothing(tx: Tx, world: World) -> None:
    code = accounts.issue_code(tx, world.request(), now=NOW)
    found = accounts.find_code(tx, code, api_client_id=world.web, now=NOW)
    assert found is not None
    granted = accounts.redeem_code(tx, found, now=NOW)
    assert granted is not None
    assert accounts.find_code(tx, code, api_client_id=world.other, now=NOW) is None
    assert ended(tx, granted.family) is None


def test_secrets_are_kept_as_hashes_only(tx: Tx, world: World) -> None:
    code = accounts.issue_code(tx, world.request(), now=NOW)
    token = accounts.add_refresh_token(tx, begin(tx, world).family, ["orders"], now=NOW)
    device = accounts.issue_device(tx, api_client_id=world.web, scopes=["orders"], now=NOW)
    kept = "".join(
        repr(tx.execute(select(table)).all())
        for table in (authorization_codes, refresh_tokens, device_codes, events)
    )
    for secret in (code, token, device.device_code):
        assert len(secret) == 43
        assert secret not in kept


def test_a_refresh_token_is_exchanged_once_for_the_next(tx: Tx, world: World) -> None:
    granted = begin(tx, world)
    first = accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)
    found = accounts.find_refresh(tx, first, api_client_id=world.web, asked_at=NOW, now=NOW)
    assert found is not None
    assert found.granted == granted
    second = exchange(tx, world, first)
    assert second is not None
    third = exchange(tx, world, second, NOW + DAY, NOW + DAY)
    assert third is not None
    assert ended(tx, granted.family) is None
    assert exchange(tx, world, first, NOW + 2 * DAY, NOW + 2 * DAY) is None
    assert ended(tx, granted.family) == "reused"
    assert exchange(tx, world, third, NOW + 2 * DAY, NOW + 2 * DAY) is None


def test_who_asked_before_the_exchange_is_refused_and_ends_nothing(tx: Tx, world: World) -> None:
    granted = begin(tx, world)
    token = accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)
    assert exchange(tx, world, token, NOW, NOW + SECOND) is not None
    assert exchange(tx, world, token, NOW + SECOND, NOW + 2 * SECOND) is None
    assert ended(tx, granted.family) is None
    assert exchange(tx, world, token, NOW + 2 * SECOND, NOW + 2 * SECOND) is None
    assert ended(tx, granted.family) == "reused"


def test_a_refresh_token_is_its_clients_and_lasts_thirty_days(tx: Tx, world: World) -> None:
    granted = begin(tx, world)
    token = accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)
    asked = {"asked_at": NOW, "now": NOW}
    assert accounts.find_refresh(tx, token, api_client_id=world.other, **asked) is None
    assert accounts.find_refresh(tx, "x" * 43, api_client_id=world.web, **asked) is None
    assert exchange(tx, world, token, NOW, NOW + 30 * DAY) is None
    assert ended(tx, granted.family) is None
    assert exchange(tx, world, token, NOW, NOW + 30 * DAY - SECOND) is not None


def test_a_revoked_family_gives_nothing_more(tx: Tx, world: World) -> None:
    granted = begin(tx, world)
    token = accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)
    found = accounts.find_refresh(tx, token, api_client_id=world.web, asked_at=NOW, now=NOW)
    assert found is not None
    assert accounts.revoke_family(tx, granted.family, why="asked", now=NOW)
    assert not accounts.revoke_family(tx, granted.family, why="reused", now=NOW)
    assert not accounts.revoke_family(tx, "nobody", why="asked", now=NOW)
    assert not accounts.spend_refresh(tx, found, asked_at=NOW, now=NOW)
    assert exchange(tx, world, token) is None
    assert ended(tx, granted.family) == "asked"


def token_claims(tx: Tx, keyring: Keyring, world: World, **given: Any) -> dict[str, Any]:
    """The claims of a token of the person through the first program."""
    token = accounts.issue_token(
        tx, keyring, world.who, issuer=ISSUER, client_id="web", now=NOW, **given
    )
    claims = accounts.verify_token(keyring, token.value, issuer=ISSUER, now=NOW)
    assert claims is not None
    return claims


def refused(tx: Tx, claims: dict[str, Any]) -> str:
    with pytest.raises(Unauthenticated) as caught:
        accounts.principal_of(tx, claims)
    return caught.value.code


def test_an_access_token_ends_by_its_id_and_with_its_family(
    tx: Tx, one_keyring: Keyring, world: World
) -> None:
    family = begin(tx, world).family
    one = token_claims(tx, one_keyring, world, family=family)
    two = token_claims(tx, one_keyring, world, family=family)
    alone = token_claims(tx, one_keyring, world)
    assert one["family"] == family
    assert "family" not in alone
    for _ in range(2):  # a second time is no error
        accounts.revoke_access_token(
            tx, one["jti"], expires_at=NOW + DAY, actor="client:web", now=NOW
        )
    assert refused(tx, one) == "token-revoked"
    assert accounts.principal_of(tx, two).id == world.who.id
    accounts.revoke_family(tx, family, why="asked", now=NOW)
    assert refused(tx, two) == "token-revoked"
    assert accounts.principal_of(tx, alone).id == world.who.id
    assert refused(tx, {**alone, "family": "gone"}) == "token-revoked"


def test_tokens_through_a_program_end_when_it_is_shut_out(
    tx: Tx, one_keyring: Keyring, world: World
) -> None:
    claims = token_claims(tx, one_keyring, world)
    accounts.disable_client(tx, "web", actor="operator", now=NOW)
    assert refused(tx, claims) == "token-revoked"
    accounts.disable_client(tx, "web", disabled=False, actor="operator", now=NOW)
    assert accounts.principal_of(tx, claims).id == world.who.id


def test_a_new_password_and_disabling_end_the_persons_families(tx: Tx, world: World) -> None:
    first = begin(tx, world).family
    hashed = accounts.PasswordHash("$argon2id$not-looked-at")
    accounts.set_password(tx, world.who.id, hashed, actor="operator", now=NOW)
    assert ended(tx, first) == "asked"
    second = begin(tx, world).family
    accounts.disable_user(tx, world.who.id, actor="operator", now=NOW)
    assert ended(tx, second) == "asked"


def test_consent_is_for_one_program_and_its_scopes(tx: Tx, world: World) -> None:
    def holds(client: int, *scopes: str) -> bool:
        return accounts.has_consented(tx, user_id=world.who.id, api_client_id=client, scopes=scopes)

    def give(*scopes: str) -> None:
        accounts.give_consent(
            tx, user_id=world.who.id, api_client_id=world.web, scopes=scopes, now=NOW
        )

    assert not holds(world.web, "orders")
    give("orders", "openid")
    assert holds(world.web, "openid")
    assert not holds(world.other, "openid")
    assert not holds(world.web, "openid", "entitlements")
    give("entitlements")
    assert holds(world.web, "orders", "entitlements", "openid")
    (row,) = accounts.list_programs(tx, user_id=world.who.id, now=NOW)
    assert (row.client_id, row.scopes) == ("web", ("orders", "openid", "entitlements"))
    family = begin(tx, world).family
    accounts.withdraw_consent(tx, user_id=world.who.id, api_client_id=world.web, now=NOW)
    assert not holds(world.web, "orders")
    assert ended(tx, family) == "asked"


def test_a_program_with_live_tokens_is_listed_without_a_consent_too(tx: Tx, world: World) -> None:
    """A device, or one on loopback: nothing is remembered for it but its tokens."""
    family = begin(tx, world).family
    (row,) = accounts.list_programs(tx, user_id=world.who.id, now=NOW)
    assert (row.client_id, row.since) == ("web", NOW)
    with pytest.raises(NotFound):
        accounts.end_program(tx, user_id=world.who.id, client_id="nobody", now=NOW)
    accounts.end_program(tx, user_id=world.who.id, client_id="web", now=NOW)
    assert ended(tx, family) == "asked"
    assert not accounts.list_programs(tx, user_id=world.who.id, now=NOW)


def poll(tx: Tx, code: str, client: int, now: Any = NOW, asked_at: Any = None) -> Any:
    return accounts.redeem_device(tx, code, api_client_id=client, asked_at=asked_at or now, now=now)


def decide(tx: Tx, world: World, code: str, *, approved: bool = True, now: Any = NOW) -> bool:
    user_code = read_user_code(code)
    assert user_code is not None
    return accounts.decide_device(
        tx, user_code, user_id=world.who.id, scopes=["orders"], approved=approved, now=now
    )


def test_a_device_waits_for_a_person_and_is_answered_once(tx: Tx, world: World) -> None:
    made = accounts.issue_device(tx, api_client_id=world.web, scopes=["orders", "admin"], now=NOW)
    assert poll(tx, made.device_code, world.web) == "pending"
    assert poll(tx, made.device_code, world.other) == "unknown"
    assert poll(tx, "x" * 43, world.web) == "unknown"
    user_code = read_user_code(made.user_code)
    assert user_code is not None
    row = accounts.find_device(tx, user_code, now=NOW)
    assert row is not None
    assert (row.client_id, row.scopes) == ("web", ["orders", "admin"])
    assert decide(tx, world, made.user_code)
    assert not decide(tx, world, made.user_code, approved=False)
    assert accounts.find_device(tx, user_code, now=NOW) is None
    granted = poll(tx, made.device_code, world.web)
    assert (granted.user_id, granted.scopes) == (world.who.id, ("orders",))  # as the person saw
    # A poll that was under way meanwhile ends nothing, one that comes later does.
    assert poll(tx, made.device_code, world.web, NOW + SECOND, asked_at=NOW) == "unknown"
    assert ended(tx, granted.family) is None
    assert poll(tx, made.device_code, world.web, NOW + SECOND) == "unknown"
    assert ended(tx, granted.family) == "replayed"


@pytest.mark.parametrize("way", ["password", "disabled", "withdrawn"])
def test_what_ends_the_families_ends_codes_that_wait_as_well(
    tx: Tx, world: World, way: str
) -> None:
    code = accounts.issue_code(tx, world.request(), now=NOW)
    found = accounts.find_code(tx, code, api_client_id=world.web, now=NOW)
    assert found is not None
    elsewhere = accounts.issue_code(tx, world.request(api_client_id=world.other), now=NOW)
    device = accounts.issue_device(tx, api_client_id=world.web, scopes=["orders"], now=NOW)
    assert decide(tx, world, device.user_code)
    if way == "password":
        hashed = accounts.PasswordHash("$argon2id$not-looked-at")
        accounts.set_password(tx, world.who.id, hashed, actor="operator", now=NOW)
    elif way == "disabled":
        for disabled in (True, False):  # letting in again brings nothing back
            accounts.disable_user(tx, world.who.id, disabled=disabled, actor="operator", now=NOW)
    else:
        accounts.withdraw_consent(tx, user_id=world.who.id, api_client_id=world.web, now=NOW)
    assert accounts.find_code(tx, code, api_client_id=world.web, now=NOW) is None
    assert accounts.redeem_code(tx, found, now=NOW) is None  # found just before
    assert poll(tx, device.device_code, world.web) == "expired"
    other = accounts.find_code(tx, elsewhere, api_client_id=world.other, now=NOW)
    assert (other is not None) == (way == "withdrawn")


def test_a_device_that_is_turned_away_or_too_late_gets_nothing(tx: Tx, world: World) -> None:
    no = accounts.issue_device(tx, api_client_id=world.web, scopes=[], now=NOW)
    assert decide(tx, world, no.user_code, approved=False)
    assert poll(tx, no.device_code, world.web) == "denied"
    late = accounts.issue_device(tx, api_client_id=world.web, scopes=[], now=NOW)
    after = NOW + 10 * MINUTE
    assert poll(tx, late.device_code, world.web, after) == "expired"
    assert not decide(tx, world, late.user_code, now=after)
    user_code = read_user_code(late.user_code)
    assert user_code is not None
    assert accounts.find_device(tx, user_code, now=after) is None


def test_whoever_polls_too_early_waits_five_seconds_longer(tx: Tx, world: World) -> None:
    made = accounts.issue_device(tx, api_client_id=world.web, scopes=[], now=NOW)
    at, interval = NOW, INTERVAL_SECONDS
    assert poll(tx, made.device_code, world.web, at) == "pending"
    for _ in range(3):
        at += timedelta(seconds=interval - 1)
        assert poll(tx, made.device_code, world.web, at) == "early"
        interval += 5
        at += timedelta(seconds=interval)
        assert poll(tx, made.device_code, world.web, at) == "pending"


def test_user_codes_are_easy_to_type(tx: Tx, world: World) -> None:
    made = accounts.issue_device(tx, api_client_id=world.web, scopes=[], now=NOW)
    code = made.user_code
    assert len(code) == 9
    assert set(code) <= {*USER_CODE_LETTERS, "-"}
    assert not set("AEIOUY") & set(USER_CODE_LETTERS)
    spellings = [code, code.lower(), code.replace("-", ""), f" {code[:2]} {code[2:]} "]
    assert {read_user_code(text) for text in spellings} == {code.replace("-", "")}


@given(st.text(max_size=30))
def test_what_is_no_user_code_is_none(text: str) -> None:
    code = read_user_code(text)
    assert code is None or (len(code) == 8 and set(code) <= set(USER_CODE_LETTERS))


def test_guessing_user_codes_and_asking_for_codes_has_limits(tx: Tx) -> None:
    for _ in range(10):
        accounts.refuse_user_code_guessing(tx, user_id=1, address="192.0.2.1", now=NOW)
        accounts.count_user_code_guess(tx, user_id=1, address="192.0.2.1", now=NOW)
    with pytest.raises(TooMany):
        accounts.refuse_user_code_guessing(tx, user_id=1, address="192.0.2.9", now=NOW)
    accounts.refuse_user_code_guessing(tx, user_id=2, address="192.0.2.1", now=NOW)
    accounts.refuse_user_code_guessing(tx, user_id=1, address="192.0.2.1", now=NOW + 16 * MINUTE)
    for _ in range(60):
        accounts.count_device_request(tx, address="2001:db8::1", now=NOW)
    with pytest.raises(TooMany):
        accounts.count_device_request(tx, address="2001:db8::2", now=NOW)
    accounts.count_device_request(tx, address="2001:db8:1::2", now=NOW)


def test_what_has_ended_is_forgotten_in_portions(tx: Tx, world: World) -> None:
    families = [begin(tx, world).family for _ in range(3)]
    accounts.add_refresh_token(tx, families[0], ["orders"], now=NOW)
    accounts.issue_device(tx, api_client_id=world.web, scopes=[], now=NOW)
    accounts.revoke_access_token(tx, "t", expires_at=NOW + MINUTE, actor="system", now=NOW)
    tx.execute(
        used_assertions.insert().values(
            api_client_id=world.web, token_id="j", expires_at=NOW + MINUTE
        )
    )

    def counts() -> list[int]:
        tables = (authorization_codes, token_families, refresh_tokens, device_codes)
        small = (revoked_tokens, used_assertions)
        return [len(tx.execute(select(table)).all()) for table in (*tables, *small)]

    assert accounts.purge_grants(tx, take=100, now=NOW + MINUTE) == 0
    assert counts() == [3, 3, 1, 1, 1, 1]
    # An hour after its end a code can tell of no theft any more: what it gave has ended too.
    later = NOW + timedelta(hours=2)
    assert accounts.purge_grants(tx, take=2, now=later) == 2
    assert counts() == [1, 3, 1, 0, 1, 0]
    assert accounts.purge_grants(tx, take=2, now=later) == 1
    assert counts() == [0, 3, 1, 0, 1, 0]
    # A file that a token began to send may still come for a day.
    assert accounts.purge_grants(tx, take=2, now=later + DAY) == 2
    assert counts() == [0, 1, 1, 0, 0, 0]
    assert accounts.purge_grants(tx, take=2, now=NOW + 32 * DAY) == 1
    assert counts() == [0, 0, 0, 0, 0, 0]


def test_the_hubs_own_clients_are_made_once(tx: Tx) -> None:
    for _ in range(2):
        accounts.ensure_clients(tx, password_grant=False, now=NOW)
    own = accounts.find_client(tx, accounts.COMMAND_CLIENT_ID)
    assert (own.public, own.pkce, own.organisation_id, own.secret_hash) == (True, True, None, "")
    assert accounts.check_client(tx, client_id=own.client_id, secret="") is None
    assert accounts.list_clients(tx)[1] == 1


def test_msals_client_follows_the_setting(tx: Tx) -> None:
    accounts.ensure_clients(tx, password_grant=True, now=NOW)
    assert accounts.find_client(tx, accounts.MSAL_CLIENT_ID).grants == ["refresh_token", "password"]
    for on in (False, False, True, True):
        accounts.ensure_clients(tx, password_grant=on, now=NOW)
        row = accounts.find_client(tx, accounts.MSAL_CLIENT_ID)
        assert (row.disabled_at is None) is on
    # What an operator has shut out stays so.
    accounts.disable_client(tx, accounts.COMMAND_CLIENT_ID, actor="operator", now=NOW)
    accounts.ensure_clients(tx, password_grant=True, now=NOW)
    assert accounts.find_client(tx, accounts.COMMAND_CLIENT_ID).disabled_at is not None


def test_numbers_of_clients_start_where_they_always_did(world: World) -> None:
    """A migration makes the table anew, and its numbers go on."""
    assert world.web >= 501


def test_the_hubs_own_client_is_nobody_by_itself(tx: Tx) -> None:
    accounts.ensure_clients(tx, password_grant=False, now=NOW)
    with pytest.raises(Unauthenticated):  # it acts for people only
        accounts.load_client(tx, accounts.COMMAND_CLIENT_ID)
