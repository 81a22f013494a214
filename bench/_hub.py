"""A hub to measure: prepared, filled by the caller, served by one pinned process.

    with running_hub(database_url, seed=lambda hub: ...) as served: ...

The process is what `entrepotd serve` starts for each core: the same application, uvicorn
options, logging and metrics, one JSON line of access log a request.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from bench._cpu import SERVER_CORE, raise_descriptor_limit
from bench._load import fetch, get
from entrepot.assembly import Hub, assemble, prepare
from entrepot.settings import Settings, from_env

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS_MAX = 30
_STOP_SECONDS_MAX = 40
_READY = "the worker is ready"


@dataclass(frozen=True, slots=True)
class Served(Generic[T]):
    """A web process under measurement, listening on 127.0.0.1:`port`, and what was seeded."""

    pid: int
    port: int
    seeded: T
    log: Path
    environ: Mapping[str, str]

    @contextlib.contextmanager
    def worker(self, slots: int = 1) -> Iterator[int]:
        """A worker beside the web process, on no core of its own; its process id.

        What it starts to convert in are its children.
        """
        environ = {**self.environ, "ENTREPOT_WORKER_SLOTS": str(slots)}
        log = self.log.with_name(f"worker-{slots}.log")
        with log.open("wb") as output, _process(environ, output, "worker") as process:
            for _ in range(20 * _START_SECONDS_MAX):
                if process.poll() is not None or _READY in log.read_text():
                    break
                time.sleep(0.05)
            if process.poll() is not None:
                raise RuntimeError(f"the worker did not start:\n{log.read_text()[-4000:]}")
            yield process.pid


@contextlib.contextmanager
def running_hub(
    seed: Callable[[Hub], T], *, database_url: str | None = None, folder: Path | None = None
) -> Iterator[Served[T]]:
    """Prepare a hub, seed it, serve it by one process on SERVER_CORE, and take it down again."""
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-", dir=folder) as data:
        port = free_port()
        environ = _environ(Path(data), port, database_url)
        with _prepared(environ) as hub:
            seeded = seed(hub)
        log = Path(data, "web.log")
        with log.open("wb") as output, _process(environ, output) as process:
            _await_answer(process, port, log)
            yield Served(process.pid, port, seeded, log, environ)


@contextlib.contextmanager
def open_hub(data: Path, database_url: str | None = None) -> Iterator[Hub]:
    """A hub in this process, prepared and empty, that nobody serves."""
    with _prepared(_environ(data, free_port(), database_url)) as hub:
        yield hub


@contextlib.contextmanager
def _prepared(environ: Mapping[str, str]) -> Iterator[Hub]:
    settings = from_env(environ)
    prepare(settings)
    hub = assemble(settings)
    try:
        yield hub
    finally:
        hub.close()


def _environ(data: Path, port: int, database_url: str | None) -> dict[str, str]:
    metrics = data / "metrics"
    metrics.mkdir()
    given = {
        "ENTREPOT_DATA": str(data / "hub"),
        "ENTREPOT_BIND": f"127.0.0.1:{port}",
        "ENTREPOT_SECRET_KEY": secrets.token_urlsafe(32),
        "ENTREPOT_RESERVE_BYTES": "1 MiB",
        "ENTREPOT_REQUESTS_PER_MINUTE": "0",  # a bench asks as fast as it can
        # As where several processes serve: numbers in mapped files.
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    if database_url is not None:
        given["ENTREPOT_DATABASE_URL"] = database_url
    inherited = {key: value for key, value in os.environ.items() if key[:9] != "ENTREPOT_"}
    return inherited | given


@contextlib.contextmanager
def _process(
    environ: Mapping[str, str], output: BinaryIO, role: str = "web"
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._hub", role],
        cwd=_ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS_MAX
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            fetch(port, get("/healthz"))
            return
        time.sleep(0.05)
    raise RuntimeError(f"the hub did not start:\n{log.read_text()[-4000:]}")


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _serve(settings: Settings) -> None:
    import uvicorn

    from entrepot.kit.log import configure
    from entrepot.web.server import build_app
    from entrepot.web.zerocopy import uvicorn_options

    os.sched_setaffinity(0, {SERVER_CORE})
    raise_descriptor_limit()
    configure(settings.log_level)
    app = build_app(assemble(settings))
    listener = socket.create_server((settings.bind.host, settings.bind.port), backlog=4096)
    options = uvicorn_options(shutdown_seconds_max=5)
    uvicorn.Server(uvicorn.Config(app, lifespan="on", **options)).run(sockets=[listener])


def _work(settings: Settings) -> None:
    from entrepot.kit.log import configure
    from entrepot.worker import Worker

    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # whoever started us is pinned
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    configure(settings.log_level)
    worker = Worker(assemble(settings), slots=settings.worker_slots, scratch=settings.data)
    worker.start()
    sys.stderr.write(f"{_READY}\n")
    sys.stderr.flush()
    told.wait()
    worker.stop()
    os._exit(0)


if __name__ == "__main__":
    {"web": _serve, "worker": _work}[sys.argv[1]](from_env(os.environ))
