"""The numbers for Prometheus, of one process and of several added up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrepot.web.http import metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(page: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


class Difference:
    """What a test added: the numbers are the process's, other tests count as well."""

    def __init__(self) -> None:
        self._before = read(metrics.render())

    def __call__(self, name: str, **labels: str) -> float:
        key = (f"entrepot_{name}", frozenset(labels.items()))
        return read(metrics.render()).get(key, 0) - self._before.get(key, 0)


def test_requests_by_door_method_and_status_class() -> None:
    added = Difference()
    metrics.count_request("links", "GET", 200, 0.0004)
    metrics.count_request("links", "GET", 206, 0.02)
    metrics.count_request("links", "GET", 404, 0.5)
    metrics.count_request("orders_api", "POST", 201, 2)
    good = {"door": "links", "method": "GET", "status": "2xx"}
    assert added("request_seconds_count", **good) == 2
    assert added("request_seconds_sum", **good) == pytest.approx(0.0204)
    assert added("request_seconds_bucket", le="0.0005", **good) == 1
    assert added("request_seconds_bucket", le="0.025", **good) == 2
    assert added("request_seconds_bucket", le="+Inf", **good) == 2
    assert added("request_seconds_count", door="links", method="GET", status="4xx") == 1
    assert added("request_seconds_count", door="orders_api", method="POST", status="2xx") == 1


def test_a_hostile_method_or_status_makes_no_new_series() -> None:
    added = Difference()
    before = len(read(metrics.render()))
    for number in range(500):
        metrics.count_request("portal", f"M{number}", 200, 0.001)
    metrics.count_request("portal", "GET", 999, 0.001)
    assert added("request_seconds_count", door="portal", method="other", status="2xx") == 500
    assert added("request_seconds_count", door="portal", method="GET", status="other") == 1
    assert len(read(metrics.render())) - before <= 2 * 17


def test_links_by_outcome_and_reason() -> None:
    added = Difference()
    metrics.count_link("issued")
    metrics.count_link("redeemed")
    metrics.count_link("redeemed")
    metrics.count_link("refused", "link-expired")
    assert added("links_total", outcome="issued", reason="") == 1
    assert added("links_total", outcome="redeemed", reason="") == 2
    assert added("links_total", outcome="refused", reason="link-expired") == 1
    with pytest.raises(ValueError, match="stolen"):
        metrics.count_link("stolen")


def test_bytes_and_downloads() -> None:
    added = Difference()
    metrics.count_bytes(7)
    metrics.count_bytes(1 << 40)
    metrics.download_started()
    metrics.download_started()
    assert added("downloads_in_progress") == 2
    metrics.download_ended(complete=True)
    metrics.download_ended(complete=False)
    assert added("downloads_in_progress") == 0
    assert added("sent_bytes_total") == (1 << 40) + 7
    assert added("downloads_total", outcome="complete") == 1
    assert added("downloads_total", outcome="cut") == 1


def test_the_page_names_its_type_and_explains_itself() -> None:
    page = metrics.render().decode()
    assert "# HELP entrepot_request_seconds " in page
    assert "_created" not in page
    assert metrics.CONTENT_TYPE.startswith("text/plain")


WORKER = """
import sys, threading, time
from entrepot.web.http import metrics
metrics.download_started()
def count():
    for _ in range(200):
        metrics.count_request("links", "GET", 206, 0.003)
        metrics.count_link("refused", "link-revoked")
        metrics.count_bytes(1000)
threads = [threading.Thread(target=count) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
metrics.flush()
print("counted", flush=True)
sys.stdin.read()
metrics.download_ended(complete=True)
metrics.flush()
"""
REASONS = """
from entrepot.web.http import metrics
for number in range(200):
    metrics.count_link("refused", f"r{number}")
    metrics.count_request(f"d{number}", "GET", 200, 0.001)
print(metrics.render().decode())
"""


def scrape(folder: Path) -> Samples:
    """As another web process of the same hub sees it."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    code = "from entrepot.web.http import metrics; print(metrics.render().decode())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=60
    )
    return read(done.stdout)


def start_worker(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_several_processes_are_added_up_and_the_killed_one_is_not_in_progress(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "metrics"
    metrics.clear_folder(folder)
    workers = [start_worker(folder) for _ in range(3)]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "counted\n"
        (folder / "counter_1.db").touch()  # a process that starts at this very moment
        progress = ("entrepot_downloads_in_progress", frozenset[tuple[str, str]]())
        assert scrape(folder)[progress] == 3
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        assert scrape(folder)[progress] == 2
        workers[1].communicate("", timeout=30)
        sums = scrape(folder)
        assert sums[progress] == 1
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    labels = frozenset({("door", "links"), ("method", "GET"), ("status", "2xx")})
    assert sums["entrepot_request_seconds_count", labels] == 1200
    assert sums["entrepot_request_seconds_sum", labels] == pytest.approx(3.6)
    assert sums["entrepot_sent_bytes_total", frozenset()] == 1_200_000
    refused = frozenset({("outcome", "refused"), ("reason", "link-revoked")})
    assert sums["entrepot_links_total", refused] == 1200
    metrics.clear_folder(folder)
    assert list(folder.iterdir()) == []


def test_a_process_forgotten_by_its_pid_is_not_in_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.forget_process(os.getpid())  # one process only: nothing to forget, no error
    own = tmp_path / f"gauge_livesum_{os.getpid()}.db"
    own.touch()
    other = tmp_path / f"gauge_livesum_{os.getpid()}9.db"
    other.touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    metrics.forget_process(os.getpid())
    assert list(tmp_path.iterdir()) == [other]


def test_series_are_bounded_whatever_is_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REASONS], capture_output=True, check=True, timeout=60
    )
    samples = read(done.stdout)
    reasons = {dict(labels).get("reason") for name, labels in samples if "links_total" in name}
    doors = {dict(labels).get("door") for name, labels in samples if "seconds_count" in name}
    assert len(reasons) == 50  # 48, none, other
    assert len(doors) == 49
    other = frozenset({("outcome", "refused"), ("reason", "other")})
    assert samples["entrepot_links_total", other] == 152


def test_counting_is_cheap() -> None:
    """Less than 1 us in one process where it was written; ten times that is a fault."""
    costs = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(2000):
            metrics.count_request("links", "GET", 206, 0.003)
        costs.append((time.process_time() - start) / 2000)
    assert min(costs) < 10e-6
