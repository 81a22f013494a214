"""Taking the releases of a bundle into this catalogue: each complete or not at all.

Ids stay what they were, for lock files and signed manifests name them. What is here already is
left alone, so that a bundle can be imported again; what is here under the same id or name and is
another thing is refused before anything is stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from entrepot.blobs import BlobStore, Digests
from entrepot.core.catalogue.bundles import (
    Bundle,
    BundledArtifact,
    BundledProduct,
    BundledRelease,
    Index,
    Opened,
    file_spans,
    read_bundle,
)
from entrepot.core.catalogue.intake import drop_unused_bytes, hold_bytes
from entrepot.core.catalogue.licences import keep_revision
from entrepot.core.catalogue.products import ProductSpec, add_product, find_product, product_values
from entrepot.core.catalogue.releases import (
    AVAILABLE,
    DRAFT,
    ArtifactSpec,
    NewArtifact,
    ReleaseSpec,
    add_artifacts,
    artifact_values,
    create_release,
    list_artifacts,
    make_available,
    refuse_group,
    release_values,
)
from entrepot.core.catalogue.tables import artifacts, releases
from entrepot.core.events import Event, record
from entrepot.db import Database, Tx, take_turns
from entrepot.errors import Conflict, Invalid, NotFound, StorageFull
from entrepot.kit.clock import Now
from entrepot.kit.file_names import fold_file_name
from entrepot.kit.text import parse_instant

IMPORTED, PUBLISHED, PRESENT = "imported", "made available", "already here"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a bundled product's releases go: the code here, and what is said of the product."""

    code: str
    told: BundledProduct


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one release: its product's code and its id here, `outcome` for people."""

    product: str
    name: str
    release_id: str
    outcome: str


def find_targets(index: Index, codes: Mapping[str, str]) -> dict[str, Target]:
    """Where each product of the bundle goes; `codes` maps codes there to codes here.

    Invalid where `codes` names a product that the bundle does not have, or the bundle is at odds
    with itself.
    """
    told = {product.code: product for product in index.products}
    unknown = [code for code in codes if code not in told]
    if unknown:
        raise Invalid(
            f"The bundle holds no product {unknown[0][:80]!r}.",
            field="product-map",
            remedy=f"It holds: {', '.join(sorted(told))[:500]}.",
        )
    if len(told) != len(index.products) or any(one.product not in told for one in index.releases):
        raise _at_odds("its releases are not those of its products")
    named = {(one.code, one.revision) for one in index.licences}
    wanted = {(one.licence.code, one.licence.revision) for one in told.values() if one.licence}
    if not wanted <= named or len(named) != len(index.licences):
        raise _at_odds("a licence is missing or there twice")
    ids = [one.id for one in index.releases] + [
        artifact.id for one in index.releases for artifact in one.artifacts
    ]
    if len(set(ids)) != len(ids):
        raise _at_odds("an id is there twice")
    return {code: Target(codes.get(code, code), one) for code, one in told.items()}


def _at_odds(how: str) -> Invalid:
    return Invalid(
        f"The bundle is at odds with itself: {how}.", field="bundle", code="bundle-invalid"
    )


def check_import(tx: Tx, index: Index, targets: Mapping[str, Target]) -> None:
    """Refuse what could not be imported, before a byte is stored.

    Invalid where anything in the index is not what a publisher may say, Conflict where it
    clashes with what is here.
    """
    for target in targets.values():
        if _find_product(tx, target.code) is None:
            product_values(_product_spec(target, licence=None))
    for release in index.releases:
        release_values(release_spec(release))
        parse_instant(release.available_at, field="availableAt")
        names = [artifact_values(artifact_spec(one))["file_name"] for one in release.artifacts]
        if len({fold_file_name(name) for name in names}) != len(names):
            raise Invalid("Two files of a release have one name.", field="bundle")
        product = _find_product(tx, targets[release.product].code)
        if product is not None:
            refuse_group(product)
        if _present(tx, product, release) is None:
            _refuse_taken(tx, release)


def import_bundle(
    database: Database,
    store: BlobStore,
    opened: Opened,
    *,
    targets: Mapping[str, Target],
    publish: bool,
    prove: Callable[[Bundle], Index],
    keep: Callable[[Tx, BundledRelease, Imported], None],
    done: Callable[[Imported], None],
    actor: str,
    now: Now,
) -> None:
    """Read the bundle to its end, then show its releases, each in a transaction of its own.

    Nothing can be seen before everything is verified: every byte by its digest, and by `prove`
    whatever vouches for them, which raises; it gives back what is to be believed of the index.
    `keep` writes what belongs to a release in its transaction; `done` hears of each. What was
    stored for nothing is taken back.
    """
    index = opened.index
    with database.read() as tx:
        check_import(tx, index, targets)
    _require_room(store, opened)
    stored: dict[str, Digests] = {}
    try:
        bundle = read_bundle(opened, store, stored)
        index = prove(bundle)
        targets = _told_again(targets, index)
        with database.read() as tx:
            check_import(tx, index, targets)
        for release in index.releases:
            files = new_artifacts(release, stored)
            with database.write() as tx:
                imported = import_release(
                    tx,
                    store,
                    index,
                    release,
                    targets[release.product],
                    texts=bundle.texts,
                    files=files,
                    publish=publish,
                    origin=bundle.sha256,
                    actor=actor,
                    now=now(),
                )
                keep(tx, release, imported)
            done(imported)
    except BaseException:
        drop_unused_bytes(database, store, stored)
        raise


def _told_again(targets: Mapping[str, Target], index: Index) -> dict[str, Target]:
    """Where the products go, with what is believed of them."""
    told = {product.code: product for product in index.products}
    return {
        code: Target(target.code, told[code]) for code, target in targets.items() if code in told
    }


def _require_room(store: BlobStore, opened: Opened) -> None:
    free = store.free_bytes()
    needed = sum(size for digest, size in file_spans(opened) if store.size(digest) != size)
    if free is not None and needed > free:
        raise StorageFull(
            f"The bundle brings {needed} bytes that are not here; {free} are free.",
            remedy="Free space on the hub's disk, then import it again.",
            details={"free_bytes": free},
        )


def release_spec(release: BundledRelease) -> ReleaseSpec:
    """What the bundle says of a release, as a publisher would say it here."""
    return ReleaseSpec(
        release.name,
        release.revision,
        release.patch,
        release.major_version,
        release.minor_version,
        release.quality,
        release.type,
    )


def artifact_spec(artifact: BundledArtifact) -> ArtifactSpec:
    """What the bundle says of a file. Its repository is meant as it is: it was published so."""
    return ArtifactSpec(
        artifact.file_name,
        artifact.name,
        artifact.description,
        artifact.type,
        repository=artifact.repository,
        uncontrolled=True,
    )


def new_artifacts(release: BundledRelease, stored: Mapping[str, Digests]) -> list[NewArtifact]:
    """The files of a release whose bytes are stored, made ready before a transaction begins."""
    return [
        NewArtifact(artifact_values(artifact_spec(one)), stored[one.sha256], one.id)
        for one in release.artifacts
    ]


def _product_spec(target: Target, *, licence: str | None) -> ProductSpec:
    told = target.told
    return ProductSpec(
        target.code,
        told.name,
        listed=False,
        us_eccn=told.us_eccn,
        eccn_restricted=told.eccn_restricted,
        delivery_method=told.delivery_method,
        licence_code=licence,
    )


def _find_product(tx: Tx, code: str) -> Row[Any] | None:
    """By its code: one made of digits names no number here."""
    try:
        found = find_product(tx, code)
    except NotFound:
        return None
    return found if found.code == code else None


def _present(tx: Tx, product: Row[Any] | None, release: BundledRelease) -> Row[Any] | None:
    """The release where it is here already, by its id or as the same files under its name.

    Conflict where something else has its id.
    """
    by_id = tx.execute(select(releases).where(releases.c.id == release.id)).one_or_none()
    found = by_id
    if by_id is None and product is not None:
        found = tx.execute(
            select(releases).where(
                releases.c.product_id == product.id, releases.c.name == release.name
            )
        ).one_or_none()
    if found is None:
        return None
    held = [(row.file_name, row.sha256) for row in list_artifacts(tx, found.id)]
    told = [(one.file_name, one.sha256) for one in release.artifacts]
    of_product = product is not None and found.product_id == product.id
    if of_product and found.name == release.name and sorted(held) == sorted(told):
        return found
    same = "id" if by_id is not None else "name"
    raise Conflict(
        f"This hub has another release with the {same} of {release.product} {release.name!r} "
        f"({found.id}).",
        code="release-differs",
        remedy="Import it under another product (--product-map), or ask who published it."
        if same == "name"
        else "Ids stay what they are. Ask whoever made the bundle which of the two is right.",
    )


def _refuse_taken(tx: Tx, release: BundledRelease) -> None:
    wanted = [one.id for one in release.artifacts]
    taken = tx.execute(select(artifacts.c.id).where(artifacts.c.id.in_(wanted)).limit(1)).scalar()
    if taken is not None:
        raise Conflict(
            f"This hub has a file with the id {taken}, which the bundle gives to another.",
            code="release-differs",
            remedy="Ids stay what they are. Ask whoever made the bundle which of the two is right.",
        )


def import_release(
    tx: Tx,
    store: BlobStore,
    index: Index,
    release: BundledRelease,
    target: Target,
    *,
    texts: Mapping[str, str],
    files: Sequence[NewArtifact],
    publish: bool,
    origin: str,
    actor: str,
    now: datetime,
) -> Imported:
    """Take in one release whose bytes are stored, with its product and licence if they lack.

    A release that is here is left as it is, but for a draft that is to be published. `origin`
    names the bundle in the log. Conflict as `check_import` says, Unavailable where bytes went.
    """
    take_turns(tx, "import")
    product = _bring_product(tx, index, target, texts, actor=actor, now=now)
    held = _present(tx, product, release)
    if held is not None:
        outcome = _show_again(tx, held, release, publish=publish, actor=actor, now=now)
        return Imported(product.code, release.name, held.id, outcome)
    _refuse_taken(tx, release)
    hold_bytes(tx, store, [file.digests for file in files], now=now)
    spec = release_spec(release)
    create_release(tx, product.id, spec, release_id=release.id, actor=actor, now=now)
    add_artifacts(tx, release.id, files, actor=actor, now=now)
    if publish:
        available_at = parse_instant(release.available_at, field="availableAt")
        make_available(tx, release.id, available_at=available_at, actor=actor, now=now)
    data = {"source": index.source, "bundle": origin}
    record(tx, Event("release.imported", actor, f"release:{release.id}", data=data), now=now)
    outcome = IMPORTED if publish else f"{IMPORTED} as a draft"
    return Imported(product.code, release.name, release.id, outcome)


def _show_again(
    tx: Tx, held: Row[Any], release: BundledRelease, *, publish: bool, actor: str, now: datetime
) -> str:
    if publish and held.state == DRAFT:
        available_at = parse_instant(release.available_at, field="availableAt")
        make_available(tx, held.id, available_at=available_at, actor=actor, now=now)
        return PUBLISHED
    return PRESENT if held.state == AVAILABLE else f"{PRESENT}, {held.state}"


def _bring_product(
    tx: Tx,
    index: Index,
    target: Target,
    texts: Mapping[str, str],
    *,
    actor: str,
    now: datetime,
) -> Row[Any]:
    """The product here, made where it lacks; a licence of the same code gets the revision."""
    named = target.told.licence
    product = _find_product(tx, target.code)
    if named is not None and (product is None or product.licence_code == named.code):
        one = next(
            one
            for one in index.licences
            if (one.code, one.revision) == (named.code, named.revision)
        )
        keep_revision(
            tx,
            code=one.code,
            name=one.name,
            revision=one.revision,
            text=texts[one.sha256],
            actor=actor,
            now=now,
        )
    if product is None:
        spec = _product_spec(target, licence=None if named is None else named.code)
        add_product(tx, spec, actor=actor, now=now)
        product = find_product(tx, target.code)
    return product
