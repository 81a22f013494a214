"""`make demo` on a free port: every step is shown, and the exit status says how it went."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.hubs import clean_environment, free_port, run

STEPS = (
    "$ entrepot login token - < token",
    "$ entrepot entitlements\n",
    "$ entrepot releases -e ",
    "$ entrepot artifacts -e ",
    "$ entrepot download-artifacts -e ",
    "All done!",
    "same   ",
    "$ entrepot download EP310 -d ",
    "$ entrepot trust list",
    "The maintenance period ended on ",
    "(exit status 4)",
    "EP500 asks for one",
    "Sign in as",
)


def demo(data: Path, port: int, *more: str) -> list[str]:
    arguments = ["--data", str(data), "--bind", f"127.0.0.1:{port}", *more]
    return [sys.executable, "-m", "entrepot.daemon.demo", *arguments]


def start(command: list[str]) -> "subprocess.Popen[str]":
    """Both of its streams in one, as on a terminal."""
    return subprocess.Popen(
        command,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def in_order(shown: str) -> None:
    """Every step is there, one after the other."""
    place = 0
    for step in STEPS:
        place = shown.find(step, place)
        assert place >= 0, f"{step!r} is not in its place:\n{shown}"


@pytest.mark.timeout(400)
def test_it_runs_twice_on_the_same_folder(tmp_path: Path) -> None:
    first = start(demo(tmp_path / "demo", free_port(), "--once"))
    shown = first.communicate(timeout=170)[0]
    assert first.returncode == 0, shown
    in_order(shown)
    assert "the hub stops" in shown
    assert "(exit status 5)" in shown
    assert "signs in, reads, and accepts" in shown
    port = free_port()
    second = start(demo(tmp_path / "demo", port))
    assert second.stdout is not None
    shown = ""
    for line in second.stdout:
        shown += line
        if "Serving until Ctrl-C" in line:
            break
    assert _answers(port), shown
    second.send_signal(signal.SIGINT)
    shown += second.communicate(timeout=170)[0]
    assert second.returncode == 0, shown
    in_order(shown)
    assert "accepted on an earlier run" in shown
    assert shown.endswith("Stopped.\n")
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
