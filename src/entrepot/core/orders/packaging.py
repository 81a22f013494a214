"""Completing an order: the list of its ZIP's entries, and the papers that lie beside the files.

Read all in one transaction; name, write and store with none open; publish in one more, by an
UPDATE that counts only where the order is still open and of the same generation. Everything
written follows from the order alone, so whoever completes it writes the same bytes.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Text, bindparam, delete, func, insert, select, type_coerce

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue import hold_bytes, title_in
from entrepot.core.catalogue.tables import blobs
from entrepot.core.conversions.naming import Resolver
from entrepot.core.conversions.rules import MediaRules
from entrepot.core.orders.keeping import keep_renditions
from entrepot.core.orders.metadata_files import make_metadata_files
from entrepot.core.orders.naming import (
    Resolved,
    compile_template,
    fields_of,
    number_duplicates,
    take_apart,
)
from entrepot.core.orders.packages import PackageEntry, encode_package
from entrepot.core.orders.papers import (
    MANIFEST,
    ORDER,
    REPORT,
    Delivered,
    Missing,
    manifest,
    order_paper,
    report,
    summary,
)
from entrepot.core.orders.progress import is_settled
from entrepot.core.orders.states import COMPLETED, FAILED, OPEN, WITH_ERRORS, change_order, tell
from entrepot.core.orders.tables import order_files, order_items, order_targets, orders
from entrepot.db import Database, Prepared, Tx
from entrepot.db.schema import Number
from entrepot.errors import Invalid, Unavailable
from entrepot.kit.clock import Now

_PUBLISHING_ATTEMPTS = 3
_read_title = msgspec.json.Decoder(dict[str, str]).decode
_PAPERS = (ORDER, MANIFEST, REPORT)


@dataclass(frozen=True, slots=True)
class _Contents:
    """All that an order's package follows from."""

    order: Any
    delivered: Sequence[Delivered]
    crc32s: Sequence[int]
    missing: Sequence[Missing]
    notes: str | None


@dataclass(frozen=True, slots=True)
class _Package:
    """What was stored: the list of entries, and the papers by name."""

    listed: Digests
    papers: Mapping[str, Digests]
    bytes_total: int


def complete_order(
    database: Database,
    store: BlobStore,
    order_id: int,
    *,
    rules: MediaRules,
    generation: int | None = None,
    now: Now,
) -> str | None:
    """Give a settled order its package; the status that was set, None if it had ended before.

    With a `generation`, also None where the order is at another one by now: it was retried.
    Unavailable (`order-not-settled`) while items are pending: come back when they are settled.
    StorageFull and Unavailable as the store raises them; nothing is changed then.
    """
    make_metadata_files(database, store, order_id, now=now)
    not_kept = keep_renditions(database, order_id, now=now)
    attempt = 1
    while True:
        with database.read() as tx:
            contents = _read(tx, order_id, rules, not_kept)
        if contents is None or generation not in (None, contents.order.generation):
            return None
        package = _store(store, contents) if contents.delivered else None
        try:
            with database.write() as tx:
                return _publish(tx, store, contents, package, now())
        except Unavailable:
            # What an earlier try stored may be swept away just before its rows are written.
            if attempt == _PUBLISHING_ATTEMPTS:
                raise
        attempt += 1


# Every item with what its name is made of, in the order of the package.
_ITEMS = Prepared(
    select(
        *order_items.c["asset_id", "rendition", "state", "source_sha256", "result_sha256"],
        *order_items.c["extension", "error_code", "error"],
        *order_targets.c["identifier", "folder", "media_group", "file_name"],
        type_coerce(order_targets.c.title, Text()).label("title"),  # read where a name needs it
        *blobs.c["size", "crc32"],
    )
    .select_from(order_items)
    .join(
        order_targets,
        (order_targets.c.order_id == order_items.c.order_id)
        & (order_targets.c.asset_id == order_items.c.asset_id),
    )
    .outerjoin(
        blobs,
        blobs.c.sha256 == func.coalesce(order_items.c.result_sha256, order_items.c.source_sha256),
    )
    .where(order_items.c.order_id == bindparam("order_id", type_=Number))
    .order_by(order_items.c.asset_id, order_items.c.position)
)


def _read(tx: Tx, order_id: int, rules: MediaRules, not_kept: int) -> _Contents | None:
    order = tx.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    if order is None or order.status not in OPEN:
        return None
    if not is_settled(tx, order_id):
        raise Unavailable("Some files of the order are still to be made.", code="order-not-settled")
    rows, missing = [], []
    for row in _ITEMS.all(tx, {"order_id": order_id}):
        if row.state == "done" and row.size is not None:
            rows.append(row)
        else:
            missing.append(_missing(row))
    names = number_duplicates(_resolve(order, rows, rules))
    delivered = [
        Delivered(
            name,
            row.size,
            row.result_sha256 or row.source_sha256,
            row.asset_id,
            row.identifier,
            row.rendition,
        )
        for name, row in zip(names, rows, strict=True)
    ]
    notes = summary(
        files=len(rows) + len(missing),
        missing=missing,
        left_out=order.left_out,
        unconfigured=_unconfigured(tx, order),
        not_kept=not_kept,
    )
    return _Contents(order, delivered, [row.crc32 for row in rows], missing, notes)


def _missing(row: Any) -> Missing:
    code, reason = row.error_code, row.error
    if row.state == "done":
        code, reason = "bytes-missing", "The stored file is missing on the hub."
    return Missing(
        row.asset_id, row.identifier, row.rendition, row.file_name, code or "", reason or ""
    )


def _unconfigured(tx: Tx, order: Any) -> int:
    """Targets that nothing is made of."""
    served = select(func.count(order_items.c.asset_id.distinct()))
    served = served.where(order_items.c.order_id == order.id)
    return int(order.target_count - tx.execute(served).scalar_one())


def _resolve(order: Any, rows: Sequence[Any], rules: MediaRules) -> list[Resolved]:
    template = _resolver(order, rules).template
    resolve = compile_template(template)
    read = _values(order, rules)
    wanted = [(field, read[field]) for field in fields_of(template)]
    return [
        resolve({field: value(row, index) for field, value in wanted})
        for index, row in enumerate(rows, start=1)
    ]


def _resolver(order: Any, rules: MediaRules) -> Resolver:
    """The resolver that was asked for; the default one where the operator has removed it since."""
    try:
        return rules.resolver(order.resolver_id)
    except Invalid:
        return rules.resolver(None)


def _values(order: Any, rules: MediaRules) -> Mapping[str, Callable[[Any, int], str]]:
    """How each field of a template (conversions/naming.FIELDS) follows from an item.

    Only those that a template names are worked out: there may be 100,000 items.
    """
    presets = rules.presets.keys() - rules.renditions.keys()
    order_id, order_name, culture = str(order.id), order.name or "", order.culture
    return {
        "asset.id": lambda row, _: str(row.asset_id),
        "asset.identifier": lambda row, _: row.identifier,
        "asset.title": lambda row, _: title_in(_read_title(row.title), culture),
        "asset.file_name": lambda row, _: row.file_name,
        "asset.stem": lambda row, _: take_apart(row.file_name)[0],
        "asset.group": lambda row, _: row.media_group,
        "asset.folder": lambda row, _: row.folder,
        "rendition": lambda row, _: row.rendition,
        "preset": lambda row, _: row.rendition if row.rendition in presets else "",
        "ext": lambda row, _: row.extension or take_apart(row.file_name)[1][1:],
        "original_ext": lambda row, _: take_apart(row.file_name)[1][1:],
        "index": lambda _, index: str(index),
        "order.id": lambda _, __: order_id,
        "order.name": lambda _, __: order_name,
    }


def _store(store: BlobStore, contents: _Contents) -> _Package:
    papers = {
        ORDER: order_paper(contents.order),
        MANIFEST: manifest(contents.order, contents.delivered, contents.missing),
    }
    if contents.missing:
        papers[REPORT] = report(contents.order, contents.missing, contents.notes or "")
    stored = {name: store.ingest(io.BytesIO(paper)) for name, paper in papers.items()}
    entries = [
        PackageEntry(name, digests.size, digests.crc32, digests.sha256)
        for name, digests in stored.items()
    ]
    entries += [
        PackageEntry(each.name, each.size, crc32, each.sha256)
        for each, crc32 in zip(contents.delivered, contents.crc32s, strict=True)
    ]
    listed = store.ingest(io.BytesIO(encode_package(entries)))
    return _Package(listed, stored, sum(entry.size for entry in entries))


def _publish(
    tx: Tx, store: BlobStore, contents: _Contents, package: _Package | None, now: datetime
) -> str | None:
    order, status = contents.order, _outcome(contents)
    if package is not None:
        hold_bytes(tx, store, [package.listed, *package.papers.values()], now=now)
    values = {
        "status": status,
        "files_completed": len(contents.delivered),
        "files_failed": len(contents.missing),
        "bytes_total": 0 if package is None else package.bytes_total,
        "package_sha256": None if package is None else package.listed.sha256,
        "additional_info": contents.notes,
        "started_at": order.started_at or now,
        "completed_at": now,
        # Of what can be downloaded; where that is nothing, the order is purged by its end.
        "expires_at": None if status == FAILED else now + timedelta(days=order.lives_days),
    }
    row = change_order(
        tx,
        order.id,
        values,
        states=OPEN,
        generation=order.generation,
        actor=order.modified_by,
        now=now,
    )
    if row is None:
        return None
    _keep_papers(tx, order.id, {} if package is None else package.papers)
    tell(tx, row, "failed" if status == FAILED else "completed", now=now)
    return status


def _outcome(contents: _Contents) -> str:
    if not contents.delivered:
        return FAILED
    return WITH_ERRORS if contents.missing else COMPLETED


def _keep_papers(tx: Tx, order_id: int, papers: Mapping[str, Digests]) -> None:
    """Rows that hold the bytes while the order lives."""
    of_order = order_files.c.order_id == order_id
    tx.execute(delete(order_files).where(of_order, order_files.c.name.in_(_PAPERS)))
    rows = [
        {"order_id": order_id, "name": name, "sha256": digests.sha256}
        for name, digests in papers.items()
    ]
    if rows:
        tx.execute(insert(order_files), rows)
