"""`entrepotd import` killed at any moment: releases are absent or whole, and a re-run succeeds."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from entrepot.assembly import Hub
from entrepot.core import catalogue
from entrepot.daemon.app import run as run_here
from entrepot.daemon.desk import Desk
from tests.core.bundling_world import Made
from tests.system.hubs import ENTREPOTD, clean_environment, run

FILE_BYTES = 12 << 20
RELEASES = 3


def whole_releases(hub: Hub) -> int:
    """How many releases there are; anything between absent and whole fails."""
    with hub.database.read() as tx:
        if not catalogue.list_products(tx):
            return 0
        product = catalogue.find_product(tx, "AIR1")
        found = catalogue.list_releases(tx, product.id)
        for release in found:
            assert release.state == catalogue.AVAILABLE
            rows = catalogue.list_artifacts(tx, release.id)
            assert [row.size for row in rows] == [FILE_BYTES]
            assert all(hub.blobs.verify(row.sha256) for row in rows)
    return len(found)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_an_import_killed_at_any_of_40_moments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_RESERVE_BYTES", "1 MiB")
    environment = clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"}
    made = [
        Made(files=[("a.bin", random.randbytes(FILE_BYTES))], release={"name": f"{number}.0"})
        for number in range(RELEASES)
    ]
    made[0].more = made[1:]
    bundle = tmp_path / "air.tar"
    bundle.write_bytes(made[0].bytes())
    empty = tmp_path / "empty"
    assert run_here(["init", "--data", str(empty)]) == 0
    seen: set[int] = set()
    span = 0.0
    for kill in range(41):
        data = tmp_path / f"data{kill}"
        shutil.copytree(empty, data)
        command = [*ENTREPOTD, "import", str(bundle), "--unsigned", "--data", str(data)]
        if not span:
            began = time.monotonic()
            assert run(command, env=environment).code == 0
            span = time.monotonic() - began
            shutil.rmtree(data)
            continue
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(random.uniform(span / 4, span))
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Desk({"data": str(data)}).hub() as hub:
            seen.add(whole_releases(hub))
        again = run(command, env=environment)
        assert again.code == 0, again.err
        with Desk({"data": str(data)}).hub() as hub:
            assert whole_releases(hub) == RELEASES
        shutil.rmtree(data)
    assert 0 in seen
    assert len(seen) > 1, "no kill came late enough"
