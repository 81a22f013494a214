"""Media assets: one file each, with titles, a place, and who may have it.

Who may have an asset is said by its visibility: `public` for everyone who signs in, `entitled`
for those whom an entitlement gives its product (entrepot.core.entitlements decides).

A deleted asset keeps its row, and so its number and identifier, until it is purged: nobody
sees it, orders placed before still deliver it.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from entrepot.blobs import Digests
from entrepot.core.catalogue.intake import remember_blob, remember_blobs
from entrepot.core.catalogue.media_types import MEDIA_GROUPS, media_group_of
from entrepot.core.catalogue.products import find_product
from entrepot.core.catalogue.releases import refuse_group
from entrepot.core.catalogue.tables import assets, blobs, former_files, products
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.file_names import check_file_name
from entrepot.kit.ids import parse_number
from entrepot.kit.text import LINE_LENGTH_MAX, check_line, is_storable

PUBLIC, ENTITLED = "public", "entitled"
VISIBILITIES = (PUBLIC, ENTITLED)
DEFAULT_CULTURE = "en-US"
TITLES_MAX = 50  # cultures of one asset
FOLDER_BYTES_MAX = 1000
FOLDER_DEPTH_MAX = 32
BATCH_MAX = 200  # assets added, or purged, in one transaction
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", re.ASCII)
_CULTURE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AssetSpec:
    """What a publisher says of an asset.

    `titles` are by culture (`en-US`); none: the file's name without its ending. `folder` is ''
    or 'a/b'. Without an `identifier` one is made. `product` is a code or a number; an asset that
    is not public has one.
    """

    file_name: str
    titles: Mapping[str, str] = field(default_factory=dict)
    identifier: str | None = None
    folder: str = ""
    visibility: str = ENTITLED
    product: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes are stored, and what was found in them.

    `note` says why the facts of a file are not known, for the publisher.
    """

    digests: Digests
    content_type: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Conditions that all hold. `folder` includes what lies below; `product` code or number."""

    product: str | None = None
    media_group: str | None = None
    visibility: str | None = None
    folder: str | None = None
    deleted: bool = False


def new_identifier() -> str:
    """A random identifier, 120 bits: `a` and 30 hexadecimal digits, so never a number."""
    return f"a{secrets.token_hex(15)}"


def check_identifier(identifier: str) -> str:
    """An asset's identifier; Invalid where it is none."""
    if not _IDENTIFIER.fullmatch(identifier) or identifier.isdigit():
        raise Invalid(
            f"{identifier[:40]!r} is no identifier of an asset.",
            field="identifier",
            remedy="Use 1 to 128 of A-Z, a-z, 0-9, '.', '_', '~' and '-', with a letter in it.",
        )
    return identifier


def check_culture(culture: str, *, field: str) -> str:
    """A culture in its usual spelling, such as en-US or zh-Hans; Invalid names `field`."""
    if not _CULTURE.fullmatch(culture):
        raise Invalid(
            f"{culture[:40]!r} is no culture.", field=field, remedy="Write en-US, de or zh-Hans."
        )
    first, *more = culture.split("-")
    spelt = [part.upper() if len(part) == 2 else part.title() for part in more]
    return "-".join([first.lower(), *spelt])


def check_folder(folder: str) -> str:
    """'' or 'a/b', of names that are safe everywhere; Invalid otherwise."""
    trimmed = folder.strip("/")
    if not trimmed:
        return ""
    parts = [check_file_name(part, field="folder") for part in trimmed.split("/")]
    joined = "/".join(parts)
    if len(parts) > FOLDER_DEPTH_MAX or len(joined.encode()) > FOLDER_BYTES_MAX:
        raise Invalid(
            f"A folder has at most {FOLDER_DEPTH_MAX} levels and {FOLDER_BYTES_MAX} bytes.",
            field="folder",
        )
    return joined


def asset_values(spec: AssetSpec) -> dict[str, Any]:
    """What is said of an asset, checked, by column, but for its product; Invalid names the field.

    `identifier` is None where one is to be made.
    """
    if spec.visibility not in VISIBILITIES:
        raise Invalid(
            f"There is no visibility {spec.visibility!r}.",
            field="visibility",
            remedy=f"Visibilities: {', '.join(VISIBILITIES)}.",
        )
    if spec.visibility == ENTITLED and spec.product is None:
        raise Invalid(
            "It is not said who may have the asset.",
            field="product",
            remedy="Name the product whose entitlements give it, or make it public.",
        )
    file_name = check_file_name(spec.file_name, field="file_name")
    return {
        "identifier": None if spec.identifier is None else check_identifier(spec.identifier),
        "title": _titles(spec.titles, file_name),
        "folder": check_folder(spec.folder),
        "file_name": file_name,
        "visibility": spec.visibility,
    }


def _titles(told: Mapping[str, str], file_name: str) -> dict[str, str]:
    if len(told) > TITLES_MAX:
        raise Invalid(f"An asset has titles in at most {TITLES_MAX} cultures.", field="title")
    titles = {
        check_culture(culture, field="title"): check_line(title, field="title")
        for culture, title in told.items()
    }
    if titles:
        return dict(sorted(titles.items()))
    stem = file_name.rpartition(".")[0] or file_name
    return {DEFAULT_CULTURE: stem[:LINE_LENGTH_MAX].strip() or file_name[:LINE_LENGTH_MAX]}


def title_in(titles: Mapping[str, str], culture: str | None) -> str:
    """The title in a culture; else in its language, in the default culture, or in any."""
    if culture is not None:
        language = culture.partition("-")[0].lower()
        for each, title in titles.items():
            if each.lower() == culture.lower():
                return title
        for each, title in titles.items():
            if each.partition("-")[0].lower() == language:
                return title
    return titles.get(DEFAULT_CULTURE) or next(iter(titles.values()), "")


def add_asset(tx: Tx, spec: AssetSpec, stored: StoredFile, *, actor: str, now: datetime) -> int:
    """Add one asset, whose bytes are stored already; returns its number."""
    return add_assets(tx, [(spec, stored)], actor=actor, now=now)[0]


_INSERT_EACH = insert(assets).returning(assets.c.id, assets.c.identifier)


def add_assets(
    tx: Tx, batch: Sequence[tuple[AssetSpec, StoredFile]], *, actor: str, now: datetime
) -> list[int]:
    """Add up to BATCH_MAX assets, all or none; returns their numbers in the order given.

    The bytes must be held (`hold_bytes`) where somebody might drop them. Conflict
    (identifier-taken): an identifier is in use, be it by a deleted asset.
    """
    if len(batch) > BATCH_MAX:
        raise Invalid(f"At most {BATCH_MAX} assets are added at once.", field="files")
    if not batch:
        return []
    owners: dict[str, int] = {}
    rows = [_row(tx, owners, spec, stored, now=now) for spec, stored in batch]
    _require_free(tx, [row["identifier"] for row in rows])
    remember_blobs(tx, [stored.digests for _, stored in batch], now=now)
    try:
        with tx.begin_nested():
            numbers = {row.identifier: int(row.id) for row in tx.execute(_INSERT_EACH, rows)}
    except IntegrityError as error:
        raise _taken("One of the identifiers") from error
    for row, (_, stored) in zip(rows, batch, strict=True):
        _tell(tx, "asset.added", numbers[row["identifier"]], stored, actor=actor, now=now)
    return [numbers[row["identifier"]] for row in rows]


def _row(
    tx: Tx, owners: dict[str, int], spec: AssetSpec, stored: StoredFile, *, now: datetime
) -> dict[str, Any]:
    values = asset_values(spec)
    values["identifier"] = values["identifier"] or new_identifier()
    if spec.product is not None and spec.product not in owners:
        owners[spec.product] = product_of_assets(tx, spec.product)
    owner = None if spec.product is None else owners[spec.product]
    times = {"created_at": now, "changed_at": now}
    return values | _of_file(stored) | times | {"product_id": owner}


def check_asset(tx: Tx, spec: AssetSpec, *, fresh: bool = True) -> None:
    """Invalid or Conflict where `spec` cannot be added: to be asked before bytes are stored.

    `fresh`: it is not the asset itself that may have the identifier.
    """
    values = asset_values(spec)
    if spec.product is not None:
        product_of_assets(tx, spec.product)
    if fresh and values["identifier"] is not None:
        _require_free(tx, [values["identifier"]])


def product_of_assets(tx: Tx, reference: str) -> int:
    """The number of a product that assets can belong to; Invalid where it is none."""
    try:
        product = find_product(tx, reference)
    except NotFound as error:
        raise Invalid(error.message, field="product") from error
    refuse_group(product)
    return int(product.id)


def _of_file(stored: StoredFile) -> dict[str, Any]:
    return {
        "media_group": media_group_of(stored.content_type),
        "content_type": stored.content_type,
        "sha256": stored.digests.sha256,
        "facts": dict(stored.facts),
    }


def _require_free(tx: Tx, identifiers: Sequence[str]) -> None:
    if len(set(identifiers)) < len(identifiers):
        raise _taken(next(repr(each) for each in identifiers if identifiers.count(each) > 1))
    query = select(assets.c.identifier).where(assets.c.identifier.in_(identifiers)).limit(1)
    taken = tx.execute(query).scalar()
    if taken is not None:
        raise _taken(repr(taken))


def _taken(what: str) -> Conflict:
    return Conflict(
        f"{what} is the identifier of another asset.",
        code="identifier-taken",
        remedy="Choose another; those of deleted assets stay theirs.",
    )


def _tell(tx: Tx, kind: str, number: int, stored: StoredFile, *, actor: str, now: datetime) -> None:
    data = {"sha256": stored.digests.sha256, "content_type": stored.content_type}
    if stored.note is not None:
        data["note"] = stored.note
    record(tx, Event(kind, actor, f"asset:{number}", data=data), now=now)


def find_same(tx: Tx, wanted: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    """(SHA-256, folder, file name) -> the asset that is there already with just these."""
    key = (assets.c.sha256, assets.c.folder, assets.c.file_name)
    found: dict[tuple[str, str, str], int] = {}
    for start in range(0, len(wanted), BATCH_MAX):
        query = (
            select(*key, func.min(assets.c.id).label("id"))
            .where(tuple_(*key).in_(wanted[start : start + BATCH_MAX]))
            .where(assets.c.deleted_at.is_(None))
            .group_by(*key)
        )
        for row in tx.execute(query):
            found[row.sha256, row.folder, row.file_name] = row.id
    return found


_ASSETS = (
    select(
        assets,
        products.c.code.label("product_code"),
        blobs.c.size,
        blobs.c.md5,
        blobs.c.crc32,
    )
    .select_from(assets)
    .outerjoin(products, products.c.id == assets.c.product_id)
    .join(blobs, blobs.c.sha256 == assets.c.sha256)
)


def find_asset(tx: Tx, reference: str | int, *, lock: bool = False) -> Row[Any]:
    """The asset with this number or identifier, with `product_code`, size and digests.

    NotFound where there is none, or where it is deleted. `lock`: nobody else changes it until
    the transaction ends.
    """
    text = str(reference)
    number = parse_number(text)
    match = assets.c.identifier == text if number is None else assets.c.id == number
    query = _ASSETS.where(match, assets.c.deleted_at.is_(None))
    query = query.with_for_update(of=assets) if lock else query
    row = tx.execute(query).one_or_none() if is_storable(text) else None
    if row is None:
        raise NotFound(f"There is no asset {text[:128]!r}.")
    return row


def list_assets(
    tx: Tx,
    wanted: AssetFilter = AssetFilter(),
    *,
    skip: int = 0,
    take: int = 100,
) -> list[Row[Any]]:
    """Assets by number, as `find_asset` gives them: the publisher's view."""
    page = (
        select(assets.c.id)
        .where(*_conditions(tx, wanted))
        .order_by(assets.c.id)
        .offset(skip)
        .limit(take)
        .subquery()
    )
    return list(tx.execute(_ASSETS.join(page, page.c.id == assets.c.id).order_by(assets.c.id)))


def count_assets(tx: Tx, wanted: AssetFilter = AssetFilter()) -> int:
    """How many `list_assets` would give without a limit."""
    query = select(func.count()).select_from(assets).where(*_conditions(tx, wanted))
    return tx.execute(query).scalar_one()


def _conditions(tx: Tx, wanted: AssetFilter) -> list[ColumnElement[bool]]:
    gone = assets.c.deleted_at.is_not(None) if wanted.deleted else assets.c.deleted_at.is_(None)
    found: list[ColumnElement[bool]] = [gone]
    if wanted.product is not None:
        found.append(assets.c.product_id == find_product(tx, wanted.product).id)
    if wanted.media_group is not None:
        found.append(assets.c.media_group == _check_group(wanted.media_group))
    if wanted.visibility is not None:
        found.append(assets.c.visibility == wanted.visibility)
    if wanted.folder:
        folder = check_folder(wanted.folder)
        # '0' follows '/': what lies below, in words that an index and both databases know.
        below = (assets.c.folder > f"{folder}/") & (assets.c.folder < f"{folder}0")
        found.append((assets.c.folder == folder) | below)
    return found


def _check_group(name: str) -> str:
    names = [group.name for group in MEDIA_GROUPS]
    for known in names:
        if known.lower() == name.lower():
            return known
    raise Invalid(
        f"There is no media group {name[:40]!r}.",
        field="group",
        remedy=f"Groups: {', '.join(names)}.",
    )


def describe_asset(tx: Tx, reference: str | int) -> AssetSpec:
    """What is said of an asset now, to be changed in part and given to `change_asset`."""
    row = find_asset(tx, reference)
    return AssetSpec(
        file_name=row.file_name,
        titles=row.title,
        identifier=row.identifier,
        folder=row.folder,
        visibility=row.visibility,
        product=None if row.product_id is None else str(row.product_id),
    )


def change_asset(
    tx: Tx, reference: str | int, spec: AssetSpec, *, actor: str, now: datetime
) -> int:
    """Replace all that is said of an asset; number, identifier and bytes stay. Its number."""
    row = find_asset(tx, reference, lock=True)
    if spec.identifier not in (None, row.identifier):
        raise Conflict("The identifier of an asset never changes.", code="identifier-fixed")
    values = asset_values(spec)
    del values["identifier"]
    values["product_id"] = None if spec.product is None else product_of_assets(tx, spec.product)
    tx.execute(update(assets).where(assets.c.id == row.id).values(**values, changed_at=now))
    record(tx, Event("asset.changed", actor, f"asset:{row.id}"), now=now)
    return int(row.id)


def replace_asset_file(
    tx: Tx,
    reference: str | int,
    stored: StoredFile,
    *,
    file_name: str | None = None,
    actor: str,
    now: datetime,
) -> str:
    """Give an asset another file; returns the identity of the bytes before.

    Orders placed before deliver the file as it was.
    """
    row = find_asset(tx, reference, lock=True)
    name = row.file_name if file_name is None else check_file_name(file_name, field="file_name")
    remember_blob(tx, stored.digests, now=now)
    values = _of_file(stored) | {"file_name": name, "changed_at": now}
    tx.execute(update(assets).where(assets.c.id == row.id).values(**values))
    if row.sha256 != stored.digests.sha256:
        _leave(tx, [(row.id, row.sha256, now)])
    _tell(tx, "asset.replaced", row.id, stored, actor=actor, now=now)
    return str(row.sha256)


def _leave(tx: Tx, files: Sequence[tuple[int, str, datetime]]) -> None:
    """Hold the bytes of files that assets had until a moment, for orders placed before it."""
    rows = [
        {"asset_id": asset, "sha256": sha256, "left_at": left_at}
        for asset, sha256, left_at in files
    ]
    if rows:
        tx.execute(insert(former_files), rows)


def delete_asset(tx: Tx, reference: str | int, *, actor: str, now: datetime) -> int:
    """Take an asset away from everyone; its number. Its bytes stay until it is purged."""
    row = find_asset(tx, reference, lock=True)
    tx.execute(update(assets).where(assets.c.id == row.id).values(deleted_at=now, changed_at=now))
    record(tx, Event("asset.deleted", actor, f"asset:{row.id}"), now=now)
    return int(row.id)


def purge_assets(tx: Tx, *, deleted_before: datetime, take: int = BATCH_MAX) -> list[str]:
    """Remove the rows of up to `take` assets deleted before a moment; their bytes' identities.

    Renditions that customers kept of them go with them. The bytes stay while an order needs them.
    """
    long_gone = (
        select(assets.c.id)
        .where(assets.c.deleted_at < deleted_before)
        .order_by(assets.c.id)
        .limit(take)
    )
    removed = tx.execute(
        delete(assets)
        .where(assets.c.id.in_(long_gone))
        .returning(*assets.c["id", "sha256", "deleted_at"])
    ).all()
    _leave(tx, [(row.id, row.sha256, row.deleted_at) for row in removed])
    return [row.sha256 for row in removed]
