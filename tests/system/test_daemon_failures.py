"""What stops `entrepotd serve` at its start: one line that says what to do, a code of its own.

The command runs in this process, up to where it would start others; test_no_room_for_the_file
is a process of its own, because of its limits.
"""

import contextlib
import io
import logging
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import trustme
from sqlalchemy import text

from entrepot.daemon.app import run as run_here
from entrepot.daemon.listening import listen
from entrepot.daemon.sole import sole_server
from entrepot.db import connect
from entrepot.errors import EntrepotError
from tests.ports import free_port
from tests.system.hubs import ENTREPOTD, Ran, clean_environment

SECRET = "T3st-0nly-secret.T3st-0nly-secret.42"
ANY_PORT = ("--bind", "127.0.0.1:0")


def entrepotd(*arguments: str | Path, **settings: str) -> Ran:
    """Run the command without any setting but these."""
    environment = clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"}
    environment |= {f"ENTREPOT_{name.upper()}": value for name, value in settings.items()}
    out, err = io.StringIO(), io.StringIO()
    loggers = [logging.getLogger(name) for name in ("", "alembic", "uvicorn")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    try:
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run_here(list(map(str, arguments)))
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
    ended = Ran(int(code), out.getvalue(), err.getvalue())
    assert "Traceback" not in ended.err, ended
    return ended


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("made") / "data"
    assert entrepotd("init", "--data", data).code == 0
    return data


@pytest.fixture
def data(made_once: Path, tmp_path: Path) -> Path:
    """A new hub's folder of this test's own."""
    return Path(shutil.copytree(made_once, tmp_path / "data"))


def set_revision(data: Path, revision: str) -> None:
    database = connect(f"sqlite:///{data}/entrepot.sqlite3")
    with database.write() as tx:
        tx.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )
    database.close()


def lose_database(data: Path) -> None:
    set_revision(data, "9999_from_the_future")


def lose_secret(data: Path) -> None:
    (data / "secret.key").unlink()


def change_secret(data: Path) -> None:
    (data / "secret.key").write_text(SECRET)


def open_secret(data: Path) -> None:
    (data / "secret.key").chmod(0o644)


def block_blobs(data: Path) -> None:
    shutil.rmtree(data / "blobs")
    (data / "blobs").write_text("a file in place of the folder")


@pytest.mark.parametrize(
    ("harm", "code", "word"),
    [
        (lose_database, 12, "newer version"),
        (lose_secret, 13, "ENTREPOT_SECRET_KEY"),
        (change_secret, 13, "another secret key"),
        (open_secret, 13, "chmod 600"),
        (block_blobs, 11, "blobs"),
    ],
)
def test_a_hub_that_is_not_as_it_was_left(
    data: Path, harm: Callable[[Path], None], code: int, word: str
) -> None:
    harm(data)
    ended = entrepotd("serve", "--data", data, *ANY_PORT)
    assert ended.code == code, ended
    assert word in ended.err
    assert ended.err.count("\n") == 1, ended.err


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/entrepot")):
        ended = entrepotd("serve", "--data", folder, *ANY_PORT, secret_key=SECRET)
        assert ended.code == 11, ended
        assert str(folder) in ended.err
        assert ended.err.count("\n") == 1, ended.err
    ended = entrepotd("init", "--data", tmp_path / "file")
    assert ended.code == 11, ended


def test_a_port_that_is_taken(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = entrepotd("serve", "--data", data, "--bind", bind)
    assert ended.code == 14, ended
    assert bind in ended.err
    assert ended.err.count("\n") == 1, ended.err


def test_a_second_server_on_a_folder_names_the_first(data: Path) -> None:
    (data / "served.json").write_text('{"public_url": "http://127.0.0.1:4711"}')
    with sole_server(data):
        ended = entrepotd("serve", "--data", data, *ANY_PORT)
    assert ended.code == 6, ended
    assert "http://127.0.0.1:4711" in ended.err
    assert ended.err.count("\n") == 1, ended.err


@pytest.mark.parametrize("bind", ["192.0.2.1:18080", "host.invalid:18080", "192.0.2.1:0"])
def test_an_address_that_is_not_this_machines(data: Path, bind: str) -> None:
    address = ("--bind", bind, "--public-url", "https://hub.example.com")
    ended = entrepotd("serve", "--data", data, *address, trusted_proxies="192.0.2.9")
    assert ended.code == 15, ended
    assert ended.err.count("\n") == 1, ended.err


def test_every_wrong_setting_is_listed(data: Path) -> None:
    ended = entrepotd(
        "serve", "--data", data, "--bind", "nowhere", link_seconds="0", log_level="loud"
    )
    assert ended.code == 10, ended
    for name in ("ENTREPOT_BIND", "ENTREPOT_LINK_SECONDS", "ENTREPOT_LOG_LEVEL"):
        assert name in ended.err


def test_a_certificate_and_a_key_that_are_no_pair(data: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = (authority.issue_cert("localhost") for _ in range(2))
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    one.cert_chain_pems[0].write_to_path(str(chain))
    other.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    ended = entrepotd("serve", "--data", data, *ANY_PORT, tls_cert=str(chain), tls_key=str(key))
    assert ended.code == 10, ended
    assert ended.err.startswith("entrepotd: ENTREPOT_TLS_CERT and ENTREPOT_TLS_KEY")


def test_a_command_on_a_database_that_needs_a_migration(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret.key").write_text(SECRET)
    (data / "secret.key").chmod(0o600)
    ended = entrepotd("user", "list", "--data", data)
    assert ended.code == 16, ended
    assert "entrepotd migrate" in ended.err


def test_a_command_on_a_database_that_is_newer(data: Path) -> None:
    lose_database(data)
    assert entrepotd("user", "list", "--data", data).code == 12


def test_a_database_that_does_not_answer(data: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    ended = entrepotd("serve", "--data", data, *ANY_PORT, database_url=url)
    assert ended.code == 7, ended


def test_a_port_that_is_not_allowed_is_told_from_one_that_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: object, **_options: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(EntrepotError, match="may not listen") as caught:
        listen("127.0.0.1", 80)
    assert caught.value.code == "port-taken"


def test_no_room_for_the_file(data: Path, tmp_path: Path) -> None:
    """A limit on the size of files, as a quota would set it: nothing of the release stays."""
    small, large = tmp_path / "small.bin", tmp_path / "large.bin"
    small.write_bytes(os.urandom(1 << 20))
    large.write_bytes(os.urandom(12 << 20))
    assert entrepotd("product", "add", "P1", "--data", data).code == 0
    publish = [*ENTREPOTD, "publish", "P1", "1.0", str(small), str(large), "--data", str(data)]
    limit = 8 << 20
    ended = subprocess.run(
        publish,
        env=clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 8, ended
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert [path for path in (data / "blobs").rglob("*") if path.is_file()] == []
    assert entrepotd("releases", "P1", "--json", "--data", data).objects() == []
    again = entrepotd(*publish[len(ENTREPOTD) :])
    assert again.code == 0, again
    assert len([path for path in (data / "blobs").rglob("*") if path.is_file()]) == 2
