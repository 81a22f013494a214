"""One web process: the application, and the server that runs it until it is told to stop."""

import asyncio
import logging
import os
import select
import signal
import socket
import threading
import time
from types import FrameType

import uvicorn

from entrepot.assembly import assemble
from entrepot.daemon.supervisor import READY
from entrepot.settings import Settings, from_env
from entrepot.web.server import Server, build_app
from entrepot.web.zerocopy import uvicorn_options

# After the grace time: for what is cancelled to end, and for the last records to be written.
STOP_SECONDS_MAX = 5.0
_POLL_SECONDS = 0.02


def app() -> Server:
    """The application as the environment describes it: a factory for any ASGI server.

    `entrepotd serve` passes its settings on in the environment of its web processes.
    """
    return build_app(assemble(from_env(os.environ)))


def _tell_cut_in_one_line(record: logging.LogRecord) -> bool:
    """A request that outlives the grace time is cut on purpose: no reason for a traceback."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "a request was cut: the grace time was over", ()
    return True


class _Server(uvicorn.Server):
    """uvicorn's server, stopped by SIGTERM from its parent alone.

    Ctrl-C reaches every process of a terminal; here only the parent answers to it.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if sig == signal.SIGTERM:
            self.should_exit = True


def serve_requests(
    settings: Settings, listener: socket.socket, *, ready: int, lifeline: int, grace_seconds: int
) -> int:
    """Answer requests until SIGTERM, or until the other end of `lifeline` is closed.

    Writes one byte to the descriptor `ready` once requests are answered. After a SIGTERM no
    new connection is taken and running downloads have `grace_seconds` to end. Returns the
    exit code.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("uvicorn.error").addFilter(_tell_cut_in_one_line)
    config = uvicorn.Config(
        app,
        factory=True,
        lifespan="on",
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        **uvicorn_options(shutdown_seconds_max=grace_seconds),
    )
    # Loaded here, so that what is wrong is raised and not printed by uvicorn.
    server = _Server(config)
    config.load()
    watch = threading.Thread(
        target=_watch, args=(server, ready, lifeline, grace_seconds), daemon=True
    )
    watch.start()
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _watch(server: uvicorn.Server, ready: int, lifeline: int, grace_seconds: int) -> None:
    """Say when the server is ready, and end it when the parent is gone."""
    while not server.started and not select.select([lifeline], [], [], _POLL_SECONDS)[0]:
        pass
    if server.started:
        os.write(ready, READY)
    os.close(ready)
    select.select([lifeline], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds + STOP_SECONDS_MAX)
    os._exit(1)
