"""`entrepotd serve` as an operator meets it: starts, replaces what dies, stops with grace."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import trustme
from sqlalchemy import select

from entrepot.core.accounts import load_user
from entrepot.core.catalogue import list_artifacts
from entrepot.core.catalogue.tables import releases
from entrepot.core.delivery import issue_artifact_link
from entrepot.daemon.app import run as run_here
from entrepot.daemon.desk import Desk, read_served
from tests.system.hubs import ENTREPOTD, clean_environment
from tests.system.media_orders import workers
from tests.waiting import wait_until

SECONDS_MAX = 60.0
FILE_BYTES = 24 << 20


@dataclass(frozen=True)
class Serving:
    """A hub that has said that it listens."""

    process: "subprocess.Popen[str]"
    port: int
    line: str
    log: Path
    data: Path

    def get(self, path: str) -> int:
        """The status of a GET; raises OSError where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def answers(self, path: str = "/readyz") -> bool:
        try:
            return self.get(path) == 200
        except (OSError, http.client.HTTPException):
            return False

    def web_processes(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS_MAX)

    def said(self) -> str:
        return self.log.read_text()


@contextlib.contextmanager
def serving(data: Path, *arguments: str, **settings: str) -> Iterator[Serving]:
    """`entrepotd serve` on any free port, until the block ends; no traceback may be in its log."""
    environment = clean_environment() | {
        "ENTREPOT_RESERVE_BYTES": "1 MiB",
        "ENTREPOT_REQUESTS_PER_MINUTE": "0",
        "ENTREPOT_WORKERS": "0",  # tests/jobs has them
    }
    environment |= {f"ENTREPOT_{name.upper()}": value for name, value in settings.items()}
    log = data.with_name("serve.log")
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*ENTREPOTD, "serve", "--data", str(data), "--bind", "127.0.0.1:0", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        port = int(str(read_served(data)["bind"]).rpartition(":")[2])
        yield Serving(process, port, line, log, data)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with a user who may download one file."""
    folder = tmp_path_factory.mktemp("made")
    data, file = folder / "data", folder / "big.bin"
    file.write_bytes(os.urandom(FILE_BYTES))
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("ENTREPOT_"):
                patch.delenv(name)
        patch.setenv("ENTREPOT_RESERVE_BYTES", "1 MiB")
        for arguments in (
            ["init"],
            ["organisation", "add", "Acme", "--country", "DE"],
            ["user", "add", "ada@example.com", "--organisation", "Acme"],
            ["product", "add", "P1"],
            ["publish", "P1", "1.0", str(file)],
            ["grant", "Acme", "P1"],
        ):
            assert run_here([*arguments, "--data", str(data)]) == 0
    return data


@pytest.fixture
def data(made_once: Path, tmp_path: Path) -> Path:
    """That hub's folder, for this test alone."""
    return Path(shutil.copytree(made_once, tmp_path / "data"))


def link_path(data: Path) -> str:
    """The path of a fresh link to the one file, made as the hub makes it."""
    with Desk({"data": str(data)}).hub() as hub, hub.database.write() as tx:
        release = tx.execute(select(releases.c.id)).scalar_one()
        [artifact] = list_artifacts(tx, release)
        link = issue_artifact_link(
            tx,
            hub.keys.current,
            load_user(tx, 10001),
            number="100001",
            release_id=release,
            artifact_id=artifact.id,
            declared_country=None,
            now=hub.now(),
        )
    return f"/dl/{link.path}"


def begin_download(hub: Serving) -> socket.socket:
    """A download under way that its client reads slowly: the head has come, little of the body."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    client.settimeout(30)
    client.connect(("127.0.0.1", hub.port))
    head = f"GET {link_path(hub.data)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    client.sendall(head.encode())
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def read_rest(client: socket.socket) -> int:
    """How many bytes still come until the connection ends, however it ends."""
    count = 0
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(1 << 20):
            count += len(data)
    return count


def count_of_health_checks(page: str) -> int:
    """How many answered requests the metrics page counts for the health door."""
    lines = [
        line
        for line in page.splitlines()
        if line.startswith("entrepot_request_seconds_count") and 'door="health"' in line
    ]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def test_the_counters_of_all_processes_are_added_up(data: Path) -> None:
    with serving(data, "--processes", "2") as hub:
        for _ in range(20):
            assert hub.get("/healthz") == 200

        def counted() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
            connection.close()
            return count_of_health_checks(page) >= 20

        wait_until(counted)
        folder = Path(str(read_served(data)["metrics"]))
        assert len({path.name.rpartition("_")[2] for path in folder.glob("*.db")}) >= 2
        assert hub.stop() == 0


def test_one_line_when_it_listens_and_a_quiet_end(data: Path) -> None:
    with serving(data, "--processes", "2") as hub:
        assert hub.line == f"Entrepot serves http://127.0.0.1:{hub.port}\n"
        assert hub.get("/readyz") == 200
        assert len(hub.web_processes()) == 2
        children = hub.web_processes()
        for child in children:
            soft, hard = psutil.Process(child).rlimit(psutil.RLIMIT_NOFILE)
            assert soft == hard, "as many files as allowed may be open"
        assert hub.stop() == 0
        assert hub.process.stdout is not None
        assert hub.process.stdout.read() == ""
        assert not any(psutil.pid_exists(pid) for pid in children)
        with pytest.raises(OSError):
            hub.get("/healthz")
        assert not Path(str(read_served(data)["metrics"])).exists()


def test_ctrl_c_ends_it_without_a_traceback(data: Path) -> None:
    with serving(data, "--processes", "2") as hub:
        os.killpg(hub.process.pid, signal.SIGINT)  # as a terminal does: to every process
        assert hub.process.wait(SECONDS_MAX) == 0
        assert "Traceback" not in hub.said()


def test_a_web_process_that_dies_is_replaced(data: Path) -> None:
    with serving(data, "--processes", "2") as hub:
        before = hub.web_processes()
        for victim in before:
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(hub.web_processes() - before) == 2)
        wait_until(hub.answers)
        assert "web process ended" in hub.said()
        told = min(hub.web_processes())
        os.kill(told, signal.SIGTERM)
        wait_until(lambda: len(hub.web_processes() - before - {told}) == 2)
        wait_until(hub.answers)
        assert hub.stop() == 0


def _readiness(hub: Serving) -> dict[str, str]:
    """What it says of itself, ready or, on a busy machine, not for a moment."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    connection.request("GET", "/readyz")
    told: dict[str, str] = json.loads(connection.getresponse().read())
    connection.close()
    return told


def test_a_worker_runs_beside_the_web_processes_and_is_replaced(data: Path) -> None:
    with serving(data, "--processes", "1", workers="1") as hub:
        whole = {"status": "ready", "workers": "1", "conversions": "on"}
        wait_until(lambda: _readiness(hub) == whole)
        [worker] = workers(data)
        [web] = hub.web_processes() - {worker}
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: set(workers(data)) - {worker})
        wait_until(lambda: _readiness(hub) == whole)
        # One that is frozen is found by its silence.
        [again] = hub.web_processes() - {web}
        os.kill(again, signal.SIGSTOP)
        wait_until(lambda: again not in hub.web_processes())
        wait_until(lambda: set(workers(data)) - {again})
        wait_until(lambda: _readiness(hub) == whole)
        assert web in hub.web_processes()
        assert hub.stop() == 0


def test_web_processes_end_with_their_parent_however_it_ends(data: Path) -> None:
    with serving(data, "--processes", "2") as hub:
        children = hub.web_processes()
        hub.process.kill()
        hub.process.wait()
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in children))
        socket.create_server(("127.0.0.1", hub.port)).close()
    with serving(data, "--processes", "1") as again:
        assert again.get("/readyz") == 200


def test_a_running_download_ends_whole_within_the_grace_time(data: Path) -> None:
    with serving(data, "--processes", "1") as hub, begin_download(hub) as client:
        hub.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not hub.answers("/healthz"))
        assert hub.process.poll() is None
        assert read_rest(client) > FILE_BYTES
        assert hub.process.wait(SECONDS_MAX) == 0


def test_a_download_that_never_ends_is_cut_after_the_grace_time(data: Path) -> None:
    with (
        serving(data, "--processes", "1", "--grace", "1") as hub,
        begin_download(hub) as client,
    ):
        began = time.monotonic()
        assert hub.stop() == 0
        assert 0.9 < time.monotonic() - began < 30
        assert read_rest(client) < FILE_BYTES
        assert "the grace time was over" in hub.said()


def test_a_second_ctrl_c_stops_at_once(data: Path) -> None:
    with (
        serving(data, "--processes", "1", "--grace", "600") as hub,
        begin_download(hub) as client,
    ):
        hub.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Again: stop now" in hub.said())
        began = time.monotonic()
        assert hub.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 30
        assert read_rest(client) < FILE_BYTES


def test_tls(data: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    pair.cert_chain_pems[0].write_to_path(str(chain))
    pair.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    with serving(data, "--processes", "1", tls_cert=str(chain), tls_key=str(key)) as hub:
        assert hub.line == f"Entrepot serves https://127.0.0.1:{hub.port}\n"
        context = ssl.create_default_context()
        authority.configure_trust(context)
        connection = http.client.HTTPSConnection("127.0.0.1", hub.port, timeout=60, context=context)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        connection.close()
        assert hub.stop() == 0


def test_any_asgi_server_can_run_the_application(data: Path) -> None:
    """The factory that the web processes use, built from the environment alone."""
    program = (
        "import asyncio\nfrom entrepot.daemon.web_process import app\nprint(type(app()).__name__)\n"
    )
    environment = clean_environment() | {
        "ENTREPOT_RESERVE_BYTES": "1 MiB",
        "ENTREPOT_DATA": str(data),
        "ENTREPOT_SECRET_KEY_FILE": str(data / "secret.key"),
    }
    said = subprocess.check_output(
        [ENTREPOTD[0], "-c", program], env=environment, text=True, timeout=SECONDS_MAX
    )
    assert said == "Server\n"
