"""Files on their way in: streamed, compared, limited, and nothing kept of one that fails."""

import asyncio
import base64
import dataclasses
import hashlib
import http.client
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from entrepot.assembly import Hub
from entrepot.blobs import LocalBlobStore
from entrepot.errors import Invalid, Late
from entrepot.web.admin_api._uploads import UPLOADS_MAX
from entrepot.web.http.incoming import IncomingFile
from tests.doors.admin_world import (
    API,
    URL,
    Desk,
    content_digest,
    open_desk,
    refused,
    stored,
)
from tests.waiting import wait_until
from tests.web.live_server import running

MIB = 1 << 20


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


def _files(desk: Desk, release_id: str) -> list[str]:
    shown: dict[str, Any] = desk.ask("GET", f"/releases/{release_id}").json()
    return [each["file_name"] for each in shown["artifacts"]]


class Body:
    """A body in pieces that remembers how many were asked for."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.sent += 1
            yield piece


def test_what_is_said_of_a_file_is_kept_in_the_order_of_arrival(desk: Desk) -> None:
    release_id = desk.draft()
    path = f"/releases/{release_id}/artifacts"
    query = (
        "?file_name=%C3%BC%20%26.tar.gz&name=A%20name&description=Of%20it&type=Installer"
        "&content_type=application/gzip&repository=controlled-a"
    )
    answer = desk.ask("POST", path + query, content=b"x")
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["file_name"], said["name"], said["description"]) == (
        "\u00fc &.tar.gz",
        "A name",
        "Of it",
    )
    assert (said["type"], said["content_type"]) == ("Installer", "application/gzip")
    assert (said["repository"], said["controlled"], said["position"]) == ("controlled-a", True, 1)
    assert desk.ask("GET", answer.headers["location"]).json() == said
    assert desk.upload(release_id, b"", file_name="empty.bin")["size"] == 0
    assert _files(desk, release_id) == ["\u00fc &.tar.gz", "empty.bin"]


def test_a_repository_that_nearly_says_controlled_is_to_be_meant(desk: Desk) -> None:
    release_id = desk.draft()
    path = f"/releases/{release_id}/artifacts?file_name=a.bin&repository=controled"
    refused(desk.ask("POST", path, content=b"x"), 400, "repository-doubtful", "repository")
    odd = desk.ask("POST", f"{path}&uncontrolled=yes", content=b"x")
    refused(odd, 400, "invalid", "uncontrolled")
    meant = desk.ask("POST", f"{path}&uncontrolled=true", content=b"x")
    assert meant.status_code == 201, meant.text
    assert meant.json()["controlled"] is False


def test_a_digest_is_compared_where_it_is_sent(desk: Desk, tmp_path: Path) -> None:
    release_id = desk.draft()
    path = f"/releases/{release_id}/artifacts?file_name=a.bin"
    plain = base64.b64encode(hashlib.sha256(b"good").digest()).decode()
    for field, value, code in (
        ("content-digest", content_digest(b"evil"), "digest-mismatch"),
        ("content-digest", f"sha-512=:{plain}:", "invalid"),
        ("content-digest", "sha-256=:AAAA:", "invalid"),
        ("content-digest", "sha-256=plain", "invalid"),
        ("content-digest", "", "invalid"),
        ("digest", f"MD5={plain}", "invalid"),
    ):
        answer = desk.ask("POST", path, content=b"good", headers={field: value})
        refused(answer, 400, code, field)
    assert stored(desk.hub, tmp_path) == []
    assert _files(desk, release_id) == []
    both = f"md5=:AAAA:, {content_digest(b'good')};q=1"
    for number, (field, value) in enumerate(
        (("Content-Digest", both), ("Digest", f"SHA-256={plain}"))
    ):
        answer = desk.ask("POST", f"{path}{number}", content=b"good", headers={field: value})
        assert answer.status_code == 201, answer.text


def test_an_evil_copy_takes_nothing_from_a_good_one(desk: Desk, tmp_path: Path) -> None:
    """The same bytes are an artifact's already: a refused upload of them leaves those alone."""
    release_id = desk.draft()
    kept = desk.upload(release_id, b"kept")
    path = f"/releases/{release_id}/artifacts?file_name=b.bin"
    headers = {"content-digest": content_digest(b"other")}
    refused(
        desk.ask("POST", path, content=b"kept", headers=headers),
        400,
        "digest-mismatch",
        "content-digest",
    )
    assert stored(desk.hub, tmp_path) == [kept["sha256"]]


def test_what_cannot_be_taken_is_refused_before_it_is_read(desk: Desk) -> None:
    release_id = desk.draft()
    desk.upload(release_id, b"x", file_name="a.bin")
    path = f"/releases/{release_id}/artifacts"
    for query, status, code, field in (
        ("", 400, "invalid", "file_name"),
        ("?file_name=", 400, "file-name", "file_name"),
        ("?file_name=..%2Fa", 400, "file-name", "file_name"),
        ("?file_name=b&content_type=x", 400, "invalid", "content_type"),
        ("?file_name=b&type=%00", 400, "invalid", "type"),
        ("?file_name=b&size=5", 400, "parameter-unknown", "size"),
        ("?file_name=a.bin", 409, "file-name-taken", ""),
    ):
        body = Body(b"x")
        answer = desk.ask("POST", path + query, content=aiter(body))
        refused(answer, status, code, field)
        assert body.sent == 0
    answer = desk.ask(
        "POST", f"{path}?file_name=b", content=b"x", headers={"content-encoding": "gzip"}
    )
    refused(answer, 400, "invalid", "content-encoding")
    desk.done("POST", f"/releases/{release_id}/available")
    body = Body(b"x")
    answer = desk.ask("POST", f"{path}?file_name=b", content=aiter(body))
    refused(answer, 409, "release-not-draft")
    assert body.sent == 0


def test_a_file_has_the_size_that_the_operator_allows(hub: Hub, tmp_path: Path) -> None:
    with open_desk(hub, upload_bytes_max=10, body_bytes_max=1024) as desk:
        release_id = desk.draft()
        path = f"/releases/{release_id}/artifacts?file_name=a.bin"
        announced = Body(b"x" * 11)
        headers = {"content-length": "11"}
        answer = desk.ask("POST", path, content=aiter(announced), headers=headers)
        assert refused(answer, 413, "object-too-large", "body")["details"] == {"size_max_bytes": 10}
        assert announced.sent == 0
        endless = Body(*[b"x" * MIB] * 200)
        refused(desk.ask("POST", path, content=aiter(endless)), 413, "object-too-large", "file")
        assert endless.sent < 50
        assert stored(hub, tmp_path) == []
        assert desk.upload(release_id, b"x" * 10)["size"] == 10


def test_a_file_may_be_larger_than_other_bodies(hub: Hub) -> None:
    with open_desk(hub, body_bytes_max=1024) as desk:
        assert desk.upload(desk.draft(), b"x" * MIB)["size"] == MIB


def test_a_full_disk_is_said_to_be_full(hub: Hub, tmp_path: Path) -> None:
    full = LocalBlobStore(tmp_path / "blobs", reserve_bytes=1 << 60)
    with open_desk(dataclasses.replace(hub, blobs=full)) as desk:
        release_id = desk.draft()
        answer = desk.ask("POST", f"/releases/{release_id}/artifacts?file_name=a", content=b"x")
        refused(answer, 507, "storage-full")
        assert "retry-after" in answer.headers
        assert _files(desk, release_id) == []
        assert stored(hub, tmp_path) == []


def test_a_body_shorter_than_announced_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    release_id = desk.draft()
    path = f"/releases/{release_id}/artifacts?file_name=a.bin"
    answer = desk.ask("POST", path, content=b"short", headers={"content-length": "6"})
    refused(answer, 400, "upload-incomplete", "body")
    assert stored(desk.hub, tmp_path) == []
    assert _files(desk, release_id) == []


def test_a_sender_that_stalls_or_leaves_fails_the_reader() -> None:
    """The body as a file, read on a thread as the store does."""

    async def read(*messages: dict[str, Any]) -> bytes:
        waiting = list(messages)

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.sleep(60)
            return waiting.pop(0)

        file = IncomingFile(receive, None, stall_seconds_max=0.05)
        filling = asyncio.create_task(file.fill())
        try:
            return await asyncio.to_thread(file.read)
        finally:
            filling.cancel()

    def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": more}

    whole = [piece(b"a"), piece(b""), piece(b"b" * MIB), piece(b"", more=False)]
    assert asyncio.run(read(*whole)) == b"a" + b"b" * MIB
    with pytest.raises(Late, match="No byte came"):
        asyncio.run(read(piece(b"a")))
    with pytest.raises(Invalid, match="connection ended"):
        asyncio.run(read(piece(b"a"), {"type": "http.disconnect"}))


def test_slow_uploads_hold_up_nobody_and_are_few(desk: Desk) -> None:
    """As many as are allowed hang; one more is sent away; everything else goes on."""
    release_id = desk.draft()
    path = f"{API}/releases/{release_id}/artifacts?file_name="
    headers = {"authorization": f"Bearer {desk.token}"}

    async def run() -> list[int]:
        go_on = asyncio.Event()
        begun = asyncio.Semaphore(0)

        async def slow() -> AsyncIterator[bytes]:
            yield b"first"
            begun.release()
            await go_on.wait()
            yield b"last"

        transport = httpx.ASGITransport(app=desk.app)
        async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
            uploads = [
                asyncio.create_task(client.post(f"{path}{n}", content=slow()))
                for n in range(UPLOADS_MAX)
            ]
            for _ in uploads:
                await begun.acquire()
            over = await client.post(f"{path}over", content=b"x")
            refused(over, 503, "unavailable")
            assert over.headers["retry-after"] == "10"
            assert (await client.get(f"{API}/products")).status_code == 200
            go_on.set()
            done = await asyncio.gather(*uploads)
            done.append(await client.post(f"{path}over", content=b"x"))
        return [answer.status_code for answer in done]

    assert desk.loop.run_until_complete(run()) == [201] * (UPLOADS_MAX + 1)
    assert len(_files(desk, release_id)) == UPLOADS_MAX + 1


def _pieces(count: int, piece: bytes) -> Iterator[bytes]:
    for _ in range(count):
        yield piece


def _post(port: int, desk: Desk, path: str, body: Iterator[bytes], length: int | None) -> Any:
    """The answer of a real server; without a length the body goes in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {desk.token}", "Host": "127.0.0.1"}
    headers |= (
        {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    )
    try:
        connection.request("POST", API + path, body, headers, encode_chunked=length is None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_file_needs_little_memory(desk: Desk, announced: bool) -> None:
    """50 MiB over a real connection; the process grows by a fraction of that."""
    release_id = desk.draft()
    desk.upload(release_id, b"x" * 2 * MIB, file_name="first.bin")  # what is needed once
    count, piece = 50, bytes(range(256)) * 4096
    process, peak, done = psutil.Process(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    path = f"/releases/{release_id}/artifacts?file_name=large.bin"
    with running(desk.app) as live:
        before = process.memory_info().rss
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            length = count * MIB if announced else None
            status, body = _post(live.port, desk, path, _pieces(count, piece), length)
        finally:
            done.set()
            watcher.join()
    assert status == 201, body
    expected = hashlib.sha256(piece * count).hexdigest()
    assert expected.encode() in body
    assert peak - before < 25 * MIB


def test_a_connection_that_is_cut_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    release_id = desk.draft()
    path = f"{API}/releases/{release_id}/artifacts?file_name=cut.bin"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {desk.token}\r\n"
        f"Content-Length: {10 * MIB}\r\n\r\n"
    )
    with running(desk.app) as live:
        for sent in (0, 1, 3 * MIB):
            with live.connect() as sock:
                sock.sendall(head.encode() + b"x" * sent)
                if sent:
                    # It has begun: an unfinished file lies there until the cut.
                    wait_until(lambda: any(tmp_path.rglob("*.part")))
            wait_until(lambda: stored(desk.hub, tmp_path) == [])
        assert _files(desk, release_id) == []
        answer = _post(live.port, desk, path.removeprefix(API), _pieces(1, b"x" * MIB), MIB)
    assert answer[0] == 201
    assert _files(desk, release_id) == ["cut.bin"]
