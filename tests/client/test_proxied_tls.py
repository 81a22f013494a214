"""HTTPS through a proxy: it is asked for a tunnel, and sees nothing of what goes through."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from entrepot.client import Client, Times, Unreachable
from tests.client.conftest import QUICK
from tests.client.hub import ARTIFACTS, ENTITLEMENT, RELEASE, running_hub

HUB = "hub.invalid"  # a name that nothing resolves: whoever gets there came by the proxy
REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"


class Proxy:
    """Takes CONNECT, and joins the connection to `port` whatever host was named."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []
        self.passed = bytearray()  # from the customer to the hub
        self.refuses = False
        self.listening = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://me:secret@127.0.0.1:{self.listening.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self.listening.accept()[:1]).start()

    def _serve(self, near: socket.socket) -> None:
        self._ends.append(near)
        head = b""
        while not head.endswith(b"\r\n\r\n") and (byte := near.recv(1)):
            head += byte
        self.heads.append(head)
        if self.refuses:
            near.sendall(REFUSED)
            near.close()
            return
        far = socket.create_connection(("127.0.0.1", self.port))
        self._ends.append(far)
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self._pump, args=(far, near, bytearray()))
        back.start()
        self._pump(near, far, self.passed)
        back.join()
        near.close()
        far.close()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in (self.listening, *self._ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.listening.close()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    return made


def test_a_tunnel_is_asked_for_and_the_hub_is_checked_behind_it(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HUB).configure_cert(context)
    times = Times(stall_seconds=5, call_seconds=20, cacert=str(tmp_path / "authority.pem"))
    with running_hub(tls=context) as hub, contextlib.closing(Proxy(hub.port)) as proxy:
        hub.public = f"https://{HUB}"
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with Client(hub.url, hub.token, times=times, call_backoff=QUICK) as client:
            done = client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path / "files")
        assert done.path.read_bytes() == hub.files[0].data
        assert proxy.heads
        for head in proxy.heads:
            assert head.startswith(f"CONNECT {HUB}:443 HTTP/1.".encode())
            assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in head
        assert {request.headers.get("proxy-authorization") for request in hub.requests} == {None}
        assert hub.token.encode() not in b"".join(proxy.heads) + proxy.passed

        # A proxy is trusted with nothing: without the authority the hub might be anybody.
        asked = len(hub.requests)
        stranger = Times(stall_seconds=5, call_seconds=20)
        with (
            Client(hub.url, hub.token, times=stranger, call_backoff=QUICK) as client,
            pytest.raises(Unreachable, match="certificate"),
        ):
            client.entitlements()
        proxy.refuses = True
        with (
            Client(hub.url, hub.token, times=times, call_backoff=QUICK) as client,
            pytest.raises(Unreachable, match="407"),
        ):
            client.entitlements()
        assert len(hub.requests) == asked
