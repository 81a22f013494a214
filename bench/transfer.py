"""What a transfer costs the server: CPU per GB beside nginx's sendfile, CPU per small file.

    python -m bench.transfer [--gib 1] [--rounds 5] [--nginx nginx] [--only big|small|slow]

One server process pinned to the first core, the clients on the others; figures are the
server's own user + system time, so a busy machine disturbs them little. nginx runs with one
worker, sendfile and tcp_nopush. Small file: 20 KB with keep-alive. Slow readers: resident
memory and the answer to a health check beside them.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from entrepot.kit.extents import FileExtent
from entrepot.kit.ranges import Representation, conditions_of, evaluate
from entrepot.web.http.bodies import answer
from entrepot.web.http.disposition import attachment
from entrepot.web.zerocopy import send_extents, uvicorn_options

SERVER_CORE = 0
GIB = 1 << 30
SMALL_BYTES = 20_000
SMALL_REQUESTS = 20_000
LAST_MODIFIED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Server:
    """A server process under measurement, listening on 127.0.0.1:`port`."""

    process: psutil.Process
    port: int

    def cpu_seconds(self) -> float:
        """User and system time spent so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def application(folder: Path) -> Callable[..., Any]:
    """The files of `folder` by name, with the conditional logic of the real door."""

    # What a warm lease knows without asking the database.
    known = {path.name: (str(path), path.stat().st_size) for path in folder.iterdir()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        name = scope["path"][1:]
        path, size = known[name]
        stored = Representation(size, '"0123456789abcdef0123456789abcdef"', LAST_MODIFIED)
        outcome = evaluate(scope["method"], conditions_of(scope["headers"]), stored, LAST_MODIFIED)
        response = answer(
            outcome,
            stored,
            content_type="application/octet-stream",
            slice_extents=lambda start, length: [FileExtent(path, start, length)],
        )
        headers = [*response.headers, (b"content-disposition", attachment(name))]
        await send_extents(
            scope,
            receive,
            send,
            status=response.status,
            headers=headers,
            extents=response.extents,
            on_progress=lambda _: None,
        )

    return app


def _serve(folder: Path, ready: Any) -> None:
    import uvicorn

    os.sched_setaffinity(0, {SERVER_CORE})
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(application(folder), lifespan="off", **uvicorn_options())
    ready.send(listener.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def our_server(folder: Path) -> Iterator[Server]:
    """Our server over `folder`, in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, there))
    process.start()
    try:
        port = here.recv()
        _await_port(port)
        yield Server(psutil.Process(process.pid), port)
    finally:
        process.terminate()
        process.join()


@contextlib.contextmanager
def nginx_server(folder: Path, command: str) -> Iterator[Server]:
    """nginx over `folder` with its best settings for large files."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="nginx-") as state:
        Path(state).chmod(0o755)
        config = Path(state, "nginx.conf")
        config.write_text(
            f"daemon off; master_process off; pid {state}/pid; error_log {state}/error.log;\n"
            "events { worker_connections 8192; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n"
            f" client_body_temp_path {state}/a; proxy_temp_path {state}/b;"
            f" fastcgi_temp_path {state}/c; uwsgi_temp_path {state}/d; scgi_temp_path {state}/e;\n"
            f" server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        )
        process = subprocess.Popen([command, "-c", str(config), "-p", state])
        try:
            os.sched_setaffinity(process.pid, {SERVER_CORE})
            _await_port(port)
            yield Server(psutil.Process(process.pid), port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _await_port(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def drain(port: int, name: str) -> int:
    """Download `name` and throw it away inside the kernel; returns the bytes of the body."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"GET /%b HTTP/1.1\r\nHost: bench\r\n\r\n" % name.encode())
        buffer = bytearray(1 << 20)
        count = sock.recv_into(buffer)
        head, _, rest = bytes(buffer[:count]).partition(b"\r\n\r\n")
        left = length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        left -= len(rest)
        while left:
            count = sock.recv_into(buffer, min(left, len(buffer)), socket.MSG_TRUNC)
            if not count:
                raise RuntimeError("the body was cut")
            left -= count
        return length


def cpu_per_gb(server: Server, name: str, size: int, clients: int, total: int) -> float:
    """Server CPU seconds for each 10^9 bytes of `name`, `clients` at a time."""
    each = max(1, total // size // clients)

    def work() -> None:
        for _ in range(each):
            drain(server.port, name)

    before = server.cpu_seconds()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (server.cpu_seconds() - before) / (each * clients * size / 1e9)


def cpu_per_request(server: Server, name: str, requests: int) -> float:
    """Server CPU in microseconds for each request of a small file, keep-alive, 8 clients."""
    clients = 8
    request = b"GET /%b HTTP/1.1\r\nHost: bench\r\nUser-Agent: b/1\r\nAccept: */*\r\n\r\n"
    request %= name.encode()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(requests // clients):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
        writer.close()

    async def run() -> None:
        await asyncio.gather(*(work() for _ in range(clients)))

    before = server.cpu_seconds()
    asyncio.run(run())
    return (server.cpu_seconds() - before) / requests * 1e6


def slow_readers(server: Server, name: str, readers: int) -> tuple[float, float]:
    """(resident MiB of the server, slowest health check in ms) while nobody reads much."""
    sockets = []
    try:
        for _ in range(readers):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(b"GET /%b HTTP/1.1\r\nHost: bench\r\n\r\n" % name.encode())
            sockets.append(sock)
        slowest = 0.0
        for _ in range(5):
            for sock in sockets:
                sock.recv(1024)
            begin = time.perf_counter()
            drain(server.port, "small.bin")
            slowest = max(slowest, time.perf_counter() - begin)
        return server.process.memory_info().rss / (1 << 20), slowest * 1e3
    finally:
        for sock in sockets:
            sock.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _compare_big(ours: Server, nginx: Server | None, size: int, rounds: int) -> None:
    for clients in (1, 8, 64):
        total = max(4 * GIB, clients * size)
        pairs = []
        for _ in range(rounds):
            mine = cpu_per_gb(ours, "big.bin", size, clients, total)
            theirs = cpu_per_gb(nginx, "big.bin", size, clients, total) if nginx else float("nan")
            pairs.append((mine, theirs))
        ratio = statistics.median(a / b for a, b in pairs)  # neighbours share the weather
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        _say(
            f"{size >> 20} MiB file, {clients:2} clients: {mine * 1e3:6.1f} ms CPU per GB,"
            f" nginx {theirs * 1e3:6.1f}, x nginx {ratio:.2f}"
        )


def _compare_small(ours: Server, nginx: Server | None, rounds: int) -> None:
    for label, server in (("ours", ours), ("nginx", nginx)):
        if server is not None:
            cpu_per_request(server, "small.bin", SMALL_REQUESTS // 10)
            figures = [cpu_per_request(server, "small.bin", SMALL_REQUESTS) for _ in range(rounds)]
            _say(f"{SMALL_BYTES} bytes, keep-alive, {label}: {statistics.median(figures):.1f} us")


def _compare_slow(ours: Server) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    readers = min(5000, limit // 4)
    memory, slowest = slow_readers(ours, "big.bin", readers)
    _say(f"{readers} slow readers: {memory:.0f} MiB RSS, health check {slowest:.0f} ms at worst")


def main() -> None:
    """Run the comparisons asked for on the command line."""
    parser = argparse.ArgumentParser(description="CPU of transfers beside nginx")
    parser.add_argument("--gib", type=float, default=1.0, help="size of the large file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nginx", default=shutil.which("nginx"))
    parser.add_argument("--only", choices=("big", "small", "slow"))
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cores = os.sched_getaffinity(0) - {SERVER_CORE}
    os.sched_setaffinity(0, cores or {SERVER_CORE})
    size = int(options.gib * GIB)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transfer-")))
        folder.chmod(0o755)
        (folder / "small.bin").write_bytes(os.urandom(SMALL_BYTES))
        with (folder / "big.bin").open("wb") as file:
            block = os.urandom(1 << 20)
            for _ in range(size >> 20):
                file.write(block)
        ours = stack.enter_context(our_server(folder))
        nginx = stack.enter_context(nginx_server(folder, options.nginx)) if options.nginx else None
        if options.only in (None, "big"):
            _compare_big(ours, nginx, size, options.rounds)
        if options.only in (None, "small"):
            _compare_small(ours, nginx, options.rounds)
        if options.only in (None, "slow"):
            _compare_slow(ours)


if __name__ == "__main__":
    main()
