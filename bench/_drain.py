"""Clients that take large files and throw them away inside the kernel.

Run as a program it is one such set of clients, in a process of its own so that the
interpreter lock of the measuring process holds nothing up:

    python -m bench._drain PORT CLIENTS SECONDS < request      prints the bytes taken
"""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench._load import content_length

_BUFFER_BYTES = 1 << 20
_ROOT = Path(__file__).resolve().parent.parent


def drain(port: int, request: bytes, *, clients: int, seconds: float) -> int:
    """Bytes that `clients` took together in `seconds`, each downloading again and again."""
    done = subprocess.run(
        [sys.executable, "-m", "bench._drain", str(port), str(clients), str(seconds)],
        cwd=_ROOT,
        input=request,
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 120,
    )
    return int(done.stdout)


class _Client(threading.Thread):
    """Downloads over one keep-alive connection until `end`; counts what has come."""

    def __init__(self, port: int, request: bytes, end: float) -> None:
        super().__init__(daemon=True)
        self.taken = 0
        self.fault: Exception | None = None
        self._port = port
        self._request = request
        self._end = end

    def run(self) -> None:
        """Until the time is over; the body at hand is then cut short."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=60) as sock:
                sock.settimeout(None)  # a blocking socket costs one system call a piece
                while self._download(sock):
                    pass
        except Exception as fault:
            self.fault = fault

    def _download(self, sock: socket.socket) -> bool:
        sock.sendall(self._request)
        buffer = bytearray(_BUFFER_BYTES)
        data = b""
        while b"\r\n\r\n" not in data:
            count = sock.recv_into(buffer)
            if not count:
                raise RuntimeError("the answer was cut")
            data += bytes(buffer[:count])
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"unexpected answer: {head.decode('latin-1')}")
        left = content_length(head) - len(rest)
        self.taken += len(rest)
        while left and time.monotonic() < self._end:
            # MSG_TRUNC: the kernel drops the bytes instead of copying them here.
            count = sock.recv_into(buffer, min(left, _BUFFER_BYTES), socket.MSG_TRUNC)
            if not count:
                raise RuntimeError("the body was cut")
            left -= count
            self.taken += count
        return not left and time.monotonic() < self._end


def _main(port: int, count: int, seconds: float, request: bytes) -> int:
    end = time.monotonic() + seconds
    clients = [_Client(port, request, end) for _ in range(count)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
        if client.fault is not None:
            raise client.fault
    return sum(client.taken for client in clients)


if __name__ == "__main__":
    sys.stdout.write(
        f"{_main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer.read())}"
    )
