"""What this machine and its Python take for nothing: bare uvicorn, and no application.

The targets of the other figures were set where a bare request cost 15 us. This says what
one costs here, in the same run and by the same clients, so that they can be read in
proportion.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench._cpu import SERVER_CORE, median
from bench._figures import Figure, Report
from bench._hub import free_port
from bench._load import fetch, get
from bench._requests import ROUNDS, cpu_per_request

REQUESTS = 10_000
BODIES = {"/5": b"hello", "/20000": bytes(20_000)}
SHAPE = (
    "uvicorn's own httptools protocol on uvloop, one process, an ASGI function that sends bytes "
    f"at hand, no access log; 8 keep-alive connections, {REQUESTS:,} requests a sample."
)
_ROOT = Path(__file__).resolve().parent.parent


def measure() -> Report:
    """Both bodies in turn."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.baseline", str(port)], cwd=_ROOT)
    try:
        _await_answer(port)
        samples: dict[str, list[float]] = {path: [] for path in BODIES}
        for path in list(BODIES) * (ROUNDS + 1):
            each = len(BODIES[path])
            spent = cpu_per_request(process.pid, port, [get(path)] * REQUESTS, bytes_each=each)
            samples[path].append(spent * 1e6)
    finally:
        process.terminate()
        process.wait(10)
    return Report(SHAPE, [_figure(path, taken[1:]) for path, taken in samples.items()])


def _figure(path: str, taken: list[float]) -> Figure:
    what = f"bare uvicorn, body of {path[1:]} bytes"
    return Figure(what, median(taken), "us CPU a request", tuple(taken))


def _await_answer(port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            fetch(port, get("/5"))
            return
        time.sleep(0.05)
    raise RuntimeError("bare uvicorn did not start")


async def _answer(
    scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    body = BODIES[scope["path"]]
    length = str(len(body)).encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _serve(port: int) -> None:
    import uvicorn

    os.sched_setaffinity(0, {SERVER_CORE})
    uvicorn.run(
        _answer,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
