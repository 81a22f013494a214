"""What a Tab gives: in the words of each shell, from the hub, and nothing where it cannot."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.conftest import Ran, clean_environment
from tests.client.hub import ENTITLEMENT, Fault, Hub

Run = Callable[..., Ran]


@pytest.fixture
def typed(hub: Hub, home: Path, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """What bash puts in place of the last word when Tab is pressed at the end of a line."""
    command = tmp_path / "bin" / "entrepot"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m entrepot.cli "$@"\n')
    command.chmod(0o755)

    def complete(line: str, **more: str) -> list[str]:
        env = clean_environment(home, hub) | more
        env |= {"PATH": f"{command.parent}:{os.environ['PATH']}"}
        program = (
            'eval "$(entrepot completion bash)"\n'
            'COMP_LINE="$1" COMP_POINT=${#1}\n'
            "_entrepot_completion entrepot\n"
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        ended = subprocess.run(
            ["bash", "--norc", "-c", program, "bash", line],
            env=env,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.split()

    yield complete


def test_bash_completes_commands_products_and_releases(
    typed: Callable[..., list[str]], hub: Hub
) -> None:
    assert typed("entrepot downl") == ["download", "download-artifacts"]
    assert "--accept-licence" in typed("entrepot download --acc")
    assert "DS000B" in typed("entrepot download ")
    assert typed("entrepot download ds") == ["DS000B"]
    # bash takes what is behind the `@` for the word that is completed.
    assert typed("entrepot download DS000B@") == ["latest", "2022.2"]
    assert typed("entrepot releases DS000B@20") == ["2022.2"]
    asked = len(hub.requests)
    assert typed("entrepot download DS000B@20") == ["2022.2"]
    assert len(hub.requests) == asked, "kept for a minute"


def test_where_the_hub_cannot_be_asked_there_is_nothing_and_no_error(
    typed: Callable[..., list[str]], hub: Hub, home: Path
) -> None:
    line = "entrepot download "
    assert typed(line, ENTREPOT_URL="http://127.0.0.1:9") == []
    assert typed(line, ENTREPOT_TOKEN="x" * 20) == []
    hub.api_faults = [Fault("status", status=503) for _ in range(9)]
    assert typed(line) == []
    hub.api_faults.clear()
    (home / ".entrepot").mkdir(exist_ok=True)
    (home / ".entrepot" / "completions.json").write_text("{")
    assert typed(line) == []
    assert typed("entrepot -k q") == ["qa"]


def test_what_one_sign_in_may_have_is_not_offered_to_another(
    typed: Callable[..., list[str]], home: Path
) -> None:
    assert "DS000B" in typed("entrepot artifacts ")
    kept = json.loads((home / ".entrepot" / "completions.json").read_text())
    assert len(kept) == 1
    assert ENTITLEMENT not in json.dumps(kept)
    assert typed("entrepot artifacts ", ENTREPOT_TOKEN="another.to.ken") == []


def test_the_scripts_of_the_other_shells(run: Run) -> None:
    assert "#compdef entrepot" in run("completion", "zsh").out
    assert "complete --no-files --command entrepot" in run("completion", "fish").out
    assert run("completion", "csh").code == 2
