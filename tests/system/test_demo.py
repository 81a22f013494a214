"""`make demo` on a free port: every step is shown, and the exit status says how it went."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.system.hubs import Ran, clean_environment, free_port, run

STEPS = (
    "$ entrepot login token - < token",
    "$ entrepot entitlements\n",
    "$ entrepot releases -e ",
    "$ entrepot artifacts -e ",
    "$ entrepot download-artifacts -e ",
    "All done!",
    "same   ",
    "The maintenance period ended on ",
    "(exit status 4)",
    "EP500 asks for one",
    "Sign in as",
)


def demo(data: Path, port: int, *more: str) -> list[str]:
    arguments = ["--data", str(data), "--bind", f"127.0.0.1:{port}", *more]
    return [sys.executable, "-m", "entrepot.daemon.demo", *arguments]


def in_order(said: Ran) -> None:
    """Every step is there, one after the other."""
    place = 0
    for step in STEPS:
        place = said.out.find(step, place)
        assert place >= 0, (step, said)


def test_it_runs_twice_on_the_same_folder(tmp_path: Path) -> None:
    once = demo(tmp_path / "demo", free_port(), "--once")
    first = run(once, env=clean_environment())
    assert first.code == 0, first
    in_order(first)
    assert "(exit status 5)" in first.out
    assert "opens http://127.0.0.1:" in first.out
    port = free_port()
    second = subprocess.Popen(
        demo(tmp_path / "demo", port),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert second.stdout is not None
    shown = ""
    for line in second.stdout:
        shown += line
        if "Serving until Ctrl-C" in line:
            break
    second.send_signal(signal.SIGINT)
    shown += second.communicate(timeout=30)[0]
    assert second.returncode == 0, shown
    in_order(Ran(0, shown, ""))
    assert "accepted on an earlier run" in shown
    assert shown.endswith("Stopped.\n")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _answers(port):
        time.sleep(0.1)
    assert not _answers(port), "the hub ends with the demonstration"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = run(
            demo(tmp_path / "demo", taken.getsockname()[1], "--once"), env=clean_environment()
        )
    assert said.code == 1
    assert len(said.out.strip().splitlines()) == 1, said
    assert "DEMO_BIND" in said.out
    assert not (tmp_path / "demo").exists()
