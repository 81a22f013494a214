"""The same code, from several threads at once, on both databases: one gets it."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import pytest
from sqlalchemy import select

from entrepot.core import accounts
from entrepot.core.accounts import Granted, PasswordHash
from entrepot.core.accounts.contacts import FORMS_MAX
from entrepot.core.accounts.grant_tables import refresh_tokens, token_families
from entrepot.db import Database, Tx
from entrepot.errors import Gone, TooMany
from tests import factories
from tests.core.grants_world import World, acme_provider, make_world
from tests.factories import NOW

T = TypeVar("T")
SECOND = timedelta(seconds=1)
HASH = PasswordHash("$argon2id$as-hash_password-gives-it")


@pytest.fixture
def world(database: Database) -> World:
    with database.write() as tx:
        return make_world(tx)


def together(database: Database, count: int, verb: Callable[[Tx], T]) -> list[T]:
    """`verb` in `count` transactions that begin at the same moment."""
    gate = threading.Barrier(count)

    def one(_: int) -> T:
        gate.wait(20)
        with database.write() as tx:
            return verb(tx)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def families(database: Database) -> list[str | None]:
    """Why each family has ended; None: it lives."""
    with database.read() as tx:
        return list(tx.execute(select(token_families.c.revoked_why)).scalars())


def test_ten_refreshes_of_one_token_have_one_winner(database: Database, world: World) -> None:
    with database.write() as tx:
        granted = Granted(world.web, world.who.id, ("orders",), accounts.new_family())
        accounts.begin_family(tx, granted, now=NOW)
        token = accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)

    def refresh(tx: Tx) -> str | None:
        asked = {"asked_at": NOW, "now": NOW + SECOND}
        found = accounts.find_refresh(tx, token, api_client_id=world.web, **asked)
        if found is None or not accounts.spend_refresh(tx, found, **asked):
            return None
        return accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW + SECOND)

    won = [new for new in together(database, 10, refresh) if new is not None]
    assert len(won) == 1
    # They raced one another: the winner's token is good, and there is no other.
    assert families(database) == [None]
    with database.read() as tx:
        unused = tx.execute(select(refresh_tokens).where(refresh_tokens.c.used_at.is_(None)))
        assert len(unused.all()) == 1
        assert accounts.find_family(tx, won[0], now=NOW + SECOND) is not None


def test_a_code_that_is_used_by_many_at_once_gives_one_family(
    database: Database, world: World
) -> None:
    with database.write() as tx:
        code = accounts.issue_code(tx, world.request(), now=NOW)

    def redeem(tx: Tx) -> Granted | None:
        found = accounts.find_code(tx, code, api_client_id=world.web, now=NOW)
        return None if found is None else accounts.redeem_code(tx, found, now=NOW)

    outcomes = together(database, 6, redeem)
    assert sum(granted is not None for granted in outcomes) == 1
    assert families(database) == ["replayed"]  # two uses of a code: one of the two has stolen it


def test_a_device_code_is_redeemed_by_one_of_many(database: Database, world: World) -> None:
    with database.write() as tx:
        made = accounts.issue_device(tx, api_client_id=world.web, scopes=["orders"], now=NOW)
        user_code = accounts.read_user_code(made.user_code)
        assert user_code is not None
        assert accounts.decide_device(
            tx, user_code, user_id=world.who.id, scopes=["orders"], approved=True, now=NOW
        )

    def redeem(tx: Tx) -> object:
        return accounts.redeem_device(
            tx, made.device_code, api_client_id=world.web, asked_at=NOW, now=NOW + SECOND
        )

    outcomes = together(database, 6, redeem)
    assert sum(isinstance(outcome, Granted) for outcome in outcomes) == 1
    assert [outcome for outcome in outcomes if not isinstance(outcome, Granted)] == ["unknown"] * 5
    assert families(database) == [None]


def test_of_two_who_decide_about_a_device_one_does(database: Database, world: World) -> None:
    with database.write() as tx:
        made = accounts.issue_device(tx, api_client_id=world.web, scopes=[], now=NOW)
    user_code = accounts.read_user_code(made.user_code)
    assert user_code is not None

    def decide(tx: Tx) -> bool:
        return accounts.decide_device(
            tx, user_code, user_id=world.who.id, scopes=[], approved=True, now=NOW
        )

    assert sum(together(database, 4, decide)) == 1


def test_a_family_that_is_revoked_meanwhile_leaves_no_token_that_works(
    database: Database, world: World
) -> None:
    with database.write() as tx:
        granted = Granted(world.web, world.who.id, ("orders",), accounts.new_family())
        accounts.begin_family(tx, granted, now=NOW)
        token = accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)
    turns = iter(range(4))
    lock = threading.Lock()

    def refresh_or_revoke(tx: Tx) -> str | None:
        with lock:
            turn = next(turns)
        if turn % 2:
            accounts.revoke_family(tx, granted.family, why="asked", now=NOW)
            return None
        found = accounts.find_refresh(tx, token, api_client_id=world.web, asked_at=NOW, now=NOW)
        if found is None or not accounts.spend_refresh(tx, found, asked_at=NOW, now=NOW):
            return None
        return accounts.add_refresh_token(tx, granted.family, granted.scopes, now=NOW)

    won = [new for new in together(database, 4, refresh_or_revoke) if new]
    assert len(won) <= 1
    assert families(database) == ["asked"]
    with database.read() as tx:
        assert all(accounts.find_family(tx, new, now=NOW) is None for new in won)


def test_invitations_asked_for_at_once_leave_one(database: Database) -> None:
    with database.write() as tx:
        mine = factories.add_organisation(tx)
        admin = factories.add_user(tx, mine, roles=(accounts.ORGANISATION_ADMIN,))
        number, _ = accounts.invite_member(
            tx, admin, email="new@example.com", given_name="New", now=NOW
        )
    secrets = together(database, 5, lambda tx: accounts.invite_again(tx, admin, number, now=NOW))
    good = 0
    with database.read() as tx:
        for secret in secrets:
            with contextlib.suppress(Gone):
                good += accounts.find_invitation(tx, secret, now=NOW).id == number
    assert good == 1


def test_forms_of_visitors_are_counted_to_the_last_one(database: Database) -> None:
    form = accounts.ContactForm("Ada", "Acme", "ada@acme.example", "DE", "I agree.")

    def send(tx: Tx) -> bool:
        try:
            accounts.add_contact(tx, form, address="192.0.2.9", now=NOW)
        except TooMany:
            return False
        return True

    taken = together(database, 12, send) + together(database, 12, send)
    assert sum(taken) == FORMS_MAX


def test_an_invitation_and_a_provider_at_once_leave_no_password(database: Database) -> None:
    for number in range(4):
        with database.write() as tx:
            organisation = factories.add_organisation(tx, f"Acme {number}")
            admin = factories.add_user(tx, organisation, roles=["organisation-admin"])
            mail = f"ada{number}@acme.example"
            ada, secret = accounts.invite_member(tx, admin, email=mail, given_name="Ada", now=NOW)
        provider = acme_provider(organisation)
        claims = {"sub": f"ada-{number}", "email": mail, "email_verified": True}
        ways = deque[Callable[[Tx], object]](
            [
                lambda tx, secret=secret: accounts.accept_invitation(tx, secret, HASH, now=NOW),  # type: ignore[misc]
                lambda tx, provider=provider, claims=claims: accounts.admit(  # type: ignore[misc]
                    tx, provider, accounts.read_vouched(claims), now=NOW
                ),
            ]
        )

        def either(tx: Tx, ways: deque[Callable[[Tx], object]] = ways) -> None:
            with contextlib.suppress(Gone):
                ways.popleft()(tx)

        together(database, 2, either)
        with database.read() as tx:
            assert accounts.find_user(tx, ada).password_hash is None
