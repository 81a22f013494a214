"""nginx as the peer: one worker, pinned like our process, with the settings that suit it."""

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench._cpu import SERVER_CORE

SECRET = "of the benchmark"
_MISSING = "not measured: there is no nginx on the PATH of this machine"
_CONFIG = """\
daemon off; master_process off; pid {state}/pid; error_log {state}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log {state}/access.log; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  open_file_cache max=100 inactive=600s; open_file_cache_valid 600s;
  client_body_temp_path {state}/a; proxy_temp_path {state}/b; fastcgi_temp_path {state}/c;
  uwsgi_temp_path {state}/d; scgi_temp_path {state}/e;
  server {{
    listen 127.0.0.1:{port}; root {folder};
    location /secure/ {{
      secure_link $arg_md5,$arg_expires;
      secure_link_md5 "$secure_link_expires$uri {secret}";
      if ($secure_link = "") {{ return 403; }}
      if ($secure_link = "0") {{ return 410; }}
      alias {folder}/;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx over one folder: plain at /NAME, signed at /secure/NAME."""

    pid: int
    port: int
    version: str

    def secure_path(self, name: str, *, seconds: int = 3600) -> str:
        """A link to the file `name` that secure_link accepts for `seconds`."""
        expires, uri = int(time.time()) + seconds, f"/secure/{name}"
        digest = hashlib.md5(f"{expires}{uri} {SECRET}".encode()).digest()
        signed = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return f"{uri}?md5={signed}&expires={expires}"


@contextlib.contextmanager
def running_nginx(folder: Path) -> Iterator[Nginx | str]:
    """nginx over `folder`; where there is none on the PATH, the words that say so."""
    command = _find()
    if command is None:
        yield _MISSING
        return
    with tempfile.TemporaryDirectory(prefix="nginx-") as state:
        Path(state).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        config = Path(state, "nginx.conf")
        config.write_text(_CONFIG.format(state=state, port=port, folder=folder, secret=SECRET))
        process = subprocess.Popen([command, "-c", str(config), "-p", state])
        try:
            os.sched_setaffinity(process.pid, {SERVER_CORE})
            _await_port(port)
            yield Nginx(process.pid, port, _version(command))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _find() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _version(command: str) -> str:
    done = subprocess.run([command, "-v"], capture_output=True, text=True, check=True)
    return "nginx " + done.stderr.strip().rpartition("/")[2]


def _await_port(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("nginx did not start")
