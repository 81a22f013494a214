"""The manifest of a release: what its publisher signs, as canonical JSON.

Keys sorted, no white space, UTF-8, whole numbers only: the same release gives the same bytes.
All that another hub shows or decides by is in it, the export classification above all: what a
bundle says beyond it anybody could have written.
"""

import json
from typing import Any

from sqlalchemy import Row

from entrepot.blobs import CHUNK_BYTES
from entrepot.core.catalogue import (
    AVAILABLE,
    chunk_digests,
    find_product,
    find_release,
    find_revision,
    list_artifacts,
)
from entrepot.db import Tx
from entrepot.errors import Conflict, Unavailable
from entrepot.kit.text import format_instant

KIND, FORMAT = "entrepot-release-manifest", 1


def manifest_document(tx: Tx, release_id: str, *, publisher: str) -> str:
    """The manifest of an available release, with the licence that holds for its product now.

    Conflict for a draft or a withdrawn release, Unavailable where chunks are not digested yet.
    """
    release = find_release(tx, release_id)
    if release.state != AVAILABLE:
        raise Conflict(
            "Only an available release can be signed.",
            code="release-not-available",
            remedy="Publish it first.",
        )
    product = find_product(tx, release.product_id)
    return _canonical(
        {
            "kind": KIND,
            "format": FORMAT,
            "publisher": publisher,
            "product": {
                "code": product.code,
                "name": product.name,
                "usECCN": product.us_eccn,
                "eccnRestricted": product.eccn_restricted,
            },
            "release": release_facts(release, available_at=format_instant(release.available_at)),
            "licence": _licence(tx, product.licence_code),
            "chunkBytes": CHUNK_BYTES,
            "files": [_file(tx, row) for row in list_artifacts(tx, release.id)],
        }
    )


def release_facts(release: Any, *, available_at: str) -> dict[str, Any]:
    """What a manifest says of a release itself: of a row, or of one that a bundle carries."""
    return {
        "id": release.id,
        "name": release.name,
        "revision": release.revision,
        "patch": release.patch,
        "majorVersion": release.major_version,
        "minorVersion": release.minor_version,
        "quality": release.quality,
        "type": release.type,
        "availableAt": available_at,
    }


def _licence(tx: Tx, code: str | None) -> dict[str, Any] | None:
    if code is None:
        return None
    found = find_revision(tx, code)
    return {
        "code": found.licence_code,
        "name": found.licence_name,
        "revision": found.revision,
        "sha256": found.sha256,
    }


def _file(tx: Tx, row: Row[Any]) -> dict[str, Any]:
    chunks = chunk_digests(tx, row.sha256)
    if row.size and not chunks:
        raise Unavailable(
            f"The chunks of {row.file_name!r} are not digested yet.",
            remedy="Try again in a moment.",
        )
    return {
        "artifactId": row.id,
        "name": row.file_name,
        "size": row.size,
        "sha256": row.sha256,
        "chunks": b"".join(chunks).hex(),
        "title": row.name,
        "description": row.description,
        "type": row.type,
        "repository": row.repository,
    }


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
