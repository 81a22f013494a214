"""Programs that get tokens (RFC 6749 section 2): machines with a secret, and public clients.

A *machine* proves itself with its secret, or signs assertions with it. A *public client* runs
on people's own machines, keeps no secret and acts only for the person who lets it.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.directory import find_organisation
from entrepot.core.accounts.hashing import hash_secret
from entrepot.core.accounts.keyring import SecretBox
from entrepot.core.accounts.principals import CUSTOMER, SCOPES, check_roles, check_scopes
from entrepot.core.accounts.redirects import check_redirects
from entrepot.core.accounts.tables import api_clients
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.ids import new_secret
from entrepot.kit.text import check_line

CLIENT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
AUTHORIZATION_CODE = "authorization_code"
CLIENT_CREDENTIALS = "client_credentials"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PASSWORD = "password"  # noqa: S105 - the name of a grant; of the one built-in client only
GRANTS = (AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN, DEVICE_CODE, JWT_BEARER)

COMMAND_CLIENT_ID = "entrepot-cli"
# What MSAL sends of itself where edmgr signs in by password (contract 1, section 4).
MSAL_CLIENT_ID = "bcca11a6-8f8f-42d9-aa4d-0f46815d9c75"


@dataclass(frozen=True, slots=True)
class NewClient:
    """A registered program; the secret is shown this once. A public client's is empty."""

    client_id: str
    secret: str


def add_client(
    tx: Tx,
    *,
    client_id: str,
    name: str,
    organisation_id: int,
    roles: Iterable[str] = (CUSTOMER,),
    scopes: Iterable[str],
    grants: Iterable[str] = (),
    redirect_uris: Iterable[str] = (),
    public: bool = False,
    pkce: bool = True,
    box: SecretBox | None = None,
    actor: str,
    now: datetime,
) -> NewClient:
    """Register a program; without `grants` it gets those that fit what else is said.

    `pkce` False is for one old machine that cannot do it. `box` seals the secret of a machine
    that signs assertions with it, which is the one case where the secret itself is kept.
    """
    if not CLIENT_ID.fullmatch(client_id):
        raise Invalid("A client id has 1 to 64 of a-z, 0-9, '.', '_' and '-'.", field="client_id")
    if client_id.isdigit():
        # `sub` of a token is this, or a person's number (RFC 9700 section 4.15).
        raise Invalid("A client id is not a number: those are people's.", field="client_id")
    addresses = check_redirects(redirect_uris)
    allowed = _check_grants(grants, public=public, redirects=bool(addresses))
    if public and not pkce:
        raise Invalid("A public client needs PKCE.", field="pkce", remedy="Leave it switched on.")
    secret = "" if public else new_secret()
    values = {
        "client_id": client_id,
        "secret_hash": hash_secret(secret) if secret else "",
        "name": check_line(name, field="name"),
        "organisation_id": find_organisation(tx, organisation_id).id,
        "roles": check_roles(roles),
        "scopes": check_scopes(scopes),
        "grants": allowed,
        "public": public,
        "pkce": pkce,
        "redirect_uris": addresses,
        "assertion_key": _seal(secret, box) if JWT_BEARER in allowed else None,
        "created_at": now,
    }
    try:
        with tx.begin_nested():
            tx.execute(insert(api_clients), values)
    except IntegrityError as error:
        raise Conflict(
            f"There is a client {client_id!r} already.",
            code="name-taken",
            remedy="Choose another id; `entrepotd client rotate` gives this one a new secret.",
        ) from error
    record(tx, Event("client.added", actor, f"client:{client_id}", organisation_id), now=now)
    return NewClient(client_id, secret)


def _check_grants(grants: Iterable[str], *, public: bool, redirects: bool) -> list[str]:
    """The grants in their fixed order; Invalid names one that does not go with the rest."""
    wanted = set(grants) or _usual_grants(public=public, redirects=redirects)
    unknown = sorted(wanted - set(GRANTS))
    if unknown:
        raise _bad_grants(f"There is no grant {unknown[0]!r}.", f"Grants: {', '.join(GRANTS)}.")
    needing_secret = sorted(wanted & {CLIENT_CREDENTIALS, JWT_BEARER})
    if public and needing_secret:
        raise _bad_grants(
            f"A public client has no secret, which {needing_secret[0]} needs.",
            "Register it as a machine, or leave the grant out.",
        )
    if (AUTHORIZATION_CODE in wanted) != redirects:
        raise _bad_grants(
            "The grant authorization_code and redirect URIs go together.",
            "Give both, or neither.",
        )
    if REFRESH_TOKEN in wanted and not wanted & {AUTHORIZATION_CODE, DEVICE_CODE}:
        raise _bad_grants(
            "Refresh tokens come of authorization codes and device codes only.",
            f"Add {AUTHORIZATION_CODE} or {DEVICE_CODE}, or leave refresh_token out.",
        )
    return [grant for grant in GRANTS if grant in wanted]


def _usual_grants(*, public: bool, redirects: bool) -> set[str]:
    usual = {AUTHORIZATION_CODE, REFRESH_TOKEN} if redirects else set()
    if not public:
        return usual | {CLIENT_CREDENTIALS}
    return usual or {DEVICE_CODE, REFRESH_TOKEN}


def _bad_grants(message: str, remedy: str) -> Invalid:
    return Invalid(message, field="grants", remedy=remedy)


def _seal(secret: str, box: SecretBox | None) -> str:
    if box is None:
        raise ValueError("a machine that signs assertions needs a box for its secret")
    return box.seal(secret.encode())


def ensure_clients(tx: Tx, *, password_grant: bool, now: datetime) -> None:
    """Make the public clients that come with the hub where they are missing.

    MSAL's is enabled and disabled with the setting; with it off, its tokens are dead as well.
    """
    grants = [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE]
    redirects = ["http://127.0.0.1/callback", "http://[::1]/callback"]
    _ensure(tx, COMMAND_CLIENT_ID, "Entrepot command", grants, redirects, now)
    if password_grant:
        _ensure(tx, MSAL_CLIENT_ID, "edmgr", [REFRESH_TOKEN, PASSWORD], [], now)
    match = api_clients.c.client_id == MSAL_CLIENT_ID
    disabled = api_clients.c.disabled_at
    stale = disabled.is_not(None) if password_grant else disabled.is_(None)
    tx.execute(
        update(api_clients).where(match, stale).values(disabled_at=None if password_grant else now)
    )


def _ensure(
    tx: Tx, client_id: str, name: str, grants: list[str], redirects: list[str], now: datetime
) -> None:
    if tx.execute(select(api_clients.c.id).where(api_clients.c.client_id == client_id)).first():
        return
    values = {
        "client_id": client_id,
        "secret_hash": "",
        "name": name,
        "organisation_id": None,
        "roles": [],
        "scopes": list(SCOPES),
        "grants": grants,
        "public": True,
        "pkce": True,
        "redirect_uris": redirects,
        "created_at": now,
    }
    tx.execute(insert(api_clients), values)
    record(tx, Event("client.added", "system", f"client:{client_id}"), now=now)


def find_client(tx: Tx, client_id: str) -> Row[Any]:
    """The program with this client id; NotFound where there is none."""
    row = tx.execute(select(api_clients).where(api_clients.c.client_id == client_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no client {client_id!r}.")
    return row


_CLIENT = Prepared(select(api_clients).where(api_clients.c.client_id == bindparam("client_id")))


def enabled_client(tx: Tx, client_id: str) -> Any:
    """The row of the program with this client id; None where there is none or it is disabled."""
    if not CLIENT_ID.fullmatch(client_id):
        return None
    row = _CLIENT.one_or_none(tx, {"client_id": client_id})
    return None if row is None or row.disabled_at is not None else row


def rotate_client_secret(
    tx: Tx, client_id: str, *, box: SecretBox, actor: str, now: datetime
) -> NewClient:
    """Give a program a new secret; the former one is no good from now on.

    Access tokens that it has live on until they expire. NotFound: no such client; Conflict: it
    has no secret.
    """
    row = find_client(tx, client_id)
    if row.public:
        raise Conflict(
            f"The client {client_id!r} is public: it has no secret.",
            remedy="Shut it out with `entrepotd client disable`, if that is what is needed.",
        )
    secret = new_secret()
    values = {
        "secret_hash": hash_secret(secret),
        "assertion_key": _seal(secret, box) if row.assertion_key else None,
    }
    tx.execute(update(api_clients).where(api_clients.c.id == row.id).values(values))
    event = Event("client.secret-rotated", actor, f"client:{client_id}", row.organisation_id)
    record(tx, event, now=now)
    return NewClient(client_id, secret)


def disable_client(
    tx: Tx, client_id: str, *, disabled: bool = True, actor: str, now: datetime
) -> None:
    """Shut a program out (tokens and links die within seconds), or let it in again."""
    row = find_client(tx, client_id)
    tx.execute(
        update(api_clients)
        .where(api_clients.c.id == row.id)
        .values(disabled_at=now if disabled else None)
    )
    kind = "client.disabled" if disabled else "client.enabled"
    record(tx, Event(kind, actor, f"client:{client_id}", row.organisation_id), now=now)


def client_secret_matches(stored_hash: str, secret: str) -> bool:
    """Whether `secret` is the client's, compared in constant time."""
    return hmac.compare_digest(stored_hash, hash_secret(secret))
