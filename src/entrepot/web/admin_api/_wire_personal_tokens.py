"""On the wire: personal access tokens."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from msgspec import Meta, field

from entrepot.web.admin_api._wire import Incoming, Moment, Wire
from entrepot.web.admin_api._wire_accounts import Scope

Scopes: TypeAlias = Annotated[list[Scope], Meta(min_length=1, max_length=20)]
Networks: TypeAlias = Annotated[
    list[Annotated[str, Meta(max_length=60, examples=["192.0.2.0/24"])]],
    Meta(description="Addresses or CIDR ranges, IPv4 or IPv6; none: anywhere.", max_length=20),
]


class NewPersonalToken(Incoming):
    """A token for CI: of which scopes, for how many days, from which addresses."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Scopes
    days: Annotated[int, Meta(ge=1, le=366)] = 90
    networks: Networks = field(default_factory=list)


class PersonalTokenItem(Wire):
    """A token; `used_at` is its last use, to the minute."""

    id: int
    user_id: int
    name: str
    scopes: list[str]
    networks: list[str]
    created_by: str
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None
    revoked_at: Moment | None


class PersonalTokenValue(Wire):
    """A token that was made; the value is shown this once: the hub keeps only its hash."""

    id: int
    user_id: int
    name: str
    scopes: list[str]
    networks: list[str]
    created_by: str
    created_at: Moment
    expires_at: Moment
    token: str


class PersonalTokenPage(Wire):
    """Tokens of one person, newest first: at most 50 that are alive, 50 that have ended."""

    total: int
    items: Sequence[PersonalTokenItem]
