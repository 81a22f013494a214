"""Files that are shown with a product, as a shop lists them: data sheets, manuals, drivers.

They are no releases: each stands for itself, at its place in the product's sequence, and its
visibility says who may have it: `public` anybody, `contact` whoever is signed in or has left
name and address, `purchase` those whom an entitlement gives the product
(entrepot.core.entitlements decides).

The sequence of a product's downloads counts from 1 without gaps: those who add, move and remove
downloads of one product take turns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from entrepot.core.catalogue.assets import PUBLIC, StoredFile, check_folder
from entrepot.core.catalogue.intake import remember_blob
from entrepot.core.catalogue.products import find_product
from entrepot.core.catalogue.tables import blobs, product_downloads, products
from entrepot.core.events import Event, record
from entrepot.db import Prepared, Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.file_names import check_file_name
from entrepot.kit.text import check_line, check_text

CONTACT, PURCHASE = "contact", "purchase"
DOWNLOAD_VISIBILITIES = (PUBLIC, CONTACT, PURCHASE)
TITLE_LENGTH_MAX = 80
DESCRIPTION_LENGTH_MAX = 20_000
PRODUCT_DOWNLOADS_MAX = 5_000  # of one product: a move writes the rows between


@dataclass(frozen=True, slots=True)
class DownloadFile:
    """The file of a download; its bytes are stored already.

    `directory` is '' or 'a/b' and only noted; `source_url` is where the file was fetched from.
    """

    stored: StoredFile
    file_name: str
    directory: str = ""
    source_url: str | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """A place beside others: `before` and `after` the download `download_id` of the product."""

    where: Literal["first", "last", "before", "after"]
    download_id: int | None = None


Place: TypeAlias = int | Placement
"""Where a download goes: a number of the sequence (beyond the end: last), or a placement."""


def download_values(said: Mapping[str, str | None]) -> dict[str, Any]:
    """What is said of a download, checked, by column: `title`, `description`, `visibility`, and
    `file_name` and `directory` of the file that it has.

    Invalid names the field. An empty title or description is none.
    """
    values: dict[str, Any] = {}
    if "title" in said:
        title = said["title"] or None
        values["title"] = title and check_line(title, field="title", length_max=TITLE_LENGTH_MAX)
    if "description" in said:
        text = said["description"] or None
        values["description"] = text and check_text(
            text, field="description", length_max=DESCRIPTION_LENGTH_MAX
        )
    if "visibility" in said:
        values["visibility"] = _check_visibility(said["visibility"])
    if "file_name" in said:
        values["file_name"] = check_file_name(said["file_name"] or "", field="filename")
    if "directory" in said:
        values["directory"] = check_directory(said["directory"] or "")
    return values


def _check_visibility(visibility: str | None) -> str:
    if visibility not in DOWNLOAD_VISIBILITIES:
        raise Invalid(
            "There is no such visibility.",
            field="visibility",
            remedy=f"Visibilities: {', '.join(DOWNLOAD_VISIBILITIES)}.",
        )
    return visibility


def check_directory(directory: str) -> str:
    """'' or 'a/b', of names that are safe everywhere; Invalid otherwise."""
    try:
        return check_folder(directory)
    except Invalid as error:
        raise Invalid(error.message, field="directory", code=error.code) from error


def add_product_download(
    tx: Tx,
    product: str | int,
    said: Mapping[str, str | None],
    file: DownloadFile,
    *,
    place: Place | None = None,
    actor: str,
    user_id: int | None = None,
    now: datetime,
) -> int:
    """Add a download to a product; returns its number. Without a `place` it goes last.

    The bytes must be held (`hold_bytes`) where somebody might drop them. Conflict
    (`downloads-full`): the product has as many as one takes.
    """
    product_id: int = find_product(tx, product).id
    count = _take_turn(tx, product_id)
    if count >= PRODUCT_DOWNLOADS_MAX:
        raise Conflict(
            f"The product has {count} downloads, and a product takes no more.",
            code="downloads-full",
            remedy="Remove some first.",
        )
    sequence = _resolved(tx, product_id, place, last=count + 1)
    _shift(tx, product_id, sequence, count, by=1)
    values = {"title": None, "description": None, "visibility": PUBLIC}
    values |= download_values(said) | _file_values(tx, file, now)
    number: int = tx.execute(
        insert(product_downloads).returning(product_downloads.c.id),
        {
            **values,
            "product_id": product_id,
            "sequence": sequence,
            "created_at": now,
            "created_by": user_id,
            "changed_at": now,
            "changed_by": user_id,
        },
    ).scalar_one()
    _record(tx, "added", number, product_id, actor, now, visibility=values["visibility"])
    return number


def change_product_download(
    tx: Tx,
    product_id: int,
    download_id: int,
    said: Mapping[str, str | None],
    *,
    file: DownloadFile | None = None,
    place: Place | None = None,
    actor: str,
    user_id: int | None = None,
    now: datetime,
) -> None:
    """Change what is said, the file, or the place of a download; what is not given stays.

    Those that make room for it do not count as changed.
    """
    count = _take_turn(tx, product_id)
    row = find_product_download(tx, download_id, product_id=product_id)
    values = download_values(said)
    if file is not None:
        values |= _file_values(tx, file, now)
    if place is not None:
        values["sequence"] = _move(tx, row, place, count)
    values |= {"changed_at": now, "changed_by": user_id}
    one = product_downloads.c.id == row.id
    tx.execute(update(product_downloads).where(one).values(**values))
    changed = sorted(values.keys() - {"changed_at", "changed_by"})
    _record(tx, "changed", row.id, product_id, actor, now, changed=changed)


def remove_product_download(
    tx: Tx, product_id: int, download_id: int, *, actor: str, now: datetime
) -> None:
    """Take a download away; those after it move up. Sweeping gives its bytes back later."""
    count = _take_turn(tx, product_id)
    row = find_product_download(tx, download_id, product_id=product_id)
    tx.execute(delete(product_downloads).where(product_downloads.c.id == row.id))
    _shift(tx, product_id, row.sequence + 1, count, by=-1)
    _record(tx, "removed", row.id, product_id, actor, now)


_ONE = Prepared(
    select(
        product_downloads,
        blobs.c.size,
        blobs.c.created_at.label("stored_at"),
        products.c.code.label("product_code"),
        products.c.listed.label("product_listed"),
    )
    .join(blobs, blobs.c.sha256 == product_downloads.c.sha256)
    .join(products, products.c.id == product_downloads.c.product_id)
    .where(product_downloads.c.id == bindparam("download_id", type_=product_downloads.c.id.type))
)


def find_product_download(tx: Tx, download_id: int, *, product_id: int | None = None) -> Any:
    """The download with this number, of that product if one is named; NotFound otherwise.

    A row of the table, with `size`, `stored_at`, `product_code` and `product_listed`.
    """
    row = _ONE.one_or_none(tx, {"download_id": download_id})
    if row is None or product_id not in (None, row.product_id):
        raise NotFound
    return row


def _file_values(tx: Tx, file: DownloadFile, now: datetime) -> dict[str, Any]:
    remember_blob(tx, file.stored.digests, now=now)
    return {
        "file_name": check_file_name(file.file_name, field="filename"),
        "directory": check_directory(file.directory),
        "content_type": file.stored.content_type,
        "sha256": file.stored.digests.sha256,
        "source_url": file.source_url,
    }


def _take_turn(tx: Tx, product_id: int) -> int:
    """Wait for others who change the product's sequence; returns how many downloads it has.

    SQLite has one writer anyway.
    """
    turn = select(products.c.id).where(products.c.id == product_id)
    tx.execute(turn.with_for_update(key_share=True))
    own = product_downloads.c.product_id == product_id
    query = select(func.count()).select_from(product_downloads).where(own)
    return int(tx.execute(query).scalar_one())


def _resolved(
    tx: Tx, product_id: int, place: Place | None, *, last: int, moved: Row[Any] | None = None
) -> int:
    """The number of a place among the others, from 1 to `last`; `moved` is none of them."""
    if place is None:
        return last
    if isinstance(place, int):
        if place < 1:
            raise _no_place("A sequence counts from 1.")
        return min(place, last)
    if place.where in ("first", "last"):
        return 1 if place.where == "first" else last
    beside = _beside(tx, product_id, place.download_id, moved)
    return beside if place.where == "before" else beside + 1


def _beside(tx: Tx, product_id: int, download_id: int | None, moved: Row[Any] | None) -> int:
    if download_id is None:
        raise _no_place("It is not said beside which download.")
    other = tx.execute(
        select(product_downloads.c.sequence).where(
            product_downloads.c.id == download_id, product_downloads.c.product_id == product_id
        )
    ).scalar_one_or_none()
    if other is None or (moved is not None and moved.id == download_id):
        raise _no_place("The placement names no other download of the product.")
    # Once the moved one is taken out, those behind it have moved up.
    return int(other) - (1 if moved is not None and moved.sequence < other else 0)


def _no_place(message: str) -> Invalid:
    return Invalid(
        message,
        field="sequence",
        code="placement-invalid",
        remedy='Give a number from 1, or {"placement": "first" | "last" | "before" | "after", '
        '"id": ...} with the id of another download of the product.',
    )


def _move(tx: Tx, row: Row[Any], place: Place, count: int) -> int:
    target = _resolved(tx, row.product_id, place, last=count, moved=row)
    if target < row.sequence:
        _shift(tx, row.product_id, target, row.sequence - 1, by=1)
    else:
        _shift(tx, row.product_id, row.sequence + 1, target, by=-1)
    return target


def _shift(tx: Tx, product_id: int, first: int, last: int, *, by: int) -> None:
    """Move the downloads at the places from `first` to `last` by one."""
    if first > last:
        return
    sequence = product_downloads.c.sequence
    tx.execute(
        update(product_downloads)
        .where(product_downloads.c.product_id == product_id, sequence.between(first, last))
        .values(sequence=sequence + by)
    )


def _record(
    tx: Tx,
    verb: str,
    number: int,
    product_id: int,
    actor: str,
    now: datetime,
    **data: object,
) -> None:
    event = Event(
        f"product-download.{verb}",
        actor,
        f"product-download:{number}",
        data={"product": product_id, **data},
    )
    record(tx, event, now=now)
