"""The peer that makes ZIPs on the fly: zipstream-ng behind a socket, a thread for each client.

python -m bench._zipstream PORT COUNT SIZE      answers every request with a ZIP of COUNT files
"""

import socket
import sys
import tempfile
import threading
from pathlib import Path

from zipstream import ZIP_STORED, ZipStream


def _serve(connection: socket.socket, files: list[Path]) -> None:
    with connection:
        try:
            while _read_head(connection):
                archive = ZipStream(compress_type=ZIP_STORED, sized=True)
                for number, file in enumerate(files):
                    archive.add_path(str(file), f"{number}.bin")
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(archive)}\r\n\r\n"
                connection.sendall(head.encode())
                for piece in archive:
                    connection.sendall(piece)
        except OSError:
            return  # the client has what it wanted


def _read_head(connection: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece:
            return False
        data += piece
    return True


def _main(port: int, count: int, size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="zipstream-") as name:
        # One file of each size, linked: what is measured is reading and sending, not the disk.
        first = Path(name, "first.bin")
        first.write_bytes(bytes(size))
        files = [Path(name, f"{number}.bin") for number in range(count)]
        for file in files:
            file.hardlink_to(first)
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, files), daemon=True).start()


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:4]))
