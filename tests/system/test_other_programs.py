"""aria2c by Metalink, and curl by lines for sh, against the running hub."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.system.hubs import Customer, Hub
from tests.system.test_entrepot_cli import ADA, HALDEN, digest, newest

pytestmark = pytest.mark.needs("aria2c", "curl")
ARIA2C = ("aria2c", "--quiet", "--no-conf", "--follow-metalink=mem", "--file-allocation=none")


@pytest.fixture
def ada(entrepot: Customer) -> Customer:
    """Ada of Halden, whose token our command finds in its environment."""
    token = entrepot.hub.user(ADA)["token"]
    return replace(entrepot, environment={**entrepot.environment, "ENTREPOT_TOKEN": token})


def fetch(customer: Customer, command: list[str], folder: Path, given: bytes) -> int:
    folder.mkdir(exist_ok=True)
    ran = subprocess.run(
        command,
        input=given,
        cwd=folder,
        env=dict(customer.environment),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return ran.returncode


def of_release(hub: Hub) -> tuple[str, dict[str, str]]:
    """A product's code, and the digests of its newest release's files by name."""
    entitlement = hub.entitlement("plain", HALDEN)
    artifacts = newest(hub, "plain", HALDEN)
    return entitlement["product_code"], {one["file_name"]: one["sha256"] for one in artifacts}


def test_aria2c_fetches_and_checks_by_metalink(ada: Customer, tmp_path: Path) -> None:
    code, wanted = of_release(ada.hub)
    document = ada.run("links", code, "--as", "metalink")
    assert document.code == 0, document.err
    meta4, folder = tmp_path / "release.meta4", tmp_path / "got"
    meta4.write_text(document.out)
    by_stdin = [*ARIA2C, "--split=4", "--metalink-file=-"]
    assert fetch(ada, by_stdin, folder, document.out.encode()) == 0
    assert {path.name: digest(path) for path in folder.iterdir()} == wanted
    # A digest that is not the file's: aria2c does not take it.
    wrong = next(iter(wanted.values()))
    meta4.write_text(document.out.replace(wrong, "0" * 64))
    other = tmp_path / "other"
    assert fetch(ada, [*ARIA2C, f"--metalink-file={meta4}"], other, b"") != 0


def test_curl_fetches_by_lines_for_sh_and_goes_on(ada: Customer, tmp_path: Path) -> None:
    code, wanted = of_release(ada.hub)
    folder = tmp_path / "got"
    for _ in range(2):  # the second time on what is there
        script = ada.run("links", code)
        assert script.code == 0, script.err
        assert fetch(ada, ["sh"], folder, script.out.encode()) == 0
        assert {path.name: digest(path) for path in folder.iterdir()} == wanted
        cut = folder / next(iter(wanted))
        cut.write_bytes(cut.read_bytes()[:1000])
    cut.write_bytes(b"?" + cut.read_bytes()[1:])  # a part of something else
    again = ada.run("links", code).out.encode()
    assert fetch(ada, ["sh"], folder, again) != 0
