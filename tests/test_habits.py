"""The rules of tests/conftest.py, proved on a small suite of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

CONNECTS = """
import socket

def test_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
"""
CONNECTS_ELSEWHERE = """
import socket

def test_connects() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        socket.create_connection(server.getsockname()).close()
"""
NEEDS_NODE = """
import pytest

@pytest.mark.needs("node")
def test_node() -> None:
    pass
"""
UNKNOWN_NEED = NEEDS_NODE.replace("node", "nodee")
SKIPS = """
import pytest

def test_skips() -> None:
    pytest.skip("no reason at all")
"""
SKIPS_THE_FILE = """
import pytest

pytest.importorskip("a_module_that_nobody_has")

def test_never() -> None:
    pass
"""
LOGS = """
import logging

def test_logs_what_utf_8_lacks() -> None:
    logging.getLogger("x").warning("lone \\udc80")
"""
WARNS = """
import warnings

def test_warns() -> None:
    warnings.warn("old")
"""


SUITE = {
    "web/test_connects.py": CONNECTS,
    "core/test_connects.py": CONNECTS,
    "web/test_elsewhere.py": CONNECTS_ELSEWHERE,
    "test_node.py": NEEDS_NODE,
    "test_unknown.py": UNKNOWN_NEED,
    "test_skips.py": SKIPS,
    "test_file.py": SKIPS_THE_FILE,
    "test_logs.py": LOGS,
    "test_warns.py": WARNS,
}


def run_suite(root: Path, *arguments: str, **environ: str) -> str:
    """The output of pytest on SUITE under the house's configuration, with an empty PATH; some test
    of it fails."""
    for path, source in SUITE.items():
        test = root / "tests" / path
        test.parent.mkdir(parents=True, exist_ok=True)
        test.write_text(source)
    for path in ("pyproject.toml", "tests/conftest.py"):
        (root / path).write_text((ROOT / path).read_text())
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "REQUIRE"))}
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            *arguments,
        ],
        cwd=root,
        env=keep | {"PATH": str(root)} | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode, result.stdout + result.stderr
    return result.stdout


def test_sockets_are_closed_warnings_are_errors_and_skips_are_listed(tmp_path: Path) -> None:
    output = run_suite(tmp_path)
    for line in (
        "tests/web/test_connects.py::test_connects PASSED",
        "tests/core/test_connects.py::test_connects FAILED",
        "tests/web/test_elsewhere.py::test_connects FAILED",
        'with host "127.0.0.2"',
        "tests/test_node.py::test_node SKIPPED",
        "tests/test_unknown.py::test_nodee ERROR",
        "KeyError: 'nodee'",
        "tests/test_warns.py::test_warns FAILED",
        "1 x this machine lacks node",
        "1 x no reason at all",
        "1 x could not import 'a_module_that_nobody_has'",
        "again: make test ARGS=--randomly-seed=",
    ):
        assert line in output, output


def test_with_require_all_a_check_that_did_not_run_fails(tmp_path: Path) -> None:
    output = run_suite(tmp_path, REQUIRE_ALL="1")
    assert "SKIPPED" not in output
    assert "could not run on this machine" not in output
    for reason in ("this machine lacks node", "no reason at all", "could not import"):
        assert f"REQUIRE_ALL=1, and this did not run: {reason}" in output


def test_what_is_logged_does_not_end_a_run_of_several_workers(tmp_path: Path) -> None:
    output = run_suite(tmp_path, "-n1", "tests/test_logs.py", "tests/test_warns.py")
    assert "1 failed, 1 passed" in output, output
