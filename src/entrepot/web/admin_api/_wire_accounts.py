"""On the wire: organisations, people and machines."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from entrepot.kit.text import LINE_LENGTH_MAX
from entrepot.web.admin_api._wire import Country, Incoming, Line, Moment, Owner, Wire

ClientId: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Password: TypeAlias = Annotated[str, Meta(min_length=12, max_length=256)]
Grant: TypeAlias = Literal[
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
]
RedirectUri: TypeAlias = Annotated[
    str, Meta(max_length=1000, examples=["https://app.example.com/callback"])
]
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
    """A program that gets tokens. Without `grants` it gets those that fit what else is said.

    `public`: it runs on people's machines and has no secret. `pkce` false is for an old program
    that knows no PKCE. `redirect_uris`: https, or http on 127.0.0.1 and [::1] with any port.
    """

    client_id: ClientId
    name: Line
    organisation: Owner
    scopes: list[Scope]
    roles: list[Role] = field(default_factory=lambda: ["customer"])
    grants: Annotated[list[Grant], Meta(max_length=5)] = field(default_factory=list)
    redirect_uris: Annotated[list[RedirectUri], Meta(max_length=20)] = field(default_factory=list)
    public: bool = False
    pkce: bool = True


class ClientItem(Wire):
    """A program; `disabled_at` is null for one that may come in.

    Public ones that came with the hub have no organisation.
    """

    client_id: str
    name: str
    organisation_id: int | None
    organisation_name: str | None
    roles: list[str]
    scopes: list[str]
    grants: list[str]
    redirect_uris: list[str]
    public: bool
    pkce: bool
    disabled_at: Moment | None
    created_at: Moment


class ClientPage(Wire):
    """Programs by client id."""

    total: int
    items: Sequence[ClientItem]


class ClientSecret(Wire):
    """The secret is shown this once; a public client has none (null)."""

    client_id: str
    client_secret: str | None
