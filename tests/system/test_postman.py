"""The Postman collection, run from top to bottom by newman against a running sandbox."""

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from docs._postman import MAIN, WHO
from tests.system.hubs import clean_environment, running_hub

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "docs" / "reference" / "entrepot.postman_collection.json"
NEWMAN = ROOT / "tests" / "node" / "node_modules" / ".bin" / "newman"
SECONDS_MAX = 150


def environment_of(world: Mapping[str, Any]) -> dict[str, Any]:
    """What `entrepotd sandbox --json` says, as a Postman environment: a client for each role."""
    # Nothing takes events there, which is no fault of the hub: they wait and are tried again.
    values = {"baseUrl": world["url"], "webhookUrl": f"{world['url']}/hooks"}
    values["deviceClientId"] = next(
        one["client_id"] for one in world["apps"] if not one["client_secret"]
    )
    for who in sorted(set(WHO.values())):
        needed = {scope for scope, asked_by in WHO.items() if asked_by == who}
        client = next(one for one in world["clients"] if needed <= set(one["scopes"]))
        values[f"{who}ClientId"] = client["client_id"]
        values[f"{who}ClientSecret"] = client["client_secret"]
    listed = [{"key": name, "value": value, "enabled": True} for name, value in values.items()]
    return {"name": "sandbox", "values": listed}


def _run(environment: Path, report: Path) -> dict[str, Any]:
    """Newman's report of one run."""
    command = [str(NEWMAN), "run", str(COLLECTION), "-e", str(environment)]
    command += ["--reporters", "json", "--reporter-json-export", str(report)]
    ended = subprocess.run(
        command,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert report.exists(), ended
    run: dict[str, Any] = json.loads(report.read_bytes())["run"]
    return run


def _requests(items: Sequence[Mapping[str, Any]]) -> int:
    return sum(_requests(one["item"]) if "item" in one else 1 for one in items)


@pytest.mark.needs("node-packages")
def test_newman_finds_nothing_wrong_with_a_sandbox(data: Path, tmp_path: Path) -> None:
    # A hub of its own: the run makes and changes things of every kind.
    with running_hub(data, web_processes="1") as hub:
        environment = tmp_path / "environment.json"
        environment.write_text(json.dumps(environment_of(hub.world)))
        run = _run(environment, tmp_path / "report.json")
    failed = [
        f"{failure['source']['name']}: {failure['error']['message']}" for failure in run["failures"]
    ]
    assert not failed, "\n".join(failed)
    answered = [one for one in run["executions"] if "response" in one]
    # Every request was made, each with its checks, and most reached what they are there for.
    every = _requests(json.loads(COLLECTION.read_bytes())["item"])
    assert len(answered) >= every > 130
    checked = Counter(one["item"]["name"] for one in answered for _ in one["assertions"])
    assert set(checked) == {one["item"]["name"] for one in answered}
    assert run["stats"]["assertions"]["failed"] == 0
    assert run["stats"]["assertions"]["total"] == checked.total() > 2 * every
    codes = {one["item"]["name"].split(":")[0]: one["response"]["code"] for one in answered}
    assert sum(code < 400 for code in codes.values()) > 0.85 * len(codes), codes
    # All the way to the bytes, on each of the main ways.
    assert all(codes[name] < 400 for name in MAIN), codes
    followed = [
        one["item"]["name"]
        for one in answered
        if one["item"]["name"].startswith("followLink") and one["response"]["code"] == 200
    ]
    for source in ("issueDownloadUrl", "showOrder", "fetchRendition", "createProductDownload"):
        assert any(source in name for name in followed), followed
