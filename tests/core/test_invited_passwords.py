"""A password that came by invitation ends with the day when its maker should not know it."""

from typing import Any

import pytest
from sqlalchemy import select

from entrepot.core import accounts
from entrepot.core.accounts import (
    CUSTOMER,
    ORGANISATION_ADMIN,
    PUBLISHER,
    PasswordHash,
    Principal,
    admit,
    read_vouched,
)
from entrepot.core.accounts.grant_tables import personal_tokens, token_families
from entrepot.core.accounts.tables import sessions
from entrepot.core.events.tables import events
from entrepot.db import Tx
from entrepot.errors import Conflict, Gone
from tests import factories
from tests.core.grants_world import acme_provider
from tests.factories import NOW

HASH = PasswordHash("$argon2id$as-hash_password-gives-it")


def invited(tx: Tx) -> tuple[Principal, Principal, str]:
    """An administrator, a colleague, and the invitation that the administrator made and holds."""
    organisation = factories.add_organisation(tx, "Acme")
    admin = factories.add_user(tx, organisation, roles=(CUSTOMER, ORGANISATION_ADMIN))
    number, secret = accounts.invite_member(
        tx, admin, email="ada@acme.example", given_name="Ada", now=NOW
    )
    return admin, accounts.load_user(tx, number), secret


def join(tx: Tx) -> Principal:
    """Ada signs in by her company's provider, for the first time."""
    claims = {"sub": "ada-7", "email": "ada@acme.example", "email_verified": True}
    return admit(tx, acme_provider("Acme"), read_vouched(claims), now=NOW)


def open_up(tx: Tx, who: Principal) -> None:
    """A session, a token of the token page, a personal token."""
    accounts.open_session(tx, who, now=NOW)
    accounts.begin_own_family(tx, who.id, ["orders"], expires_at=NOW, now=NOW)
    accounts.make_personal_token(tx, who.id, name="ci", scopes=["orders"], actor=who.label, now=NOW)


def still_open(tx: Tx, who: Principal) -> tuple[int, int, int]:
    """Sessions, families and personal tokens of a person that hold."""

    def count(query: Any) -> int:
        return len(tx.execute(query).all())

    return (
        count(select(sessions).where(sessions.c.user_id == who.id)),
        count(
            select(token_families).where(
                token_families.c.user_id == who.id, token_families.c.revoked_at.is_(None)
            )
        ),
        count(
            select(personal_tokens).where(
                personal_tokens.c.user_id == who.id, personal_tokens.c.revoked_at.is_(None)
            )
        ),
    )


def drops(tx: Tx) -> list[str]:
    query = select(events.c.data).where(events.c.type == "user.password-dropped")
    return [row.data["reason"] for row in tx.execute(query.order_by(events.c.id))]


@pytest.mark.parametrize("by", ["joined", "promoted"])
def test_it_ends_with_all_that_was_opened_by_it(tx: Tx, by: str) -> None:
    _, ada, secret = invited(tx)
    accounts.accept_invitation(tx, secret, HASH, now=NOW)
    open_up(tx, ada)
    assert still_open(tx, ada) == (1, 1, 1)
    accounts.set_roles(tx, ada.id, (CUSTOMER, ORGANISATION_ADMIN), actor="operator", now=NOW)
    assert still_open(tx, ada) == (1, 1, 1)  # an administrator might have given as much
    if by == "joined":
        assert join(tx).id == ada.id
    else:
        accounts.set_roles(tx, ada.id, (CUSTOMER, PUBLISHER), actor="operator", now=NOW)
    row = accounts.find_user(tx, ada.id)
    assert (row.password_hash, row.password_invited) == (None, False)
    assert still_open(tx, ada) == (0, 0, 0)
    assert drops(tx) == [by]
    # From here on it is as with everybody else; who comes by a provider is signed out again.
    accounts.set_password(tx, ada.id, HASH, actor="operator", now=NOW)
    open_up(tx, ada)
    accounts.set_roles(tx, ada.id, (PUBLISHER,), actor="operator", now=NOW)
    assert accounts.find_user(tx, ada.id).password_hash == HASH
    assert still_open(tx, ada) == ((0, 0, 0) if by == "joined" else (1, 1, 1))


def test_a_password_that_an_operator_gave_stays(tx: Tx) -> None:
    _, ada, secret = invited(tx)
    accounts.accept_invitation(tx, secret, HASH, now=NOW)
    accounts.set_password(tx, ada.id, HASH, actor="operator", now=NOW)
    open_up(tx, ada)
    assert join(tx).id == ada.id
    assert (still_open(tx, ada), drops(tx)) == ((1, 1, 1), [])
    accounts.set_roles(tx, ada.id, (PUBLISHER,), actor="operator", now=NOW)
    assert accounts.find_user(tx, ada.id).password_hash == HASH
    assert (still_open(tx, ada), drops(tx)) == ((0, 0, 0), [])  # her provider may have opened it


def test_a_link_that_was_kept_opens_nothing_once_she_has_joined(tx: Tx) -> None:
    admin, ada, secret = invited(tx)
    assert join(tx).id == ada.id
    with pytest.raises(Gone):
        accounts.accept_invitation(tx, secret, HASH, now=NOW)
    with pytest.raises(Conflict):
        accounts.invite_again(tx, admin, ada.id, now=NOW)
    assert accounts.find_user(tx, ada.id).password_hash is None


def test_signing_out_everywhere_ends_all_but_named_tokens(tx: Tx) -> None:
    _, ada, _ = invited(tx)
    open_up(tx, ada)
    accounts.sign_out_everywhere(tx, ada.id, now=NOW)
    assert still_open(tx, ada) == (0, 0, 1)
