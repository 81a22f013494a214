"""Fixtures of the client's tests: a hub, a client of it, and the command in a process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrepot.client import Backoff, Client, Times
from tests.client.hub import Hub, running_hub

QUICK = Backoff(attempts=4, first_seconds=0.01, most_seconds=0.02, asked_seconds_max=5)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    # A busy machine is silent for half a second, too: that must not pass for a stall.
    times = Times(connect_seconds=10, stall_seconds=2, call_seconds=20)
    with Client(
        hub.url, hub.token, times=times, call_backoff=QUICK, transfer_backoff=QUICK
    ) as client:
        yield client


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def clean_environment(home: Path, hub: Hub | None) -> dict[str, str]:
    """The environment of a command: nothing of ours or edmgr's but what a test sets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EDM_", "ENTREPOT_")) and not name.lower().endswith("_proxy")
    }
    kept |= {"HOME": str(home), "COLUMNS": "80"}
    if hub is not None:
        kept |= {"ENTREPOT_URL": hub.url, "ENTREPOT_TOKEN": hub.token}
    return kept


@pytest.fixture
def run(hub: Hub, home: Path) -> Callable[..., Ran]:
    """Run the real command in a process of its own; stdin is no terminal."""

    def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        variables = clean_environment(home, hub) | (env or {})
        ended = subprocess.run(
            [sys.executable, "-m", "entrepot.cli", *arguments],
            input=stdin,
            env={name: value for name, value in variables.items() if value != ""},
            capture_output=True,
            text=True,
            timeout=60,
            cwd=home,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run
