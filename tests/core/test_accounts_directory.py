"""Organisations, people, machines: names, numbers, roles, scopes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.core import accounts
from entrepot.core.accounts import CUSTOMER, OPERATOR, ORGANISATION_ADMIN, PUBLISHER, ROLES, SCOPES
from entrepot.core.accounts.directory import fold_email
from entrepot.core.events.tables import events
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Denied, EntrepotError, Invalid, NotFound, Unauthenticated
from tests import factories

NOW = factories.NOW
UNUSED = accounts.PasswordHash("no hash, and no one's")


def test_an_organisation_is_found_by_number_and_by_name(tx: Tx) -> None:
    number = factories.add_organisation(tx, "Acme", country="de")
    for reference in (number, str(number), "Acme"):
        row = accounts.find_organisation(tx, reference)
        assert (row.id, row.name, row.country, row.blocked) == (number, "Acme", "DE", False)
    for unknown in ("acme", "", "0", "-1", "²", "9" * 30, 10**18, " 1"):
        with pytest.raises(NotFound):
            accounts.find_organisation(tx, unknown)


def test_a_person_is_found_by_number_and_by_address(tx: Tx) -> None:
    who = factories.add_user(tx, factories.add_organisation(tx), email="Ada@Example.COM")
    for reference in (who.id, str(who.id), "ada@example.com", " ADA@example.com"):
        assert accounts.find_user(tx, reference).id == who.id
    for unknown in ("eve@example.com", "1", 10**18):
        with pytest.raises(NotFound):
            accounts.find_user(tx, unknown)
    for no_address in ("²", "9" * 30, "", "ada"):
        with pytest.raises(Invalid):
            accounts.find_user(tx, no_address)


def test_names_are_taken_once(tx: Tx) -> None:
    organisation = factories.add_organisation(tx, "Acme")
    factories.add_user(tx, organisation, email="ada@example.com")
    machine, _ = factories.add_client(tx, organisation)
    with pytest.raises(Conflict) as caught:
        factories.add_organisation(tx, " Acme ")
    assert caught.value.code == "name-taken"
    with pytest.raises(Conflict) as caught:
        factories.add_user(tx, organisation, email="ADA@example.com")
    assert caught.value.code == "email-taken"
    with pytest.raises(Conflict) as caught:
        accounts.add_client(
            tx,
            client_id=machine.label.removeprefix("client:"),
            name="Again",
            organisation_id=organisation,
            scopes=(),
            actor="operator",
            now=NOW,
        )
    assert caught.value.code == "name-taken"
    # The transaction goes on after each.
    assert accounts.find_organisation(tx, "Acme").id == organisation


NO_ADDRESSES = [
    *("", "ada", "@", "a@", "@b", "a@b@c", "a b@c", "a\n@b", "a\x00@b", "a\x7f@b", "\ud800@b"),
    *("x" * 65 + "@b", "a@" + "x" * 190),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        fold_email(address)
    assert caught.value.field == "email"


@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    try:
        folded = fold_email(text)
    except Invalid:
        return
    assert fold_email(folded) == folded
    assert "\x00" not in folded


def test_bad_values_name_their_field(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)

    def fields_of(verb: Any, **given: Any) -> str:
        with pytest.raises(Invalid) as caught:
            verb(tx, actor="operator", now=NOW, **given)
        return caught.value.field

    person = {
        "email": "a@b",
        "given_name": "A",
        "family_name": "",
        "organisation_id": organisation,
        "password": None,
    }
    machine = {"client_id": "m", "name": "M", "organisation_id": organisation, "scopes": ()}
    add_organisation, add_user = accounts.add_organisation, accounts.add_user
    assert fields_of(add_organisation, name="", country="DE") == "name"
    assert fields_of(add_organisation, name="a\x00", country="DE") == "name"
    assert fields_of(add_organisation, name="x" * 201, country="DE") == "name"
    assert fields_of(add_organisation, name="A", country="XX") == "country"
    assert fields_of(add_user, **person | {"email": "x"}) == "email"
    assert fields_of(add_user, **person | {"given_name": " "}) == "given_name"
    assert fields_of(add_user, **person | {"family_name": "a\n."}) == "family_name"
    assert fields_of(add_user, **person | {"roles": ("king",)}) == "roles"
    assert fields_of(accounts.add_client, **machine | {"client_id": "M"}) == "client_id"
    assert fields_of(accounts.add_client, **machine | {"scopes": ("all",)}) == "scopes"
    with pytest.raises(NotFound):
        accounts.add_user(tx, **person | {"organisation_id": 10**15}, actor="o", now=NOW)  # type: ignore[arg-type]


def test_roles_are_replaced_whole(tx: Tx) -> None:
    who = factories.add_user(tx, factories.add_organisation(tx))
    assert who.roles == {CUSTOMER}
    new = (OPERATOR, PUBLISHER, PUBLISHER)
    accounts.set_roles(tx, who.id, new, actor="operator", now=NOW)
    assert accounts.load_user(tx, who.id).roles == {PUBLISHER, OPERATOR}
    assert accounts.find_user(tx, who.id).roles == [PUBLISHER, OPERATOR]
    with pytest.raises(Invalid):
        accounts.set_roles(tx, who.id, ("king",), actor="operator", now=NOW)


def test_a_role_needs_its_scope_as_well(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)
    publisher = factories.add_user(tx, organisation, roles=(PUBLISHER,))
    accounts.require_role(publisher, PUBLISHER, OPERATOR, scope="publish")
    limited = accounts.load_user(tx, publisher.id, scopes=("entitlements",))
    for who, role, scope, code in (
        (limited, PUBLISHER, "publish", "scope-required"),
        (publisher, OPERATOR, "publish", "role-required"),
        (publisher, ORGANISATION_ADMIN, "admin", "role-required"),
    ):
        with pytest.raises(Denied) as caught:
            accounts.require_role(who, role, scope=scope)
        assert caught.value.code == code
        assert not isinstance(caught.value, Unauthenticated)
        assert caught.value.remedy
    machine, _ = factories.add_client(tx, organisation, scopes=("entitlements",))
    with pytest.raises(Denied):
        accounts.require_scope(machine, "publish")
    assert set(ROLES) == {CUSTOMER, ORGANISATION_ADMIN, PUBLISHER, OPERATOR}


def test_a_machine_never_has_more_than_its_registration(tx: Tx) -> None:
    machine, _ = factories.add_client(
        tx, factories.add_organisation(tx), scopes=("entitlements", "publish")
    )
    name = machine.label.removeprefix("client:")
    assert accounts.load_client(tx, name, scopes=SCOPES).scopes == {"entitlements", "publish"}
    assert accounts.load_client(tx, name).scopes == set()
    assert (machine.user_id, machine.api_client_id) == (None, machine.id)


def test_blocking_shows_and_is_written_down(tx: Tx) -> None:
    number = factories.add_organisation(tx)
    for blocked in (True, False):
        accounts.block_organisation(tx, number, blocked=blocked, actor="user:7", now=NOW)
        assert accounts.find_organisation(tx, number).blocked is blocked
    with pytest.raises(NotFound):
        accounts.block_organisation(tx, 10**15, blocked=True, actor="user:7", now=NOW)
    subject = events.c.subject == f"organisation:{number}"
    rows = tx.execute(events.select().where(subject).order_by(events.c.id)).all()
    assert [(row.type, row.actor) for row in rows] == [
        ("organisation.added", "operator"),
        ("organisation.blocked", "user:7"),
        ("organisation.unblocked", "user:7"),
    ]


def test_what_is_not_there_cannot_be_changed(tx: Tx) -> None:
    for change in (
        lambda: accounts.set_password(tx, 10**15, UNUSED, actor="o", now=NOW),
        lambda: accounts.set_roles(tx, 10**15, (), actor="o", now=NOW),
        lambda: accounts.disable_user(tx, 10**15, actor="o", now=NOW),
        lambda: accounts.disable_client(tx, "nobody", actor="o", now=NOW),
        lambda: accounts.find_client(tx, "nobody"),
    ):
        with pytest.raises(NotFound):
            change()


def test_no_secret_is_stored_or_written_down(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)
    factories.add_user(tx, organisation, password=factories.PASSWORD)
    _, secret = factories.add_client(tx, organisation)
    from entrepot.core.accounts.tables import api_clients, users

    everything = repr([tx.execute(table.select()).all() for table in (users, api_clients, events)])
    assert factories.PASSWORD not in everything
    assert secret not in everything


def test_a_character_that_no_text_may_hold_is_an_error_of_ours(database: Database) -> None:
    """PostgreSQL refuses U+0000 even in a comparison; SQLite finds nothing."""
    with pytest.raises(EntrepotError) as caught, database.read() as tx:
        accounts.find_organisation(tx, "a\x00b")
    assert isinstance(caught.value, NotFound | Invalid)
