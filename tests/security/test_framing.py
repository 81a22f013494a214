"""Where one request ends and the next begins, and what counts as its head: raw bytes in.

A proxy in front decides by the head that it saw. Whatever it could not see, or could read
otherwise, must not reach the application.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.live_server import Cut, Live, Reader, running

SECOND = b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


async def tell_what_came(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, then answer with the head and the body as the application has them."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    came = {
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
        "path": scope["raw_path"].decode(),
    }
    said = json.dumps(came).encode()
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with running(tell_what_came) as live:
        yield live


def statuses(live: Live, *parts: bytes, count: int = 0) -> list[int]:
    """The statuses of all that comes back until the server closes or has nothing to say.

    So many answers are waited for; for one more than these only half a second.
    """
    found: list[int] = []
    with live.connect() as sock:
        with contextlib.suppress(OSError):
            for part in parts:
                sock.sendall(part)
        reader = Reader(sock)
        with contextlib.suppress(Cut, TimeoutError):
            while True:
                sock.settimeout(20 if len(found) < count else 0.5)
                found.append(reader.reply()[0])
    return found


@pytest.mark.parametrize("at_once", [True, False])
def test_a_trailer_is_no_header(live: Live, at_once: bool) -> None:
    """A proxy strips `X-Country` from a head; after the body it does not look (RFC 9110 6.5.1)."""
    head = CHUNKED + b"X-Country: DE\r\n\r\n"
    rest = b"1\r\na\r\n0\r\nX-Country: FR\r\nAuthorization: Bearer x\r\nHost: evil\r\n\r\n"
    with live.connect() as sock:
        reader = Reader(sock)
        if at_once:
            sock.sendall(head + rest)
        else:
            sock.sendall(head)
            time.sleep(0.05)
            sock.sendall(rest)
        status, _, body = reader.reply()
        came = json.loads(body)
        sock.sendall(b"GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n")
        following = json.loads(reader.reply()[2])
    assert status == 200
    assert came["body"] == "a"
    names = [name for name, _ in came["headers"]]
    assert sorted(names) == ["host", "transfer-encoding", "x-country"]
    assert ["x-country", "DE"] in came["headers"]
    assert following["headers"] == [["host", "localhost"]]


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"0\r\n", b"X-" + b"y" * 500 + b": " + b"z" * 500 + b"\r\n"),  # trailers without an end
        (b"0\r\nX: ", b"y" * 1000),  # one trailer without an end
        (b"1;", b"y" * 1000),  # a chunk extension without an end
    ],
)
def test_what_surrounds_a_body_has_a_limit(live: Live, begin: bytes, again: bytes) -> None:
    """Nothing of this reaches an application, so nothing else would ever stop it."""
    cut = False
    with live.connect() as sock:
        try:
            sock.sendall(CHUNKED + b"\r\n1\r\na\r\n" + begin)
            for _ in range(20):
                sock.sendall(again * 50)
            # What was sent may still lie in the kernel's buffers: the end comes when it is read.
            while sock.recv(65536):
                pass
            cut = True
        except ConnectionError:
            cut = True
        except TimeoutError:
            pass
    assert cut, "a megabyte was taken"
    assert statuses(live, SECOND, count=1) == [200]


def test_a_body_in_the_smallest_chunks_is_no_abuse(live: Live) -> None:
    with live.connect() as sock:
        sock.sendall(CHUNKED + b"\r\n" + b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n")
        assert len(json.loads(Reader(sock).reply()[2])["body"]) == 30_000


POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
        POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        POST + b"Content-Length: 1, 1\r\n\r\na",
        POST + b"Content-Length: +1\r\n\r\na",
        POST + b"Content-Length: -1\r\n\r\na",
        POST + b"Content-Length: 0x1\r\n\r\na",
        POST + b"Content-Length: \r\n\r\n",
        POST + b"Content-Length: 99999999999999999999\r\n\r\na",
        POST + b"Content-Length : 1\r\n\r\na",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil?localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost@evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /#fragment HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda sent: ascii(sent.decode("latin-1"))[1:70].replace("\\", ""),
)
def test_what_can_be_read_in_two_ways_ends_the_connection(live: Live, sent: bytes) -> None:
    """RFC 9112 sections 2.2, 3.2, 5, 6 and 11.2: nothing after it is taken for a request."""
    assert statuses(live, sent + SECOND) in ([400], [])


def test_a_whole_address_of_the_same_host_is_taken(live: Live) -> None:
    """RFC 9112 section 3.2.2."""
    sent = b"GET http://LOCALHOST/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(live, sent, count=1) == [200]


def test_a_body_on_a_get_is_not_the_next_request(live: Live) -> None:
    sent = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(SECOND)
    assert statuses(live, sent + SECOND, count=1) == [200]
    assert statuses(live, sent + SECOND + SECOND, count=2) == [200, 200]
