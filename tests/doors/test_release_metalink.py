"""A release as a Metalink document: decided as a link for each file, read as its standard says."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.blobs import CHUNK_BYTES
from entrepot.core import catalogue, entitlements
from entrepot.core.delivery import IssuedLink
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements import PermittedArtifacts, PermittedFile
from entrepot.core.events.tables import events
from entrepot.web.entitlement_api import _metalink
from entrepot.web.links import _leases
from tests import factories
from tests.doors.entitlement_world import (
    NOT_FOUND,
    Door,
    Offer,
    add_offer,
    open_door,
    release_path,
)
from tests.factories import OPERATOR

FILES = [("first ü & co.bin", b"a" * 1000), ("second.bin", b"b" * 300)]
IN_METALINK = {"": "urn:ietf:params:xml:ns:metalink"}


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with open_door(hub) as opened:
        yield opened


def offer_files(hub: Hub, **values: Any) -> Offer:
    release = {"files": FILES, "store": hub.blobs, "name": "2.0 <b>"} | values.pop("release", {})
    with hub.database.write() as tx:
        return add_offer(tx, now=hub.now(), release=release, **values)


def path_of(offer: Offer) -> str:
    return f"{release_path(offer.number, offer.release.id)}/metalink"


def files_in(document: bytes) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(document)
    assert root.tag == "{urn:ietf:params:xml:ns:metalink}metalink"
    return root.findall("file", IN_METALINK)


def said(file: ElementTree.Element, name: str) -> list[str | None]:
    return [one.text for one in file.findall(name, IN_METALINK)]


def test_the_document_has_each_file_with_its_digests_and_a_link(hub: Hub, door: Door) -> None:
    large = b"x" * CHUNK_BYTES + b"y" * 10
    offer = offer_files(hub, release={"files": [*FILES, ("large.bin", large)]})
    answer = door.get(path_of(offer), door.token(offer.who))
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "application/metalink4+xml",
    )
    assert answer.headers["cache-control"] == "private, no-store"
    named = f'attachment; filename="{offer.product}-2.0 _b_.meta4"'
    assert answer.headers["content-disposition"] == named
    assert b"The links are good until" in answer.content
    assert b'<publisher name="127.0.0.1" url="http://127.0.0.1:8080"/>' in answer.content
    found = files_in(answer.content)
    bodies = [*FILES, ("large.bin", large)]
    assert [one.get("name") for one in found] == [name for name, _ in bodies]
    with hub.database.read() as tx:
        held = {row.id: row for row in tx.execute(select(leases))}
        issued = tx.execute(select(events).where(events.c.type == "link.issued")).all()
    for file, (_, body) in zip(found, bodies, strict=True):
        assert said(file, "size") == [str(len(body))]
        assert said(file, "identity") == [offer.product]
        assert said(file, "version") == ["2.0 <b>"]
        assert said(file, "hash") == [
            hashlib.sha256(body).hexdigest(),
            hashlib.md5(body).hexdigest(),
        ]
        [url] = file.findall("url", IN_METALINK)
        assert url.get("priority") == "1"
        assert urlsplit(str(url.text)).path.startswith("/dl/")
    assert [file.find("pieces", IN_METALINK) is None for file in found] == [True, True, False]
    pieces = found[2].find("pieces", IN_METALINK)
    assert pieces is not None
    assert (pieces.get("type"), pieces.get("length")) == ("sha-256", "4194304")
    assert said(pieces, "hash") == [
        hashlib.sha256(large[:CHUNK_BYTES]).hexdigest(),
        hashlib.sha256(b"y" * 10).hexdigest(),
    ]
    # A lease and an event for each file, as if each link had been asked for by itself.
    assert {row.artifact_id for row in held.values()} == set(offer.release.artifact_ids)
    assert {row.expires_at - row.issued_at for row in held.values()} == {timedelta(minutes=10)}
    assert {row.subject for row in issued} == {
        f"artifact:{artifact_id}" for artifact_id in offer.release.artifact_ids
    }


def test_only_some_files(hub: Hub, door: Door) -> None:
    offer, other = offer_files(hub), offer_files(hub)
    token, second = door.token(offer.who), offer.release.artifact_ids[1]
    answer = door.get(path_of(offer), token, params={"artifacts": second})
    assert [one.get("name") for one in files_in(answer.content)] == ["second.bin"]
    foreign = other.release.artifact_ids[0]
    for asked in (f"{second},{foreign}", "x", ""):
        answer = door.get(path_of(offer), token, params={"artifacts": asked})
        assert (answer.status_code, answer.content) == (404, NOT_FOUND)
    many = door.get(path_of(offer), token, params={"artifacts": ",".join([second] * 101)})
    assert (many.status_code, many.json()["field"]) == (400, "artifacts")
    assert door.get(path_of(offer), token, params={"artifact": second}).status_code == 400


def test_all_or_nothing_for_the_reason_that_one_link_would_be_refused(hub: Hub, door: Door) -> None:
    with hub.database.write() as tx:
        catalogue.add_licence(
            tx, code="L1", name="One", text="Read me", actor=OPERATOR, now=hub.now()
        )
    offer = offer_files(
        hub,
        product={"licence_code": "L1"},
        grant={"allowed_countries": ("DE",)},
        release={"repository": "controlled"},
    )
    token, declared = door.token(offer.who), {"declared-country-code": "DE"}
    for headers in ({}, {"declared-country-code": "FR"}, declared):
        refused = door.get(path_of(offer), token, headers=headers)
        single = door.get(f"{offer.artifact}/http", token, headers=headers)
        assert refused.status_code == 403
        assert refused.json() == single.json()
    assert refused.json()["errorName"] == "download-error-eula-required"
    with hub.database.read() as tx:
        assert tx.execute(select(leases)).all() == []
    with hub.database.write() as tx:
        entitlements.accept_licence(tx, offer.who, code="L1", revision=1, now=hub.now())
    assert door.get(path_of(offer), token, headers=declared).status_code == 200
    with hub.database.write() as tx:
        entitlements.revoke(tx, offer.number, actor=OPERATOR, now=hub.now())
    ended = door.get(path_of(offer), token, headers=declared)
    assert (ended.status_code, ended.json()["reason"]) == (403, "entitlement-revoked")
    assert door.get(path_of(offer)).status_code == 401


def test_the_second_link_in_use_has_the_next_asked_about(
    hub: Hub, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_leases, "RECHECK_SECONDS", 3600.0)
    monkeypatch.setattr(_leases, "AHEAD", 2)
    files = [(f"{n}.bin", bytes([n])) for n in range(5)]
    offer = offer_files(hub, release={"files": files})
    assert door.get(path_of(offer), door.token(offer.who)).status_code == 200
    with hub.database.read() as tx:
        ids = list(tx.execute(select(leases.c.id).order_by(leases.c.id)).scalars())

    async def use() -> list[list[bool]]:
        held = _leases.Leases(door.edge)
        seen = []
        for used in (0, 1, 4):
            assert (await held.hold(ids[used])).link.file_name == f"{used}.bin"
            seen.append([held.warm(each) is not None for each in ids])
        return seen

    assert door.run(use()) == [
        [True, False, False, False, False],
        [True, True, True, True, False],
        [True] * 5,
    ]

    async def use_backwards() -> None:
        held = _leases.Leases(door.edge)
        for used in (4, 2):
            await held.hold(ids[used])
        following = held.warm(ids[3])
        assert following is not None
        await held.hold(ids[1])
        assert held.warm(ids[3]) is following, "it was not asked about again"

    door.run(use_backwards())


def test_a_file_that_the_quota_has_no_room_for_refuses_all(hub: Hub, door: Door) -> None:
    offer = offer_files(hub, grant={"bytes_max": 500})
    token = door.token(offer.who)
    refused = door.get(path_of(offer), token)
    assert (refused.status_code, refused.json()["reason"]) == (403, "quota-exhausted")
    small = {"artifacts": offer.release.artifact_ids[1]}
    assert door.get(path_of(offer), token, params=small).status_code == 200


def test_what_xml_cannot_hold_and_more_pieces_than_a_document_has(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written as the door writes it, of a name that no publisher gets past the catalogue."""
    file = PermittedFile('../..\\\x01<&".b\ufffe', 9, 0, "a" * 64, "b" * 32, "id")
    granted = PermittedArtifacts(1, "C&D", "r", "1\ufffe", hub.now(), None, [file])
    link = IssuedLink("t/n", "l", hub.now())
    monkeypatch.setattr(_metalink, "PIECES_MAX", 5)
    offered = [_metalink.Offered(file, link, [bytes(32)] * count) for count in (3, 3, 2, 1)]
    document = _metalink.write_metalink(
        granted, offered, publisher="P & <Q>", public_url="https://h/p?&", now=hub.now()
    )
    found = files_in(document)
    names = [str(one.get("name")) for one in found]
    assert names[0] == '.._.._<&".b\ufffd'
    assert [len(one.findall("pieces/hash", IN_METALINK)) for one in found] == [3, 0, 2, 0]
    assert said(found[0], "version") == ["1\ufffd"]


def test_a_colleague_of_another_organisation_is_told_nothing(hub: Hub, door: Door) -> None:
    offer = offer_files(hub)
    with hub.database.write() as tx:
        stranger = factories.add_user(tx, factories.add_organisation(tx))
    answer = door.get(path_of(offer), door.token(stranger))
    assert (answer.status_code, answer.content) == (404, NOT_FOUND)
