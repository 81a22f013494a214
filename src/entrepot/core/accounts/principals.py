"""The caller of a verb, and what a role lets it do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, select

from entrepot.core.accounts.tables import api_clients, organisations, users
from entrepot.db import Prepared, Tx
from entrepot.errors import Denied, Invalid, Unauthenticated

CUSTOMER = "customer"
ORGANISATION_ADMIN = "organisation-admin"
PUBLISHER = "publisher"
OPERATOR = "operator"
ROLES = (CUSTOMER, ORGANISATION_ADMIN, PUBLISHER, OPERATOR)

# What a client may be limited to. A person's token carries all that the roles allow.
SCOPES = ("entitlements", "orders", "products", "products.readonly", "publish", "admin")
# What OAuth itself knows (OpenID Connect Core 1.0 sections 5.4 and 11). No verb asks for them.
OPENID_SCOPES = ("openid", "profile", "email", "offline_access")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person or a machine of one organisation.

    `country` is the ISO 3166-1 alpha-2 country by address where the operator has a source
    for it, else the organisation's. `scopes` limits the roles.
    """

    kind: Literal["user", "client"]
    id: int
    label: str  # user:<number> or client:<client id>, as the log has it
    display_name: str
    email: str | None
    organisation_id: int
    organisation_name: str
    roles: frozenset[str]
    scopes: frozenset[str]
    country: str

    @property
    def user_id(self) -> int | None:
        """The person's number; None for a machine."""
        return self.id if self.kind == "user" else None

    @property
    def api_client_id(self) -> int | None:
        """The machine's number; None for a person."""
        return self.id if self.kind == "client" else None


def check_roles(names: Iterable[str]) -> list[str]:
    """The roles in their fixed order, without repeats; Invalid names an unknown one."""
    wanted = set(names)
    unknown = sorted(wanted - set(ROLES))
    if unknown:
        raise Invalid(
            f"There is no role {unknown[0]!r}.",
            field="roles",
            remedy=f"Roles: {', '.join(ROLES)}.",
        )
    return [role for role in ROLES if role in wanted]


def check_scopes(names: Iterable[str]) -> list[str]:
    """The scopes in their fixed order, without repeats; Invalid names an unknown one."""
    wanted = set(names)
    unknown = sorted(wanted - set(SCOPES))
    if unknown:
        raise Invalid(
            f"There is no scope {unknown[0]!r}.",
            field="scopes",
            remedy=f"Scopes: {', '.join(SCOPES)}.",
        )
    return [scope for scope in SCOPES if scope in wanted]


def require_role(who: Principal, *roles: str, scope: str) -> None:
    """Denied unless `who` has one of `roles` and the token carries `scope`."""
    if not who.roles.intersection(roles):
        raise Denied(
            f"This needs the role {' or '.join(roles)}.",
            code="role-required",
            remedy="Ask an operator of this hub for the role.",
            details={"role": roles[0]},
        )
    require_scope(who, scope)


def require_scope(who: Principal, scope: str) -> None:
    """Denied unless the token carries `scope`."""
    if scope not in who.scopes:
        raise Denied(
            f"The access token does not carry the scope {scope!r}.",
            code="scope-required",
            remedy=f"Ask for a token with the scope {scope!r}.",
            details={"scope": scope},
        )


_USER = Prepared(
    select(users, organisations.c.country, organisations.c.name.label("organisation_name"))
    .join(organisations)
    .where(users.c.id == bindparam("user_id"))
)
_CLIENT = Prepared(
    select(api_clients, organisations.c.country, organisations.c.name.label("organisation_name"))
    .join(organisations)
    .where(api_clients.c.client_id == bindparam("client_id"))
)


def load_user(
    tx: Tx, user_id: int, *, country: str | None = None, scopes: Iterable[str] = SCOPES
) -> Principal:
    """The person with this number; Unauthenticated where there is none or it is disabled."""
    row = _USER.one_or_none(tx, {"user_id": user_id})
    _require_enabled(row)
    return Principal(
        kind="user",
        id=row.id,
        label=f"user:{row.id}",
        display_name=f"{row.given_name} {row.family_name}".strip(),
        email=row.email,
        organisation_id=row.organisation_id,
        organisation_name=row.organisation_name,
        roles=frozenset(row.roles),
        scopes=frozenset(scopes),
        country=country or row.country,
    )


def load_client(
    tx: Tx, client_id: str, *, country: str | None = None, scopes: Iterable[str] = ()
) -> Principal:
    """The machine with this client id and those of `scopes` that it is registered with."""
    row = _CLIENT.one_or_none(tx, {"client_id": client_id})
    _require_enabled(row)
    return Principal(
        kind="client",
        id=row.id,
        label=f"client:{row.client_id}",
        display_name=row.name,
        email=None,
        organisation_id=row.organisation_id,
        organisation_name=row.organisation_name,
        roles=frozenset(row.roles),
        scopes=frozenset(scopes).intersection(row.scopes),
        country=country or row.country,
    )


def _require_enabled(row: Any) -> None:
    if row is None or row.disabled_at is not None:
        raise Unauthenticated(
            "The account behind this token does not exist or is disabled.",
            code="account-disabled",
            remedy="Sign in with another account, or ask an operator of this hub.",
        )
