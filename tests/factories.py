"""Ready-made objects for tests, with sensible defaults; everything goes through the real verbs."""

import hashlib
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from entrepot.blobs import BlobStore, Digests
from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.accounts import Principal
from entrepot.db import Tx

NOW = datetime(2026, 6, 15, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OPERATOR = "operator"
PASSWORD = "correct horse battery staple"
_serial = count(1)


def digests_of(data: bytes) -> Digests:
    """The digests that a store would give for `data`."""
    return Digests(
        hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(), zlib.crc32(data), len(data)
    )


def add_organisation(tx: Tx, name: str = "", country: str = "DE") -> int:
    """An organisation of its own."""
    unique = name or f"Organisation {next(_serial)}"
    return accounts.add_organisation(tx, name=unique, country=country, actor=OPERATOR, now=NOW)


def add_user(
    tx: Tx,
    organisation_id: int,
    *,
    roles: Sequence[str] = (accounts.CUSTOMER,),
    password: str | None = None,
    email: str = "",
) -> Principal:
    """A person of the organisation. Without a password no slow hash is made."""
    user_id = accounts.add_user(
        tx,
        email=email or f"user{next(_serial)}@example.com",
        given_name="Ada",
        family_name="Lovelace",
        organisation_id=organisation_id,
        roles=roles,
        password=None if password is None else accounts.hash_password(password),
        actor=OPERATOR,
        now=NOW,
    )
    return accounts.load_user(tx, user_id)


def add_client(
    tx: Tx, organisation_id: int, *, scopes: Sequence[str] = ("entitlements",)
) -> tuple[Principal, str]:
    """A machine of the organisation, and its secret."""
    new = accounts.add_client(
        tx,
        client_id=f"client-{next(_serial)}",
        name="A machine",
        organisation_id=organisation_id,
        scopes=scopes,
        actor=OPERATOR,
        now=NOW,
    )
    return accounts.load_client(tx, new.client_id, scopes=scopes), new.secret


def add_product(tx: Tx, code: str = "", **values: object) -> str:
    """A product; returns its code."""
    unique = code or f"PR{next(_serial):03d}"
    spec = catalogue.ProductSpec(code=unique, name=f"Product {unique}")
    spec = replace(spec, **values)  # type: ignore[arg-type]
    catalogue.add_product(tx, spec, actor=OPERATOR, now=NOW)
    return unique


@dataclass(frozen=True, slots=True)
class Published:
    """A release made by `add_release`."""

    id: str
    artifact_ids: tuple[str, ...]


def add_release(
    tx: Tx,
    product: str,
    *,
    name: str = "",
    files: Sequence[tuple[str, bytes]] = (("file.bin", b"bytes"),),
    available_at: datetime = NOW - DAY,
    quality: str = "EAC",
    repository: str = "general",
    draft: bool = False,
    store: BlobStore | None = None,
) -> Published:
    """A release with files; their bytes are stored only where a store is given."""
    found = catalogue.find_product(tx, product)
    unique = name or f"1.{next(_serial)}"
    spec = catalogue.ReleaseSpec(name=unique, quality=quality)
    release_id = catalogue.create_release(tx, found.id, spec, actor=OPERATOR, now=NOW)
    artifact_ids = [
        catalogue.add_artifact(
            tx,
            release_id,
            catalogue.ArtifactSpec(file_name=file_name, repository=repository),
            store.ingest(io.BytesIO(data)) if store else digests_of(data),
            actor=OPERATOR,
            now=NOW,
        )
        for file_name, data in files
    ]
    if not draft:
        catalogue.make_available(tx, release_id, available_at=available_at, actor=OPERATOR, now=NOW)
    return Published(release_id, tuple(artifact_ids))


def add_asset(
    tx: Tx,
    product: str | None = None,
    *,
    data: bytes = b"",
    file_name: str = "",
    content_type: str = "",
    store: BlobStore | None = None,
    facts: Mapping[str, object] | None = None,
    **values: object,
) -> int:
    """An asset of `product`, else a public one; returns its number.

    Without `data` its bytes are its own. They are stored only where a store is given.
    """
    serial = next(_serial)
    name = file_name or f"file{serial}.txt"
    content = data or f"bytes {serial}".encode()
    spec = catalogue.AssetSpec(
        name, visibility=catalogue.ENTITLED if product else catalogue.PUBLIC, product=product
    )
    spec = replace(spec, **values)  # type: ignore[arg-type]
    stored = catalogue.StoredFile(
        store.ingest(io.BytesIO(content)) if store else digests_of(content),
        content_type or catalogue.sniff(content, name),
        dict(facts or {}),
    )
    return catalogue.add_asset(tx, spec, stored, actor=OPERATOR, now=NOW)


def grant(tx: Tx, organisation_id: int, product: str, **values: object) -> int:
    """An entitlement, valid for a year unless told otherwise; returns its number."""
    given = entitlements.Grant(product=product, valid_from=NOW - 365 * DAY)
    given = replace(given, **values)  # type: ignore[arg-type]
    return entitlements.grant(tx, organisation_id, given, again=True, actor=OPERATOR, now=NOW)


def add_product_download(
    tx: Tx,
    product: str,
    *,
    data: bytes = b"",
    file_name: str = "",
    visibility: str = catalogue.PUBLIC,
    title: str | None = None,
    place: catalogue.Place | None = None,
    store: BlobStore | None = None,
    user_id: int | None = None,
) -> int:
    """A file that `product` shows; returns its number. Its bytes are stored with a store only."""
    serial = next(_serial)
    name = file_name or f"sheet{serial}.txt"
    content = data or f"bytes {serial}".encode()
    digests = store.ingest(io.BytesIO(content)) if store else digests_of(content)
    stored = catalogue.StoredFile(digests, catalogue.sniff(content, name))
    return catalogue.add_product_download(
        tx,
        product,
        {"title": title, "visibility": visibility},
        catalogue.DownloadFile(stored, name),
        place=place,
        actor=OPERATOR,
        user_id=user_id,
        now=NOW,
    )
