"""Accepting licences, for oneself or for the whole organisation, by revision.

A machine accepts for itself alone: whoever runs it has read the text, and names the revision.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, insert, or_, select

from entrepot.core.accounts import ORGANISATION_ADMIN, Principal
from entrepot.core.accounts.tables import users
from entrepot.core.catalogue import LicenceRevision, find_revision
from entrepot.core.catalogue.tables import licence_revisions, licences, product_members, products
from entrepot.core.entitlements.owned import refer
from entrepot.core.entitlements.predicate import (
    entitlement_source,
    of_reference,
    required_revision,
)
from entrepot.core.entitlements.tables import acceptances, client_acceptances, entitlements
from entrepot.core.events import Event, record
from entrepot.db import Tx, take_turns
from entrepot.db.schema import is_set
from entrepot.errors import Conflict, Denied, NotFound


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How a revision stands for one person, or for one machine (`by_person`: by itself)."""

    by_person: bool
    by_organisation: bool

    @property
    def holds(self) -> bool:
        """Whether the person may go on."""
        return self.by_person or self.by_organisation


def permitted_licence(
    tx: Tx, who: Principal, code: str, revision: int | None = None
) -> LicenceRevision:
    """A licence text that belongs to something the caller's organisation has (or had)."""
    member = product_members.alias()
    licence_id = select(licences.c.id).where(licences.c.code == code).scalar_subquery()
    entitled = exists().where(
        entitlements.c.organisation_id == who.organisation_id,
        or_(
            exists().where(
                products.c.licence_id == licence_id,
                or_(
                    products.c.id == entitlements.c.product_id,
                    exists().where(
                        member.c.group_id == entitlements.c.product_id,
                        member.c.product_id == products.c.id,
                    ),
                ),
            ),
            exists().where(
                licence_revisions.c.licence_id == licence_id,
                licence_revisions.c.id == entitlements.c.licence_revision_id,
            ),
        ),
    )
    if not tx.execute(select(entitled)).scalar_one():
        raise NotFound
    return find_revision(tx, code, revision)


def acceptance(tx: Tx, who: Principal, revision_id: int) -> Acceptance:
    """Who has accepted a revision, as far as it counts for the caller."""
    rows = tx.execute(
        select(acceptances.c.user_id, acceptances.c.for_organisation).where(
            acceptances.c.revision_id == revision_id,
            acceptances.c.organisation_id == who.organisation_id,
        )
    ).all()
    return Acceptance(
        any(row.user_id == who.user_id for row in rows) or _by_machine(tx, who, revision_id),
        any(row.for_organisation for row in rows),
    )


def _by_machine(tx: Tx, who: Principal, revision_id: int) -> bool:
    if who.api_client_id is None:
        return False
    found = exists().where(
        client_acceptances.c.revision_id == revision_id,
        client_acceptances.c.organisation_id == who.organisation_id,
        client_acceptances.c.api_client_id == who.api_client_id,
    )
    return bool(tx.execute(select(found)).scalar_one())


@dataclass(frozen=True, slots=True)
class Required:
    """The licence that an entitlement asks for, and how it stands for the caller."""

    text: LicenceRevision
    standing: Acceptance


def required_licence(tx: Tx, who: Principal, number: str) -> Required:
    """What has to be accepted for downloads by an entitlement of the caller's organisation.

    The revision that the entitlement is pinned to, else the newest. NotFound: there is no such
    entitlement, it is not yours, or it asks for no licence.
    """
    reference = refer(number)
    child = reference.child_product_id is not None
    query = (
        select(licences.c.code, licence_revisions.c.revision)
        .select_from(entitlement_source(child=child))
        .join(licence_revisions, licence_revisions.c.id == required_revision)
        .join(licences, licences.c.id == licence_revisions.c.licence_id)
        .where(of_reference(child=child))
    )
    bound: dict[str, int | None] = {
        "organisation_id": who.organisation_id,
        "entitlement_id": reference.entitlement_id,
        "child_product_id": reference.child_product_id,
    }
    row = tx.execute(query, bound).one_or_none()
    if row is None:
        raise NotFound
    text = find_revision(tx, row.code, row.revision)
    return Required(text, acceptance(tx, who, text.id))


def accept_required_licence(
    tx: Tx,
    who: Principal,
    number: str,
    *,
    code: str | None,
    revision: int,
    for_organisation: bool = False,
    now: datetime,
) -> Required:
    """Accept what an entitlement asks for, where it is the revision that the caller names.

    `code` None: of whatever licence. Conflict, with what is asked for, where it is another one:
    a new text is not accepted by who read an old one. Idempotent. Denied as `accept_licence`.
    """
    required = required_licence(tx, who, number)
    text = required.text
    if code not in (None, text.licence_code) or revision != text.revision:
        raise Conflict(
            f"The licence that has to be accepted is {text.licence_code} (revision "
            f"{text.revision}), not {code or text.licence_code} (revision {revision}).",
            code="licence-other",
            remedy="Read it, and name it if you agree.",
            details={"licence": text.licence_code, "revision": text.revision},
        )
    accept_licence(
        tx,
        who,
        code=text.licence_code,
        revision=revision,
        for_organisation=for_organisation,
        by_token=True,
        now=now,
    )
    return Required(text, acceptance(tx, who, text.id))


@dataclass(frozen=True, slots=True)
class Signature:
    """Who accepted a revision, when, and whether for the whole organisation."""

    name: str
    for_organisation: bool
    accepted_at: datetime


def list_signatures(tx: Tx, who: Principal, revision_id: int) -> list[Signature]:
    """What the caller's going on rests on: the own acceptance, and those for the organisation."""
    rows = tx.execute(
        select(
            users.c.given_name,
            users.c.family_name,
            acceptances.c.for_organisation,
            acceptances.c.accepted_at,
        )
        .join(users, users.c.id == acceptances.c.user_id)
        .where(
            acceptances.c.revision_id == revision_id,
            acceptances.c.organisation_id == who.organisation_id,
            or_(acceptances.c.user_id == who.user_id, is_set(acceptances.c.for_organisation)),
        )
        .order_by(acceptances.c.accepted_at, acceptances.c.id)
    )
    return [
        Signature(f"{given} {family}".strip(), for_organisation, accepted_at)
        for given, family, for_organisation, accepted_at in rows
    ]


def accept_licence(
    tx: Tx,
    who: Principal,
    *,
    code: str,
    revision: int,
    for_organisation: bool = False,
    by_token: bool = False,
    now: datetime,
) -> LicenceRevision:
    """Accept a revision for oneself, or for the organisation by its administrator. Idempotent.

    `by_token`: by a program, not on the licence's page; the log has it.
    """
    if who.user_id is None and for_organisation:
        raise Denied(
            "A licence is accepted for the organisation by a person.",
            code="person-required",
            remedy="Accept it for this machine alone, or let an administrator of your "
            "organisation accept it.",
        )
    if for_organisation and ORGANISATION_ADMIN not in who.roles:
        raise Denied(
            "Only an administrator accepts a licence for the organisation.",
            code="role-required",
            remedy="Accept it for yourself, or ask an administrator of your organisation.",
        )
    text = permitted_licence(tx, who, code, revision)
    take_turns(tx, f"acceptance of {text.id} by {who.label}")  # as jobs of one client do at once
    standing = acceptance(tx, who, text.id)
    if standing.by_organisation if for_organisation else standing.by_person:
        return text
    values: dict[str, Any] = {
        "revision_id": text.id,
        "organisation_id": who.organisation_id,
        "accepted_at": now,
    }
    if who.user_id is None:
        tx.execute(insert(client_acceptances), values | {"api_client_id": who.api_client_id})
    else:
        values |= {"user_id": who.user_id, "for_organisation": for_organisation}
        tx.execute(insert(acceptances), values)
    data = {"revision": revision, "for_organisation": for_organisation, "sha256": text.sha256}
    if by_token:
        data["by_token"] = True
    event = Event("licence.accepted", who.label, f"licence:{code}", who.organisation_id, data)
    record(tx, event, now=now)
    return text
