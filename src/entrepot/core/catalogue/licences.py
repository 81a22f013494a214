"""Licence agreements. A text never changes: a new text is a new revision."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from entrepot.core.catalogue.tables import licence_revisions, licences
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.text import TEXT_LENGTH_MAX, check_line, check_text, is_storable

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class LicenceRevision:
    """One text of a licence. `revision` counts from 1 within the licence."""

    id: int
    licence_code: str
    licence_name: str
    revision: int
    text: str
    sha256: str
    published_at: datetime


def add_licence(tx: Tx, *, code: str, name: str, text: str, actor: str, now: datetime) -> int:
    """Register a licence with its first revision; returns the licence's number."""
    _check_code(code)
    values = {"code": code, "name": check_line(name, field="name"), "created_at": now}
    try:
        with tx.begin_nested():
            number: int = tx.execute(insert(licences).returning(licences.c.id), values).scalar_one()
    except IntegrityError as error:
        raise Conflict(
            f"There is a licence {code!r} already.",
            code="code-taken",
            remedy="Publish a new revision of its text (`entrepotd licence revise`), or choose "
            "another code.",
        ) from error
    revise_licence(tx, code=code, text=text, actor=actor, now=now)
    return number


def keep_revision(
    tx: Tx, *, code: str, name: str, revision: int, text: str, actor: str, now: datetime
) -> None:
    """Have this revision of a licence that another hub published, under its own number.

    Nothing happens where it, or a newer one, is here; where it is newer than all that are here,
    everyone has to accept it. Conflict (`licence-differs`) where its number has another text.
    """
    _check_code(code)
    text = _check_licence_text(text)
    numbers = {"revision": revision, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    licence = {"code": code, "name": check_line(name, field="name"), "created_at": now}
    columns = licence_revisions.c["revision", "sha256"]
    rows = tx.execute(select(*columns).join(licences).where(licences.c.code == code))
    held = {row.revision: row.sha256 for row in rows}
    if held.get(revision, numbers["sha256"]) != numbers["sha256"]:
        raise Conflict(
            f"Revision {revision} of the licence {code} has another text here.",
            code="licence-differs",
            remedy="Import the product under a code whose product here has a licence of its own "
            "(--product-map).",
        )
    if held and max(held) >= revision:
        return
    try:
        with tx.begin_nested():
            if held:
                number = find_licence(tx, code).id
            else:
                added = insert(licences).returning(licences.c.id)
                number = tx.execute(added, licence).scalar_one()
            values = numbers | {"licence_id": number, "text": text, "published_at": now}
            tx.execute(insert(licence_revisions), values)
    except IntegrityError as error:
        raise Conflict("Another revision was published at the same time.") from error
    event = Event("licence.revised", actor, f"licence:{code}", data={"revision": revision})
    record(tx, event, now=now)


def _check_code(code: str) -> None:
    if not _CODE.fullmatch(code):
        raise Invalid(
            "A licence code has 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'.", field="code"
        )


def _check_licence_text(text: str) -> str:
    text = check_text(text, field="text")
    if not text.strip():
        raise Invalid(f"A licence has 1 to {TEXT_LENGTH_MAX} characters.", field="text")
    return text


def revise_licence(tx: Tx, *, code: str, text: str, actor: str, now: datetime) -> int:
    """Publish a new text of a licence; everyone has to accept it anew. Returns its revision.

    Entitlements that are pinned to an earlier revision keep that one.
    """
    text = _check_licence_text(text)
    licence = find_licence(tx, code)
    latest = tx.execute(
        select(func.coalesce(func.max(licence_revisions.c.revision), 0)).where(
            licence_revisions.c.licence_id == licence.id
        )
    ).scalar_one()
    values = {
        "licence_id": licence.id,
        "revision": latest + 1,
        "text": text,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "published_at": now,
    }
    try:
        with tx.begin_nested():
            tx.execute(insert(licence_revisions), values)
    except IntegrityError as error:
        raise Conflict("Another revision was published at the same time.") from error
    event = Event("licence.revised", actor, f"licence:{code}", data={"revision": latest + 1})
    record(tx, event, now=now)
    return int(latest) + 1


def find_licence(tx: Tx, code: str) -> Row[Any]:
    """The licence with this code; NotFound where there is none."""
    query = select(licences).where(licences.c.code == code)
    row = tx.execute(query).one_or_none() if is_storable(code) else None
    if row is None:
        raise NotFound(f"There is no licence {code!r}.")
    return row


def find_revision(tx: Tx, code: str, revision: int | None = None) -> LicenceRevision:
    """A revision of a licence, the newest unless told; NotFound where there is none."""
    query = (
        select(licence_revisions, licences.c.code, licences.c.name)
        .join(licences)
        .where(licences.c.code == code)
        .order_by(licence_revisions.c.revision.desc())
        .limit(1)
    )
    if revision is not None:
        query = query.where(licence_revisions.c.revision == revision)
    row = tx.execute(query).one_or_none() if is_storable(code) else None
    if row is None:
        of_it = "" if revision is None else f" with a revision {revision}"
        raise NotFound(f"There is no licence {code!r}{of_it}.")
    return LicenceRevision(
        row.id, row.code, row.name, row.revision, row.text, row.sha256, row.published_at
    )


def count_licences(tx: Tx) -> int:
    """How many `list_licences` would give without a limit."""
    return tx.execute(select(func.count()).select_from(licences)).scalar_one()


def list_licences(tx: Tx, *, skip: int = 0, take: int = 1000) -> list[Row[Any]]:
    """Licences with the number of their newest revision, by code."""
    newest = func.max(licence_revisions.c.revision).label("revision")
    return list(
        tx.execute(
            select(licences, newest)
            .join(licence_revisions)
            .group_by(licences.c.id, licences.c.code, licences.c.name, licences.c.created_at)
            .order_by(licences.c.code)
            .offset(skip)
            .limit(take)
        )
    )
