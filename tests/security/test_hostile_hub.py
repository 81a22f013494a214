"""A hub that means harm to the machine that asks it: its words, its heads, its transfer specs."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from entrepot.client import Backoff, Client, ClientError, Times
from entrepot.client.aspera import download_by_aspera
from entrepot.client.stop import Stop
from entrepot.client.verification import Expected
from tests.client.hub import make_token

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def saying(*answers: bytes, again: bytes = b"") -> Iterator[str]:
    """A hub that gives its answers in turn, the last one for ever, each followed by `again`."""
    waiting = list(answers)

    def answer_all() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(waiting.pop(0) if len(waiting) > 1 else waiting[0])
                while again and not over.is_set():
                    connection.sendall(again)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_all, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
        (b"HTTP/1.1 200 OK ", b"y" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"ffffffffffffffffffff"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"\x1f\x8b" * 10, b""),
        (OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000, b""),
        (OK + b"Content-Length: 9000\r\n\r\n" + b"9" * 9000, b""),
    ],
    ids=["interim", "fields", "field", "reason", "chunk", "gzip", "nested", "number"],
)
def test_an_answer_that_is_none_ends_as_an_error_of_ours(answer: bytes, again: bytes) -> None:
    times = Times(connect_seconds=2, stall_seconds=2, call_seconds=4)
    with (
        saying(answer, again=again) as url,
        Client(url, make_token(), times=times, call_backoff=Backoff(attempts=1)) as client,
        pytest.raises(ClientError),
    ):
        client.entitlements()


@pytest.mark.parametrize("first", [b"503 Busy", b"302 There"])
def test_what_a_hub_says_steers_no_terminal_in_messages_or_logs(
    first: bytes, tmp_path: Path
) -> None:
    said = {"errorDescription": "\x1b]0;owned\x07\x9b31m\u202etxt\r\nforged", "remedy": "\x1b[2J"}
    body = json.dumps(said).encode()
    rest = b"\r\nLocation: http://x/\x1b[2J\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with saying(b"HTTP/1.1 " + first + rest, b"HTTP/1.1 403 No" + rest) as url:
        ended = subprocess.run(
            [sys.executable, "-m", "entrepot.cli", "-v", "entitlements"],
            env=kept | {"HOME": str(tmp_path), "ENTREPOT_URL": url, "ENTREPOT_TOKEN": make_token()},
            capture_output=True,
            timeout=60,
            check=False,
        )
    shown = (ended.stdout + ended.stderr).decode()
    assert ended.returncode != 0
    assert "owned" in shown or "redirect" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\r")


def test_a_transfer_spec_says_where_from_and_nothing_about_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`EX_ascp_args` alone would be any option of the program that writes the files."""
    program, seen = tmp_path / "bin" / "ascli", tmp_path / "seen"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "text = pathlib.Path(sys.argv[4].removeprefix('--ts=@json:@file:')).read_text()\n"
        f"pathlib.Path({str(seen)!r}).write_text(text)\n"
        "pathlib.Path(json.loads(text)['paths'][0]['destination']).write_bytes(b'bytes')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    spec = {
        "remote_host": "aspera.test",
        "token": "a token",
        "direction": "send",
        "destination_root": "/",
        "EX_ascp_args": ["--remove-empty-directories"],
        "paths": [{"source": "file", "destination": "/etc/passwd"}],
    }
    download_by_aspera(spec, tmp_path / "file", Expected(5), Stop())
    given = json.loads(seen.read_text())
    assert set(given) == {"remote_host", "token", "direction", "paths"}
    assert given["direction"] == "receive"
    assert given["paths"][0]["destination"].startswith(str(tmp_path))
