"""Signing a product's releases: which manifests count, by the publisher's targets keys.

What takes long, reading bytes and checking signatures, happens with no transaction open for
writing. The transaction that puts a signature in force is short, and refuses what was overtaken.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from securesystemslib.signer import Signer
from sqlalchemy import Row, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, TargetFile, Targets

from entrepot.blobs import BlobStore
from entrepot.core.accounts import SecretBox
from entrepot.core.catalogue import AVAILABLE, fill_in_chunks, find_product, list_unchunked
from entrepot.core.catalogue.tables import releases
from entrepot.core.events import Event, record
from entrepot.core.manifests.documents import manifest_document
from entrepot.core.manifests.lives import Lives
from entrepot.core.manifests.online import (
    Word,
    keep_document,
    keep_word,
    name_targets,
    sign_word,
)
from entrepot.core.manifests.papers import Paper, from_text, sign_paper, to_text
from entrepot.core.manifests.reading import ROOT, TARGETS, newest, newest_versions, take_turn
from entrepot.core.manifests.roots import current_root
from entrepot.core.manifests.tables import manifest_roles, manifests
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.clock import Now
from entrepot.kit.ids import parse_uuid

RELEASES_MAX = 20_000  # of one product: its targets metadata stays below what a client reads
_ROWS_TOGETHER = 100
_CHARS_TOGETHER = 1 << 20
_STALE_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature changed: ids of releases, and the version that names them."""

    version: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    releases: int


def prepare_targets(
    database: Database,
    store: BlobStore,
    product: str,
    wanted: Sequence[str] = (),
    *,
    publisher: str,
    lives: Lives,
    now: Now,
) -> Paper:
    """The next targets of a product, to be signed.

    Without `wanted`, every available release that is not named yet is added. A release that is
    `wanted` by its id is described anew, with the licence that holds now. What is withdrawn
    leaves in any case. Conflict (`manifest-root-missing`) for a product that has no root.
    """
    with database.read() as tx:
        found = find_product(tx, product)
        current = current_root(tx, found.id)
        if current is None:
            raise _no_root(found.code)
        row = newest(tx, found.id, TARGETS)
        held: dict[str, TargetFile] = {} if row is None else from_text(row.document).signed.targets
        available = set(_available(tx, found.id))
        names = _check_wanted(wanted, available) or sorted(available - _ids(held))
    files = {name: file for name, file in held.items() if name[: -len(".json")] in available}
    if len(_ids(files).union(names)) > RELEASES_MAX:
        raise Conflict(f"At most {RELEASES_MAX} releases are signed.", code="manifest-too-many")
    documents: dict[str, str] = {}
    for start in range(0, len(names), _ROWS_TOGETHER):
        some = names[start : start + _ROWS_TOGETHER]
        _digest_chunks(database, store, some)
        with database.read() as tx:
            for name in some:
                documents[f"{name}.json"] = manifest_document(tx, name, publisher=publisher)
    for name, document in documents.items():
        files[name] = TargetFile.from_data(name, document.encode(), ["sha256"])
    targets = Targets(
        version=1 if row is None else row.version + 1, expires=now() + lives.targets, targets=files
    )
    return Paper(found.code, current, None, Metadata(targets), documents)


def _digest_chunks(database: Database, store: BlobStore, names: Sequence[str]) -> None:
    """Every chunk of these releases' files; what was computed is kept if it is interrupted."""
    after: str | None = ""
    while after is not None:
        with database.read() as tx:
            lacking = list_unchunked(tx, release_ids=names, after=after)
        fill_in_chunks(database, store, lacking)
        after = lacking[-1] if lacking else None


def _available(tx: Tx, product_id: int) -> list[str]:
    query = select(releases.c.id).where(
        releases.c.product_id == product_id, releases.c.state == AVAILABLE
    )
    return list(tx.execute(query).scalars())


def _ids(targets: Iterable[str]) -> set[str]:
    return {name[: -len(".json")] for name in targets}


def _check_wanted(wanted: Sequence[str], available: set[str]) -> list[str]:
    names = []
    for each in wanted:
        name = parse_uuid(each)
        if name is None or name not in available:
            raise NotFound(f"There is no release {each!r} of this product that is available.")
        names.append(name)
    return names


def _no_root(product: str) -> Conflict:
    return Conflict(
        f"{product} has no signing keys yet.",
        code="manifest-root-missing",
        remedy=f"Say which count: `entrepotd keys root {product} --root-key FILE "
        "--targets-key FILE --key FILE`.",
    )


def install_targets(
    database: Database, box: SecretBox, paper: Paper, *, lives: Lives, actor: str, now: Now
) -> Signed:
    """Put signed targets in force, and say at once that they are the newest.

    Conflict where signatures lack, or something newer came in between; Invalid where a manifest
    is not the one that was signed.
    """
    assert paper.targets is not None
    targets: Targets = paper.targets.signed
    with database.read() as tx:
        product = find_product(tx, paper.product)
        root, before = newest(tx, product.id, ROOT), newest(tx, product.id, TARGETS)
        known = _known(tx, product.id)
        available = set(_available(tx, product.id))
    if root is None:
        raise _no_root(product.code)
    mine = Paper(product.code, from_text(root.document), None, paper.targets, paper.documents)
    mine.require_signed()
    rows = _check_documents(targets, paper, known, available, now())
    for portion in _portions(rows):
        with _brief(database) as tx:
            _insert_lacking(tx, portion)
    held: dict[str, Any] = {} if before is None else from_text(before.document).signed.targets
    # Of thousands of releases this is megabytes: written out before others have to wait.
    text = to_text(paper.targets)
    version = 1 if before is None else before.version + 1
    named = name_targets(version, text)
    signed = Signed(
        version,
        tuple(sorted(_ids(targets.targets.keys() - held.keys()))),
        tuple(sorted(_ids(held.keys() - targets.targets.keys()))),
        len(targets.targets),
    )
    # As of when the releases were looked at: what changed since is a worker's to sign.
    as_of = min(now(), targets.expires - lives.targets)

    def sign_word_now(tx: Tx) -> Word:
        return sign_word(tx, box, product.id, named=named, lives=lives, now=now())

    with database.read() as tx:
        word = sign_word_now(tx)
    with _brief(database) as tx:
        take_turn(tx, product.id)
        found = newest_versions(tx, product.id)
        before_and_root = (found.get(ROOT, 0), found.get(TARGETS, 0))
        if before_and_root != (root.version, version - 1) or targets.version != version:
            raise _overtaken(product.code)
        keep_document(tx, product.id, TARGETS, version, targets.expires, text, now=as_of)
        # Only where the hub renewed its word in this moment is another one signed meanwhile.
        keep_word(tx, product.id, word if found == word.after else sign_word_now(tx), now=now())
        data = {"version": version, "added": len(signed.added), "removed": len(signed.removed)}
        event = Event("manifest.signed", actor, f"product:{product.id}", data=data)
        record(tx, event, now=now())
    _forget_stale(database, product.id, now())
    return signed


@contextmanager
def _brief(database: Database) -> Iterator[Tx]:
    """A transaction for writing in which Python does not look for garbage.

    Among all that is said of 10,000 releases that takes 60 ms, ten times as long as the rest.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with database.write() as tx:
            yield tx
    finally:
        if collecting:
            gc.enable()


def _portions(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows that are written together: few, and little text, as others wait meanwhile."""
    portion: list[dict[str, Any]] = []
    chars = 0
    for row in rows:
        portion.append(row)
        chars += len(row["document"])
        if len(portion) == _ROWS_TOGETHER or chars > _CHARS_TOGETHER:
            yield portion
            portion, chars = [], 0
    if portion:
        yield portion


def _insert_lacking(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Somebody else who signs at this moment writes the same manifests."""
    make = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    tx.execute(make(manifests).on_conflict_do_nothing(), rows)


def _known(tx: Tx, product_id: int) -> dict[tuple[str, str], Row[Any]]:
    query = (
        select(*manifests.c["release_id", "sha256", "created_at"])
        .join(releases, releases.c.id == manifests.c.release_id)
        .where(releases.c.product_id == product_id)
    )
    return {(row.release_id, row.sha256): row for row in tx.execute(query)}


def _check_documents(
    targets: Targets,
    paper: Paper,
    known: dict[tuple[str, str], Row[Any]],
    available: set[str],
    now: datetime,
) -> list[dict[str, Any]]:
    """The rows of manifests that are not kept yet."""
    rows = []
    for name, file in targets.targets.items():
        release_id = name[: -len(".json")]
        digest = file.hashes["sha256"]
        if release_id not in available:
            raise _overtaken(paper.product)
        if (release_id, digest) in known:
            continue
        document = paper.documents.get(name, "")
        try:
            file.verify_length_and_hashes(document.encode())
        except LengthOrHashMismatchError as error:
            raise Invalid(
                f"The manifest of {release_id} is not the one that was signed.",
                field="paper",
                remedy="Prepare and sign it again.",
            ) from error
        row = {"release_id": release_id, "sha256": sha256(document.encode()).hexdigest()}
        rows.append(row | {"document": document, "created_at": now})
    return rows


def _overtaken(product: str) -> Conflict:
    return Conflict(
        f"What was signed for {product} has been overtaken by something newer.",
        code="manifest-overtaken",
        remedy="Prepare and sign it again.",
    )


def _forget_stale(database: Database, product_id: int, now: datetime) -> None:
    """Manifests that no kept targets metadata names: drafts of signatures, and old ones."""
    with database.read() as tx:
        kept = select(manifest_roles.c.document).where(
            manifest_roles.c.product_id == product_id, manifest_roles.c.role == TARGETS
        )
        named = {
            (name[: -len(".json")], file.hashes["sha256"])
            for document in tx.execute(kept).scalars()
            for name, file in from_text(document).signed.targets.items()
        }
        known = _known(tx, product_id)
    old = now - _STALE_AFTER
    stale = [key for key, row in known.items() if key not in named and row.created_at < old]
    for start in range(0, len(stale), _ROWS_TOGETHER):
        with database.write() as tx:
            some = stale[start : start + _ROWS_TOGETHER]
            of_row = tuple_(manifests.c.release_id, manifests.c.sha256)
            tx.execute(delete(manifests).where(of_row.in_(some)))


def sign_releases(
    database: Database,
    store: BlobStore,
    box: SecretBox,
    product: str,
    wanted: Sequence[str],
    signers: Sequence[Signer],
    *,
    publisher: str,
    lives: Lives,
    actor: str,
    now: Now,
) -> Signed:
    """Prepare, sign and put in force in one go, with keys at hand."""
    paper = prepare_targets(
        database, store, product, wanted, publisher=publisher, lives=lives, now=now
    )
    sign_paper(paper, signers)
    return install_targets(database, box, paper, lives=lives, actor=actor, now=now)
