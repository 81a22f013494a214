"""Our command as a pipeline has it: nothing but a token in the environment, no terminal."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.client.errors import ExitCode
from tests.system.hubs import Customer, Hub

ADA, HALDEN = "ada@halden.example", "Halden Microsystems"


def machine_at(hub: Hub, who: Customer) -> Customer:
    """A machine of Halden's, with its credentials in the environment."""
    client = next(one for one in hub.world["clients"] if "entitlements" in one["scopes"])
    credentials = {
        "ENTREPOT_CLIENT_ID": client["client_id"],
        "ENTREPOT_CLIENT_SECRET": client["client_secret"],
    }
    return replace(who, environment={**who.environment, **credentials})


@pytest.fixture
def pipeline(entrepot: Customer) -> Customer:
    token = entrepot.hub.user(ADA)["token"]
    return replace(entrepot, environment={**entrepot.environment, "ENTREPOT_TOKEN": token})


def test_a_pipeline_finds_and_fetches_by_code_version_and_pattern(pipeline: Customer) -> None:
    hub = pipeline.hub
    given = hub.entitlement("plain", HALDEN)
    code, listed = given["product_code"], hub.artifacts(given["id"])
    assert code in {one["id"] for one in pipeline.run("products", "-f", "json").objects()}
    releases = pipeline.run("releases", code, "-f", "json").objects()
    assert [one["name"] for one in releases] == ["2.0", "1.10", "1.9"]
    for what, name in ((code, "2.0"), (f"{code}@latest", "2.0"), (f"{code}@1.10", "1.10")):
        release = next(one for one in releases if one["name"] == name)
        expected = [one for one in listed if one["release_id"] == release["id"]]
        found = pipeline.run("artifacts", what, "-f", "json").objects()
        assert [one["sha256"] for one in found] == [one["sha256"] for one in expected]
    wanted = expected[0]
    said = pipeline.run(
        *("download", f"{code}@1.10", "--artifact", wanted["file_name"].upper()),
        *("-d", "in", "--json", "--limit-rate", "500M"),
    )
    assert said.code == 0, said
    told = [json.loads(line) for line in said.out.splitlines()]
    assert (told[0]["event"], told[0]["files"]) == ("planned", [wanted["file_name"]])
    assert told[-1] == {"event": "ended", "exit_code": 0, "complete": 1, "failed": 0}
    [done] = [one for one in told if one["event"] == "finished"]
    assert hashlib.sha256(Path(done["path"]).read_bytes()).hexdigest() == wanted["sha256"]
    nothing = pipeline.run("download", f"{code}@9.9", "-q")
    assert (nothing.code, nothing.out) == (ExitCode.NOT_FOUND, "")
    assert "1.10" in nothing.err


def test_a_machine_accepts_the_revision_that_its_owner_has_read(entrepot: Customer) -> None:
    hub = entrepot.hub
    given = hub.entitlement("licence", HALDEN)
    machine = machine_at(hub, entrepot)
    fetch = ["download", given["id"], "-d", "in", "-q"]
    needed = machine.run(*fetch)
    assert (needed.code, needed.out) == (ExitCode.LICENCE_NEEDED, "")
    wrong = machine.run(*fetch, "--accept-licence", "SAMPLE-EVALUATION@99")
    assert (wrong.code, wrong.out) == (ExitCode.LICENCE_NEEDED, "")
    current = needed.err.partition("--accept-licence ")[2].split()[0]
    assert f"--accept-licence {current}\n" in wrong.err
    code, _, revision = current.partition("@")
    done = machine.run(*fetch, "--accept-licence", current)
    assert done.code == 0, done
    assert len(done.out.splitlines()) == len(list((machine.home / "in").glob("[!.]*")))
    exported = hub.operate("audit", "export", "--type", "licence.accepted")
    assert exported.code == 0, exported
    events: list[dict[str, Any]] = [json.loads(line) for line in exported.out.splitlines()]
    mine = [one for one in events if one["actor"].startswith("client:")]
    assert mine, events
    assert mine[-1]["data"]["by_token"] is True
    assert mine[-1]["data"]["revision"] == int(revision)
    assert mine[-1]["subject"] == f"licence:{code}"


def test_doctor_finds_everything_in_order(pipeline: Customer) -> None:
    code = pipeline.hub.entitlement("plain", HALDEN)["product_code"]
    said = pipeline.run("doctor", "--json", "--try", code)
    assert said.code == 0, said
    found = {one["check"]: one for one in json.loads(said.out)}
    assert {one["verdict"] for one in found.values()} == {"ok"}, said.out
    assert found["token"]["scopes"]
    assert found["hub"]["issuer"] == pipeline.hub.url
    assert abs(found["clock"]["skew_seconds"]) < 30
