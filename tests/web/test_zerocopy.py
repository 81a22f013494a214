import asyncio
import contextlib
import os
import pickle
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from entrepot.kit.extents import Extent, FileExtent, MemoryExtent
from entrepot.web.zerocopy import (
    WHOLE_BODY_BYTES_MAX,
    ConnectionLimits,
    Sent,
    send_extents,
    uvicorn_options,
)
from tests.ports import free_port
from tests.waiting import wait_until
from tests.web.live_server import (
    ETAG,
    WAYS,
    Cut,
    Door,
    Reader,
    door_for,
    request,
    running,
)

SIZE = 3_000_017
MIB = 1 << 20


@pytest.fixture(scope="module")
def data() -> bytes:
    return random.Random(7).randbytes(SIZE)


@pytest.fixture
def path(tmp_path: Path, data: bytes) -> Path:
    file = tmp_path / "stored"
    file.write_bytes(data)
    return file


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    file = tmp_path / "sparse"
    with file.open("wb") as out:
        out.truncate(300 * MIB)
    return file


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    process = psutil.Process()
    before = process.num_fds()
    yield
    wait_until(lambda: process.num_fds() <= before)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_sends_the_same_bytes(way: str, path: Path, data: bytes) -> None:
    door = door_for(f=path)
    rng = random.Random(11)
    spans = [(rng.randrange(SIZE), rng.randrange(1, SIZE)) for _ in range(12)]
    edge = WHOLE_BODY_BYTES_MAX
    spans += [(0, 1), (SIZE - 1, 1), (5, edge - 1), (5, edge), (5, edge + 1), (0, SIZE)]
    with running(door, way) as live, live.connect() as sock:
        reader = Reader(sock)
        for start, length in spans:
            last = start + length - 1
            sock.sendall(request("f", f"Range: bytes={start}-{last}"))
            status, fields, body = reader.reply()
            assert status == 206
            assert body == data[start : last + 1]
            assert fields["content-range"] == f"bytes {start}-{min(last, SIZE - 1)}/{SIZE}"
        sock.sendall(request("f"))
        status, fields, body = reader.reply()
        assert (status, body) == (200, data)
        assert fields["accept-ranges"] == "bytes"
        assert fields["etag"] == ETAG
        assert fields["last-modified"] == "Sun, 01 Mar 2026 12:30:15 GMT"
        assert "content-encoding" not in fields
        assert "transfer-encoding" not in fields
    assert ("http.response.zerocopysend" in door.extensions) == (way == "zero-copy")
    assert all(sent.complete for sent in door.sents)
    assert door.sents[-1] == Sent(SIZE, complete=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", [40, 400_000])
def test_several_ranges_come_as_multipart(way: str, step: int, path: Path, data: bytes) -> None:
    spans = [(i * 2 * step, i * 2 * step + step - 1) for i in (2, 0, 1)]
    with running(door_for(f=path), way) as live:
        wanted = ",".join(f"{first}-{last}" for first, last in spans)
        status, fields, body = live.get("f", f"Range: bytes={wanted}")
    assert status == 206
    assert "content-range" not in fields
    kind, _, boundary = fields["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    parts = b"".join(
        f"{'' if n == 0 else chr(13) + chr(10)}--{boundary}\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"Content-Range: bytes {first}-{last}/{SIZE}\r\n\r\n".encode()
        + data[first : last + 1]
        for n, (first, last) in enumerate(spans)
    )
    assert body == parts + f"\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize("way", WAYS)
def test_head_and_answers_without_the_file(way: str, path: Path) -> None:
    door = door_for(f=path)
    with running(door, way) as live, live.connect() as sock:
        reader = Reader(sock)
        sock.sendall(request("f", "Range: bytes=0-1", method="HEAD"))
        status, fields, body = reader.reply("HEAD")
        assert (status, fields["content-length"], body) == (200, str(SIZE), b"")
        sock.sendall(request("f", f"If-None-Match: {ETAG}"))
        status, fields, body = reader.reply()
        assert (status, fields["etag"], body) == (304, ETAG, b"")
        assert "content-length" not in fields
        sock.sendall(request("f", 'If-Match: "other"'))
        status, fields, body = reader.reply()
        assert status == 412
        assert body.endswith(b"start from the first byte.\n")
        sock.sendall(request("f", f"Range: bytes={SIZE}-"))
        status, fields, body = reader.reply()
        assert (status, fields["content-range"]) == (416, f"bytes */{SIZE}")
        assert str(SIZE).encode() in body
        sock.sendall(request("f", "Range: bytes=0-0", 'If-Range: "other"', "Connection: close"))
        status, fields, body = reader.reply()
        assert (status, len(body), fields["connection"]) == (200, SIZE, "close")
        assert reader.at_end()
    assert door.sents[0] == Sent(0, complete=True)
    assert all(sent.complete for sent in door.sents)


@pytest.mark.parametrize("way", WAYS)
def test_pipelined_requests_are_answered_in_order(way: str, path: Path, data: bytes) -> None:
    wanted = [(0, SIZE - 1), (7, 9), (100, 2_000_000), (SIZE - 70_000, SIZE - 1), (1, 1)]
    with running(door_for(f=path), way) as live, live.connect() as sock:
        for _ in range(2):  # the connection is good for another round
            sock.sendall(b"".join(request("f", f"Range: bytes={a}-{b}") for a, b in wanted))
            reader = Reader(sock)
            for first, last in wanted:
                assert reader.reply()[::2] == (206, data[first : last + 1])
            assert not reader.buffer


@pytest.mark.parametrize("way", WAYS)
def test_thousands_of_extents(way: str, path: Path, data: bytes) -> None:
    """The shape of a virtual ZIP: records at hand between stretches of files."""
    extents: list[Extent] = []
    expected = []
    for n in range(3000):
        extents += [MemoryExtent(b"record %d" % n), FileExtent(str(path), n * 300, n % 700)]
        expected += [b"record %d" % n, data[n * 300 : n * 300 + n % 700]]
    extents.append(MemoryExtent(data))
    whole = b"".join(expected) + data
    door = Door({"zip": lambda start, length: extents}, {"zip": len(whole)})
    door.progress = []
    with running(door, way) as live:
        assert live.get("zip")[2] == whole
        wait_until(lambda: bool(door.sents))
    assert door.sents == [Sent(len(whole), complete=True)]
    assert door.progress == sorted(door.progress)
    assert door.progress[-1] == len(whole)


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_frees_everything(way: str, sparse: Path) -> None:
    door = door_for(f=sparse)
    with running(door, way) as live:
        live.get("f", "Range: bytes=0-9")
        door.sents.clear()
        with no_descriptor_left():
            for _ in range(5):
                with live.connect() as sock:
                    sock.sendall(request("f"))
                    assert sock.recv(1000)
                    assert sock.recv(1000)
            wait_until(lambda: len(door.sents) == 5)
        assert live.get("f", "Range: bytes=0-9")[0] == 206
    for sent in door.sents[:5]:
        assert not sent.complete
        assert 0 < sent.bytes_sent < 300 * MIB


def test_the_loop_stays_free_after_a_client_left_a_server_that_does_not_say_so(
    sparse: Path,
) -> None:
    """uvicorn's own `send` returns in silence then: nobody may go on reading 300 MiB."""
    door = door_for(f=sparse)
    with running(door, "other-server", http="httptools") as live:
        with live.connect() as sock:
            sock.sendall(request("f"))
            sock.recv(1000)
        wait_until(lambda: bool(door.sents))
    assert not door.sents[0].complete
    assert door.sents[0].bytes_sent < 50 * MIB


def test_a_client_that_left_before_a_small_answer_is_not_counted(path: Path) -> None:
    left = threading.Event()
    sents = []

    async def late(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()
        headers = [(b"content-length", b"10")]
        extents = [FileExtent(str(path), 0, 10)]
        sents.append(
            await send_extents(scope, receive, send, status=200, headers=headers, extents=extents)
        )

    with running(late) as live:
        with live.connect() as sock:
            sock.sendall(request("f"))
        wait_until(lambda: bool(sents))
    assert left.is_set()
    assert sents == [Sent(0, complete=False)]


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_file_answers_500_while_that_is_possible(
    way: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = door_for(f=path)
    with running(door, way) as live:
        os.truncate(path, 100)
        assert live.get("f")[0] == 500
        assert live.get("f", "Range: bytes=99-108")[0] == 500
        path.unlink()
        assert live.get("f")[0] == 500
    assert [(fault.started, fault.sent) for fault in door.faults] == [(False, 0)] * 3
    assert str(path) in caplog.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("damage", ["short", "missing"])
def test_a_file_that_ends_early_cuts_the_connection(
    way: str, damage: str, path: Path, tmp_path: Path, data: bytes
) -> None:
    bad = tmp_path / "bad"
    if damage == "short":
        bad.write_bytes(b"only this")
    extents: list[Extent] = [
        MemoryExtent(b"head"),
        FileExtent(str(path), 0, 200_000),
        FileExtent(str(bad), 0, 10),
    ]
    door = Door({"zip": lambda start, length: extents}, {"zip": 200_014})
    with running(door, way) as live, live.connect() as sock, no_descriptor_left():
        # A second request waits behind: nothing may be said to it on this connection.
        sock.sendall(request("zip") * 2)
        with pytest.raises(Cut) as cut:
            Reader(sock).reply()
        sock.close()
        wait_until(lambda: bool(door.faults))
    whole = b"head" + data[:200_000] + (b"only this" if damage == "short" else b"")
    assert whole.startswith(cut.value.body)
    assert len(cut.value.body) < 200_014
    assert [fault.started for fault in door.faults] == [True]
    assert 200_004 <= door.faults[0].sent <= 200_013


def test_a_length_that_does_not_fit_cuts_the_connection(path: Path) -> None:
    for promised in (SIZE - 1, SIZE + 1):

        async def wrong(scope: Any, receive: Any, send: Any, length: int = promised) -> None:
            headers = [(b"content-length", b"%d" % length)]
            extents = [FileExtent(str(path), 0, SIZE)]
            await send_extents(scope, receive, send, status=200, headers=headers, extents=extents)

        with running(wrong) as live, pytest.raises(Cut):
            live.get("f")


def test_a_file_the_page_cache_does_not_hold(tmp_path: Path, data: bytes) -> None:
    cold = tmp_path / "cold"
    cold.write_bytes(data)
    door = door_for(f=cold)
    with running(door) as live:
        for field, expected in (("X: y", data), ("Range: bytes=9-19", data[9:20])):
            descriptor = os.open(cold, os.O_RDWR)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
            assert live.get("f", field)[2] == expected


def test_the_extension_as_any_application_may_use_it(path: Path, data: bytes) -> None:
    async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Length", b"%d" % (SIZE - 10 + 3))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with path.open("rb") as file:
            file.seek(10)
            message = {"type": "http.response.zerocopysend", "file": file, "more_body": True}
            await send(message)
        await asyncio.sleep(0.05)  # the file has arrived: no acknowledgement will push the rest
        await send({"type": "http.response.body", "body": b"end", "more_body": True})
        await send({"type": "http.response.body"})

    with running(plain_asgi) as live, live.connect() as sock:
        reader = Reader(sock)
        seconds = list[float]()
        # What was held back for more must leave at the end, not when the kernel's 200 ms are up:
        # held back, every one takes longer; on a busy machine some do.
        while len(seconds) < 5 or (min(seconds) >= 0.2 and len(seconds) < 60):
            begin = time.monotonic()
            sock.sendall(request("f"))
            assert reader.reply()[::2] == (200, data[10:] + b"end")
            seconds.append(time.monotonic() - begin)
        assert min(seconds) < 0.2


def test_a_failing_application_still_answers(path: Path) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise ValueError("on purpose")

    async def injecting(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"x", b"a\r\nset-cookie: b"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    for app in (failing, injecting):
        with running(app) as live:
            status, fields, _ = live.get("f")
            assert status == 500
            assert "set-cookie" not in fields


def test_slow_and_silent_clients_are_closed(path: Path) -> None:
    limits = ConnectionLimits(head_seconds_max=1)
    with running(door_for(f=path), limits=limits) as live:
        begin = time.monotonic()
        with live.connect() as silent, live.connect() as slow, live.connect() as second:
            slow.sendall(b"GET /f HTTP/1.1\r\n")
            second.sendall(request("f", "Range: bytes=0-0") + b"GET /f HT")
            second_reader = Reader(second)
            assert second_reader.reply()[0] == 206
            with contextlib.suppress(OSError):
                for _ in range(20):  # a byte now and then does not help
                    slow.sendall(b"x")
                    time.sleep(0.05)
            assert Reader(slow).reply()[0] == 408
            assert second_reader.reply()[0] == 408
            assert Reader(silent).at_end()
        assert time.monotonic() - begin > 0.5


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(path: Path) -> None:
    with running(door_for(f=path), timeout_keep_alive=1) as live, live.connect(4096) as sock:
        sock.sendall(request("f"))
        reader = Reader(sock)
        status, _ = reader.head()
        time.sleep(1.5)  # a download in progress is not idle
        left = SIZE - len(reader.buffer)
        while left:
            left -= len(sock.recv(left))
        assert status == 200
        reader.buffer.clear()
        assert reader.at_end()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /f HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /f HTTP/1.1\r\nX: " + b"y" * 400_000, 431),
        (b"GET /f HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"\x00\x01 rubbish\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\n\r\n", 400),
        (b"POST /f HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
)
def test_a_head_beyond_the_limits_is_refused(path: Path, head: bytes, status: int) -> None:
    with running(door_for(f=path)) as live, live.connect() as sock:
        with contextlib.suppress(OSError):
            sock.sendall(head)
        # The refusal may be lost in the reset that follows unread bytes; the end may not.
        with contextlib.suppress(Cut):
            assert Reader(sock).reply()[0] == status
        assert live.get("f", "Range: bytes=0-0")[0] == 206


def test_a_head_within_the_limits_is_taken(path: Path) -> None:
    fields = [f"X-{n}: {'y' * 600}" for n in range(99)]
    with running(door_for(f=path)) as live:
        assert live.get("f", *fields)[0] == 200


def test_rubbish_during_a_download_does_not_get_into_the_file(path: Path, data: bytes) -> None:
    with running(door_for(f=path)) as live, live.connect(4096) as sock:
        sock.sendall(request("f"))
        time.sleep(0.1)
        sock.sendall(b"\x00rubbish\r\n\r\n")
        reader = Reader(sock)
        assert reader.reply()[::2] == (200, data)
        assert reader.at_end()


def test_an_offer_to_upgrade_is_ignored(path: Path, data: bytes) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with running(door_for(f=path)) as live, live.connect() as sock:
        reader = Reader(sock)
        for _ in range(2):
            sock.sendall(request("f", *offer))
            assert reader.reply()[::2] == (200, data)
            sock.sendall(request("f", "Range: bytes=1-2"))
            assert reader.reply()[::2] == (206, data[1:3])


def test_too_many_pipelined_requests_end_the_connection_after_their_turn(path: Path) -> None:
    limits = ConnectionLimits(pipelined_requests_max=8)
    with running(door_for(f=path), limits=limits) as live, live.connect() as sock:
        sock.sendall(request("f", "Range: bytes=0-99999") * 20)
        reader = Reader(sock)
        for _ in range(9):
            assert len(reader.reply()[2]) == 100_000
        assert reader.at_end()


@pytest.mark.parametrize("way", ["zero-copy", "tls"])
def test_a_reader_that_never_reads_is_cut(way: str, sparse: Path) -> None:
    door = door_for(f=sparse)
    limits = ConnectionLimits(stall_seconds_max=1)
    with running(door, way, limits) as live, live.connect(4096) as sock:
        begin = time.monotonic()
        sock.sendall(request("f"))
        wait_until(lambda: bool(door.sents))
        assert time.monotonic() - begin > 0.9
        with pytest.raises(Cut):
            Reader(sock).reply()
    assert not door.sents[0].complete


def test_a_body_that_never_comes_is_cut(path: Path) -> None:
    async def reading(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    limits = ConnectionLimits(stall_seconds_max=0.5)
    with running(reading, limits=limits) as live, live.connect() as sock:
        sock.sendall(request("f", "Content-Length: 10", method="POST") + b"12345")
        assert Reader(sock).at_end()


@pytest.mark.parametrize("way", WAYS)
def test_a_large_file_needs_little_memory(way: str, sparse: Path) -> None:
    process = psutil.Process()
    door = door_for(f=sparse)
    with running(door, way) as live, live.connect() as sock:
        live.get("f", "Range: bytes=0-1000000")
        before = process.memory_info().rss
        sock.sendall(request("f"))
        reader = Reader(sock)
        reader.head()
        left = 300 * MIB - len(reader.buffer)
        buffer = bytearray(MIB)
        highest = before
        while left:
            count = sock.recv_into(buffer, min(left, MIB))
            assert count
            left -= count
            if left % 64 == 0:
                highest = max(highest, process.memory_info().rss)
        wait_until(lambda: len(door.sents) == 2)
    assert door.sents[-1] == Sent(300 * MIB, complete=True)
    assert highest - before < 16 * MIB


def test_many_slow_readers_cost_little_and_hold_nothing_up(sparse: Path) -> None:
    readers = 500
    process = psutil.Process()
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(running(door_for(f=sparse)))
        live.get("f", "Range: bytes=0-1000000")
        memory, descriptors = process.memory_info().rss, process.num_fds()
        with contextlib.ExitStack() as clients:
            socks = [clients.enter_context(live.connect(4096)) for _ in range(readers)]
            for sock in socks:
                sock.sendall(request("f"))
            for sock in socks:
                assert sock.recv(512).startswith(b"HTTP/1.1 200")
            assert live.get("f", "Range: bytes=0-9")[0] == 206  # though nobody else reads on
            assert process.memory_info().rss - memory < 30 * MIB
            # Two for each on our side and one on the client's; the file is open once.
            assert process.num_fds() - descriptors <= 3 * readers + 5
        wait_until(lambda: process.num_fds() <= descriptors)


@pytest.mark.parametrize("way", WAYS)
def test_a_download_under_way_survives_the_end_of_the_server(
    way: str, path: Path, data: bytes
) -> None:
    with running(door_for(f=path), way) as live, live.connect(4096) as sock:
        sock.sendall(request("f"))
        reader = Reader(sock)
        status, _ = reader.head()
        live.server.should_exit = True
        time.sleep(0.3)
        while len(reader.buffer) < SIZE:
            assert reader._more()
        assert (status, bytes(reader.buffer)) == (200, data)
        reader.buffer.clear()
        assert reader.at_end()


def test_the_end_of_the_server_does_not_wait_for_ever(sparse: Path) -> None:
    door = door_for(f=sparse)
    with running(door, timeout_graceful_shutdown=1) as live, live.connect(4096) as sock:
        sock.sendall(request("f"))
        reader = Reader(sock)
        reader.head()
        live.server.should_exit = True
        live.thread.join(60)
        assert not live.thread.is_alive()


WORKERS = """
import os
import sys
import uvicorn
from entrepot.kit.extents import FileExtent
from entrepot.web.zerocopy import ConnectionLimits, send_extents, uvicorn_options

async def app(scope, receive, send):
    if scope["type"] == "http":
        size = os.stat(__file__).st_size
        headers = [
            (b"content-length", b"%d" % size),
            (b"x-offers", ",".join(scope["extensions"]).encode()),
        ]
        extents = [FileExtent(__file__, 0, size)]
        await send_extents(scope, receive, send, status=200, headers=headers, extents=extents)

if __name__ == "__main__":
    uvicorn.run(
        "several:app", port=int(sys.argv[1]), workers=2, lifespan="off", **uvicorn_options()
    )
"""


def test_several_worker_processes(tmp_path: Path) -> None:
    script = tmp_path / "several.py"
    script.write_text(WORKERS)
    port = free_port()
    process = subprocess.Popen([sys.executable, str(script), str(port)], cwd=tmp_path)
    try:

        def answers() -> bool:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                    sock.sendall(request(""))
                    status, fields, body = Reader(sock).reply()
            except (OSError, Cut):
                return False
            assert "http.response.zerocopysend" in fields["x-offers"]
            return status == 200 and body == WORKERS.encode()

        wait_until(answers)
    finally:
        process.terminate()
        process.wait(30)


def test_the_options_can_be_handed_to_another_process() -> None:
    options = uvicorn_options(ConnectionLimits(head_seconds_max=3), trusted_proxies=("10.0.0.1",))
    again = pickle.loads(pickle.dumps(options))
    assert again["http"].keywords == options["http"].keywords
    assert again["proxy_headers"] is True
