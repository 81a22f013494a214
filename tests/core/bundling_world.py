"""Bundles for tests: made from the client's own words for the format, and spoilt on purpose."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from entrepot.blobs import LocalBlobStore
from entrepot.client.bundles import (
    END,
    encode_index,
    file_member,
    index_member,
    licence_member,
    metadata_member,
    tar_header,
)
from entrepot.core import catalogue
from entrepot.core.catalogue import Imported, find_targets, import_bundle, open_bundle
from entrepot.core.catalogue.tables import artifacts, blobs, releases
from entrepot.db import Database
from entrepot.kit.ids import new_uuid
from tests.factories import NOW, OPERATOR

TEXT = "Read this.\n"
WHEN = "2026-01-31T12:00:00.000Z"


@dataclass
class Made:
    """A bundle in the making: one release of two files, unless told otherwise."""

    code: str = "AIR1"
    files: Sequence[tuple[str, bytes]] = (("a ü.bin", b"one" * 400), ("b.bin", b"two"))
    release: dict[str, Any] = field(default_factory=dict)
    product: dict[str, Any] = field(default_factory=dict)
    licence: Mapping[str, Any] | None = None
    documents: Sequence[bytes] = ()
    more: Sequence["Made"] = ()
    ids: list[str] = field(default_factory=lambda: [new_uuid() for _ in range(9)])

    @property
    def release_id(self) -> str:
        return str(self.release.get("id", self.ids[0]))

    def index(self) -> dict[str, Any]:
        licence = self.licence
        named = licence and {"code": licence["code"], "revision": licence["revision"]}
        artifacts = [
            {
                "id": artifact_id,
                "fileName": name,
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "repository": "general",
            }
            for artifact_id, (name, data) in zip(self.ids[1:], self.files, strict=False)
        ]
        product = {
            "code": self.code,
            "name": "Air",
            "deliveryMethod": "download",
            "usECCN": ["5D992"],
            "eccnRestricted": False,
            "licence": named,
        }
        release = {
            "product": self.code,
            "id": self.ids[0],
            "name": "1.0",
            "availableAt": WHEN,
            "quality": "EAC",
            "artifacts": artifacts,
        }
        return {
            "source": "https://a.example",
            "licences": [] if licence is None else [licence],
            "products": [product | self.product],
            "releases": [release | self.release],
            "manifests": [],
        }

    def bytes(self) -> bytes:
        """The whole tar."""
        told = self.index()
        files = [data for _, data in self.files]
        for other in self.more:
            for key in ("licences", "products", "releases"):
                told[key] += [one for one in other.index()[key] if one not in told[key]]
            files += [data for _, data in other.files]
        return pack(told, files, self.documents)


def licence(code: str = "AIR-TERMS", revision: int = 3, text: str = TEXT) -> dict[str, Any]:
    member = licence_member(text.encode())
    return {
        "code": code,
        "name": "Terms",
        "revision": revision,
        "sha256": member.sha256,
        "size": member.size,
    }


def pack(
    told: Mapping[str, Any],
    files: Sequence[bytes],
    documents: Sequence[bytes] = (),
    texts: Sequence[str] = (TEXT,),
) -> bytes:
    index = encode_index(**told)
    named = {one["sha256"] for one in told["licences"]}
    content = {index_member(index).name: index}
    kinds: list[dict[str, bytes]] = [{}, {}, {}]
    for text in texts:
        member = licence_member(text.encode())
        if member.sha256 in named:
            kinds[0][member.name] = text.encode()
    for document in documents:
        kinds[1][metadata_member(document).name] = document
    for data in files:
        kinds[2][file_member(hashlib.sha256(data).hexdigest(), len(data)).name] = data
    for kind in kinds:
        content |= dict(sorted(kind.items()))
    return b"".join(_member(name, data) for name, data in content.items()) + END


def _member(name: str, data: bytes) -> bytes:
    return tar_header(name, len(data)) + data + bytes(-len(data) % 512)


def take_in(
    database: Database,
    store: LocalBlobStore,
    data: bytes,
    *,
    codes: Mapping[str, str] | None = None,
    publish: bool = True,
) -> list[Imported]:
    """Import a bundle as the command does."""
    opened = open_bundle(io.BytesIO(data), size=len(data))
    rows: list[Imported] = []
    import_bundle(
        database,
        store,
        opened,
        targets=find_targets(opened.index, codes or {}),
        publish=publish,
        prove=lambda bundle: bundle.index,
        keep=lambda _tx, _release, _imported: None,
        done=rows.append,
        actor=OPERATOR,
        now=lambda: NOW,
    )
    return rows


def open_store(folder: Path) -> LocalBlobStore:
    store = LocalBlobStore(folder, reserve_bytes=1)
    store.prepare()
    return store


def nothing_is_here(database: Database, store: LocalBlobStore) -> None:
    """Neither rows that a bundle brings nor bytes of it."""
    with database.read() as tx:
        assert tx.execute(select(releases)).all() == []
        assert tx.execute(select(artifacts)).all() == []
        assert tx.execute(select(blobs)).all() == []
        assert catalogue.list_products(tx) == []
        assert catalogue.list_licences(tx) == []
    assert list(store.listing()) == []
