"""All files of a release in one ZIP: issued by the predicate, sent by ranges, recorded."""

import asyncio
import email.parser
import email.policy
import io
import time
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from entrepot.assembly import Hub
from entrepot.core import catalogue, entitlements
from entrepot.core.delivery import Transfer, list_downloads
from entrepot.core.events.tables import events
from entrepot.web.links._recording import Recorder
from entrepot.web.server import build_app
from tests import factories
from tests.doors.entitlement_world import (
    MISSING,
    NOT_FOUND,
    Door,
    Offer,
    add_offer,
    open_door,
    release_path,
)
from tests.factories import OPERATOR
from tests.web.live_server import Live, Reply, running

FILES = [("first ü.bin", b"a" * 1000), ("second.bin", bytes(range(256)) * 300), ("empty", b"")]


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with open_door(hub) as opened:
        yield opened


def offer_files(hub: Hub, **values: Any) -> Offer:
    """A release with FILES."""
    release = {"files": FILES, "store": hub.blobs, "name": "2.0"} | values.pop("release", {})
    with hub.database.write() as tx:
        return add_offer(tx, now=hub.now(), release=release, **values)


def test_the_answer_names_the_zip_and_its_size(hub: Hub, door: Door) -> None:
    offer = offer_files(hub)
    answer = door.get(offer.zip, door.token(offer.who))
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")
    assert set(body) == {"downloadUrl", "message", "fileName", "fileSize"}
    assert body["fileName"] == f"{offer.product}-2.0.zip"
    assert body["message"] == f"Download Url for all files of {offer.release.id}"
    assert urlsplit(body["downloadUrl"]).path.endswith(f"/{offer.product}-2.0.zip")
    again = door.get(offer.zip, door.token(offer.who)).json()
    assert again["downloadUrl"] != body["downloadUrl"]
    assert again["fileSize"] == body["fileSize"]


def test_every_file_is_decided_on(hub: Hub, door: Door) -> None:
    """One controlled file among others: its country must be declared, and it must be allowed."""
    offer = offer_files(hub, grant={"allowed_countries": ("DE",)})
    with hub.database.write() as tx:
        product = catalogue.find_product(tx, offer.product)
        draft = catalogue.create_release(
            tx,
            product.id,
            catalogue.ReleaseSpec("3.0", quality="EAC"),
            actor=OPERATOR,
            now=hub.now(),
        )
        for name, repository in (("plain.bin", "general"), ("secret.bin", "controlled-eu")):
            spec = catalogue.ArtifactSpec(file_name=name, repository=repository)
            digests = hub.blobs.ingest(io.BytesIO(name.encode()))
            catalogue.add_artifact(tx, draft, spec, digests, actor=OPERATOR, now=hub.now())
        catalogue.make_available(tx, draft, actor=OPERATOR, now=hub.now())
    path, token = f"{release_path(offer.number, draft)}/zip", door.token(offer.who)
    missing = door.get(path, token)
    assert (missing.status_code, missing.json()["reason"]) == (403, "declared-country-required")
    other = door.get(path, token, headers={"declared-country-code": "FR"})
    assert (other.status_code, other.json()["reason"]) == (403, "declared-country-not-allowed")
    assert door.get(path, token, headers={"declared-country-code": "DE"}).status_code == 200
    odd = door.get(path, token, headers={"declared-country-code": "DEU"})
    assert (odd.status_code, odd.json()["field"]) == (400, "declared-country-code")


def test_a_licence_has_to_be_accepted_as_for_a_single_file(hub: Hub, door: Door) -> None:
    with hub.database.write() as tx:
        catalogue.add_licence(
            tx, code="L1", name="One", text="Read me", actor=OPERATOR, now=hub.now()
        )
    offer = offer_files(hub, product={"licence_code": "L1"})
    token = door.token(offer.who)
    refused, single = door.get(offer.zip, token), door.get(f"{offer.artifact}/http", token)
    assert refused.status_code == 403
    assert refused.json() == single.json()
    assert refused.json()["errorName"] == "download-error-eula-required"
    with hub.database.write() as tx:
        entitlements.accept_licence(tx, offer.who, code="L1", revision=1, now=hub.now())
    assert door.get(offer.zip, token).status_code == 200


def test_what_is_not_there_and_what_is_not_yours_are_the_same(hub: Hub, door: Door) -> None:
    mine, theirs = offer_files(hub), offer_files(hub)
    token = door.token(mine.who)
    for path in (
        theirs.zip,
        f"{release_path(mine.number, theirs.release.id)}/zip",
        f"{release_path(mine.number, MISSING)}/zip",
        f"{release_path(mine.number, 'x')}/zip",
    ):
        answer = door.get(path, token)
        assert (answer.status_code, answer.content) == (404, NOT_FOUND)
    assert door.get(f"{mine.zip}/more", token).json()["reason"] == "endpoint-unknown"
    assert door.get(mine.zip).status_code == 401
    assert door.ask(f"/{mine.zip}", method="POST").status_code in (404, 405)
    with hub.database.write() as tx:
        catalogue.withdraw_release(tx, mine.release.id, actor=OPERATOR, now=hub.now())
    gone = door.get(mine.zip, token)
    assert (gone.status_code, gone.json()["reason"]) == (403, "release-withdrawn")


class Served:
    """The hub behind real sockets, and links to ask it by."""

    def __init__(self, hub: Hub, door: Door, live: Live) -> None:
        self.hub = hub
        self.door = door
        self.live = live

    def link(self, offer: Offer) -> str:
        """A fresh link's path."""
        answer = self.door.get(offer.zip, self.door.token(offer.who)).json()
        return str(urlsplit(answer["downloadUrl"]).path)

    def get(self, link: str, *fields: str, method: str = "GET") -> Reply:
        """One request."""
        return self.live.get(link[1:], *fields, method=method)


@pytest.fixture
def served(hub: Hub, door: Door) -> Iterator[Served]:
    app = build_app(hub)
    app._links._recorder = _Immediate(app._edge)
    with running(app) as live:
        yield Served(hub, door, live)
    app._edge.close()


class _Immediate(Recorder):
    """Writes each transfer when it is noted: no test waits for the next batch."""

    def note(self, transfers: Sequence[Transfer]) -> None:
        super().note(transfers)
        task = asyncio.get_running_loop().create_task(self.flush())
        task.add_done_callback(lambda done: done.result())


def test_the_zip_over_http(served: Served) -> None:
    offer = offer_files(served.hub)
    link = served.link(offer)
    status, headers, whole = served.get(link)
    assert (status, int(headers["content-length"])) == (200, len(whole))
    assert headers["content-type"] == "application/zip"
    assert headers["accept-ranges"] == "bytes"
    assert f"{offer.product}-2.0.zip" in headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert [(name, opened.read(name)) for name in opened.namelist()] == FILES
    head = served.get(link, method="HEAD")
    assert (head[0], head[2]) == (200, b"")
    same = ("content-length", "etag", "last-modified", "content-type")
    assert [head[1][name] for name in same] == [headers[name] for name in same]
    middle = served.get(link, "Range: bytes=900-70000", f"If-Range: {headers['etag']}")
    assert (middle[0], middle[2]) == (206, whole[900:70001])
    assert middle[1]["content-range"] == f"bytes 900-70000/{len(whole)}"
    assert served.get(link, "Range: bytes=9-", 'If-Range: "other"')[::2] == (200, whole)
    assert served.get(link, "Range: bytes=-30")[2] == whole[-30:]
    assert served.get(link, f"Range: bytes={len(whole)}-")[0] == 416
    assert served.get(link, f"If-None-Match: {headers['etag']}")[0] == 304
    assert served.get(link, f"If-Modified-Since: {headers['last-modified']}")[0] == 304
    assert served.get(link, 'If-Match: "other"')[0] == 412


def test_several_ranges_of_the_zip_come_as_parts(served: Served) -> None:
    link = served.link(offer_files(served.hub))
    whole = served.get(link)[2]
    status, headers, body = served.get(link, "Range: bytes=0-9,1000-1099,-22")
    assert status == 206
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    assert [part["Content-Type"] for part in parsed.iter_parts()] == ["application/zip"] * 3
    for piece in (whole[:10], whole[1000:1100], whole[-22:]):
        assert b"\r\n\r\n" + piece + b"\r\n--" in body


def test_another_process_and_another_caller_get_the_same_bytes(hub: Hub, served: Served) -> None:
    offer = offer_files(hub)
    with hub.database.write() as tx:
        colleague = factories.add_user(tx, offer.who.organisation_id)
    _, first, whole = served.get(served.link(offer))
    answer = served.door.get(offer.zip, served.door.token(colleague)).json()
    app = build_app(hub)
    with running(app) as other:
        _, second, again = other.get(urlsplit(answer["downloadUrl"]).path[1:])
    app._edge.close()
    assert (second["etag"], second["last-modified"]) == (first["etag"], first["last-modified"])
    assert again == whole


def test_a_zip_is_recorded_when_its_ranges_cover_it(hub: Hub, served: Served) -> None:
    offer = offer_files(hub)
    link = served.link(offer)
    size = int(served.get(link, method="HEAD")[1]["content-length"])
    half = size // 2
    served.get(link, f"Range: bytes=0-{half}")
    served.get(served.link(offer), f"Range: bytes={half + 1}-")
    deadline = time.monotonic() + 60
    while True:
        with hub.database.read() as tx:
            rows = list_downloads(tx, organisation_id=offer.who.organisation_id)
        if rows and rows[0].completed_at is not None:
            break
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)
    [row] = rows
    assert (row.kind, row.release_id, row.artifact_id) == ("release", offer.release.id, None)
    assert (row.file_name, row.size, row.bytes_sent) == (f"{offer.product}-2.0.zip", size, size)
    assert (row.product_code, row.release_name) == (offer.product, "2.0")
    with hub.database.read() as tx:
        [done] = tx.execute(events.select().where(events.c.type == "download.completed"))
    assert done.subject == f"release:{offer.release.id}"


def test_a_revocation_ends_the_link(hub: Hub, served: Served) -> None:
    offer = offer_files(hub)
    link = served.link(offer)
    with hub.database.write() as tx:
        entitlements.revoke(tx, offer.number, actor=OPERATOR, now=hub.now())
    status, _, body = served.get(link)
    assert (status, b"entitlement-revoked" in body) == (403, True)
