"""Signed manifests in the core: keys, signing, what the hub renews, and what it refuses."""

import hashlib
import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from sqlalchemy import delete, select

from entrepot.blobs import CHUNK_BYTES, BlobStore, LocalBlobStore
from entrepot.core import catalogue
from entrepot.core.accounts import SecretBox
from entrepot.core.catalogue import list_unchunked
from entrepot.core.catalogue.tables import blob_chunks
from entrepot.core.manifests import (
    Lives,
    find_manifest,
    find_metadata,
    list_due,
    list_to_sign,
    online,
    signed_state,
    signing,
)
from entrepot.core.manifests.key_files import (
    load_signer,
    make_key,
    read_public,
    write_public,
)
from entrepot.core.manifests.online import ONLINE, drop_keys, issue_snapshot, keep_key, renew
from entrepot.core.manifests.papers import Paper, from_text, read_paper, sign_paper
from entrepot.core.manifests.roots import (
    CheckedRoot,
    RootSpec,
    check_root,
    install_root,
    make_online_key,
    prepare_root,
)
from entrepot.core.manifests.signing import (
    Signed,
    install_targets,
    prepare_targets,
    sign_releases,
)
from entrepot.core.manifests.tables import manifest_keys, manifests
from entrepot.db import Database
from entrepot.errors import Conflict, Invalid, NotFound
from tests import factories
from tests.factories import NOW, OPERATOR

BOX = SecretBox("a secret key of thirty-two letters")
LIVES = Lives()
PASSWORD = "twelve letters or more"


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    store = LocalBlobStore(tmp_path / "blobs", reserve_bytes=0)
    store.prepare()
    return store


class Publisher:
    """A product with its keys, and a hub to publish and sign on."""

    def __init__(self, database: Database, store: BlobStore) -> None:
        self.database, self.store, self.now = database, store, NOW
        self.root, self.targets = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
        with database.write() as tx:
            factories.add_product(tx, "SIGNED")
            self.product_id = catalogue.find_product(tx, "SIGNED").id

    def prepare(self, spec: RootSpec) -> Paper:
        with self.database.write() as tx:
            return prepare_root(tx, BOX, "SIGNED", spec, now=self.now)

    def install(self, paper: Paper, *signers: CryptoSigner) -> int:
        sign_paper(paper, signers)
        with self.database.write() as tx:
            return install_root(tx, BOX, paper, lives=LIVES, actor=OPERATOR, now=self.now)

    def begin(self) -> None:
        keys = RootSpec([self.root.public_key], [self.targets.public_key])
        assert self.install(self.prepare(keys), self.root) == 1

    def publish(self, name: str, data: bytes = b"data") -> str:
        return catalogue.publish(
            self.database,
            self.store,
            product="SIGNED",
            release=catalogue.ReleaseSpec(name),
            sources=[catalogue.Source(catalogue.ArtifactSpec("a"), lambda: io.BytesIO(data))],
            actor=OPERATOR,
            now=lambda: self.now,
        )

    def sign(self, *wanted: str, key: CryptoSigner | None = None) -> Signed:
        return sign_releases(
            self.database,
            self.store,
            BOX,
            "SIGNED",
            wanted,
            [key or self.targets],
            publisher="Example",
            lives=LIVES,
            actor=OPERATOR,
            now=lambda: self.now,
        )

    def named(self) -> dict[str, str]:
        """What the newest targets name: release -> digest."""
        with self.database.read() as tx:
            newest = from_text(find_metadata(tx, self.product_id, "targets", None)).signed
        return {name: file.hashes["sha256"] for name, file in newest.targets.items()}


@pytest.fixture
def publisher(database: Database, store: BlobStore) -> Publisher:
    return Publisher(database, store)


def test_releases_come_and_go(publisher: Publisher) -> None:
    publisher.begin()
    first, second = publisher.publish("1"), publisher.publish("2")
    with publisher.database.read() as tx, pytest.raises(NotFound):
        find_metadata(tx, publisher.product_id, "root", None)  # a root alone promises nothing
    assert publisher.sign(first) == Signed(1, (first,), (), 1)
    assert publisher.sign() == Signed(2, (second,), (), 2)
    assert publisher.sign() == Signed(3, (), (), 2)

    with publisher.database.write() as tx:
        catalogue.withdraw_release(tx, first, actor=OPERATOR, now=NOW)
    assert publisher.sign() == Signed(4, (), (first,), 1)
    [(name, digest)] = publisher.named().items()
    assert name == f"{second}.json"
    with publisher.database.read() as tx:
        told = json.loads(find_manifest(tx, publisher.product_id, second, digest))
        with pytest.raises(NotFound):
            find_manifest(tx, publisher.product_id, second, "0" * 64)
        with pytest.raises(NotFound):
            find_manifest(tx, publisher.product_id + 1, second, digest)
    assert (told["publisher"], told["product"]["code"]) == ("Example", "SIGNED")
    assert (told["release"]["id"], told["release"]["name"]) == (second, "2")
    assert (told["licence"], told["chunkBytes"]) == (None, CHUNK_BYTES)
    [file] = told["files"]
    data = hashlib.sha256(b"data").hexdigest()
    assert (file["name"], file["size"], file["sha256"], file["chunks"]) == ("a", 4, data, data)
    with pytest.raises(NotFound):
        publisher.sign(first)


def test_a_release_named_by_its_id_is_described_anew(publisher: Publisher) -> None:
    publisher.begin()
    release = publisher.publish("1")
    publisher.sign()
    with publisher.database.write() as tx:
        catalogue.add_licence(tx, code="TERMS", name="T", text="t", actor=OPERATOR, now=NOW)
        spec = catalogue.ProductSpec("SIGNED", "Signed", licence_code="TERMS")
        catalogue.change_product(tx, publisher.product_id, spec, actor=OPERATOR, now=NOW)
    before = publisher.named()
    publisher.sign()
    assert publisher.named() == before
    publisher.sign(release)
    assert publisher.named().keys() == before.keys()
    assert publisher.named() != before
    [digest] = publisher.named().values()
    with publisher.database.read() as tx:
        told = json.loads(find_manifest(tx, publisher.product_id, release, digest))["licence"]
    assert told == {
        "code": "TERMS",
        "name": "T",
        "revision": 1,
        "sha256": hashlib.sha256(b"t").hexdigest(),
    }
    publisher.now += timedelta(days=2)
    for _ in range(6):  # as many versions as are kept, so that nothing names the old one
        publisher.sign()
    with publisher.database.read() as tx:
        assert len(tx.execute(select(manifests)).all()) == 1


def test_all_chunks_are_digested_a_few_at_a_time(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.begin()
    for number in range(3):
        publisher.publish(str(number), bytes([number]) * (CHUNK_BYTES + 1))
    with publisher.database.write() as tx:
        tx.execute(delete(blob_chunks))
    monkeypatch.setattr(signing, "list_unchunked", partial(list_unchunked, take=1))
    assert publisher.sign().releases == 3


def test_only_the_keys_that_the_root_names_count(publisher: Publisher) -> None:
    with pytest.raises(Conflict, match="no signing keys"):
        publisher.sign()
    publisher.begin()
    publisher.publish("1")
    with pytest.raises(Invalid) as refused:
        publisher.sign(key=publisher.root)
    assert refused.value.code == "manifest-key-unknown"
    paper = prepare_targets(
        publisher.database, publisher.store, "SIGNED", publisher="E", lives=LIVES, now=lambda: NOW
    )
    with pytest.raises(Conflict) as unsigned:
        _install(publisher, paper)
    assert unsigned.value.code == "manifest-unsigned"


def _install(publisher: Publisher, paper: Paper) -> Signed:
    return install_targets(
        publisher.database, BOX, paper, lives=LIVES, actor=OPERATOR, now=lambda: NOW
    )


def test_a_paper_goes_to_another_machine_and_back(publisher: Publisher) -> None:
    publisher.begin()
    release = publisher.publish("1")
    paper = prepare_targets(
        publisher.database, publisher.store, "SIGNED", publisher="E", lives=LIVES, now=lambda: NOW
    )
    away = read_paper(paper.encode())
    away.sign(publisher.targets)
    back = read_paper(away.encode())
    changed = replace(back, documents=dict.fromkeys(back.documents, "{}"))
    with pytest.raises(Invalid, match="not the one that was signed"):
        _install(publisher, changed)
    # The root that a paper brings along is not believed.
    other = CryptoSigner.generate_ed25519()
    forged = read_paper(paper.encode())
    forged.current.signed.roles["targets"].keyids = []  # type: ignore[union-attr]
    forged.current.signed.add_key(other.public_key, "targets")  # type: ignore[union-attr]
    forged.sign(other)
    with pytest.raises(Conflict):
        _install(publisher, forged)
    assert _install(publisher, back).added == (release,)
    with pytest.raises(Conflict) as overtaken:
        _install(publisher, back)
    assert overtaken.value.code == "manifest-overtaken"
    for wrong in ("", "[]", '{"kind":1}', paper.encode().replace("entrepot-signing", "other")):
        with pytest.raises(Invalid):
            read_paper(wrong)


def test_roots_are_signed_by_the_old_keys_and_the_new(publisher: Publisher) -> None:
    publisher.begin()
    publisher.publish("1")
    publisher.sign()
    second, third = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    two = RootSpec([second.public_key, third.public_key], root_threshold=2)
    paper = publisher.prepare(two)
    for signers in ((second, third), (publisher.root, second)):
        with pytest.raises(Conflict, match="lacks signatures"):
            publisher.install(read_paper(paper.encode()), *signers)
    assert publisher.install(paper, publisher.root, second, third) == 2

    # Other targets keys: what was signed is signed anew, in the same step.
    fresh = CryptoSigner.generate_ed25519()
    paper = publisher.prepare(RootSpec(targets_keys=[fresh.public_key]))
    assert paper.targets is not None
    with pytest.raises(Conflict):
        publisher.install(read_paper(paper.encode()), second, third)
    assert publisher.install(paper, second, third, fresh) == 3
    with pytest.raises(Invalid):
        publisher.sign()
    assert publisher.sign(key=fresh).version == 3
    with pytest.raises(Invalid):
        publisher.prepare(RootSpec(root_threshold=3))
    with pytest.raises(Conflict, match="overtaken"):
        publisher.install(paper, second, third, fresh)


def test_the_hub_renews_what_it_signs_by_itself(publisher: Publisher) -> None:
    publisher.begin()
    publisher.publish("1")
    publisher.sign()
    database, product_id = publisher.database, publisher.product_id

    def due(now: object) -> list[int]:
        with database.read() as tx:
            return list_due(tx, lives=LIVES, take=10, now=now)  # type: ignore[arg-type]

    assert due(NOW) == []
    later = NOW + timedelta(hours=13)
    assert due(later) == [product_id]
    renew(database, BOX, product_id, lives=LIVES, now=later)
    with database.read() as tx:
        state = signed_state(tx, product_id)
    assert state.versions == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 2}
    assert due(later) == []
    week = NOW + timedelta(days=4)
    renew(database, BOX, product_id, lives=LIVES, now=week)
    with database.read() as tx:
        assert signed_state(tx, product_id).versions["snapshot"] == 2
        assert find_metadata(tx, product_id, "snapshot", 1)
        with pytest.raises(NotFound):
            find_metadata(tx, product_id, "timestamp", 2)
    assert due(week) == []

    # Another key of the hub's own, by a new root.
    paper = publisher.prepare(RootSpec(renew_online=True))
    again = publisher.prepare(RootSpec(renew_online=True))
    publisher.install(paper, publisher.root)
    with database.read() as tx:
        held = tx.execute(select(manifest_keys.c.key_id)).scalars().all()
        newest = from_text(find_metadata(tx, product_id, "timestamp", None))
    assert len(held) == 2
    assert again.root is not None
    assert again.root.signed.roles["timestamp"].keyids == list(newest.signatures)
    with database.write() as tx:
        issue_snapshot(tx, BOX, product_id, lives=LIVES, now=week)


def test_key_files() -> None:
    pem, public = make_key(PASSWORD)
    assert load_signer(pem, PASSWORD).public_key == public
    assert read_public(write_public(public)) == public
    for wrong in (None, "another password"):
        with pytest.raises(Invalid):
            load_signer(pem, wrong)
    for short in ("", "short"):
        with pytest.raises(Invalid):
            make_key(short)
    _, other = make_key(PASSWORD)
    swapped = write_public(public).replace(public.keyval["public"], other.keyval["public"])
    for text in ("", "{}", "[]", swapped, write_public(public).replace("ed25519", "rsa")):
        with pytest.raises(Invalid):
            read_public(text)


def test_who_signs_at_once_is_overtaken_and_nothing_breaks(publisher: Publisher) -> None:
    """As a worker that holds a key and an operator at the desk do."""
    publisher.begin()
    outcomes: list[Signed | Conflict] = []

    def sign() -> None:
        try:
            outcomes.append(publisher.sign())
        except Conflict as error:
            outcomes.append(error)

    for name in ("1", "2", "3"):
        publisher.publish(name)
        threads = [threading.Thread(target=sign) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 12
    done = [one.version for one in outcomes if isinstance(one, Signed)]
    assert sorted(done) == list(range(1, len(done) + 1))
    refused = {one.code for one in outcomes if isinstance(one, Conflict)}
    assert refused <= {"manifest-overtaken"}
    assert len(publisher.named()) == 3


def test_nobody_waits_while_the_hub_signs(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed is written afterwards; what came in between is not overrun."""
    publisher.begin()
    database, number = publisher.database, publisher.product_id
    asides: list[Callable[[], None]] = []

    def load(pem: bytes, password: str | None) -> CryptoSigner:
        if asides:
            asides.pop()()
        return load_signer(pem, password)

    def write() -> None:
        with database.write() as tx:  # SQLite would refuse it beside another writer
            factories.add_organisation(tx)

    def renew_it() -> None:
        renew(database, BOX, number, lives=LIVES, now=NOW)

    def sign_it() -> None:
        assert publisher.sign().releases == 2

    def signed_by(aside: Callable[[], None], act: Callable[[], object]) -> dict[str, int]:
        asides.append(aside)
        act()
        assert asides == []
        with database.read() as tx:
            state = signed_state(tx, number)
            stamp = from_text(find_metadata(tx, number, "timestamp", None)).signed
            snapshot = from_text(find_metadata(tx, number, "snapshot", None)).signed
        assert stamp.snapshot_meta.version == state.versions["snapshot"]
        assert snapshot.meta["targets.json"].version == state.versions["targets"]
        return state.versions

    def rotate() -> None:
        paper = publisher.prepare(RootSpec(renew_online=True))
        sign_paper(paper, [publisher.root])
        with database.read() as tx:
            checked = check_root(tx, BOX, paper, lives=LIVES, now=NOW)
        with database.write() as tx:
            install_root(tx, BOX, paper, checked=checked, lives=LIVES, actor=OPERATOR, now=NOW)

    monkeypatch.setattr(online, "load_signer", load)
    publisher.publish("1")
    first = {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 1}
    assert signed_by(write, publisher.sign) == first
    assert signed_by(write, renew_it) == first | {"timestamp": 2}
    # The hub renews its word just then: another one is signed, by the version after that.
    assert signed_by(renew_it, publisher.sign) == {
        "root": 1,
        "targets": 2,
        "snapshot": 2,
        "timestamp": 4,
    }
    # Somebody signs just then: that is as fresh, and nothing is left to renew.
    publisher.publish("2")
    found = signed_by(sign_it, renew_it)
    assert found == {"root": 1, "targets": 3, "snapshot": 3, "timestamp": 5}
    assert signed_by(write, rotate) == {"root": 2, "targets": 3, "snapshot": 4, "timestamp": 6}


def test_what_is_published_while_others_are_signed_is_signed_next(publisher: Publisher) -> None:
    publisher.begin()
    publisher.publish("1")
    with publisher.database.write() as tx:
        keep_key(tx, BOX, publisher.product_id, "targets", publisher.targets, now=NOW)
    publisher.now += timedelta(minutes=1)
    paper = prepare_targets(
        publisher.database,
        publisher.store,
        "SIGNED",
        publisher="Example",
        lives=LIVES,
        now=lambda: publisher.now,
    )
    sign_paper(paper, [publisher.targets])

    def to_sign() -> list[int]:
        with publisher.database.read() as tx:
            return list_to_sign(tx, lives=LIVES, now=publisher.now)

    def install(paper: Paper) -> None:
        publisher.now += timedelta(minutes=1)
        install_targets(
            publisher.database,
            BOX,
            paper,
            lives=LIVES,
            actor=OPERATOR,
            now=lambda: publisher.now,
        )

    publisher.now += timedelta(minutes=1)
    publisher.publish("2")  # the paper does not know of it
    install(paper)
    assert to_sign() == [publisher.product_id]
    publisher.now += timedelta(minutes=1)
    assert publisher.sign().releases == 2
    assert to_sign() == []


def test_a_key_that_no_root_names_is_nothing_to_sign_by(publisher: Publisher) -> None:
    """A mirror's key, before the publisher has named it."""
    publisher.begin()
    publisher.publish("1")
    publisher.sign()
    later = NOW + LIVES.snapshot
    with publisher.database.write() as tx:
        assert list_due(tx, lives=LIVES, take=10, now=later) == [publisher.product_id]
        drop_keys(tx, publisher.product_id, ONLINE)
        waiting = CryptoSigner.generate_ed25519()
        keep_key(tx, BOX, publisher.product_id, ONLINE, waiting, now=NOW)
        assert list_due(tx, lives=LIVES, take=10, now=later) == []


def test_a_root_that_was_checked_before_is_overtaken_by_what_came_since(
    publisher: Publisher,
) -> None:
    publisher.begin()
    publisher.publish("1")
    publisher.sign()
    with publisher.database.write() as tx:
        make_online_key(tx, BOX, "SIGNED", renew=True, now=NOW)
    with publisher.database.read() as tx:  # nothing is left to write
        paper = prepare_root(tx, BOX, "SIGNED", RootSpec(renew_online=True), now=NOW)
    sign_paper(paper, [publisher.root])

    def install(checked: CheckedRoot) -> int:
        with publisher.database.write() as tx:
            return install_root(
                tx, BOX, paper, checked=checked, lives=LIVES, actor=OPERATOR, now=NOW
            )

    def check() -> CheckedRoot:
        with publisher.database.read() as tx:
            return check_root(tx, BOX, paper, lives=LIVES, now=NOW)

    early = check()
    publisher.publish("2")
    publisher.sign()
    with pytest.raises(Conflict) as caught:
        install(early)
    assert caught.value.code == "manifest-overtaken"
    ready = check()
    assert install(ready) == 2
    with pytest.raises(Conflict):
        install(ready)
    assert len(publisher.named()) == 2
