"""The demonstration's hub: `entrepotd serve --sandbox`, started, waited for, stopped."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrepot.daemon.demo.failure import DemoFailure

READY_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 15.0
LOG_LINES_SHOWN = 12


def command(name: str) -> str:
    """The path of one of our two commands, installed beside the Python that runs this."""
    path = Path(sys.executable).with_name(name)
    if not path.is_file():
        raise DemoFailure(
            f"The command {name} is not installed beside {sys.executable}.",
            remedy="Run `make install`.",
        )
    return str(path)


def require_free(bind: str) -> None:
    """DemoFailure in one line where something listens at `bind` (HOST:PORT) already."""
    host, _, port = bind.rpartition(":")
    if not port.isdigit():
        raise DemoFailure(f"{bind!r} is not HOST:PORT.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except (OSError, OverflowError) as error:
            raise DemoFailure(
                f"{bind} cannot be listened at: {error}.",
                remedy="Stop what listens there, or choose: make demo DEMO_BIND=127.0.0.1:8081",
            ) from error


@contextlib.contextmanager
def running_hub(data: Path, bind: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A ready hub; its log goes to DATA/hub.log, and it ends with the block."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_path = data / "hub.log"
    arguments = [command("entrepotd"), "serve", "--sandbox", "--data", str(data), "--bind", bind]
    with log_path.open("wb") as log:
        hub = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
    try:
        _wait_until_ready(hub, bind, log_path)
        yield hub
    finally:
        _stop(hub)


def _wait_until_ready(hub: "subprocess.Popen[bytes]", bind: str, log_path: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if hub.poll() is not None:
            break
        if _is_ready(bind):
            return
        time.sleep(0.1)
    lines = log_path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    why = "ended" if hub.poll() is not None else f"was not ready in {READY_SECONDS_MAX:.0f} s"
    raise DemoFailure(
        "\n".join((f"The hub {why}. It said:", *(f"  {line}" for line in lines))),
        remedy=f"The whole log is {log_path}.",
    )


def _is_ready(bind: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{bind}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _stop(hub: "subprocess.Popen[bytes]") -> None:
    if hub.poll() is None:
        hub.terminate()
    try:
        hub.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        hub.kill()
        hub.wait()


def describe(data: Path) -> dict[str, Any]:
    """What `entrepotd sandbox --json` says of the hub in `data`."""
    ended = subprocess.run(  # noqa: S603
        [command("entrepotd"), "sandbox", "--data", str(data), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise DemoFailure(ended.stderr.strip())
    world: dict[str, Any] = json.loads(ended.stdout)
    return world
