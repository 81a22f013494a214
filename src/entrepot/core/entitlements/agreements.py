"""Accepting licences, for oneself or for the whole organisation, by revision."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, insert, or_, select

from entrepot.core.accounts import ORGANISATION_ADMIN, Principal
from entrepot.core.accounts.tables import users
from entrepot.core.catalogue import LicenceRevision, find_revision
from entrepot.core.catalogue.tables import licence_revisions, licences, product_members, products
from entrepot.core.entitlements.tables import acceptances, entitlements
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.db.schema import is_set
from entrepot.errors import Denied, NotFound


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How a revision stands for one person."""

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
        any(row.user_id == who.user_id for row in rows),
        any(row.for_organisation for row in rows),
    )


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
    now: datetime,
) -> LicenceRevision:
    """Accept a revision as a person, or for the organisation by its administrator. Idempotent."""
    if who.user_id is None:
        raise Denied(
            "A licence is accepted by a person.",
            code="person-required",
            remedy="Let a member of your organisation accept it, for the organisation.",
        )
    if for_organisation and ORGANISATION_ADMIN not in who.roles:
        raise Denied(
            "Only an administrator accepts a licence for the organisation.",
            code="role-required",
            remedy="Accept it for yourself, or ask an administrator of your organisation.",
        )
    text = permitted_licence(tx, who, code, revision)
    standing = acceptance(tx, who, text.id)
    if standing.by_organisation if for_organisation else standing.by_person:
        return text
    values = {
        "revision_id": text.id,
        "user_id": who.user_id,
        "organisation_id": who.organisation_id,
        "for_organisation": for_organisation,
        "accepted_at": now,
    }
    tx.execute(insert(acceptances), values)
    data = {"revision": revision, "for_organisation": for_organisation, "sha256": text.sha256}
    event = Event("licence.accepted", who.label, f"licence:{code}", who.organisation_id, data)
    record(tx, event, now=now)
    return text
