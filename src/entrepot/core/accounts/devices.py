"""Device codes (RFC 8628): a program without a browser, and a person with one elsewhere.

The program holds the device code, 256 random bits of which only the hash is kept. The person
types the user code: 8 of 20 consonants (25,600 million), which spell no words, for ten minutes,
behind a limit on guesses (`signing_in.py`).
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.families import Granted, begin_family, new_family, revoke_family
from entrepot.core.accounts.grant_tables import device_codes
from entrepot.core.accounts.hashing import hash_secret
from entrepot.core.accounts.tables import api_clients
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Unavailable
from entrepot.kit.ids import new_secret

DEVICE_SECONDS = 600
INTERVAL_SECONDS = 5  # between two polls, and what each that comes too early adds
USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8
_JITTER_SECONDS = 0.5  # of a network: a poll may be this early
_ATTEMPTS = 5  # at a user code that nobody has
_USER_CODE = re.compile(rf"[{USER_CODE_LETTERS}]{{{_LENGTH}}}")

NotYet: TypeAlias = Literal["unknown", "expired", "denied", "pending", "early"]


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What a program gets: its own code, and the one for the person, as it is shown."""

    device_code: str
    user_code: str  # BCDF-GHJK


def issue_device(tx: Tx, *, api_client_id: int, scopes: Iterable[str], now: datetime) -> NewDevice:
    """A new pair of codes for a program."""
    device_code = new_secret()
    values = {
        "code_hash": hash_secret(device_code),
        "api_client_id": api_client_id,
        "scopes": list(scopes),
        "created_at": now,
        "expires_at": now + timedelta(seconds=DEVICE_SECONDS),
        "interval_seconds": INTERVAL_SECONDS,
    }
    for _ in range(_ATTEMPTS):
        code = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(_LENGTH))
        try:
            with tx.begin_nested():
                tx.execute(insert(device_codes), values | {"user_code": code})
        except IntegrityError:
            continue
        return NewDevice(device_code, f"{code[:4]}-{code[4:]}")
    raise Unavailable("There are too many device codes at the moment.")


def read_user_code(text: str) -> str | None:
    """A user code as a person types it: any case, with or without the hyphen; None: it is none."""
    code = re.sub(r"[\s-]", "", text[:40]).upper()
    return code if _USER_CODE.fullmatch(code) else None


def find_device(tx: Tx, user_code: str, *, now: datetime) -> Row[Any] | None:
    """The undecided request behind a user code, with its program's name and `organisation_id`."""
    query = select(
        device_codes, api_clients.c.client_id, api_clients.c.name, api_clients.c.organisation_id
    ).join(api_clients, api_clients.c.id == device_codes.c.api_client_id)
    return tx.execute(
        query.where(
            device_codes.c.user_code == user_code,
            device_codes.c.decided_at.is_(None),
            device_codes.c.expires_at > now,
            api_clients.c.disabled_at.is_(None),
        )
    ).one_or_none()


def decide_device(
    tx: Tx, user_code: str, *, user_id: int, scopes: Iterable[str], approved: bool, now: datetime
) -> bool:
    """Write down what a person says, with the scopes they saw; False: too late, or decided."""
    decided = tx.execute(
        update(device_codes)
        .where(
            device_codes.c.user_code == user_code,
            device_codes.c.decided_at.is_(None),
            device_codes.c.expires_at > now,
        )
        .values(user_id=user_id, approved=approved, decided_at=now, scopes=list(scopes))
        .returning(device_codes.c.api_client_id)
    ).one_or_none()
    if decided is None:
        return False
    kind = "device.approved" if approved else "device.denied"
    name = select(api_clients.c.client_id).where(api_clients.c.id == decided.api_client_id)
    subject = f"client:{tx.execute(name).scalar_one()}"
    record(tx, Event(kind, f"user:{user_id}", subject, data={"scopes": list(scopes)}), now=now)
    return True


def redeem_device(
    tx: Tx, device_code: str, *, api_client_id: int, asked_at: datetime, now: datetime
) -> Granted | NotYet:
    """Poll: what the person has granted, once; or why there is nothing yet, or will not be.

    *early* makes the program wait 5 s longer from now on. A code that was redeemed is *unknown*,
    and a poll that came in after that ends the family: two hold the code (`refreshing.py`).
    """
    match = (device_codes.c.code_hash == hash_secret(device_code)) & (
        device_codes.c.api_client_id == api_client_id
    )
    row = tx.execute(select(device_codes).where(match)).one_or_none()
    if row is None:
        return "unknown"
    if row.used_at is not None:
        return _refuse_used(tx, row, asked_at, now)
    if row.expires_at <= now:
        return "expired"
    if row.decided_at is None:
        return _note_poll(tx, row, now)
    if not row.approved:
        return "denied"
    granted = Granted(api_client_id, row.user_id, tuple(row.scopes), new_family())
    used = tx.execute(
        update(device_codes)
        .where(match, device_codes.c.used_at.is_(None), device_codes.c.expires_at > now)
        .values(used_at=now, family_id=granted.family)
    )
    if used.rowcount != 1:
        row = tx.execute(select(device_codes).where(match)).one()
        return "expired" if row.used_at is None else _refuse_used(tx, row, asked_at, now)
    begin_family(tx, granted, now=now)
    return granted


def _refuse_used(tx: Tx, row: Row[Any], asked_at: datetime, now: datetime) -> NotYet:
    if asked_at > row.used_at:
        revoke_family(tx, row.family_id, why="replayed", now=now)
    return "unknown"


def _note_poll(tx: Tx, row: Row[Any], now: datetime) -> NotYet:
    wait = timedelta(seconds=row.interval_seconds - _JITTER_SECONDS)
    early = row.polled_at is not None and now - row.polled_at < wait
    interval = row.interval_seconds + (INTERVAL_SECONDS if early else 0)
    tx.execute(
        update(device_codes)
        .where(device_codes.c.code_hash == row.code_hash)
        .values(polled_at=now, interval_seconds=min(interval, DEVICE_SECONDS))
    )
    return "early" if early else "pending"
