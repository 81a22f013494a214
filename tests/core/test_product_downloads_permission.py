"""Who may have a product download: against the independent model, for visitors, and by links."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select, update

from entrepot.core import accounts, catalogue
from entrepot.core.accounts import Contact, ContactForm, Principal, add_contact, find_contact
from entrepot.core.accounts.contacts import CONTACT_SECONDS
from entrepot.core.accounts.grant_tables import contacts
from entrepot.core.catalogue.tables import products
from entrepot.core.delivery import StoredFile, issue_product_download_link, redeem_link
from entrepot.core.delivery.product_download_links import taker_of
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements import (
    permitted_metadata,
    permitted_product,
    permitted_product_download,
)
from entrepot.db import Prepared, Tx
from entrepot.errors import Denied, EntrepotError, Gone, Invalid, NotFound, TooMany
from tests import factories
from tests.core import permission_model as model
from tests.core.permission_model import GRANTED, MISSING, World
from tests.core.test_predicate_model import Built, build, check_denial
from tests.factories import DAY, NOW, OPERATOR

FORM = ContactForm("Ada", "Engines", "ada@example.com", "DE", "I agree.")


def ask(
    tx: Tx,
    visitor: Principal | Contact | None,
    number: int,
    *,
    embargoed: tuple[str, ...] = (),
    country: str = "",
) -> str:
    """The verdict on one download."""
    taker = taker_of(visitor, country)
    try:
        permitted_product_download(tx, taker, number, embargoed=embargoed, now=NOW)
    except NotFound:
        return MISSING
    except Denied as error:
        if error.code in ("contact-required", "unauthenticated"):
            return error.code
        return check_denial(error)
    return GRANTED


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=model.worlds())
def test_purchase_is_what_an_asset_of_the_product_is(tx: Tx, world: World) -> None:
    """The one predicate: whatever the world, an asset of the product gets the same verdicts."""
    point = tx.begin_nested()
    try:
        built = build(tx, world)
        tx.execute(update(products).values(listed=False))
        shown = {
            at: factories.add_product_download(tx, built.codes[at], visibility="purchase")
            for at in (0, 1)
        }
        public = factories.add_product_download(tx, built.codes[0])
        contact = factories.add_product_download(tx, built.codes[0], visibility="contact")
        for person in range(len(world.people)):
            check_person(tx, built, person, shown, (public, contact))
    finally:
        point.rollback()


def check_person(
    tx: Tx, built: Built, person: int, shown: dict[int, int], open_ones: tuple[int, int]
) -> None:
    world, modelled = built.world, built.world.people[person]
    who = replace(built.people[person], country=world.country)
    caller = model.caller_verdict(world, modelled)
    for number in open_ones:
        assert ask(tx, who, number, embargoed=world.embargoed) == caller
    for at, number in shown.items():
        verdicts = model.asset_verdicts(world, modelled, at)
        verdict = ask(tx, who, number, embargoed=world.embargoed)
        assert verdict in (verdicts or {MISSING})
        assert verdict == (GRANTED if GRANTED in verdicts else verdict)
        known = {catalogue.find_product(tx, built.codes[at]).id} if verdicts else set()
        assert known_to(tx, who, built.codes[at]) == known


def known_to(tx: Tx, who: Principal, code: str) -> set[int]:
    try:
        return {permitted_product(tx, who, code).id}
    except NotFound:
        return set()


def contact_of(tx: Tx, country: str = "DE") -> Contact:
    return add_contact(tx, replace(FORM, country=country), address="192.0.2.1", now=NOW)[0]


def test_each_kind_of_visitor_and_each_visibility(tx: Tx) -> None:
    listed, secret = factories.add_product(tx), factories.add_product(tx, listed=False)
    stranger = factories.add_user(tx, factories.add_organisation(tx))
    owner = factories.add_organisation(tx)
    buyer = factories.add_user(tx, owner)
    machine, _ = factories.add_client(tx, owner)
    factories.grant(tx, owner, listed)
    factories.grant(tx, owner, secret, valid_to=NOW)
    contact = contact_of(tx)
    everybody = (None, contact, stranger, buyer, machine)
    wanted = {
        "public": (GRANTED,) * 5,
        "contact": ("contact-required", *[GRANTED] * 4),
        "purchase": ("unauthenticated", "unauthenticated", "purchase-required", GRANTED, GRANTED),
    }
    for visibility, verdicts in wanted.items():
        number = factories.add_product_download(tx, listed, visibility=visibility)
        assert tuple(ask(tx, each, number) for each in everybody) == verdicts
        hidden = factories.add_product_download(tx, secret, visibility=visibility)
        expected = verdicts
        if visibility == "purchase":
            expected = (MISSING, MISSING, MISSING, "entitlement-expired", "entitlement-expired")
        assert tuple(ask(tx, each, hidden) for each in everybody) == expected


def test_an_embargo_is_by_address_and_by_what_a_contact_told(tx: Tx) -> None:
    code = factories.add_product(tx)
    number = factories.add_product_download(tx, code, visibility="contact")
    public = factories.add_product_download(tx, code)
    korea, germany = contact_of(tx, "KP"), contact_of(tx)
    for visitor, country, verdict in (
        (None, "KP", "country-embargoed"),
        (None, "", GRANTED),
        (germany, "KP", "country-embargoed"),
        (korea, "DE", "country-embargoed"),
        (korea, "", "country-embargoed"),
        (germany, "DE", GRANTED),
    ):
        of = public if visitor is None else number
        assert ask(tx, visitor, of, embargoed=("KP",), country=country) == verdict
    # What is not there is not there, whatever the country.
    hidden = factories.add_product(tx, listed=False)
    secret = factories.add_product_download(tx, hidden, visibility="purchase")
    assert ask(tx, None, secret, embargoed=("KP",), country="KP") == MISSING


def test_links_are_leased_and_ask_again_when_redeemed(tx: Tx) -> None:
    keyring = _keyring(tx)
    code = factories.add_product(tx)
    owner = factories.add_organisation(tx)
    buyer = factories.add_user(tx, owner)
    right = factories.grant(tx, owner, code)
    contact = contact_of(tx)

    def issue(visitor: Principal | Contact | None, number: int) -> str:
        return issue_product_download_link(tx, keyring, visitor, number, now=NOW).lease_id

    public = factories.add_product_download(tx, code, data=b"abc")
    shown = factories.add_product_download(tx, code, visibility="contact")
    bought = factories.add_product_download(tx, code, visibility="purchase")
    first, second = issue(None, public), issue(None, public)
    for_contact, for_buyer = issue(contact, shown), issue(buyer, bought)
    rows = {row.id: row for row in tx.execute(select(leases))}
    assert (rows[first].principal, rows[first].organisation_id) == ("anyone", 0)
    assert rows[for_contact].principal == f"contact:{contact.id}"
    assert (rows[for_buyer].entitlement_id, rows[for_buyer].user_id) == (right, buyer.id)

    redeemed = redeem_link(tx, first, now=NOW)
    assert redeemed.content == StoredFile(factories.digests_of(b"abc").sha256, 3)
    assert redeemed.product_download_id == public
    names = {redeem_link(tx, each, now=NOW).delivery().object for each in (first, second)}
    assert len(names) == 2
    assert redeem_link(tx, for_buyer, now=NOW).entitlement_id == right
    assert redeem_link(tx, for_contact, now=NOW).delivery().subject == f"product-download:{shown}"

    with pytest.raises(Denied) as caught:
        redeem_link(tx, for_contact, now=NOW + timedelta(seconds=CONTACT_SECONDS))
    assert caught.value.code == "contact-required"
    home = catalogue.find_product(tx, code).id
    change = {"visibility": "purchase"}
    catalogue.change_product_download(tx, home, public, change, actor=OPERATOR, now=NOW)
    for lease in (first, second):
        with pytest.raises(Denied):
            redeem_link(tx, lease, now=NOW)
    accounts.block_organisation(tx, owner, blocked=True, actor=OPERATOR, now=NOW)
    with pytest.raises(Denied) as caught:
        redeem_link(tx, for_buyer, now=NOW)
    assert caught.value.code == "organisation-blocked"
    catalogue.remove_product_download(tx, home, shown, actor=OPERATOR, now=NOW)
    with pytest.raises(Gone):
        redeem_link(tx, for_contact, now=NOW)


def test_contacts_are_kept_for_as_long_as_they_agreed_to(tx: Tx) -> None:
    """Also where no other visitor comes after them."""
    contact_of(tx)
    year = timedelta(seconds=CONTACT_SECONDS)
    accounts.purge_grants(tx, take=10, now=NOW + year)
    assert tx.execute(select(contacts.c.id)).all()
    assert accounts.purge_grants(tx, take=10, now=NOW + year + timedelta(seconds=1)) == 1
    assert not tx.execute(select(contacts.c.id)).all()


def _keyring(tx: Tx) -> accounts.Keyring:
    box = accounts.SecretBox("0123456789abcdef0123456789abcdef")
    accounts.ensure_keys(tx, box, now=NOW)
    return accounts.load_keyring(tx, box, now=NOW)


def test_products_are_known_by_number_and_code(tx: Tx) -> None:
    who = factories.add_user(tx, factories.add_organisation(tx))
    code = factories.add_product(tx)
    number = catalogue.find_product(tx, code).id
    assert permitted_product(tx, who, code) == permitted_product(tx, who, str(number))
    hidden = factories.add_product(tx, listed=False)
    publisher = factories.add_user(tx, factories.add_organisation(tx), roles=(accounts.PUBLISHER,))
    assert known_to(tx, publisher, hidden)
    told = set()
    for reference in (hidden, "NONE", "0", "-1", "9" * 40, "a\0b", "\ud800", code.lower(), ""):
        with pytest.raises(NotFound) as caught:
            permitted_product(tx, who, reference)
        told.add((caught.value.message, caught.value.remedy))
    assert len(told) == 1


def test_what_is_not_there_takes_what_is_hidden_takes(
    tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal that asks the database less comes sooner, and tells which codes there are."""
    who = factories.add_user(tx, factories.add_organisation(tx))
    hidden = factories.add_product(tx, listed=False)
    asked: list[object] = []
    compiled = Prepared._for

    def counting(prepared: Prepared, tx: Tx) -> Any:
        asked.append(prepared)
        return compiled(prepared, tx)

    monkeypatch.setattr(Prepared, "_for", counting)
    for find in (
        lambda code: permitted_product(tx, who, code),
        lambda code: permitted_metadata(tx, who, code, now=NOW),
    ):
        took = []
        for code in (hidden, "NO-SUCH"):
            asked.clear()
            with pytest.raises(NotFound):
                find(code)
            took.append(tuple(asked))
        assert took[0] == took[1]
        assert len(took[0]) > 1


def test_a_contact_is_known_by_its_cookie_for_a_year(tx: Tx) -> None:
    contact, token = add_contact(tx, FORM, address="192.0.2.1", now=NOW)
    assert find_contact(tx, token, now=NOW) == contact
    assert find_contact(tx, "x" + token[1:], now=NOW) is None
    ends = NOW + timedelta(seconds=CONTACT_SECONDS)
    assert find_contact(tx, token, now=ends) is None
    stored = tx.execute(select(contacts.c.token_hash).where(contacts.c.id == contact.id))
    assert token not in stored.scalar_one()
    add_contact(tx, FORM, address="192.0.2.1", now=ends)
    left = tx.execute(select(contacts.c.id).where(contacts.c.id == contact.id))
    assert left.one_or_none() is None  # forgotten, not only ended


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", ""), ("name", "a\nb"), ("name", "a" * 201), ("company", " "), ("email", "x")),
        *(("email", "a@b@c"), ("country", "XX"), ("country", ""), ("consent", "")),
    ],
)
def test_a_form_is_checked(tx: Tx, field: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        add_contact(tx, replace(FORM, **{field: value}), address="192.0.2.1", now=NOW)
    assert caught.value.field == field


def test_forms_of_one_address_are_limited(tx: Tx) -> None:
    def send(address: str, at: int = 0) -> EntrepotError | None:
        try:
            add_contact(tx, FORM, address=address, now=NOW + timedelta(seconds=at))
        except EntrepotError as error:
            return error
        return None

    assert [send("2001:db8::1") for _ in range(20)] == [None] * 20
    assert isinstance(send("2001:db8::2"), TooMany)  # the same household
    assert send("2001:db8:1::1") is None
    assert send("2001:db8::1", 16 * 60) is None


def test_the_end_of_a_day_is_no_reason(tx: Tx) -> None:
    """An entitlement that begins tomorrow does not give its downloads today."""
    owner = factories.add_organisation(tx)
    who, code = factories.add_user(tx, owner), factories.add_product(tx)
    factories.grant(tx, owner, code, valid_from=NOW + DAY)
    number = factories.add_product_download(tx, code, visibility="purchase")
    assert ask(tx, who, number) == "entitlement-not-started"


def test_contacts_are_listed_and_forgotten(tx: Tx) -> None:
    contact, token = add_contact(tx, FORM, address="192.0.2.9", now=NOW)
    code = factories.add_product(tx)
    number = factories.add_product_download(tx, code, visibility="contact")
    link = issue_product_download_link(tx, _keyring(tx), contact, number, now=NOW)
    found, total = accounts.list_contacts(tx, now=NOW, take=1000)
    assert contact in found
    assert total == len(found)
    assert accounts.list_contacts(tx, now=contact.expires_at, take=1000)[1] < total
    accounts.forget_contact(tx, contact.id, actor=OPERATOR, now=NOW)
    assert find_contact(tx, token, now=NOW) is None
    with pytest.raises(Denied) as caught:
        redeem_link(tx, link.lease_id, now=NOW)
    assert caught.value.code == "contact-required"
    with pytest.raises(NotFound):
        accounts.forget_contact(tx, contact.id, actor=OPERATOR, now=NOW)
