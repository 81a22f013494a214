"""Orders on PostgreSQL, worked off by two `entrepotd work` over shared storage."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.databases import empty_database, postgresql_server  # noqa: F401 - a fixture
from tests.system.hubs import ENTREPOTD, STOP_SECONDS_MAX, Hub, running_hub
from tests.system.media_orders import add_assets, shopper, steps, temporary_files, wait_for
from tests.system.test_orders_faults import crops

REPLACE_SECONDS_MAX = 15.0


class Site:
    """A hub that converts nothing itself, and what is in its database."""

    def __init__(self, hub: Hub, url: str) -> None:
        self.hub = hub
        self._url = url

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def workers(self) -> set[int]:
        """The workers that are alive, as far as anybody knows."""
        return {pid for (pid,) in self.rows("SELECT pid FROM workers WHERE ended_at IS NULL")}

    @contextlib.contextmanager
    def work(self, folder: Path) -> Iterator[int]:
        """`entrepotd work` with one worker, as on a machine of its own; the worker's pid."""
        before = self.workers()
        with (folder.with_suffix(".log")).open("wb") as log:
            process = subprocess.Popen(
                [*ENTREPOTD, "work", "--slots", "1", "--data", str(folder)],
                env=self.hub.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            [pid] = wait_for(lambda: self.workers() - before)
            yield pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            finally:
                process.kill()
                process.wait()
        said = folder.with_suffix(".log").read_text(errors="replace")
        assert "Traceback" not in said, said


@pytest.fixture
def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """A sandbox on PostgreSQL. This process and the workers find the files where it does."""
    with empty_database("postgresql", request, tmp_path) as url:
        shared = str(tmp_path / "shared")
        monkeypatch.setenv("ENTREPOT_DATABASE_URL", url)
        monkeypatch.setenv("ENTREPOT_BLOBS_DIR", shared)
        with running_hub(
            tmp_path / "data", web_processes="1", workers="0", database_url=url, blobs_dir=shared
        ) as hub:
            secret = (hub.data / "secret.key").read_text().strip()
            environment = {**hub.environment, "ENTREPOT_SECRET_KEY": secret}
            environment |= {"ENTREPOT_PUBLIC_URL": hub.url}
            yield Site(Hub(hub.data, hub.bind, environment, hub.world, hub.pid), url)


@pytest.mark.soak
def test_two_workers_and_one_of_them_freezes(site: Site, tmp_path: Path) -> None:
    ada = shopper(site.hub)
    numbers = list(add_assets(site.hub, crops(tmp_path / "pieces", 30, side=400)).values())
    with site.work(tmp_path / "one") as one, site.work(tmp_path / "two") as two:
        placed = ada.convert(numbers, steps("png", blur=30), steps("webp", blur=30))
        order_id = placed["order_id"]
        wait_for(lambda: ada.look(order_id)["progress"]["files_completed"])
        frozen_at = time.monotonic()
        os.kill(one, signal.SIGSTOP)
        left = psutil.Process(one).children(recursive=True)
        wait_for(lambda: one not in (now := site.workers()) and len(now) == 2)
        assert time.monotonic() - frozen_at < REPLACE_SECONDS_MAX
        assert two in site.workers()
        shown = ada.finish(placed)
        wait_for(lambda: not any(each.is_running() for each in left))
        # While a worker lives: it removes what the killed one left.
        wait_for(lambda: not temporary_files(tmp_path))
    assert shown["progress"]["files_completed"] == 60
    assert len(ada.package(shown).manifest["files"]) == 60
    ends = site.rows(
        "SELECT count(*) FROM events WHERE subject = %s AND type = 'order.completed'",
        f"order:{order_id}",
    )
    assert ends == [(1,)]
