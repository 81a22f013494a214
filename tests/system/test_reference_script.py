"""A customer's script runs unchanged but for the command's name, and brings the same file."""

import hashlib
import shlex
import sys
from pathlib import Path

import pytest

from tests.system.hubs import EDMGR, ENTREPOT, Customer, Hub, customer, run

SCRIPT = Path(__file__).parent / "first_artifact.py"
ADA, HALDEN = "ada@halden.example", "Halden Microsystems"


def on_path(who: Customer, name: str) -> dict[str, str]:
    """The customer's environment with the command installed under its name."""
    programs = who.home / "bin"
    programs.mkdir()
    program = programs / name
    program.write_text(f'#!/bin/sh\nexec {shlex.join(who.command)} "$@"\n')
    program.chmod(0o755)
    return {**who.environment, "PATH": f"{programs}:{who.environment['PATH']}"}


@pytest.mark.parametrize(("name", "command"), [("edmgr", EDMGR), ("entrepot", ENTREPOT)])
def test_the_script_fetches_the_newest_file(
    hub: Hub, tmp_path: Path, name: str, command: list[str]
) -> None:
    who = customer(hub, tmp_path / "home", command)
    assert who.run("login", "token", hub.user(ADA)["token"]).code == 0
    place = tmp_path / "build"
    place.mkdir()
    said = run([sys.executable, str(SCRIPT), name, "EP100"], env=on_path(who, name), cwd=place)
    assert said.code == 0, said
    expected = hub.artifacts(hub.entitlement("plain", HALDEN)["id"])[0]
    for label, key in (
        ("ProductID", "entitlement_id"),
        ("ReleaseID", "release_id"),
        ("ArtifactID", "artifact_id"),
    ):
        assert f"{label} = {expected[key]}\n" in said.out
    assert [path.name for path in place.iterdir()] == [expected["file_name"]], said
    found = hashlib.sha256((place / expected["file_name"]).read_bytes()).hexdigest()
    assert found == expected["sha256"]
    assert who.run("entitlements").code != 0, "the script signs out at its end"
