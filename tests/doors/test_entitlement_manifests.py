"""Signed metadata and manifests at the door: for whom, in which words, and what a client sees."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from sqlalchemy import update
from tuf.api.metadata import Metadata, Targets

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.accounts import Principal
from entrepot.core.manifests.papers import sign_paper
from entrepot.core.manifests.roots import RootSpec, install_root, prepare_root
from entrepot.core.manifests.signing import sign_releases
from entrepot.core.manifests.tables import manifest_roles
from entrepot.web.entitlement_api._documents import (
    PIECE_BYTES,
    DocumentResponse,
    SignedDocuments,
)
from tests import factories
from tests.doors.entitlement_world import (
    DAY,
    NOT_FOUND,
    Door,
    Offer,
    add_offer,
    open_door,
    releases_path,
)

OPERATOR = "operator"


@dataclass(frozen=True)
class Signed:
    """A product that is signed, with one release, and who may have it."""

    door: Door
    offer: Offer
    stranger: Principal

    def path(self, name: str, kind: str = "metadata", product: str = "") -> str:
        return f"/manifests/{product or self.offer.product}/{kind}/{name}"

    def manifest(self) -> str:
        """The path of the manifest, as the targets name it."""
        token = self.door.token(self.offer.who)
        found = self.door.get(self.path("1.targets.json"), token)
        targets: Metadata[Targets] = Metadata.from_bytes(found.content)
        [(name, file)] = targets.signed.targets.items()
        return self.path(f"{file.hashes['sha256']}.{name}", "targets")


@pytest.fixture
def signed(hub: Hub) -> Iterator[Signed]:
    with open_door(hub) as door:
        hub, now = door.hub, door.hub.now()
        with hub.database.write() as tx:
            offer = add_offer(tx, now=now)
            stranger = factories.add_user(tx, factories.add_organisation(tx))
        sign(hub, offer.product)
        yield Signed(door, offer, stranger)


def sign(hub: Hub, product: str) -> CryptoSigner:
    key, lives = CryptoSigner.generate_ed25519(), hub.policy.manifest_lives
    with hub.database.write() as tx:
        spec = RootSpec([key.public_key], [key.public_key])
        paper = prepare_root(tx, hub.keys.box, product, spec, now=hub.now())
        sign_paper(paper, [key])
        install_root(tx, hub.keys.box, paper, lives=lives, actor=OPERATOR, now=hub.now())
    sign_releases(
        hub.database,
        hub.blobs,
        hub.keys.box,
        product,
        (),
        [key],
        publisher="Example",
        lives=lives,
        actor=OPERATOR,
        now=hub.now,
    )
    return key


def test_metadata_and_manifests_are_given_as_they_were_signed(signed: Signed) -> None:
    token = signed.door.token(signed.offer.who)
    names = ("root.json", "1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json")
    for path in (*(signed.path(name) for name in names), signed.manifest()):
        found = signed.door.get(path, token)
        assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
        etag = f'"{hashlib.sha256(found.content).hexdigest()}"'
        assert found.headers["etag"] == etag
        assert found.headers["cache-control"] == "private, no-cache"
        again = signed.door.get(path, token, headers={"if-none-match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert signed.door.get(path).status_code == 401
    assert signed.offer.release.id.encode() in found.content


def test_a_large_document_is_in_memory_once_and_leaves_in_pieces(signed: Signed) -> None:
    large = json.dumps({"signed": "ö" * 300_000}, ensure_ascii=False)
    with signed.door.hub.database.write() as tx:
        of_targets = manifest_roles.c.role == "targets"
        tx.execute(update(manifest_roles).where(of_targets).values(document=large))
    token = signed.door.token(signed.offer.who)
    found = signed.door.get(signed.path("1.targets.json"), token)
    assert found.content == large.encode()

    documents, sent = SignedDocuments(), []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    held = documents.share(large)
    assert documents.share(f" {large}"[1:]) is held
    response = DocumentResponse(held, {})
    asyncio.run(response({}, receive, send))  # type: ignore[arg-type]
    head, *parts = sent
    assert (b"content-length", str(len(held.body)).encode()) in head["headers"]
    assert b"".join(part["body"] for part in parts) == held.body
    assert max(len(part["body"]) for part in parts) == PIECE_BYTES
    assert [part["more_body"] for part in parts] == [True] * (len(parts) - 1) + [False]


def test_who_has_no_right_sees_nothing_of_it(signed: Signed) -> None:
    """The same 404 for a stranger, for what is not there, and for names that are none."""
    manifest = signed.manifest()
    paths = [signed.path("root.json"), signed.path("timestamp.json"), manifest]
    token = signed.door.token(signed.stranger)
    for path in (*paths, signed.path("root.json", product="NO-SUCH")):
        found = signed.door.get(path, token)
        assert (found.status_code, found.content) == (404, NOT_FOUND)
    token = signed.door.token(signed.offer.who)
    with signed.door.hub.database.write() as tx:
        other = add_offer(tx, now=signed.door.hub.now())
    wrong = (
        "2.root.json",
        "0.root.json",
        "01.root.json",
        "9999999999.root.json",
        "mirrors.json",
        "root",
        "%2e%2e",
        "root.json%00",
    )
    elsewhere = manifest.replace(signed.offer.product, other.product)
    digest = manifest.rpartition("/")[2][:64]
    for path in (
        *(signed.path(name) for name in wrong),
        manifest.replace(digest, "0" * 64),
        manifest.replace(signed.offer.release.id, other.release.id),
        elsewhere,
        signed.path("root.json", product=other.product),
    ):
        found = signed.door.get(path, token)
        assert (found.status_code, found.content) == (404, NOT_FOUND), path


def test_rights_that_ended_leave_the_metadata_and_take_the_manifests(signed: Signed) -> None:
    door, offer, manifest = signed.door, signed.offer, signed.manifest()
    token = door.token(offer.who)
    with door.hub.database.write() as tx:
        catalogue.withdraw_release(tx, offer.release.id, actor=OPERATOR, now=door.hub.now())
    refused = door.get(manifest, token)
    assert (refused.status_code, refused.json()["reason"]) == (403, "release-withdrawn")
    with door.hub.database.write() as tx:
        entitlements.revoke(tx, offer.number, actor=OPERATOR, now=door.hub.now())
    refused = door.get(manifest, token)
    listed = door.get(releases_path(offer.number), token)
    assert (refused.status_code, refused.json()["reason"]) == (403, listed.json()["reason"])
    assert door.get(signed.path("root.json"), token).status_code == 200


def test_one_of_several_entitlements_is_enough(signed: Signed) -> None:
    door, offer, manifest = signed.door, signed.offer, signed.manifest()
    now = door.hub.now()
    with door.hub.database.write() as tx:
        entitlements.revoke(tx, offer.number, actor=OPERATOR, now=now)
        group = factories.add_product(tx, members=(offer.product,))
        factories.grant(tx, offer.who.organisation_id, group, valid_to=now + DAY)
    token = door.token(offer.who)
    assert door.get(manifest, token).status_code == 200
    with door.hub.database.write() as tx:
        organisation = offer.who.organisation_id
        accounts.block_organisation(tx, organisation, blocked=True, actor=OPERATOR, now=now)
    assert door.get(signed.path("root.json"), token).status_code == 403
