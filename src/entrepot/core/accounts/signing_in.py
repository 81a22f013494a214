"""Signing in by password, with a limit on guesses, and the sessions of the portal."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select

from entrepot.core.accounts.clients import CLIENT_ID, client_secret_matches
from entrepot.core.accounts.directory import fold_email
from entrepot.core.accounts.hashing import hash_secret
from entrepot.core.accounts.passwords import password_matches
from entrepot.core.accounts.principals import Principal, load_client, load_user
from entrepot.core.accounts.tables import api_clients, sessions, sign_in_attempts, users
from entrepot.core.events import Event, record
from entrepot.db import Database, Prepared, Tx
from entrepot.errors import Invalid, TooMany, Unauthenticated
from entrepot.kit.addresses import neighbourhood
from entrepot.kit.clock import Now
from entrepot.kit.ids import new_secret

SESSION_SECONDS = 12 * 3600
GUESS_WINDOW_SECONDS = 15 * 60
ACCOUNT_GUESSES_MAX = 5
ADDRESS_GUESSES_MAX = 50
CLIENT_GUESSES_MAX = 20
CLIENT_ADDRESS_GUESSES_MAX = 200  # for all client ids, also those that nobody has
USER_CODE_GUESSES_MAX = 10  # of one person
USER_CODE_ADDRESS_GUESSES_MAX = 50
DEVICE_REQUESTS_MAX = 60  # from one address within the window


@dataclass(frozen=True, slots=True)
class Proven:
    """A person whose password was right, and the hash that it was compared with."""

    who: Principal
    password_hash: str


def sign_in(
    database: Database, *, email: str, password: str, address: str, now: Now
) -> tuple[Principal, str]:
    """Check a password and open a session; returns who it is and the session's token.

    Opens its own transactions, because a failed guess must be kept although the call fails
    and because hashing takes long. Unauthenticated: wrong; TooMany: too many wrong guesses
    for the account or from the address within 15 minutes.
    """
    proven = prove_password(database, email=email, password=password, address=address, now=now)
    with database.write() as tx:
        who = hold_password(tx, proven)
        return who, open_session(tx, who, now=now())


def check_password(
    database: Database, *, email: str, password: str, address: str, now: Now
) -> Principal:
    """The person behind an address and a password, under the limit on guesses."""
    proven = prove_password(database, email=email, password=password, address=address, now=now)
    return proven.who


def prove_password(
    database: Database, *, email: str, password: str, address: str, now: Now
) -> Proven:
    """`check_password`, for what is opened by it afterwards: see `hold_password`."""
    subjects = _subjects(email, address)
    limits = dict(zip(subjects, (ACCOUNT_GUESSES_MAX, ADDRESS_GUESSES_MAX), strict=True))
    with database.write() as tx:
        _refuse_guessing(tx, limits, now=now())
        # Counted before the check, so that parallel guesses cannot slip past the limit.
        _count(tx, subjects, now=now())
        row = _find_by_email(tx, email)
    matches = password_matches(row.password_hash if row else None, password)
    if not (row and matches and row.disabled_at is None):
        raise _wrong_credentials()
    with database.write() as tx:
        own = sign_in_attempts.c.subject == subjects[0]
        tx.execute(delete(sign_in_attempts).where(own))
        _forget_one(tx, subjects[1])
        return Proven(load_user(tx, row.id), row.password_hash)


def hold_password(tx: Tx, proven: Proven) -> Principal:
    """The person, to be called in the transaction that opens something by the password.

    Comparing a password takes long. One that was replaced or dropped meanwhile opens nothing, and
    whoever replaces it now waits for this transaction, so that what it opens ends as well.
    """
    same = (users.c.id == proven.who.id) & (users.c.password_hash == proven.password_hash)
    if tx.execute(select(users.c.id).where(same).with_for_update(key_share=True)).first() is None:
        raise _wrong_credentials()
    return load_user(tx, proven.who.id)


def _wrong_credentials() -> Unauthenticated:
    return Unauthenticated(
        "The mail address or the password is wrong.",
        code="credentials-wrong",
        remedy="Try again, or ask an operator of this hub to set a new password.",
    )


def name_account(tx: Tx, email: str) -> str:
    """The account that a failed attempt was for, as events name it.

    What was typed is not repeated: it may have been a password in the wrong field.
    """
    row = _find_by_email(tx, email)
    return "user:unknown" if row is None else f"user:{row.id}"


def _find_by_email(tx: Tx, email: str) -> Row[Any] | None:
    try:
        folded = fold_email(email)
    except Invalid:
        return None
    return tx.execute(select(users).where(users.c.email == folded)).one_or_none()


def _forget_one(tx: Tx, subject: str) -> None:
    """A sign-in that succeeds is no guess: take back the one row it counted."""
    newest = (
        select(func.max(sign_in_attempts.c.id))
        .where(sign_in_attempts.c.subject == subject)
        .scalar_subquery()
    )
    tx.execute(delete(sign_in_attempts).where(sign_in_attempts.c.id == newest))


def _subjects(email: str, address: str) -> tuple[str, str]:
    return f"account:{_digest(email.strip().casefold())}", f"address:{neighbourhood(address)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


_GUESSES = Prepared(
    select(func.count().label("count"))
    .select_from(sign_in_attempts)
    .where(
        sign_in_attempts.c.subject == bindparam("subject"),
        sign_in_attempts.c.at >= bindparam("since"),
    )
)


def purge_attempts(tx: Tx, *, take: int, now: datetime) -> int:
    """Forget at most `take` attempts that count no more; returns how many there were."""
    old = select(sign_in_attempts.c.id).where(
        sign_in_attempts.c.at < now - timedelta(seconds=GUESS_WINDOW_SECONDS)
    )
    return tx.execute(
        delete(sign_in_attempts).where(sign_in_attempts.c.id.in_(old.limit(take)))
    ).rowcount


def _refuse_guessing(tx: Tx, limits: Mapping[str, int], *, now: datetime) -> None:
    """TooMany where a subject has as many failed attempts behind it as it may have."""
    _one_at_a_time(tx, limits)
    since = now - timedelta(seconds=GUESS_WINDOW_SECONDS)
    for subject, most in limits.items():
        count = _GUESSES.one_or_none(tx, {"subject": subject, "since": since}).count
        if count >= most:
            raise TooMany(
                "Too many failed attempts to sign in.",
                code="sign-in-throttled",
                remedy="Wait a quarter of an hour and try again.",
                retry_after_seconds=GUESS_WINDOW_SECONDS,
            )


def _count(tx: Tx, subjects: Iterable[str], *, now: datetime) -> None:
    """Remember an attempt of each subject, and none that is older than counts."""
    since = now - timedelta(seconds=GUESS_WINDOW_SECONDS)
    tx.execute(delete(sign_in_attempts).where(sign_in_attempts.c.at < since))
    for subject in subjects:
        tx.execute(insert(sign_in_attempts), {"subject": subject, "at": now})


def _one_at_a_time(tx: Tx, subjects: Iterable[str]) -> None:
    """Let no two transactions count the attempts of one subject at once.

    SQLite has one writer anyway; on PostgreSQL a count does not see what others have not
    committed yet, so each subject is locked until the end of the transaction: always the
    account before the address, and before any row, so that nobody waits in a circle.
    """
    if tx.dialect.name != "postgresql":
        return
    for subject in subjects:
        kind, _, name = subject.partition(":")
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(kind), func.hashtext(name))))


def open_session(tx: Tx, who: Principal, *, issuer: str | None = None, now: datetime) -> str:
    """A new session of a person; returns its token, of which only the hash is kept.

    `issuer` is the identity provider that vouched for the person; None: a password did.
    """
    token = new_secret()
    tx.execute(delete(sessions).where(sessions.c.expires_at <= now))
    values = {
        "token_hash": hash_secret(token),
        "user_id": who.id,
        "created_at": now,
        "expires_at": now + timedelta(seconds=SESSION_SECONDS),
        "issuer": issuer,
    }
    tx.execute(insert(sessions), values)
    data = {"issuer": issuer} if issuer else {}
    event = Event("user.signed-in", who.label, who.label, who.organisation_id, data)
    record(tx, event, now=now)
    return token


def session_principal(
    tx: Tx, token: str, *, country: str | None = None, now: datetime
) -> Principal | None:
    """The person whose session this token opens; None when there is no such session now."""
    user_id = tx.execute(
        select(sessions.c.user_id).where(
            sessions.c.token_hash == hash_secret(token), sessions.c.expires_at > now
        )
    ).scalar_one_or_none()
    if user_id is None:
        return None
    try:
        return load_user(tx, user_id, country=country)
    except Unauthenticated:
        return None


def hold_session(tx: Tx, token: str, *, now: datetime) -> bool:
    """Whether a session is open, and stays so until the transaction ends.

    For what a session makes that outlives it: whoever ends the session at this moment goes first
    or waits, and then finds what was made.
    """
    own = (sessions.c.token_hash == hash_secret(token)) & (sessions.c.expires_at > now)
    held = select(sessions.c.user_id).where(own).with_for_update(read=True)
    return tx.execute(held).first() is not None


def session_since(tx: Tx, token: str) -> datetime | None:
    """When the person of this session signed in; None where there is no such session."""
    began: datetime | None = tx.execute(
        select(sessions.c.created_at).where(sessions.c.token_hash == hash_secret(token))
    ).scalar_one_or_none()
    return began


def close_session(tx: Tx, token: str) -> None:
    """End a session; unknown tokens are no error."""
    tx.execute(delete(sessions).where(sessions.c.token_hash == hash_secret(token)))


def check_client(tx: Tx, *, client_id: str, secret: str) -> Principal | None:
    """The machine behind a client id and a secret; None when they do not fit."""
    if not CLIENT_ID.fullmatch(client_id):
        return None
    row = tx.execute(select(api_clients).where(api_clients.c.client_id == client_id)).one_or_none()
    if row is None or row.disabled_at is not None:
        return None
    if not client_secret_matches(row.secret_hash, secret):
        return None
    return load_client(tx, client_id, scopes=row.scopes)


def refuse_client_guessing(tx: Tx, *, client_id: str, address: str, now: datetime) -> None:
    """TooMany after 20 wrong secrets for a client from one address within 15 minutes.

    Other addresses are not held up: a client id is no secret, and nobody shall be able to
    shut a machine out by guessing. The 256 bits of a secret need no stricter limit. All of an
    address's guesses together end after 200: each is a row, and made-up client ids are free.
    """
    subjects = _client_subjects(client_id, address)
    limits = dict(zip(subjects, (CLIENT_GUESSES_MAX, CLIENT_ADDRESS_GUESSES_MAX), strict=True))
    _refuse_guessing(tx, limits, now=now)


def count_provider_attempt(tx: Tx, *, address: str, now: datetime) -> None:
    """Count a return from an identity provider; TooMany after 50 in 15 minutes from an address.

    Each return that looks right costs a request to the provider. `forget_provider_attempt` takes
    back one that was no guess.
    """
    subject = f"provider-from:{neighbourhood(address)}"
    _refuse_guessing(tx, {subject: ADDRESS_GUESSES_MAX}, now=now)
    _count(tx, [subject], now=now)


def forget_provider_attempt(tx: Tx, *, address: str) -> None:
    """The return that was counted last led to a session."""
    _forget_one(tx, f"provider-from:{neighbourhood(address)}")


def count_client_guess(tx: Tx, *, client_id: str, address: str, now: datetime) -> None:
    """Remember a wrong secret for `refuse_client_guessing`."""
    for subject in _client_subjects(client_id, address):
        _count(tx, [subject], now=now)


def _client_subjects(client_id: str, address: str) -> tuple[str, str]:
    near = neighbourhood(address)
    return f"client:{_digest(f'{client_id} {near}')}", f"clients-from:{near}"


def refuse_user_code_guessing(tx: Tx, *, user_id: int, address: str, now: datetime) -> None:
    """TooMany after 10 user codes of a person that nobody has, or 50 from an address."""
    subjects = _user_code_subjects(user_id, address)
    limits = dict(
        zip(subjects, (USER_CODE_GUESSES_MAX, USER_CODE_ADDRESS_GUESSES_MAX), strict=True)
    )
    _refuse_guessing(tx, limits, now=now)


def count_user_code_guess(tx: Tx, *, user_id: int, address: str, now: datetime) -> None:
    """Remember a user code that nobody has for `refuse_user_code_guessing`."""
    for subject in _user_code_subjects(user_id, address):
        _count(tx, [subject], now=now)


def _user_code_subjects(user_id: int, address: str) -> tuple[str, str]:
    return f"user-codes:{user_id}", f"user-codes-from:{neighbourhood(address)}"


def count_device_request(tx: Tx, *, address: str, now: datetime) -> None:
    """Count a request for device codes, each of which is a row; TooMany after 60."""
    subject = f"devices-from:{neighbourhood(address)}"
    _refuse_guessing(tx, {subject: DEVICE_REQUESTS_MAX}, now=now)
    _count(tx, [subject], now=now)
