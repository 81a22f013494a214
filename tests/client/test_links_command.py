"""The command links: lines that sh and curl can be given whatever a file is called."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.client.linking import FileLink, curl_lines
from entrepot.client.verification import Expected
from tests.client.conftest import Ran, clean_environment
from tests.client.hub import ARTIFACTS, ENTITLEMENT, File, Hub

Run = Callable[..., Ran]
NAMES = ["it's; touch pwned $(touch pwned) `touch pwned`.bin", "-K.bin", "ü [1-9]{a,b} #1 %s.bin"]


def sh(script: str, folder: Path, hub: Hub) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=clean_environment(folder, hub),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.needs("curl")
def test_the_lines_fetch_check_and_go_on_where_a_part_is(
    run: Run, hub: Hub, tmp_path: Path
) -> None:
    hub.files = [File(name, name.encode() * 99) for name in NAMES]
    ran = run("links", "DS000B")
    assert ran.code == 0, ran.err
    assert "good for 10 minutes" in ran.err
    folder = tmp_path / "got"
    folder.mkdir()
    (folder / "-K.bin").write_bytes(hub.files[1].data[:5])
    for _ in range(2):  # the second time everything is there
        done = sh(run("links", "DS000B@2022.2", "--as", "curl").out, folder, hub)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(": OK") == 3
        got = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert got == {file.name: file.data for file in hub.files}
    (folder / "-K.bin").write_bytes(b"x" * len(hub.files[1].data))
    assert sh(run("links", "DS000B").out, folder, hub).returncode != 0


def test_urls_and_json_and_only_some_files(run: Run, hub: Hub) -> None:
    hub.files.append(File("two.zip", b"two"))
    urls = run("links", ENTITLEMENT, "--as", "urls").out.splitlines()
    assert len(urls) == 2
    assert all(url.startswith(f"{hub.url}/dl/") for url in urls)
    [told] = json.loads(run("links", "DS000B", "--as", "json", "--artifact", "*.ZIP").out)
    assert told.pop("downloadUrl").startswith(f"{hub.url}/dl/")
    digest = hashlib.sha256(b"two").hexdigest()
    assert told == {"id": ARTIFACTS[1], "fileName": "two.zip", "fileSize": 3, "sha256": digest}
    nothing = run("links", "DS000B", "--artifact", "*.exe")
    assert (nothing.code, nothing.out) == (3, "")


def test_a_refusal_prints_no_line_at_all(run: Run, hub: Hub) -> None:
    hub.files.append(File("secret.bin", b"s", repository="controlled"))
    refused = run("links", "DS000B", "--country", "FR")
    assert (refused.code, refused.out) == (4, "")
    assert run("links", "DS000B", "--country", "GB").code == 0
    # The profile's country is declared as `download` does, and not that of the token.
    assert run("profile", "add", "lab", "--url", hub.url, "--country", "FR").code == 0
    assert run("-k", "lab", "links", "DS000B").code == 4
    licensed = run("links", "LIC1")
    assert (licensed.code, licensed.out) == (5, "")
    assert hub.licence_url in licensed.err
    assert "--accept-licence" not in licensed.err, "it has no such option"
    # What answers is no Metalink document: it is not passed on as one.
    assert run("links", "DS000B", "--as", "metalink", "--country", "GB").out == ""


def test_a_file_without_a_digest_has_no_line_that_checks_it() -> None:
    link = FileLink("id", "-", "https://h/dl/a", Expected(None))
    assert curl_lines([link]).splitlines() == [
        "set -e",
        "curl --fail --location --globoff --continue-at - --output ./- https://h/dl/a",
    ]
