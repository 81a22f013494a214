"""What a publisher signed crosses the gap: believed by its root alone, and kept as it is."""

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from sqlalchemy import select
from tuf.api.metadata import TargetFile

from entrepot.blobs import LocalBlobStore
from entrepot.client.bundling import Chosen, plan_bundle
from entrepot.client.manifests import Manifest, parse_manifest
from entrepot.client.proofs import Proof, check_proof
from entrepot.core import catalogue
from entrepot.core.accounts import SecretBox
from entrepot.core.catalogue import Bundle, Index, ProductSpec, ReleaseSpec, find_product
from entrepot.core.catalogue.bundles import read_bundle
from entrepot.core.manifests import Lives, find_manifest, find_metadata, list_due, signed_state
from entrepot.core.manifests.mirroring import (
    Mirrored,
    keep_mirrored,
    look_ahead,
    prove_bundle,
)
from entrepot.core.manifests.online import ONLINE, kept_signers, mirror_key
from entrepot.core.manifests.papers import sign_paper
from entrepot.core.manifests.roots import RootSpec, install_root, prepare_root
from entrepot.core.manifests.signing import install_targets, prepare_targets, sign_releases
from entrepot.core.manifests.tables import manifest_roles
from entrepot.db import Database, connect
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.text import format_instant
from tests import factories
from tests.core.bundling_world import open_store, pack
from tests.factories import NOW, OPERATOR

BOX, LIVES = SecretBox("a secret key of thirty-two letters"), Lives()
FILES = [("a.bin", b"one" * 99), ("b.bin", b"two" * 2_000_000)]


_OLD_FIELDS = ("artifactId", "name", "size", "sha256", "chunks")
REPOSITORIES = {"a.bin": "general", "b.bin": "controlled-crypto"}


def source(file_name: str, data: bytes) -> catalogue.Source:
    spec = catalogue.ArtifactSpec(
        file_name,
        f"The file {file_name}",
        "as it was described",
        "Manual",
        repository=REPOSITORIES[file_name],
    )
    return catalogue.Source(spec, lambda: io.BytesIO(data))


class Place:
    """One of the two hubs."""

    def __init__(self, folder: Path, template: Path) -> None:
        folder.mkdir()
        shutil.copy(template, folder / "hub.sqlite3")
        self.database: Database = connect(f"sqlite:///{folder}/hub.sqlite3")
        self.store: LocalBlobStore = open_store(folder / "blobs")


class Publisher(Place):
    """A hub where releases are signed."""

    code = "SIGNED"

    def __init__(self, folder: Path, template: Path) -> None:
        super().__init__(folder, template)
        self.key, self.now = CryptoSigner.generate_ed25519(), NOW
        with self.database.write() as tx:
            spec = ProductSpec(self.code, "Signed", us_eccn=["3D001"], eccn_restricted=True)
            catalogue.add_product(tx, spec, actor=OPERATOR, now=NOW)
        self.root(RootSpec([self.key.public_key], [self.key.public_key]))

    def root(self, spec: RootSpec) -> None:
        with self.database.write() as tx:
            paper = prepare_root(tx, BOX, self.code, spec, now=self.now)
        sign_paper(paper, [self.key])
        with self.database.write() as tx:
            install_root(tx, BOX, paper, lives=LIVES, actor=OPERATOR, now=self.now)

    def publish(self, name: str, *, sign: bool = True) -> str:
        sources = [source(file_name, data) for file_name, data in FILES]
        release_id = catalogue.publish(
            self.database,
            self.store,
            product=self.code,
            release=ReleaseSpec(name),
            sources=sources,
            actor=OPERATOR,
            now=lambda: self.now,
        )
        if sign:
            self.sign()
        return release_id

    def sign(self) -> None:
        sign_releases(
            self.database,
            self.store,
            BOX,
            self.code,
            (),
            [self.key],
            publisher="P",
            lives=LIVES,
            actor=OPERATOR,
            now=lambda: self.now,
        )

    def sign_as_before(self) -> None:
        """By manifests that do not tell yet what files are but their bytes."""
        paper = prepare_targets(
            self.database, self.store, self.code, publisher="P", lives=LIVES, now=lambda: self.now
        )
        assert paper.targets is not None
        documents = {}
        for name, document in paper.documents.items():
            told = json.loads(document)
            told["product"] = {key: told["product"][key] for key in ("code", "name")}
            told["files"] = [{key: one[key] for key in _OLD_FIELDS} for one in told["files"]]
            documents[name] = json.dumps(told)
            data = documents[name].encode()
            paper.targets.signed.targets[name] = TargetFile.from_data(name, data, ["sha256"])
        paper = replace(paper, documents=documents)
        sign_paper(paper, [self.key])
        install_targets(
            self.database, BOX, paper, lives=LIVES, actor=OPERATOR, now=lambda: self.now
        )

    def metadata(self, role: str, version: int | None = None) -> bytes:
        with self.database.read() as tx:
            number = find_product(tx, self.code).id
            return find_metadata(tx, number, role, version).encode()

    def root_document(self, version: int) -> bytes:
        """Also before anything is signed."""
        with self.database.read() as tx:
            wanted = (manifest_roles.c.role == "root") & (manifest_roles.c.version == version)
            document = tx.execute(select(manifest_roles.c.document).where(wanted)).scalar_one()
        return str(document).encode()

    def manifest(self, release_id: str) -> Manifest:
        targets = json.loads(self.metadata("targets"))["signed"]["targets"]
        with self.database.read() as tx:
            number = find_product(tx, self.code).id
            digest = targets[f"{release_id}.json"]["hashes"]["sha256"]
            document = find_manifest(tx, number, release_id, digest).encode()
            roots = range(1, signed_state(tx, number).versions["root"] + 1)
        proof = Proof(
            tuple(self.metadata("root", version) for version in roots),
            *(self.metadata(role) for role in ("timestamp", "snapshot", "targets")),
        )
        parsed = parse_manifest(document, product=self.code, release_id=release_id)
        return Manifest(
            self.code, release_id, parsed.release_name, "P", None, parsed.files, document, proof
        )

    def index(self, *release_ids: str) -> tuple[dict[str, Any], list[bytes]]:
        """What `entrepot bundle` writes of these releases, as data, and the documents."""
        chosen = [self._chosen(release_id) for release_id in release_ids]
        plan = plan_bundle(chosen, source="https://a.example")
        documents = [data for name, data in plan.known.items() if name.startswith("metadata/")]
        told = json.loads(plan.known["entrepot-bundle.json"])
        return {key: told[key] for key in told if key not in ("format", "version")}, documents

    def bundle(self, *release_ids: str) -> bytes:
        told, documents = self.index(*release_ids)
        return pack(told, [data for _, data in FILES], documents)

    def _chosen(self, release_id: str) -> Chosen:
        manifest = self.manifest(release_id)
        release = json.loads(manifest.document)["release"]
        with self.database.read() as tx:
            product = find_product(tx, self.code)
            rows = catalogue.list_artifacts(tx, release_id)
        artifacts = [
            {"id": row.id, "fileName": row.file_name, "fileSize": row.size, "sha256": row.sha256}
            | {key: row._mapping[key] for key in ("name", "description", "type", "repository")}
            for row in rows
        ]
        rules = {"usECCN": product.us_eccn, "eccnRestricted": product.eccn_restricted}
        entitlement = {"product": {"id": self.code, "name": product.name}, "compliance": rules}
        told = {key: value for key, value in release.items() if value is not None}
        return Chosen(entitlement, told | {"artifacts": artifacts}, None, manifest)


class Bunker(Place):
    """The hub on the other side of the gap."""

    unclassified: Sequence[str] = ()

    def take(self, data: bytes, *roots: bytes, later: timedelta = timedelta()) -> None:
        proven: dict[str, Mirrored] = {}
        now = NOW + later

        def prove(bundle: Bundle) -> Index:
            found = prove_bundle(bundle, roots, now=now)
            proven.update(found.releases)
            # Metadata that several releases share is read and kept in memory once.
            assert len({id(one.chain) for one in proven.values()}) == 1
            self.unclassified = [release.id for release in found.unclassified]
            with self.database.read() as tx:
                look_ahead(tx, found)
            return found.index

        def keep(tx: Any, release: Any, imported: Any) -> None:
            number = find_product(tx, imported.product).id
            keep_mirrored(tx, BOX, number, release.id, proven[release.id], lives=LIVES, now=now)

        opened = catalogue.open_bundle(io.BytesIO(data), size=len(data))
        catalogue.import_bundle(
            self.database,
            self.store,
            opened,
            targets=catalogue.find_targets(opened.index, {}),
            publish=True,
            prove=prove,
            keep=keep,
            done=lambda _: None,
            actor=OPERATOR,
            now=lambda: now,
        )

    def is_empty(self) -> bool:
        with self.database.read() as tx:
            return not catalogue.list_products(tx) and not list(self.store.listing())


@pytest.fixture
def publisher(tmp_path: Path, sqlite_template: Path) -> Iterator[Publisher]:
    made = Publisher(tmp_path / "publisher", sqlite_template)
    yield made
    made.database.close()


@pytest.fixture
def bunker(tmp_path: Path, sqlite_template: Path) -> Iterator[Bunker]:
    made = Bunker(tmp_path / "bunker", sqlite_template)
    yield made
    made.database.close()


def verify_at(bunker: Bunker, publisher: Publisher, release_id: str, root: bytes) -> None:
    """As a customer of the other hub does, who trusts the publisher's root alone."""
    there = publisher.manifest(release_id)
    with bunker.database.read() as tx:
        number = find_product(tx, publisher.code).id
        versions = range(1, signed_state(tx, number).versions["root"] + 1)
        roots = tuple(find_metadata(tx, number, "root", one).encode() for one in versions)
        parts = [
            find_metadata(tx, number, role, None).encode()
            for role in ("timestamp", "snapshot", "targets")
        ]
        digest = json.loads(parts[2])["signed"]["targets"][f"{release_id}.json"]["hashes"]["sha256"]
        document = find_manifest(tx, number, release_id, digest).encode()
    proof = Proof(roots, *parts)
    check_proof([root], proof, f"{release_id}.json", document, product=publisher.code)
    assert document == there.document


def test_customers_there_verify_with_the_publishers_key(
    publisher: Publisher, bunker: Bunker
) -> None:
    first = publisher.publish("1.0")
    root = publisher.metadata("root", 1)
    bunker.take(publisher.bundle(first), root)
    verify_at(bunker, publisher, first, root)
    # New keys of the hub, a new root, a new release; what the hub there trusts is still the first.
    publisher.root(RootSpec(renew_online=True))
    second = publisher.publish("1.1")
    both = publisher.bundle(first, second)
    bunker.take(both, root)
    bunker.take(both, publisher.metadata("root", 2))  # again, and by the newest root
    for release_id in (first, second):
        verify_at(bunker, publisher, release_id, root)
    # The hub's own word lapses on the road; it is not this hub's to renew.
    later = NOW + timedelta(days=30)
    with bunker.database.read() as tx:
        assert list_due(tx, lives=LIVES, take=10, now=later) == []
    bunker.take(both, root, later=timedelta(days=30))


def test_a_hub_whose_key_the_root_names_keeps_it_fresh(
    publisher: Publisher, bunker: Bunker
) -> None:
    with bunker.database.write() as tx:
        factories.add_product(tx, "SIGNED")
        number = find_product(tx, "SIGNED").id
        mirror = mirror_key(tx, BOX, number, now=NOW)
        assert mirror_key(tx, BOX, number, now=NOW).keyid == mirror.keyid
    publisher.root(RootSpec(mirror_keys=[mirror]))
    first = publisher.publish("1.0")
    with publisher.database.write() as tx, pytest.raises(Conflict):
        mirror_key(tx, BOX, find_product(tx, "SIGNED").id, now=NOW)
    root = publisher.metadata("root", 2)
    bunker.take(publisher.bundle(first), root, later=timedelta(days=5))
    with bunker.database.read() as tx:
        stamped = json.loads(find_metadata(tx, number, "timestamp", None))["signed"]
        assert stamped["x-entrepot-signed-at"] == format_instant(NOW + timedelta(days=5))
        due = list_due(tx, lives=LIVES, take=10, now=NOW + timedelta(days=6))
    assert due == [number]
    publisher.root(RootSpec(renew_online=True))  # the mirror's key stays
    second = publisher.publish("1.1")
    bunker.take(publisher.bundle(first, second), root)
    with bunker.database.read() as tx:
        assert len(kept_signers(tx, BOX, number, ONLINE)) == 1
        versions = signed_state(tx, number).versions
    assert (versions["root"], versions["snapshot"]) == (3, 2)


def spoil(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        told["releases"][0][key] = value

    return change


def spoil_file(told: dict[str, Any]) -> None:
    told["releases"][0]["artifacts"][0]["fileName"] = "setup.exe"


def swap_files(told: dict[str, Any]) -> None:
    told["releases"][0]["artifacts"].reverse()


def leave_out_file(told: dict[str, Any]) -> None:
    told["releases"][0]["artifacts"].pop()


def other_bytes(told: dict[str, Any]) -> None:
    artifacts = told["releases"][0]["artifacts"]
    artifacts[0] |= {key: artifacts[1][key] for key in ("sha256", "size")}


def declassify(told: dict[str, Any]) -> None:
    told["releases"][0]["artifacts"][1]["repository"] = "general"


def describe(told: dict[str, Any]) -> None:
    told["releases"][0]["artifacts"][0]["description"] = "Needs no licence."


def leave_out_manifest(told: dict[str, Any]) -> None:
    told["manifests"] = []


def swap_metadata(told: dict[str, Any]) -> None:
    one = told["manifests"][0]
    one["snapshot"], one["targets"] = one["targets"], one["snapshot"]


def pass_for_another(told: dict[str, Any]) -> None:
    one = told["manifests"][0]
    one["timestamp"] = one["snapshot"]


CHANGES = {
    "name": spoil("name", "9.9"),
    "date": spoil("availableAt", "2020-01-01T00:00:00.000Z"),
    "quality": spoil("quality", "BETA"),
    "file name": spoil_file,
    "order": swap_files,
    "a file less": leave_out_file,
    "other bytes": other_bytes,
    "not controlled": declassify,
    "no manifest": leave_out_manifest,
    "mixed metadata": swap_metadata,
    "one for the other": pass_for_another,
}


def test_what_differs_from_what_was_signed_is_refused(publisher: Publisher, bunker: Bunker) -> None:
    release_id, root = publisher.publish("1.0"), publisher.metadata("root", 1)
    for what, change in CHANGES.items():
        told, documents = publisher.index(release_id)
        change(told)
        named = json.dumps(told)
        files = [data for _, data in FILES if f'"size": {len(data)}' in named]
        kept = [each for each in documents if sha256(each).hexdigest() in named]
        with pytest.raises(Invalid) as caught:
            bunker.take(pack(told, files, kept), root)
        assert (what, caught.value.code) == (what, "bundle-untrusted")
        assert bunker.is_empty()


def test_what_was_not_signed_makes_nothing_free(publisher: Publisher, bunker: Bunker) -> None:
    release_id, root = publisher.publish("1.0"), publisher.metadata("root", 1)
    told, documents = publisher.index(release_id)
    describe(told)
    forged = {"name": "Free", "usECCN": [], "eccnRestricted": False, "deliveryMethod": "none"}
    told["products"][0] |= forged
    told["products"].append(told["products"][0] | {"code": "UNSIGNED"})
    bunker.take(pack(told, [data for _, data in FILES], documents), root)
    with bunker.database.read() as tx:
        product = find_product(tx, publisher.code)
        rows = catalogue.list_artifacts(tx, release_id)
        with pytest.raises(NotFound):
            find_product(tx, "UNSIGNED")
    assert (product.name, product.us_eccn, product.eccn_restricted) == ("Signed", ["3D001"], True)
    assert product.delivery_method == "download"
    assert [(row.repository, row.controlled) for row in rows] == [
        ("general", False),
        ("controlled-crypto", True),
    ]
    assert {(row.description, row.type) for row in rows} == {("as it was described", "Manual")}
    assert bunker.unclassified == []
    # Of a publisher's restriction that came after the signature, the stricter holds.
    numbers = [str(number) for number in range(100)]
    told["products"][0] |= {"code": publisher.code, "usECCN": numbers}
    opened = catalogue.open_bundle(io.BytesIO(pack(told, [data for _, data in FILES], documents)))
    believed = prove_bundle(read_bundle(opened, bunker.store, {}), [root], now=NOW).index
    assert believed.products[0].us_eccn == ["3D001", *numbers[:99]]


def test_files_of_an_older_signature_are_controlled(publisher: Publisher, bunker: Bunker) -> None:
    release_id = publisher.publish("1.0", sign=False)
    publisher.sign_as_before()
    bunker.take(publisher.bundle(release_id), publisher.metadata("root", 1))
    with bunker.database.read() as tx:
        product = find_product(tx, publisher.code)
        rows = catalogue.list_artifacts(tx, release_id)
    assert [(row.repository, row.controlled) for row in rows] == [
        ("controlled", True),
        ("controlled-crypto", True),
    ]
    assert {(row.description, row.type) for row in rows} == {("", "File")}
    assert product.eccn_restricted
    assert bunker.unclassified == [release_id]
    verify_at(bunker, publisher, release_id, publisher.metadata("root", 1))


def test_roots_that_nothing_proves_are_not_kept(
    publisher: Publisher, bunker: Bunker, tmp_path: Path, sqlite_template: Path
) -> None:
    """Before the trusted root a bundle can name anything: another root, as version 2 or so."""
    release_id, root = publisher.publish("1.0"), publisher.metadata("root", 1)
    stranger = Publisher(tmp_path / "stranger", sqlite_template)
    stranger.root(RootSpec(renew_online=True))
    forged = [stranger.root_document(version) for version in (1, 2)]
    told, documents = publisher.index(release_id)
    named = [{"sha256": sha256(each).hexdigest(), "size": len(each)} for each in forged]
    told["manifests"][0]["roots"] = [*named, *told["manifests"][0]["roots"]]
    bunker.take(pack(told, [data for _, data in FILES], [*forged, *documents]), root)
    verify_at(bunker, publisher, release_id, root)
    with bunker.database.read() as tx:
        number = find_product(tx, publisher.code).id
        assert find_metadata(tx, number, "root", None).encode() == root
    stranger.database.close()


def test_another_publishers_product_of_the_same_code_is_refused(
    tmp_path: Path, sqlite_template: Path, publisher: Publisher, bunker: Bunker
) -> None:
    """Also where none of its roots has a version that the roots here have."""
    publisher.root(RootSpec())
    release_id = publisher.publish("1.0")
    bunker.take(
        publisher.bundle(release_id), publisher.metadata("root", 2)
    )  # the first stays there

    def held() -> list[str]:
        with bunker.database.read() as tx:
            return list(tx.execute(select(manifest_roles.c.document)).scalars())

    before = held()
    another = Publisher(tmp_path / "another", sqlite_template)
    another.now = NOW + timedelta(days=1)
    trusted = another.root_document(1)
    older = another.publish("2.0")
    for name in ("2.1", "2.2"):
        another.publish(name)  # its targets are newer by number
    with pytest.raises(Conflict, match="other keys"):
        bunker.take(another.bundle(older), trusted, later=timedelta(days=1))
    for _ in range(2):
        another.root(RootSpec())
    with pytest.raises(Conflict, match="other keys"):
        bunker.take(another.bundle(older), another.metadata("root", 3), later=timedelta(days=1))
    another.database.close()
    assert held() == before


def test_another_root_a_withdrawn_release_and_an_old_word_are_refused(
    publisher: Publisher, bunker: Bunker, tmp_path: Path, sqlite_template: Path
) -> None:
    first = publisher.publish("1.0")
    root, data = publisher.metadata("root", 1), publisher.bundle(first)
    stranger = Publisher(tmp_path / "stranger", sqlite_template)
    stranger.publish("1.0")
    with pytest.raises(Invalid, match="no root that you trust"):
        bunker.take(data, stranger.metadata("root", 1))
    with pytest.raises(Invalid, match="expired"):
        bunker.take(data, root, later=LIVES.targets + timedelta(days=1))
    assert bunker.is_empty()
    bunker.take(data, stranger.metadata("root", 1), root)  # several, one of them fits
    # Signed by another here already: the same code is not the same publisher.
    other = stranger.bundle(stranger.publish("2.0"))
    with pytest.raises(Conflict) as caught:
        bunker.take(other, stranger.metadata("root", 1))
    assert caught.value.code == "manifest-clash"
    # Newer metadata without the release: an older bundle does not bring it back.
    second = publisher.publish("1.1")
    old = publisher.bundle(first, second)
    with publisher.database.write() as tx:
        catalogue.withdraw_release(tx, second, actor=OPERATOR, now=NOW)
    third = publisher.publish("1.2")
    bunker.take(publisher.bundle(third), root)
    with pytest.raises(Conflict, match="overtaken"):
        bunker.take(old, root)
    stranger.database.close()
