"""What a sandbox holds, for scripts that go on from there and for people.

The JSON is one object: `url`, `jwks_url`, `users[]{id, email, password, organisation, roles,
token}`, `clients[]{client_id, client_secret, scopes}`, `apps[]{client_id, client_secret, scopes,
grants, redirect_uris, public, pkce}`, `products[]{id, code}`,
`entitlements[]{id, product_code, organisation, kind}`,
`artifacts[]{entitlement_id, release_id, artifact_id, file_name, sha256}`,
`assets[]{id, identifier, group, title, sha256}` and
`product_downloads[]{id, product_id, product_code, visibility, file, sha256}`.

Numbers of users, products and assets are JSON numbers; those of entitlements are strings, as the
entitlement API writes them. The artifacts are those that their entitlement gives now, newest
release first; those of a group come under the numbers of its children, and those of a licence
need its acceptance first. The assets are those that every organisation may have. Who is
disabled, or was added later, is not listed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    Principal,
    find_client,
    find_organisation,
    find_user,
    issue_token,
    load_user,
)
from entrepot.core.catalogue import find_product, list_products, title_in
from entrepot.core.catalogue.tables import assets, product_downloads, products
from entrepot.core.entitlements import (
    asset_condition,
    find_entitlement,
    granted_to,
    list_permitted_releases,
    permitted_entitlement,
)
from entrepot.daemon.sandbox._secrets import GrantKind, Secrets, read_secrets
from entrepot.db import Tx
from entrepot.errors import Denied, NotFound

JWKS_PATH = "/.well-known/jwks.json"
_PRODUCTS_MAX = 1000
_ASSETS_MAX = 1000
_SHOWN_MAX = 1000


class User(msgspec.Struct, frozen=True):
    """A person, with a token that is good for an hour from now."""

    id: int
    email: str
    password: str
    organisation: str
    roles: list[str]
    token: str


class Client(msgspec.Struct, frozen=True):
    """A machine."""

    client_id: str
    client_secret: str
    scopes: list[str]


class App(msgspec.Struct, frozen=True):
    """A program of OAuth: what it may do, and where it has people sent back to."""

    client_id: str
    client_secret: str  # '': it is public and has none
    scopes: list[str]
    grants: list[str]
    redirect_uris: list[str]
    public: bool
    pkce: bool


class Product(msgspec.Struct, frozen=True):
    """A product, by both of its names."""

    id: int
    code: str


class GrantedEntitlement(msgspec.Struct, frozen=True):
    """An entitlement and what it is there to show."""

    id: str
    product_code: str
    organisation: str
    kind: str


class DownloadableArtifact(msgspec.Struct, frozen=True):
    """A file, by the chain of ids that leads to it."""

    entitlement_id: str
    release_id: str
    artifact_id: str
    file_name: str
    sha256: str


class SampleAsset(msgspec.Struct, frozen=True):
    """A media asset that every organisation may have; `group` without its prefix: Images."""

    id: int
    identifier: str
    group: str
    title: str
    sha256: str


class ShownFile(msgspec.Struct, frozen=True):
    """A file that a product shows; `file` is its stable address."""

    id: int
    product_id: int
    product_code: str
    visibility: str
    file: str
    sha256: str


class Description(msgspec.Struct, frozen=True):
    """The whole sandbox."""

    url: str
    jwks_url: str
    users: list[User]
    clients: list[Client]
    apps: list[App]
    products: list[Product]
    entitlements: list[GrantedEntitlement]
    artifacts: list[DownloadableArtifact]
    assets: list[SampleAsset]
    product_downloads: list[ShownFile]


def describe_world(hub: Hub, data: Path) -> Description:
    """The sandbox in the folder `data`, whether its hub runs or not, with fresh tokens.

    The tokens are for the address of `hub`, which must be the one that is served.

    Conflict: the folder is no sandbox.
    """
    held, now, url = read_secrets(data), hub.now(), hub.policy.public_url
    with hub.database.read() as tx:
        people = _principals(tx, held)
        seen = {who.organisation_id: who for who in reversed(people.values())}
        return Description(
            url=url,
            jwks_url=url + JWKS_PATH,
            users=_users(hub, tx, held, people, now=now),
            clients=[
                Client(one.client_id, one.client_secret, list(row.scopes))
                for one in held.clients
                if (row := find_client(tx, one.client_id)).disabled_at is None
            ],
            apps=[
                App(
                    one.client_id,
                    one.client_secret,
                    list(row.scopes),
                    list(row.grants),
                    list(row.redirect_uris),
                    row.public,
                    row.pkce,
                )
                for one in held.apps
                if (row := find_client(tx, one.client_id)).disabled_at is None
            ],
            products=[Product(row.id, row.code) for row in list_products(tx, take=_PRODUCTS_MAX)],
            entitlements=[_entitlement(tx, given) for given in held.entitlements],
            artifacts=[
                artifact
                for given in held.entitlements
                for artifact in _artifacts(tx, seen, given.id, now=now)
            ],
            assets=_assets(hub, tx, list(seen.values()), now=now),
            product_downloads=_shown(tx, url),
        )


def _principals(tx: Tx, held: Secrets) -> dict[int, Principal]:
    people = {}
    for user in held.users:
        if find_user(tx, user.id).disabled_at is None:
            people[user.id] = load_user(tx, user.id)
    return people


def _users(
    hub: Hub, tx: Tx, held: Secrets, people: Mapping[int, Principal], *, now: datetime
) -> list[User]:
    return [
        User(
            id=user.id,
            email=who.email or "",
            password=user.password,
            organisation=who.organisation_name,
            roles=list(find_user(tx, user.id).roles),
            token=issue_token(
                tx,
                hub.keys.current,
                who,
                issuer=hub.policy.public_url,
                now=now,
                seconds=hub.policy.token_seconds,
            ).value,
        )
        for user in held.users
        if (who := people.get(user.id)) is not None
    ]


def _entitlement(tx: Tx, given: GrantKind) -> GrantedEntitlement:
    row = find_entitlement(tx, given.id)
    return GrantedEntitlement(
        id=str(given.id),
        product_code=find_product(tx, row.product_id).code,
        organisation=find_organisation(tx, row.organisation_id).name,
        kind=given.kind,
    )


def _artifacts(
    tx: Tx, seen: Mapping[int, Principal], number: int, *, now: datetime
) -> Iterator[DownloadableArtifact]:
    who = seen.get(find_entitlement(tx, number).organisation_id)
    if who is None:
        return
    for reference in _references(tx, who, number, now=now):
        try:
            releases, _ = list_permitted_releases(tx, who, reference, now=now)
        except (Denied, NotFound):
            continue  # ended since, or never one to download with: then it gives nothing
        for release in releases:
            for artifact in release.artifacts:
                yield DownloadableArtifact(
                    reference, release.id, artifact.id, artifact.file_name, artifact.sha256
                )


def _references(tx: Tx, who: Principal, number: int, *, now: datetime) -> Sequence[str]:
    found = permitted_entitlement(tx, who, str(number), now=now)
    return [str(child) for child, _ in found.children] or [str(number)]


def _assets(hub: Hub, tx: Tx, people: Sequence[Principal], *, now: datetime) -> list[SampleAsset]:
    """For one person of each organisation the same rules as for everyone."""
    granted = [granted_to(tx, who, embargoed=hub.policy.embargoed, now=now) for who in people]
    everyone = frozenset.intersection(*granted) if granted else frozenset[int]()
    query = select(assets).where(asset_condition(everyone)).order_by(assets.c.id)
    return [
        SampleAsset(row.id, row.identifier, row.media_group, title_in(row.title, None), row.sha256)
        for row in tx.execute(query.limit(_ASSETS_MAX))
    ]


def _shown(tx: Tx, url: str) -> list[ShownFile]:
    columns = product_downloads.c["id", "product_id", "visibility", "file_name", "sha256"]
    query = select(*columns, products.c.code).join(products).order_by(product_downloads.c.id)
    return [
        ShownFile(
            row.id,
            row.product_id,
            row.code,
            row.visibility,
            f"{url}/downloads/{row.id}/{quote(row.file_name, safe='')}",
            row.sha256,
        )
        for row in tx.execute(query.limit(_SHOWN_MAX))
    ]


def render_json(world: Description) -> str:
    """One JSON object, indented."""
    return msgspec.json.format(msgspec.json.encode(world), indent=2).decode()


def render_text(world: Description) -> str:
    """The same for people: tables of plain text, without the tokens, which are long."""
    people = [
        (user.email, user.password, user.organisation, ", ".join(user.roles))
        for user in world.users
    ]
    machines = [(one.client_id, one.client_secret, ", ".join(one.scopes)) for one in world.clients]
    apps = [
        (one.client_id, one.client_secret or "public", ", ".join(one.redirect_uris))
        for one in world.apps
    ]
    granted = [(one.id, one.product_code, one.kind, one.organisation) for one in world.entitlements]
    total = (
        f"{len(world.products)} products, {len(world.artifacts)} files to download, "
        f"{len(world.assets)} media assets to order."
    )
    return "\n".join(
        (
            f"Hub           {world.url}",
            f"Key set       {world.jwks_url}",
            "",
            *_table(("User", "Password", "Organisation", "Roles"), people),
            "",
            *_table(("Client", "Secret", "Scopes"), machines),
            "",
            *_table(("Program", "Secret", "Redirect address"), apps),
            "",
            *_table(("Entitlement", "Product", "Kind", "Organisation"), granted),
            "",
            f"{total} `--json` gives all of it, with fresh tokens.",
        )
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
