"""The operator's command over contacts, beside a hub that runs."""

from entrepot.core.accounts import ContactForm, add_contact
from entrepot.daemon.desk import Desk
from tests.system.hubs import Hub

FORM = ContactForm("Ada Lovelace", "Engines", "ada@example.com", "DE", "I agree.")


def test_contacts_are_listed_and_forgotten_by_the_operator(hub: Hub) -> None:
    with Desk({"data": str(hub.data)}).hub() as opened, opened.database.write() as tx:
        contact, token = add_contact(tx, FORM, address="192.0.2.7", now=opened.now())
    path = next(
        one["file"].removeprefix(hub.url)
        for one in hub.world["product_downloads"]
        if one["visibility"] == "contact"
    )
    cookie = {"Cookie": f"entrepot-contact={token}"}
    assert hub.ask(path, headers=cookie).status == 302
    listed = {one["id"]: one for one in hub.operate("contacts", "list", "--json").objects()}
    assert (listed[contact.id]["email"], listed[contact.id]["consent"]) == (
        "ada@example.com",
        "I agree.",
    )
    forgotten = hub.operate("contacts", "forget", str(contact.id))
    assert forgotten.code == 0, forgotten
    assert hub.ask(path, headers=cookie).status == 401
    again = hub.operate("contact", "forget", str(contact.id))
    assert "There is no contact" in again.err, again
