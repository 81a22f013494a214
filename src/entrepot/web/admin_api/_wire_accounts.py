"""On the wire: organisations, people and machines."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from entrepot.kit.text import LINE_LENGTH_MAX
from entrepot.web.admin_api._wire import Country, Incoming, Line, Moment, Owner, Wire

ClientId: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Password: TypeAlias = Annotated[str, Meta(min_length=12, max_length=256)]
Role: TypeAlias = Literal["customer", "organisation-admin", "publisher", "operator"]
Scope: TypeAlias = Literal[
    "entitlements", "orders", "products", "products.readonly", "publish", "admin"
]


class NewOrganisation(Incoming):
    """An organisation; its name is unique."""

    name: Line
    country: Country


class OrganisationItem(Wire):
    """An organisation; a blocked one downloads nothing."""

    id: int
    name: str
    country: str
    blocked: bool
    created_at: Moment


class OrganisationPage(Wire):
    """Organisations by number."""

    total: int
    items: Sequence[OrganisationItem]


class NewUser(Incoming):
    """A person. Without a password the person cannot sign in by one."""

    email: Annotated[str, Meta(max_length=254, examples=["ada@example.com"])]
    given_name: Line
    organisation: Owner
    family_name: Annotated[str, Meta(max_length=LINE_LENGTH_MAX)] = ""
    roles: list[Role] = field(default_factory=lambda: ["customer"])
    password: Password | None = None


class Roles(Incoming):
    """All the roles of a person from now on."""

    roles: list[Role]


class NewPassword(Incoming):
    """A password; every open session of the person ends."""

    password: Password


class UserItem(Wire):
    """A person; `disabled_at` is null for one who may come in."""

    id: int
    email: str
    given_name: str
    family_name: str
    organisation_id: int
    organisation_name: str
    roles: list[str]
    has_password: bool
    disabled_at: Moment | None
    created_at: Moment


class UserPage(Wire):
    """People by number."""

    total: int
    items: Sequence[UserItem]


class NewClient(Incoming):
    """A machine that signs in by client credentials."""

    client_id: ClientId
    name: Line
    organisation: Owner
    scopes: list[Scope]
    roles: list[Role] = field(default_factory=lambda: ["customer"])


class ClientItem(Wire):
    """A machine; `disabled_at` is null for one that may come in."""

    client_id: str
    name: str
    organisation_id: int
    organisation_name: str
    roles: list[str]
    scopes: list[str]
    disabled_at: Moment | None
    created_at: Moment


class ClientPage(Wire):
    """Machines by client id."""

    total: int
    items: Sequence[ClientItem]


class ClientSecret(Wire):
    """The secret is shown this once: the hub keeps only its hash."""

    client_id: str
    client_secret: str
