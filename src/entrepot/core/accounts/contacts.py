"""Visitors who left name, company, mail address and country once, to have what is for contacts.

They have no account: a random token in a cookie tells them again, for a year, and only its hash
is kept. Nothing proves that the mail address is theirs, so nothing is decided by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, delete, func, insert, select

from entrepot.core.accounts.directory import fold_email
from entrepot.core.accounts.grant_tables import contacts
from entrepot.core.accounts.hashing import hash_secret
from entrepot.core.accounts.tables import sign_in_attempts
from entrepot.core.events import Event, record
from entrepot.db import Tx, take_turns
from entrepot.errors import Invalid, NotFound, TooMany
from entrepot.kit.addresses import neighbourhood
from entrepot.kit.ids import new_secret
from entrepot.kit.text import check_country, check_line

CONTACT_SECONDS = 365 * 24 * 3600
CONSENT_LENGTH_MAX = 2000
FORMS_WINDOW_SECONDS = 15 * 60
FORMS_MAX = 20  # from one address within the window


@dataclass(frozen=True, slots=True)
class Contact:
    """A visitor who is known by name; `consent` are the words that were agreed to."""

    id: int
    name: str
    company: str
    email: str
    country: str | None
    consent: str
    consented_at: datetime
    expires_at: datetime

    @property
    def label(self) -> str:
        """As the log and leases have it."""
        return f"contact:{self.id}"


@dataclass(frozen=True, slots=True)
class ContactForm:
    """What a visitor has typed. `consent`: the words agreed to; empty where the box is not set."""

    name: str
    company: str
    email: str
    country: str
    consent: str


def add_contact(tx: Tx, form: ContactForm, *, address: str, now: datetime) -> tuple[Contact, str]:
    """Keep a contact; returns it and the token for the cookie. Those that ended are forgotten.

    Invalid names the field; TooMany after 20 forms from one address within 15 minutes.
    """
    values = _values(form)
    _refuse_flood(tx, address, now)
    tx.execute(delete(contacts).where(contacts.c.expires_at <= now))
    token = new_secret()
    kept = {
        **values,
        "token_hash": hash_secret(token),
        "consented_at": now,
        "expires_at": now + timedelta(seconds=CONTACT_SECONDS),
    }
    row = tx.execute(insert(contacts).returning(contacts), kept).one()
    contact = _contact(row)
    # Whoever reads the log learns that there was consent, not from whom.
    event = Event("contact.added", contact.label, contact.label, data={"country": contact.country})
    record(tx, event, now=now)
    return contact, token


def find_contact(tx: Tx, token: str, *, now: datetime) -> Contact | None:
    """The contact whose cookie this is; None where there is none by now."""
    query = select(contacts).where(
        contacts.c.token_hash == hash_secret(token), contacts.c.expires_at > now
    )
    row = tx.execute(query).one_or_none()
    return None if row is None else _contact(row)


def list_contacts(
    tx: Tx, *, now: datetime, skip: int = 0, take: int = 100
) -> tuple[list[Contact], int]:
    """Contacts by number, without those that have ended, and how many there are in all."""
    query = select(contacts).where(contacts.c.expires_at > now)
    total = tx.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    rows = tx.execute(query.order_by(contacts.c.id).offset(skip).limit(take))
    return [_contact(row) for row in rows], total


def forget_contact(tx: Tx, contact_id: int, *, actor: str, now: datetime) -> None:
    """Delete what a contact told; NotFound where there is none. Its links end with it."""
    gone = tx.execute(
        delete(contacts).where(contacts.c.id == contact_id).returning(contacts.c.id)
    ).scalar_one_or_none()
    if gone is None:
        raise NotFound(f"There is no contact {contact_id}.")
    record(tx, Event("contact.forgotten", actor, f"contact:{contact_id}"), now=now)


def _values(form: ContactForm) -> dict[str, str | None]:
    if not form.consent:
        raise Invalid(
            "Without your consent nothing is kept, and this file cannot be had.",
            field="consent",
            remedy="Read what is kept and why, and tick the box if you agree.",
        )
    return {
        "name": check_line(form.name, field="name"),
        "company": check_line(form.company, field="company"),
        "email": fold_email(form.email),
        "country": check_country(form.country, field="country"),
        "consent": check_line(form.consent, field="consent", length_max=CONSENT_LENGTH_MAX),
    }


def _refuse_flood(tx: Tx, address: str, now: datetime) -> None:
    """Anybody may send the form, and each is a row."""
    subject = f"contact-from:{neighbourhood(address)}"
    take_turns(tx, subject)  # a count does not see what others have not committed yet
    since = now - timedelta(seconds=FORMS_WINDOW_SECONDS)
    own = sign_in_attempts.c.subject == subject
    tx.execute(delete(sign_in_attempts).where(sign_in_attempts.c.at < since))
    sent = select(func.count()).select_from(sign_in_attempts).where(own)
    if tx.execute(sent).scalar_one() >= FORMS_MAX:
        raise TooMany(
            "Too many forms came from your address.",
            remedy="Wait a quarter of an hour and try again.",
            retry_after_seconds=FORMS_WINDOW_SECONDS,
        )
    tx.execute(insert(sign_in_attempts), {"subject": subject, "at": now})


def _contact(row: Row[tuple[object, ...]]) -> Contact:
    return Contact(
        row.id,
        row.name,
        row.company,
        row.email,
        row.country,
        row.consent,
        row.consented_at,
        row.expires_at,
    )
