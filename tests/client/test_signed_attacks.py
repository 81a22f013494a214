"""A hub in wrong hands, and a download folder in wrong hands: what was signed is what counts."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.client.errors import ExitCode
from tests.client.conftest import Ran
from tests.client.hub import ARTIFACTS, ENTITLEMENT, RELEASE, Hub
from tests.client.manifest_repository import Repository, manifest

Run = Callable[..., Ran]
CODE = "DS000B"


@pytest.fixture
def repository(hub: Hub) -> Repository:
    """The hub's one release, signed."""
    made = Repository()
    made.documents = {RELEASE: signed_release(hub)}
    made.publish()
    hub.signed = made.answer
    return made


def signed_release(hub: Hub, **changes: Any) -> bytes:
    files = [
        json.loads(manifest(file.data))["files"][0] | {"artifactId": identity, "name": file.name}
        for file, identity in zip(hub.files, ARTIFACTS, strict=False)
    ]
    release = hub.release(ENTITLEMENT)
    keys = ("id", "name", "revision", "patch", "majorVersion", "minorVersion", "quality", "type")
    return manifest(files=files, release={key: release[key] for key in keys}, **changes)


def downloaded(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*")) if folder.is_dir() else []


@pytest.mark.usefixtures("repository")
def test_the_signed_digest_holds_for_every_way_of_fetching(
    run: Run, hub: Hub, home: Path, tmp_path: Path
) -> None:
    """The hub tells no SHA-256 any more, and sends other bytes of the same length."""
    assert run("download", CODE, "-d", "right").code == 0
    evil = bytes(reversed(hub.files[0].data))
    source = tmp_path / "source"
    source.write_bytes(evil)
    program = tmp_path / "ascli"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "spec = json.loads(pathlib.Path(sys.argv[4].partition('file:')[2]).read_text())\n"
        f"data = pathlib.Path({str(source)!r}).read_bytes()\n"
        "pathlib.Path(spec['paths'][0]['destination']).write_bytes(data)\n"
    )
    program.chmod(0o755)
    spec = {"remote_host": "aspera.test", "paths": [{"source": "/s"}]}
    hub.grants["fasp"] = (200, {"data": {"transfer_specs": [{"transfer_spec": spec}]}})
    hub.files[0].data, hub.files[0].sha256 = evil, None
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    by_number = ("download-artifacts", "-e", ENTITLEMENT, "-r", RELEASE)
    for way in (
        ("download", CODE),
        ("download", CODE, "--zip"),
        by_number,
        (*by_number, "-m", "fasp"),
    ):
        ran = run(*way, "-d", "wrong", env=env)
        assert (ran.code, downloaded(home / "wrong")) == (ExitCode.CORRUPT, []), (way, ran)


@pytest.mark.usefixtures("repository")
def test_another_product_is_not_taken_for_the_one_that_is_signed(
    run: Run, hub: Hub, home: Path
) -> None:
    assert run("download", CODE, "-d", "right").code == 0
    hub.code, hub.search_lies = "UNSIGNED", True
    hub.signed = None
    ran = run("download", CODE, "-d", "wrong")
    assert (ran.code, downloaded(home / "wrong")) == (ExitCode.NOT_FOUND, []), ran
    # By its number it was a signed product, and that is remembered, too.
    by_number = ("download-artifacts", "-e", ENTITLEMENT, "-r", RELEASE, "-d", "wrong")
    for way in (by_number, ("download", ENTITLEMENT, "-d", "wrong")):
        ran = run(*way)
        assert (ran.code, downloaded(home / "wrong")) == (ExitCode.UNTRUSTED, []), ran
        assert f"was for the signed product {CODE}" in ran.err
    assert run("bundle", ENTITLEMENT, "-o", "wrong.tar").code == ExitCode.UNTRUSTED
    links = run("links", ENTITLEMENT)
    assert (links.code, links.out) == (ExitCode.UNTRUSTED, "")
    assert run("trust", "remove", CODE).code == 0
    assert run(*by_number).code == 0


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("way", ["download", "sync", "bundle"])
def test_an_old_release_is_not_taken_for_a_new_one(
    way: str, run: Run, hub: Hub, home: Path
) -> None:
    hub.release_name = "2026.1"
    arguments = {
        "download": ("download", f"{CODE}@2026.1", "-d", "wrong"),
        "sync": ("sync", "wrong"),
        "bundle": ("bundle", f"{CODE}@2026.1", "-o", "wrong.tar"),
    }
    (home / "wrong").mkdir()
    (home / "wrong" / "entrepot.toml").write_text(f"[[product]]\ncode = '{CODE}'\n")
    ran = run(*arguments[way])
    assert ran.code == ExitCode.UNTRUSTED, ran
    assert "2026.1" in ran.err
    assert not [*(home / "wrong").rglob("*.gz")]
    assert not (home / "wrong.tar").exists()


def test_verify_does_not_believe_the_notes_of_a_download_over_the_keys(
    run: Run, hub: Hub, home: Path, repository: Repository
) -> None:
    name = str(hub.files[0].name)
    folder = home / "in"
    assert run("download", CODE, "-d", "in").code == 0
    assert run("download", CODE, "--zip", "-d", "in").code == 0
    verified = run("verify", "in")
    assert (verified.code, verified.err) == (0, "2 ok; 2 as their publisher signed them.\n")
    notes = folder / ".entrepot" / "downloads.json"
    told = json.loads(notes.read_text())
    archive = next(one for one in told["files"] if one != name)

    def verify_with(changed: str, data: bytes, by: str, **fields: Any) -> int:
        """With one file of other bytes, and noted with their digest."""
        whole = {file: (folder / file).read_bytes() for file in told["files"]}
        (folder / changed).write_bytes(data)
        note = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | fields
        files = told["files"] | {changed: told["files"][by] | note}
        notes.write_text(json.dumps(told | {"files": files}))
        code = run("verify", "in").code
        (folder / changed).unlink()
        for file, right in whole.items():
            (folder / file).write_bytes(right)
        return code

    data = hub.files[0].data
    assert verify_with(name, b"evil", name) == ExitCode.CORRUPT
    assert verify_with(archive, b"evil", archive) == ExitCode.CORRUPT
    assert verify_with("old.bin", data, name) == ExitCode.UNTRUSTED
    assert verify_with(name, b"evil", name, release_id="0") == ExitCode.CORRUPT
    assert verify_with("new.bin", b"evil", name, release_id="0") == ExitCode.UNTRUSTED
    shutil.rmtree(folder / ".entrepot" / "manifests")
    assert verify_with(name, b"evil", name) == ExitCode.UNTRUSTED
    repository.publish()
    assert run("download", CODE, "-d", "in").code == 0
    assert run("verify", "in").code == 0


def noted(folder: Path) -> Any:
    return json.loads((folder / ".entrepot" / "state.json").read_text())


def test_verify_does_not_believe_the_notes_of_a_folder_over_the_keys(
    run: Run, hub: Hub, home: Path, repository: Repository, tmp_path: Path
) -> None:
    (home / "entrepot.toml").write_text(f"[[product]]\ncode = '{CODE}'\n")
    root = tmp_path / "root.json"
    root.write_bytes(repository.served["root.json"])
    assert run("sync", "mirror", "--wanted", "entrepot.toml").code == 0
    mirror = home / "mirror"
    verified = run("verify", "mirror")
    assert (verified.code, "1 as their publisher signed" in verified.err) == (0, True), verified
    no_root = run("verify", "mirror", "--root", "entrepot.toml")
    assert (no_root.code, f"not a root of {CODE}" in no_root.err) == (12, True), no_root
    [numbers] = (home / ".entrepot" / "trust").glob("*/entitlements.json")
    assert json.loads(numbers.read_text()) == {ENTITLEMENT: CODE}

    # The old release under the path of a newer one.
    shutil.copytree(mirror, home / "replayed")
    (home / "replayed" / CODE / "2022.2").rename(home / "replayed" / CODE / "2026.1")
    told = noted(mirror)
    [(path, held)] = told["files"].items()
    told["files"] = {path.replace("2022.2", "2026.1"): held | {"release": "2026.1"}}
    (home / "replayed" / ".entrepot" / "state.json").write_text(json.dumps(told))

    # Another file, noted with its own digest, and no manifest any more.
    data = b"evil"
    (mirror / path).write_bytes(data)
    held |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    told["files"] = {path: held}
    (mirror / ".entrepot" / "state.json").write_text(json.dumps(told))
    shutil.rmtree(mirror / ".entrepot" / "manifests")
    shutil.copytree(mirror, home / "elsewhere")
    told["hub"] = "https://another.test"
    (home / "elsewhere" / ".entrepot" / "state.json").write_text(json.dumps(told))
    for folder in ("replayed", "mirror", "elsewhere"):
        for keys in ((), ("--root", str(root))):
            ran = run("verify", folder, *keys)
            assert (ran.code, ran.out) == (ExitCode.UNTRUSTED, ""), (folder, keys, ran)

    # What proves it comes back, and the file with it.
    assert run("sync", "mirror", "--wanted", "entrepot.toml", "--check").code == 0
    assert run("verify", "mirror").code == 0
    assert (mirror / path).read_bytes() == hub.files[0].data
