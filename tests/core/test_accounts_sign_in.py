"""Passwords, the limit on guesses, sessions, and the secrets of machines."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from entrepot.core.accounts import (
    SESSION_SECONDS,
    Principal,
    check_client,
    check_password,
    close_session,
    count_client_guess,
    disable_client,
    disable_user,
    open_session,
    refuse_client_guessing,
    session_principal,
    set_password,
    sign_in,
)
from entrepot.core.accounts.passwords import (
    PASSWORD_LENGTH_MAX,
    hash_password,
    password_matches,
)
from entrepot.core.accounts.tables import sessions, sign_in_attempts, users
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.errors import Invalid, TooMany, Unauthenticated
from tests import factories
from tests.hashing import *  # noqa: F403 - a fixture

NOW = factories.NOW
EMAIL = "ada@example.com"
HOME = "192.0.2.1"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.instant = NOW

    def __call__(self) -> datetime:
        return self.instant

    def wait(self, seconds: int) -> None:
        self.instant += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def person(database: Database, quick_hashes: None) -> Principal:
    with database.write() as tx:
        return factories.add_user(
            tx, factories.add_organisation(tx), email=EMAIL, password=factories.PASSWORD
        )


@pytest.fixture
def guess(database: Database, clock: Clock, quick_hashes: None) -> Callable[..., str]:
    """Try a password; returns what came of it."""

    def guess(password: str = "wrong", email: str = EMAIL, address: str = HOME) -> str:
        try:
            check_password(database, email=email, password=password, address=address, now=clock)
        except TooMany as error:
            assert error.retry_after_seconds == 900
            return "throttled"
        except Unauthenticated as error:
            return error.code
        return "in"

    return guess


def test_passwords_are_hashed_with_argon2id_and_salt() -> None:
    hashed = hash_password(factories.PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert hash_password(factories.PASSWORD) != hashed
    assert password_matches(hashed, factories.PASSWORD)
    for wrong in ("", factories.PASSWORD + " ", factories.PASSWORD.upper()):
        assert not password_matches(hashed, wrong)
    assert not password_matches(None, factories.PASSWORD)
    assert not password_matches("no hash", factories.PASSWORD)


def test_a_password_is_neither_too_short_nor_cut() -> None:
    for wrong in ("", "x" * 11, "x" * 257):
        with pytest.raises(Invalid) as caught:
            hash_password(wrong)
        assert (caught.value.code, caught.value.field) == ("password-length", "password")
    longest = hash_password("x" * PASSWORD_LENGTH_MAX)
    assert password_matches(longest, "x" * PASSWORD_LENGTH_MAX)
    assert not password_matches(longest, "x" * (PASSWORD_LENGTH_MAX + 1))


def test_an_unknown_account_takes_as_long() -> None:
    stored = hash_password(factories.PASSWORD)

    def seconds(hashed: str | None) -> float:
        # Of this process's CPU, because others share the machine.
        start = time.process_time()
        assert not password_matches(hashed, "wrong")
        return time.process_time() - start

    seconds(None)
    # In turns: what slows the processor down for a while slows both.
    pairs = [(seconds(stored), seconds(None)) for _ in range(5)]
    known, unknown = (min(of) for of in zip(*pairs, strict=True))
    assert known / 2 < unknown < known * 2


def test_five_wrong_guesses_stop_even_the_right_one(
    person: Principal, guess: Callable[..., str], clock: Clock
) -> None:
    for spelling in (EMAIL, EMAIL.upper(), f" {EMAIL}", EMAIL, EMAIL):
        assert guess(email=spelling) == "credentials-wrong"
    assert guess(factories.PASSWORD) == "throttled"
    assert guess(factories.PASSWORD, address="198.51.100.7") == "throttled"
    # What was refused does not prolong the wait.
    clock.wait(899)
    assert guess(factories.PASSWORD) == "throttled"
    clock.wait(2)
    assert guess(factories.PASSWORD) == "in"


def test_signing_in_forgets_the_guesses_before(
    person: Principal, guess: Callable[..., str]
) -> None:
    for _ in range(2):
        for _ in range(4):
            assert guess() == "credentials-wrong"
        assert guess(factories.PASSWORD) == "in"


def test_an_address_that_tries_many_accounts_is_stopped(
    database: Database, person: Principal, guess: Callable[..., str], clock: Clock
) -> None:
    with database.write() as tx:
        rows = [{"subject": f"address:{HOME}", "at": NOW} for _ in range(49)]
        tx.execute(sign_in_attempts.insert(), rows)
    assert guess(factories.PASSWORD) == "in"
    assert guess(email="b@example.com") == "credentials-wrong"
    assert guess(factories.PASSWORD) == "throttled"
    assert guess(factories.PASSWORD, address=f"::ffff:{HOME}") == "throttled"
    assert guess(factories.PASSWORD, address="192.0.2.2") == "in"
    clock.wait(901)
    assert guess(factories.PASSWORD) == "in"


def test_addresses_of_one_ipv6_network_count_as_one(
    database: Database, guess: Callable[..., str]
) -> None:
    for last in range(3):
        guess(email=f"{last}@example.com", address=f"2001:db8:0:1::{last}")
    guess(email="4@example.com", address="2001:db8:0:2::1")
    guess(email="5@example.com", address="testclient")
    with database.read() as tx:
        rows = tx.execute(
            select(sign_in_attempts.c.subject, func.count())
            .where(sign_in_attempts.c.subject.like("address:%"))
            .group_by(sign_in_attempts.c.subject)
        ).all()
    counted = {subject: count for subject, count in rows}  # noqa: C416 - rows are no pairs
    assert counted == {
        "address:2001:db8:0:1::/64": 3,
        "address:2001:db8:0:2::/64": 1,
        "address:testclient": 1,
    }


def test_parallel_guesses_do_not_slip_past_the_limit(
    person: Principal, guess: Callable[..., str]
) -> None:
    together = threading.Barrier(12)

    def one(_: int) -> str:
        together.wait(20)
        return guess()

    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(one, range(12)))
    assert outcomes.count("credentials-wrong") == 5
    assert outcomes.count("throttled") == 7


def test_parallel_guessing_of_many_accounts_ends_without_a_deadlock(
    database: Database, guess: Callable[..., str]
) -> None:
    with database.write() as tx:
        old = NOW - timedelta(days=1)
        rows = [{"subject": f"address:{n}", "at": old} for n in range(200)]
        tx.execute(sign_in_attempts.insert(), rows)
    with ThreadPoolExecutor(8) as threads:
        calls = [
            threads.submit(guess, "wrong", f"{n % 4}@example.com", f"192.0.2.{n % 3}")
            for n in range(16)
        ]
        assert {call.result(60) for call in calls} == {"credentials-wrong"}
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(sign_in_attempts)).scalar_one() == 32


def test_hostile_addresses_are_only_wrong(guess: Callable[..., str]) -> None:
    for email in ("", "@", "a@", "\x00@x", "a\x00b@example.com", "\ud800@x", "a b@x", "x" * 10_000):
        assert guess(email=email) == "credentials-wrong"


def test_who_has_no_password_or_is_disabled_cannot_sign_in(
    database: Database, person: Principal, guess: Callable[..., str]
) -> None:
    with database.write() as tx:
        factories.add_user(tx, person.organisation_id, email="bare@example.com")
        disable_user(tx, person.id, actor="operator", now=NOW)
    assert guess("", email="bare@example.com") == "credentials-wrong"
    assert guess(factories.PASSWORD) == "credentials-wrong"
    with database.write() as tx:
        disable_user(tx, person.id, disabled=False, actor="operator", now=NOW)
    assert guess(factories.PASSWORD) == "in"


def test_signing_in_opens_a_session_that_ends(
    database: Database, person: Principal, clock: Clock
) -> None:
    who, token = sign_in(
        database, email=EMAIL, password=factories.PASSWORD, address=HOME, now=clock
    )
    assert who == person

    def holder(given: str = token) -> Principal | None:
        with database.read() as tx:
            return session_principal(tx, given, now=clock())

    assert holder() == person
    with database.read() as tx:
        abroad = session_principal(tx, token, country="US", now=clock())
        stored = repr(tx.execute(select(sessions)).all())
        written = repr(tx.execute(select(events)).all())
    assert abroad is not None
    assert abroad.country == "US"
    assert token not in stored + written
    assert factories.PASSWORD not in stored + written
    for wrong in ("", token[:-1], token + "A", "é", "\ud800"):
        assert holder(wrong) is None
    clock.wait(SESSION_SECONDS - 1)
    assert holder() == person
    clock.wait(1)
    assert holder() is None


def test_old_sessions_are_swept_when_one_begins(tx: Tx) -> None:
    who = factories.add_user(tx, factories.add_organisation(tx))
    open_session(tx, who, now=NOW)
    open_session(tx, who, now=NOW + timedelta(seconds=SESSION_SECONDS))
    own = sessions.c.user_id == who.id
    assert tx.execute(select(func.count()).select_from(sessions).where(own)).scalar_one() == 1


@pytest.mark.parametrize("end", ["close", "password", "disable"])
def test_what_ends_a_session(tx: Tx, end: str) -> None:
    organisation = factories.add_organisation(tx)
    who, other = (factories.add_user(tx, organisation) for _ in range(2))
    token, second = (open_session(tx, who, now=NOW) for _ in range(2))
    theirs = open_session(tx, other, now=NOW)
    if end == "close":
        close_session(tx, token)
        close_session(tx, "never opened")
        assert session_principal(tx, second, now=NOW) == who
    elif end == "password":
        set_password(tx, who.id, hash_password("another long password"), actor="operator", now=NOW)
        assert session_principal(tx, second, now=NOW) is None
    else:
        disable_user(tx, who.id, actor="operator", now=NOW)
        disable_user(tx, who.id, disabled=False, actor="operator", now=NOW)
        assert session_principal(tx, second, now=NOW) is None
    assert session_principal(tx, token, now=NOW) is None
    assert session_principal(tx, theirs, now=NOW) == other


def test_a_session_of_an_account_disabled_behind_our_back_is_nobodys(tx: Tx) -> None:
    who = factories.add_user(tx, factories.add_organisation(tx))
    token = open_session(tx, who, now=NOW)
    tx.execute(users.update().where(users.c.id == who.id).values(disabled_at=NOW))
    assert session_principal(tx, token, now=NOW) is None


def test_a_machine_is_known_by_its_secret(tx: Tx) -> None:
    machine, secret = factories.add_client(tx, factories.add_organisation(tx))
    name = machine.label.removeprefix("client:")
    assert check_client(tx, client_id=name, secret=secret) == machine
    for wrong_id, wrong in (
        (name, ""),
        (name, secret[:-1]),
        (name, secret.swapcase()),
        (name, "é\x00"),
        (name.upper(), secret),
        ("nobody", secret),
        ("\x00", secret),
        ("", ""),
    ):
        assert check_client(tx, client_id=wrong_id, secret=wrong) is None
    disable_client(tx, name, actor="operator", now=NOW)
    assert check_client(tx, client_id=name, secret=secret) is None


def test_twenty_wrong_secrets_stop_one_address_only(tx: Tx) -> None:
    for _ in range(20):
        refuse_client_guessing(tx, client_id="machine", address=HOME, now=NOW)
        count_client_guess(tx, client_id="machine", address=HOME, now=NOW)
    with pytest.raises(TooMany):
        refuse_client_guessing(tx, client_id="machine", address=HOME, now=NOW)
    refuse_client_guessing(tx, client_id="machine", address="192.0.2.9", now=NOW)
    refuse_client_guessing(tx, client_id="other", address=HOME, now=NOW)
    later = NOW + timedelta(seconds=901)
    refuse_client_guessing(tx, client_id="machine", address=HOME, now=later)
