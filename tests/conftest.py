"""What holds for every test: no network, nothing skipped in silence, a seed to repeat the run.

- Sockets are closed (pytest-socket). Unix sockets are open, and the folders in SPEAKS_HTTP may
  connect to 127.0.0.1, nothing else.
- What a machine may lack is asked for by `@pytest.mark.needs("chromium")`. Where it is missing
  the test is skipped and listed at the end; with REQUIRE_ALL=1 a check that did not run fails,
  whatever the reason it gives.
- Several workers share the tests by files; those that use the hub with media stay together.
"""

import os
import shutil
from collections import Counter
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

TESTS = Path(__file__).parent
SPEAKS_HTTP = {"client", "doors", "security", "system", "web"}
# What a test may need and a machine may lack: the commands that provide it, best first. Beside
# them `mounts`: a mount namespace of its own, for a small disk, `pdf`: a real document, and
# `node-packages`: node, and what `npm ci` installs in tests/node.
COMMANDS = {
    "7z": ("7z", "7zz"),
    "aria2c": ("aria2c",),
    "bsdtar": ("bsdtar",),
    "chromium": ("chromium", "chromium-browser"),
    "curl": ("curl",),
    "git": ("git",),
    "node": ("node",),
    "nginx": ("nginx",),
    "soffice": ("soffice", "libreoffice"),
    "unzip": ("unzip",),
}

# Two shared cores: a slow example says nothing about the code; a failing one must come back.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    max_examples=50,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def find(need: str) -> str | None:
    """What provides `need`, the path of a command in most cases, or None where it lacks."""
    if need == "mounts":
        from tests.mounts import in_own_mounts

        return " ".join(in_own_mounts() or ()) or None
    if need == "pdf":
        from tests.system.media import DOCUMENT

        return str(DOCUMENT) if DOCUMENT.is_file() else None
    if need == "node-packages":
        installed = TESTS / "node" / "node_modules" / "openid-client"
        return shutil.which("node") if installed.is_dir() else None
    return next((path for name in COMMANDS[need] if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Chromium for Playwright's `executable_path`; the test is marked `needs("chromium")`."""
    path = find("chromium")
    assert path, 'a test that uses chromium_path is marked @pytest.mark.needs("chromium")'
    return path


@pytest.fixture(scope="session")
def seven_zip() -> str:
    """7-Zip, whatever it is called here; the test is marked `needs("7z")`."""
    path = find("7z")
    assert path, 'a test that uses seven_zip is marked @pytest.mark.needs("7z")'
    return path


# Doors say in HTTP what tests/core holds on both databases. On PostgreSQL each dialect's main
# flow is always run, the rest of the doors by `make soak`: a copy of a database for each test
# is what the quarter of an hour has no room for.
ON_BOTH_DATABASES = {
    "test_admin_api_flows.py",
    "test_entitlement_shapes.py",
    "test_identity_matrix.py",
    "test_oauth.py",
    "test_orders_api_shapes.py",
    "test_products_api_shapes.py",
}


# Core tests run on both each time, but for these: what they hold is Python more than SQL, and
# their SQL runs on PostgreSQL in tests/jobs, by real workers.
ON_POSTGRESQL_IN_THE_SOAK = {
    "test_bundles.py",
    "test_conversion_results.py",
    "test_delivery_order_links.py",
    "test_orders_naming.py",
    "test_orders_packaging.py",
    "test_orders_placing.py",
    "test_sweep.py",
}


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Opens 127.0.0.1 to the tests in the folders that speak HTTP; sorts out what is long."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in SPEAKS_HTTP:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1"]))
        database = getattr(item, "callspec", None) and item.callspec.params.get("dialect")  # type: ignore[attr-defined]
        door = folder in {"doors", "security"} and item.path.name not in ON_BOTH_DATABASES
        long = door or item.path.name in ON_POSTGRESQL_IN_THE_SOAK
        if long and database == "postgresql":
            item.add_marker(pytest.mark.soak)
    # What starts hubs takes longest: begun last, it would keep one worker busy alone at the end.
    items.sort(key=lambda item: item.path.parent.name not in {"system", "jobs"})


class _ByFiles(LoadScopeScheduling):  # type: ignore[misc]
    """A file at a time: what its tests share is made once, not once in each worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "media_hub" if _uses_media_hub(file) else file


@cache
def _uses_media_hub(file: str) -> bool:
    """Whether its tests share the hub that is given media: a second one would take a minute."""
    return file.startswith("tests/system/") and "media_hub" in (TESTS.parent / file).read_text()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """What hands the tests to the workers, in the order in which they were collected."""
    config.option.loadscopereorder = False
    return _ByFiles(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test that needs what this machine lacks; an unknown need is an error."""
    missing = [
        need for marker in item.iter_markers("needs") for need in marker.args if find(need) is None
    ]
    if missing:
        pytest.skip(f"this machine lacks {', '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With REQUIRE_ALL, a test that did not run has failed; and every report can be sent."""
    return _required(sendable((yield)))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With REQUIRE_ALL, a file that was not collected has failed."""
    return _required((yield))


def sendable(report: pytest.TestReport) -> pytest.TestReport:
    """Without lone surrogates in what was logged: a worker that cannot send them ends the run."""
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


def _required(report: Report) -> Report:
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and os.environ.get("REQUIRE_ALL") == "1":
        report.longrepr = f"REQUIRE_ALL=1, and this did not run: {_reason(report)}"
        report.outcome = "failed"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what could not run on this machine and why, and how to repeat this order of tests."""
    skipped = [report for report in terminalreporter.getreports("skipped") if report.longrepr]
    if skipped:
        terminalreporter.section("could not run on this machine")
        for reason, count in sorted(Counter(map(_reason, skipped)).items()):
            terminalreporter.write_line(f"{count} x {reason}")
        terminalreporter.write_line("With REQUIRE_ALL=1 each of these is a failure.")
    seed = terminalreporter.config.getoption("randomly_seed", None)
    terminalreporter.write_line(f"seed {seed}; again: make test ARGS=--randomly-seed={seed}")
