"""Addresses that somebody else chose: what is asked, what is refused, and how long it may take.

The servers are real; only the answer of the look-up is given, by the argument that takes it.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pytest
import trustme

from entrepot.errors import EntrepotError, Invalid
from entrepot.kit.outbound import check_url, fetch, is_allowed, stream

Act = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Takes connections on 127.0.0.1 and does to each what it is told; counts them."""

    def __init__(self, act: Act, context: ssl.SSLContext | None) -> None:
        self._act = act
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.heads: list[bytes] = []
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            if self.over.is_set():
                taken.close()
                return
            self.connections += 1
            self._answer(taken)

    def _answer(self, taken: socket.socket) -> None:
        taken.settimeout(10)
        try:
            with (
                self._context.wrap_socket(taken, server_side=True) if self._context else taken as s
            ):
                self.heads.append(s.recv(65536))
                self._act(s)
        except OSError:  # whoever asked has gone
            taken.close()

    def close(self) -> None:
        self.over.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join(15)
        self._listener.close()
        assert not self._thread.is_alive()


@contextmanager
def serving(act: Act, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(act, context)
    try:
        yield server
    finally:
        server.close()


def say(*pieces: bytes) -> Act:
    return lambda connection: connection.sendall(b"".join(pieces))


def resolving(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    return lambda _host, _port: addresses


def ask(url: str, **options: object) -> bytes:
    given: dict[str, object] = {"bytes_max": 1000, "seconds_max": 5, "private": True, **options}
    return fetch(url, **given).body  # type: ignore[arg-type]


def code(act: Callable[[], object]) -> str:
    with pytest.raises(EntrepotError) as caught:
        act()
    return caught.value.code


PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")
PRIVATE = ("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1")
PRIVATE_6 = ("::1", "fd00::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1")
NEVER = (
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "192.0.0.8", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::ffff:0.0.0.0", "::ffff:169.254.169.254", "::7f00:1"),
    *("100.100.100.200", "fd00:ec2::254", "::ffff:100.100.100.200"),  # as 169.254.169.254
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::"),
    *("fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "3fff::1", "4000::1", "localhost", ""),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_asked(address: str) -> None:
    assert is_allowed(address, private=False)
    assert is_allowed(address, private=True)


@pytest.mark.parametrize("address", [*PRIVATE, *PRIVATE_6])
def test_private_addresses_are_asked_only_where_the_operator_says_so(address: str) -> None:
    assert not is_allowed(address, private=False)
    assert is_allowed(address, private=True)


@pytest.mark.parametrize("address", NEVER)
def test_special_addresses_are_never_asked(address: str) -> None:
    assert not is_allowed(address, private=False)
    assert not is_allowed(address, private=True)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "ftp://example.com/", "file:///etc/passwd", "//example.com/x"),
        *("https://", "https:///x", "https://user:pw@example.com/", "https://a@b@example.com/"),
        *("https://example.com:0/", "https://example.com:99999/", "https://[::1/", "gopher://x/"),
        *("https://example.com/a b", "https://example.com/\r\nX: y", "https://exämple.com/"),
        *("https://example.com\\@127.0.0.1/", "https://127.0.0.1/", "https://[::1]/"),
        *("https://[::ffff:127.0.0.1]/", "https://169.254.169.254/latest/", "https://0.0.0.0/"),
        "https://example.com/" + "x" * 2048,
    ],
)
def test_a_url_of_the_wrong_form_is_refused_before_anything_is_looked_up(url: str) -> None:
    def no_look_up(_host: str, _port: int) -> Sequence[str]:
        asked.append(url)
        return ["127.0.0.1"]

    asked: list[str] = []
    with pytest.raises(Invalid) as caught:
        check_url(url, private=False)
    assert (caught.value.code, caught.value.field) == ("url-refused", "url")
    assert code(lambda: ask(url, private=False, resolve=no_look_up)) == "url-refused"
    assert asked == [] or "://127" in url or "://[" in url or "169.254" in url or "0.0.0.0" in url


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "0177.0.0.1", "localhost", "127.1"])
def test_spellings_of_loopback_are_refused_by_what_they_stand_for(spelling: str) -> None:
    with serving(say(OK)) as server:
        url = f"https://{spelling}:{server.port}/"
        assert code(lambda: ask(url, private=False)) in {"url-refused", "remote-failed"}
        assert server.connections == 0


def test_one_address_that_is_not_public_spoils_the_name() -> None:
    with serving(say(OK)) as server:
        for others in (("127.0.0.1",), ("93.184.216.34", "127.0.0.1"), ("::ffff:127.0.0.1",)):
            url = f"https://files.example.com:{server.port}/"
            here = partial(ask, url, private=False, resolve=resolving(*others))
            assert code(here) == "url-refused"
        assert server.connections == 0


def test_nobody_learns_which_names_the_operators_network_has() -> None:
    """The same words for a name of the inside and for one that there is not."""

    told = set()
    for resolve in (_unknown, resolving(), resolving("10.1.2.3"), resolving("fd00::7", "8.8.8.8")):
        with pytest.raises(Invalid) as caught:
            ask("https://wiki.corp.example/", private=False, resolve=resolve)
        error = caught.value
        told.add((error.code, error.message, error.remedy, error.field, str(error.details)))
    assert len(told) == 1


def test_a_name_is_resolved_once_and_that_very_address_is_connected_to() -> None:
    """DNS rebinding: a second look-up would lead elsewhere, and there is none."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"]])
    looked_up: list[str] = []

    def rebinding(host: str, _port: int) -> Sequence[str]:
        looked_up.append(host)
        return next(answers)

    with serving(say(OK)) as server:
        url = f"http://rebinding.example:{server.port}/x?y=1"
        assert ask(url, resolve=rebinding) == b"hello"
        assert looked_up == ["rebinding.example"]
        assert server.heads[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")
        assert f"Host: rebinding.example:{server.port}\r\n".encode() in server.heads[0]


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with socket.socket() as taken:  # nobody listens, and nobody else can
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert code(lambda: ask(f"http://127.0.0.1:{port}/")) == "remote-failed"
    with serving(say(OK)) as server:
        both = resolving("127.0.0.2", "127.0.0.1")
        assert ask(f"http://both.example:{server.port}/", resolve=both) == b"hello"


def test_redirects_are_not_followed() -> None:
    with serving(say(OK)) as secret:
        away = f"http://127.0.0.1:{secret.port}/"
        for status in (301, 302, 303, 307, 308):
            head = f"HTTP/1.1 {status} Away\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n"
            with serving(say(head.encode())) as server:
                url = f"http://127.0.0.1:{server.port}/"
                reply = fetch(url, bytes_max=10, seconds_max=5, private=True)
                assert (reply.status, reply.headers["location"]) == (status, away)
                assert code(partial(_streamed, url)) == "url-refused"
        assert secret.connections == 0


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(say(OK)) as proxy, serving(say(OK)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert ask(f"http://127.0.0.1:{server.port}/") == b"hello"
        assert proxy.connections == 0


def test_certificates_are_checked_against_the_name_of_the_url() -> None:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("files.example.com").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    here = resolving("127.0.0.1")
    with serving(say(OK), theirs) as server:
        good = f"https://files.example.com:{server.port}/"
        assert ask(good, resolve=here, tls=ours) == b"hello"
        other = f"https://other.example.com:{server.port}/"
        assert code(lambda: ask(other, resolve=here, tls=ours)) == "remote-failed"
        # The system's own authorities do not know ours: nothing is trusted by default.
        assert code(lambda: ask(good, resolve=here)) == "remote-failed"


SILENT_SECONDS = 60  # by far longer than anybody waits, on whatever machine


def _dripping(prefix: bytes, drop: bytes) -> Act:
    def act(connection: socket.socket) -> None:
        connection.sendall(prefix)
        for _ in range(50 * SILENT_SECONDS):
            connection.sendall(drop)
            time.sleep(0.02)

    return act


def _silent(connection: socket.socket) -> None:
    """Say nothing until the other end goes."""
    connection.settimeout(SILENT_SECONDS)
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    "act",
    [
        _dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        _dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x"),
        _dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        _dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        _silent,
    ],
    ids=["head", "body", "chunks", "continues", "silence"],
)
def test_a_slow_answer_ends_at_the_deadline(act: Act) -> None:
    with serving(act) as server:
        began = time.monotonic()
        url = f"http://127.0.0.1:{server.port}/"
        assert code(lambda: ask(url, seconds_max=0.4)) == "remote-failed"
        assert time.monotonic() - began < SILENT_SECONDS / 2


def test_a_slow_look_up_and_a_silent_handshake_end_at_the_deadline() -> None:
    done = threading.Event()

    def slow(_host: str, _port: int) -> Sequence[str]:
        done.wait(SILENT_SECONDS)
        return ["127.0.0.1"]

    began = time.monotonic()
    assert (
        code(lambda: ask("http://slow.example/", seconds_max=0.2, resolve=slow)) == "remote-failed"
    )
    done.set()
    with serving(_silent) as server:
        url = f"https://127.0.0.1:{server.port}/"
        assert code(lambda: ask(url, seconds_max=0.2)) == "remote-failed"
    assert time.monotonic() - began < SILENT_SECONDS / 2


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2000):
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    "act",
    [
        _endless,
        say(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", b"x" * 1001),
        say(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3ea\r\n",
            b"x" * 1002,
            b"\r\n0\r\n\r\n",
        ),
    ],
    ids=["endless", "announced", "chunks"],
)
def test_a_body_beyond_the_limit_is_refused_or_cut(act: Act) -> None:
    with serving(act) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert code(lambda: ask(url)) == "remote-failed"
        assert code(lambda: _streamed(url)) == "remote-failed"
        assert ask(url, truncate=True) == b"x" * 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_breaks_off_is_no_answer(answer: bytes) -> None:
    with serving(say(answer)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert code(lambda: ask(url)) == "remote-failed"
        assert code(lambda: _streamed(url)) == "remote-failed"


def test_a_chunk_of_less_than_nothing_is_not_all_that_comes() -> None:
    """Python's http.client reads a chunk of -1 bytes up to the end, into memory."""
    sent: list[int] = []

    def send_without_end(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        for _ in range(1000):
            sent.append(connection.send(b"x" * 65536))

    with serving(send_without_end) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert code(lambda: ask(url, truncate=True)) == "remote-failed"
        assert code(lambda: _streamed(url)) == "remote-failed"
    assert sum(sent) < 32 * 2**20  # what the buffers of both ends hold, of 125 MiB


@pytest.mark.parametrize(
    "disposition",
    [
        "attachment; filename*=idna''%ff",
        "attachment; filename*=undefined''%ff",
        "attachment; filename*=a\0b''%ff",
        "attachment; filename*" + "9" * 5000 + "*=utf-8''%ff",
        'attachment; filename="' + ";" * 60_000,
    ],
    ids=["idna", "undefined", "nul", "number", "long"],
)
def test_a_name_that_cannot_be_read_is_none(disposition: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Disposition: {disposition}\r\nContent-Length: 5\r\n\r\n"
    with serving(say(head.encode(), b"hello")) as server:
        url = f"http://127.0.0.1:{server.port}/plan.pdf"
        assert ask(url) == b"hello"
        began = time.process_time()
        assert _streamed(url)[:2] == (b"hello", "plan.pdf")
        assert time.process_time() - began < 2


def _streamed(url: str, pieces: int = 300) -> tuple[bytes, str | None, str | None, int | None]:
    with stream(url, bytes_max=1000, seconds_max=5, private=True) as download:
        read = b"".join(iter(lambda: download.read(pieces), b""))
        return read, download.file_name, download.content_type, download.size


def test_a_file_is_streamed_with_what_is_said_of_it() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 900\r\n"
    named = b"Content-Disposition: attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf\r\n"
    with serving(say(head, named, b"\r\n", b"x" * 900)) as server:
        found = _streamed(f"http://127.0.0.1:{server.port}/")
        assert found == (b"x" * 900, "Größe.pdf", "application/pdf", 900)
    with serving(say(head, b"\r\n", b"x" * 900)) as server:
        assert _streamed(f"http://127.0.0.1:{server.port}/a/my%20file.pdf?x=/y")[1] == "my file.pdf"
        assert _streamed(f"http://127.0.0.1:{server.port}/")[1] is None
    for refused in (b"404 Not Found", b"206 Partial Content", b"204 No Content"):
        with serving(say(b"HTTP/1.1 ", refused, b"\r\nContent-Length: 0\r\n\r\n")) as server:
            assert code(partial(_streamed, f"http://127.0.0.1:{server.port}/")) == "remote-failed"
    with serving(say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx")) as server:
        assert code(lambda: _streamed(f"http://127.0.0.1:{server.port}/")) == "remote-failed"


def test_a_fault_of_the_reader_stays_its_own() -> None:
    """A full disk while importing is no fault of the other side."""
    with serving(say(OK)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        with (
            pytest.raises(OSError, match="No space"),
            stream(url, bytes_max=10, seconds_max=5, private=True),
        ):
            raise OSError(28, "No space left on device")


def test_a_request_carries_what_it_is_given() -> None:
    with serving(say(b"HTTP/1.1 201 Created\r\nX-One: a\r\nContent-Length: 0\r\n\r\n")) as server:
        reply = fetch(
            f"http://127.0.0.1:{server.port}/hook",
            method="POST",
            headers=[("Content-Type", "application/json")],
            body=b'{"a":1}',
            bytes_max=10,
            seconds_max=5,
            private=True,
        )
        assert (reply.status, reply.headers["x-one"], reply.body) == (201, "a", b"")
        head = server.heads[0]
        assert head.startswith(b"POST /hook HTTP/1.1\r\n")
        assert b"Content-Length: 7\r\n" in head
        assert b"Content-Type: application/json\r\n" in head
    with pytest.raises(Invalid) as caught:
        ask("http://no-such-host.invalid/", resolve=_unknown)
    assert caught.value.code == "url-refused"


def _unknown(_host: str, _port: int) -> Sequence[str]:
    raise socket.gaierror(-2, "Name or service not known")
