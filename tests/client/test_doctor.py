"""What doctor finds, line by line, and how it ends."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from entrepot.client import diagnosis
from entrepot.client.diagnosis import FAIL, OK, WARN
from tests.client.conftest import Ran
from tests.client.hub import Hub, make_token
from tests.ports import free_port

Run = Callable[..., Ran]


def checks(ran: Ran) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(ran.out)}


def verdicts(ran: Ran) -> dict[str, str]:
    return {name: one["verdict"] for name, one in checks(ran).items()}


@pytest.fixture
def well(hub: Hub) -> Hub:
    """A hub that says who it is."""
    hub.identity = {"issuer": hub.url}
    return hub


def test_a_machine_that_is_well(run: Run, well: Hub, home: Path) -> None:
    ran = run("doctor", "--json", "--try", "DS000B")
    assert ran.code == 0, ran.out
    assert verdicts(ran) == dict.fromkeys(
        ("program", "files", "folder", "profile", "proxy", "dns", "tcp", "tls", "clock", "hub"), OK
    ) | {"token": OK, "version": "skip", "ranges": WARN}
    told = checks(ran)
    assert told["token"]["from"] == "ENTREPOT_TOKEN"
    assert told["folder"]["folder"] == str(home / "Artifacts")
    assert told["folder"]["free_bytes"] > 0
    assert well.token not in ran.out
    lines = run("doctor").out
    assert "ok    token" in lines
    assert re.search(r"until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", lines), "as login tells it"
    assert "skip  ranges" in lines
    assert well.byte_requests()[0].headers["range"].startswith("bytes=4611686018427387904-")


def test_each_fault_has_its_line_its_remedy_and_its_code(run: Run, well: Hub, home: Path) -> None:
    nowhere = run("doctor", "--json", env={"ENTREPOT_URL": ""})
    assert (nowhere.code, checks(nowhere)["hub"]["verdict"]) == (2, FAIL)
    assert "ENTREPOT_URL" in checks(nowhere)["hub"]["remedy"]
    closed = f"http://127.0.0.1:{free_port()}"
    down = run("doctor", "--json", env={"ENTREPOT_URL": closed})
    assert (down.code, list(checks(down))[-1], checks(down)["tcp"]["verdict"]) == (7, "tcp", FAIL)
    unknown = run("doctor", "--json", env={"ENTREPOT_URL": "https://hub.invalid"})
    assert (unknown.code, checks(unknown)["dns"]["verdict"]) == (7, FAIL)
    plain = run("doctor", "--json", "--url", well.url.replace("http:", "https:"))
    assert (plain.code, checks(plain)["tls"]["verdict"]) == (7, FAIL)
    refused = run("doctor", "--json", env={"ENTREPOT_TOKEN": "not.a.token"})
    assert (refused.code, checks(refused)["token"]["verdict"]) == (6, FAIL)
    nobody = run("doctor", "--json", env={"ENTREPOT_TOKEN": ""})
    assert (nobody.code, checks(nobody)["token"]["verdict"]) == (6, FAIL)
    (home / "file").write_text("x")
    blocked = run("doctor", "--json", "-d", "file/in")
    assert (blocked.code, checks(blocked)["folder"]["verdict"]) == (9, FAIL)
    lines = run("doctor", env={"ENTREPOT_TOKEN": ""})
    assert (lines.code, "fail  token" in lines.out, "entrepot login" in lines.out) == (
        6,
        True,
        True,
    )


def test_what_is_odd_but_works_is_a_warning(run: Run, well: Hub, home: Path) -> None:
    well.identity = {"issuer": "https://other.example"}
    soon = make_token(ends_in_seconds=100, serial=7)
    well.tokens.add(soon)
    (home / ".entrepot").mkdir()
    exposed = home / ".entrepot" / "profiles.json"
    exposed.write_text("{}")
    exposed.chmod(0o644)
    ran = run("doctor", "--json", env={"ENTREPOT_TOKEN": soon})
    assert ran.code == 0
    found = verdicts(ran)
    assert (found["hub"], found["token"], found["files"]) == (WARN, WARN, WARN)
    well.identity = {}
    stranger = run("doctor", "--json")
    assert (stranger.code, verdicts(stranger)["hub"]) == (2, FAIL)
    exposed.write_text("{")
    damaged = run("doctor", "--json")
    assert (damaged.code, verdicts(damaged)["files"]) == (9, FAIL)


@pytest.mark.parametrize(
    ("seconds", "verdict", "word"),
    [(0, OK, "agree"), (-60, WARN, "ahead"), (60, WARN, "behind"), (4000, FAIL, "behind")],
)
def test_the_clock_is_held_against_the_hubs(seconds: int, verdict: str, word: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    found = diagnosis._clock(date)
    assert found.verdict == verdict
    assert word in found.said
    assert diagnosis._clock("").verdict == "skip"


def test_a_proxy_is_named_and_its_password_is_not(run: Run) -> None:
    env = {"http_proxy": "http://ada:secret@127.0.0.1:9", "ENTREPOT_URL": "http://hub.example"}
    ran = run("doctor", "--json", env=env)
    assert checks(ran)["proxy"]["proxy"] == "127.0.0.1:9"
    assert "secret" not in ran.out + ran.err
    assert ran.code == 7
