"""`entrepotd publish` killed at any moment: nothing is half-published, and a re-run succeeds."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.assembly import Hub
from entrepot.core import catalogue
from entrepot.core.catalogue.tables import artifacts, blobs
from entrepot.daemon.app import run as run_here
from entrepot.daemon.desk import Desk
from tests.system.hubs import ENTREPOTD, clean_environment, run

KILLS = 5  # the soak has 200
FILES = 3
FILE_BYTES = 12 << 20
SECONDS_MAX = 60.0


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the commands and this process see of settings."""
    for name in os.environ:
        if name.startswith("ENTREPOT_") and name != "ENTREPOT_TEST_POSTGRES_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("ENTREPOT_RESERVE_BYTES", "1 MiB")
    return clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"}


def make_hub(folder: Path) -> Path:
    """A hub's folder with the product P1."""
    data = folder / "data"
    for arguments in (["init"], ["product", "add", "P1"]):
        assert run_here([*arguments, "--data", str(data)]) == 0
    return data


def publish(data: Path, files: list[Path], name: str) -> list[str]:
    return [*ENTREPOTD, "publish", "P1", name, *map(str, files), "--data", str(data)]


def write_files(folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.bin" for number in range(FILES)]
    for path in paths:
        path.write_bytes(random.randbytes(FILE_BYTES))
    return paths


def parts(data: Path) -> list[Path]:
    return list((data / "blobs" / "incoming").iterdir())


def kill_at(command: list[str], data: Path, environment: dict[str, str], delay: float) -> bool:
    """Kill the command `delay` seconds after it began to store; whether it was still at work."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        known = set(parts(data))
        deadline = time.monotonic() + SECONDS_MAX
        while process.poll() is None and not set(parts(data)) - known:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(delay)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def state_of(hub: Hub, name: str) -> str:
    """`absent` or `whole`; anything between fails."""
    with hub.database.read() as tx:
        product = catalogue.find_product(tx, "P1")
        found = [row for row in catalogue.list_releases(tx, product.id) if row.name == name]
        if not found:
            return "absent"
        [release] = found
        assert release.state == catalogue.AVAILABLE
        rows = catalogue.list_artifacts(tx, release.id)
    assert [(row.file_name, row.size) for row in rows] == [
        (f"{number}.bin", FILE_BYTES) for number in range(FILES)
    ]
    assert all(hub.blobs.verify(row.sha256) for row in rows)
    return "whole"


def test_killed_at_any_moment(tmp_path: Path, environment: dict[str, str]) -> None:
    survive_kills(tmp_path, environment, KILLS)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_at_any_of_200_moments(tmp_path: Path, environment: dict[str, str]) -> None:
    survive_kills(tmp_path, environment, 200)


def survive_kills(tmp_path: Path, environment: dict[str, str], kills: int) -> None:
    """Publish and kill `kills` times; every release is absent or whole at every moment."""
    data = make_hub(tmp_path)
    files = write_files(tmp_path / "files")
    # About how long a run works once it has begun to store: kills fall anywhere in that time.
    began = time.monotonic()
    assert run(publish(data, files, "0"), env=environment).code == 0
    span = min((time.monotonic() - began) / 2, 1.0)
    outcomes: list[str] = []
    name = 1
    for kill in range(kills):
        files = write_files(tmp_path / "files")
        # Every third kill comes within the first moments, where most of the storing is.
        delay = random.uniform(0, span / 4 if kill % 3 == 0 else span) if kill else 0.0
        killed = kill_at(publish(data, files, str(name)), data, environment, delay)
        with Desk({"data": str(data)}).hub() as hub:
            outcome = state_of(hub, str(name))
        outcomes.append(f"{outcome}, {'killed' if killed else 'ended by itself'}")
        assert killed or outcome == "whole"
        name += outcome == "whole"
    assert sum(outcome.endswith(" killed") for outcome in outcomes) >= kills // 3, outcomes
    assert "absent, killed" in outcomes, outcomes
    files = write_files(tmp_path / "files")
    again = run(publish(data, files, "last"), env=environment)
    assert again.code == 0, again
    assert parts(data) == [], "the next run clears away what killed ones left"
    with Desk({"data": str(data)}).hub() as hub:
        assert state_of(hub, "last") == "whole"
        with hub.database.read() as tx:
            unused = (
                select(func.count())
                .select_from(blobs)
                .where(blobs.c.sha256.not_in(select(artifacts.c.sha256)))
            )
            assert tx.execute(unused).scalar_one() == 0, "no row of bytes that nothing uses"


def test_the_same_release_can_be_published_after_a_kill(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    data = make_hub(tmp_path)
    files = write_files(tmp_path / "files")
    whole = files[-1].read_bytes()
    files[-1].unlink()
    os.mkfifo(files[-1])
    command = publish(data, files, "1.0")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    # Two files are stored and half of the third has come: there the run waits, and is killed.
    with files[-1].open("wb") as pipe:
        pipe.write(whole[: FILE_BYTES // 2])
        pipe.flush()
        assert parts(data)
        process.kill()
        process.wait()
    with Desk({"data": str(data)}).hub() as hub:
        assert state_of(hub, "1.0") == "absent"
    files[-1].unlink()
    files[-1].write_bytes(whole)
    ended = run(command, env=environment)
    assert ended.code == 0, ended
    with Desk({"data": str(data)}).hub() as hub:
        assert state_of(hub, "1.0") == "whole"
    assert parts(data) == []
