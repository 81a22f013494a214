"""From one hub to another that it cannot reach: bundle, import, download; the same bytes."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.daemon.app import run as run_here
from tests.system.hubs import (
    ENTREPOTD,
    Customer,
    Hub,
    Ran,
    clean_environment,
    free_port,
    wait_until_ready,
)
from tests.system.test_entrepot_cli import ADA, HALDEN, digest, newest

WHO = "bea@bunker.example"


class Bunker:
    """A hub of its own, without a sample world and with one customer."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self.capsys = capsys
        self.bind = f"127.0.0.1:{free_port()}"
        self.environment = clean_environment() | {
            "ENTREPOT_RESERVE_BYTES": "1 MiB",
            "ENTREPOT_WORKERS": "0",
            "ENTREPOT_WEB_PROCESSES": "1",
            "ENTREPOT_BIND": self.bind,
        }

    def operate(self, *arguments: str) -> Ran:
        """A command of the operator, without the second that a process takes."""
        code = run_here([*arguments, "--data", str(self.data)])
        return Ran(code, *self.capsys.readouterr())

    def serve(self) -> "subprocess.Popen[bytes]":
        with self.data.with_name("bunker.log").open("wb") as log:
            return subprocess.Popen(
                [*ENTREPOTD, "serve", "--data", str(self.data)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@pytest.fixture
def bunker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bunker]:
    made = Bunker(tmp_path / "bunker", capsys)
    for name, value in made.environment.items():
        if name.startswith("ENTREPOT_"):
            monkeypatch.setenv(name, value)
    for words in (
        ("init",),
        ("organisation", "add", "Bunker", "--country", "DE"),
        ("user", "add", WHO, "--organisation", "Bunker"),
    ):
        ran = made.operate(*words)
        assert ran.code == 0, ran.err
    process = made.serve()
    try:
        wait_until_ready(process, made.bind, made.data.with_name("bunker.log"))
        yield made
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def ada(entrepot: Customer) -> Customer:
    """Ada of Halden, whose token our command finds in its environment."""
    token = entrepot.hub.user(ADA)["token"]
    return replace(entrepot, environment={**entrepot.environment, "ENTREPOT_TOKEN": token})


def at_the_bunker(ada: Customer, bunker: Bunker) -> dict[str, str]:
    """What lets the same command speak to the other hub, for the customer there."""
    token = bunker.operate("token", WHO).out.strip()
    return {"ENTREPOT_URL": f"http://{bunker.bind}", "ENTREPOT_TOKEN": token}


def code_of(hub: Hub) -> str:
    return str(hub.entitlement("plain", HALDEN)["product_code"])


def test_the_bytes_are_the_same_on_the_other_side(
    ada: Customer, bunker: Bunker, tmp_path: Path
) -> None:
    code, wanted = code_of(ada.hub), newest(ada.hub, "plain", HALDEN)
    made = ada.run("bundle", code, f"{code}@1.10", "-o", str(tmp_path / "air.tar"))
    assert made.code == 0, made.err
    listed = subprocess.run(["tar", "-tf", made.out.strip()], capture_output=True, check=True)
    assert listed.stdout.startswith(b"entrepot-bundle.json\n")

    doubtful = bunker.operate("import", made.out.strip())
    assert (doubtful.code, doubtful.out) == (5, "")
    assert "--unsigned" in doubtful.err
    cut = tmp_path / "cut.tar"
    cut.write_bytes((tmp_path / "air.tar").read_bytes()[:-5000])
    assert bunker.operate("import", str(cut), "--unsigned").code == 5
    assert bunker.operate("releases", code).code == 3

    taken = bunker.operate("import", made.out.strip(), "--unsigned", "--json")
    assert taken.code == 0, taken.err
    assert [row["outcome"] for row in taken.objects()] == ["imported", "imported"]
    assert bunker.operate("import", made.out.strip(), "--unsigned").code == 0  # again
    assert bunker.operate("grant", "Bunker", code).code == 0

    there = at_the_bunker(ada, bunker)
    got = ada.run("download", code, "-d", str(tmp_path / "got"), **there)
    assert got.code == 0, got.err
    here = {path.name: digest(path) for path in (tmp_path / "got").iterdir() if path.is_file()}
    assert here == {one["file_name"]: one["sha256"] for one in wanted}
    # The ids are what they were, so that a lock file of one hub holds at the other.
    releases = ada.run("releases", code, "-f", "json", **there).objects()
    assert wanted[0]["release_id"] in {one["id"] for one in releases}
    kept = {artifact["id"] for one in releases for artifact in one["artifacts"]}
    assert {one["artifact_id"] for one in wanted} <= kept

    signed_releases_cross_too(ada, bunker, there, tmp_path)


def signed_releases_cross_too(
    ada: Customer, bunker: Bunker, there: dict[str, str], tmp_path: Path
) -> None:
    """Of a product and a customer of their own, whom no other test knows."""
    (tmp_path / "tool.bin").write_bytes(b"tool" * 2_000_000)
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("twelve letters or more\n")
    key, root, mirror = (str(tmp_path / name) for name in ("key", "root.json", "mirror.pub"))
    by_key = ("--key", key, "--password-file", str(tmp_path / "password"))

    def publisher(*arguments: str) -> Ran:
        code = run_here([*arguments, "--data", str(ada.hub.data)])
        ran = Ran(code, *bunker.capsys.readouterr())
        assert code == 0, ran.err
        return ran

    assert run_here(["keys", "make", key, "--password-file", by_key[3]]) == 0
    publisher("product", "add", "AIR9", "--unlisted")
    publisher("publish", "AIR9", "1.0", str(tmp_path / "tool.bin"))
    publisher("organisation", "add", "Airfield", "--country", "DE")
    publisher("user", "add", WHO, "--organisation", "Airfield")
    publisher("grant", "Airfield", "AIR9")
    here = {"ENTREPOT_TOKEN": publisher("token", WHO).out.strip()}
    assert bunker.operate("product", "add", "AIR9").code == 0
    assert bunker.operate("keys", "mirror", "AIR9", mirror).code == 0
    keys = ("--root-key", f"{key}.pub", "--targets-key", f"{key}.pub", "--mirror-key", mirror)
    publisher("keys", "root", "AIR9", *keys, *by_key)
    publisher("sign", "AIR9", *by_key)
    publisher("keys", "export", "AIR9", root)

    made = ada.run("bundle", "AIR9", "-o", str(tmp_path / "signed.tar"), **here)
    assert made.code == 0, made.err
    assert "signed by the publisher" in made.err
    stranger = tmp_path / "stranger.json"
    stranger.write_text("{}")
    refused = bunker.operate("import", made.out.strip(), "--root", str(stranger))
    assert (refused.code, refused.out) == (5, "")
    taken = bunker.operate("import", made.out.strip(), "--root", root)
    assert taken.code == 0, taken.err
    assert bunker.operate("grant", "Bunker", "AIR9").code == 0
    # The customer there trusts the publisher's root, not the hub.
    pinned = ada.run("trust", "add", "AIR9", "--root", root, **there)
    assert pinned.code == 0, pinned.err
    got = ada.run("download", "AIR9", "-d", str(tmp_path / "signed"), **there)
    assert got.code == 0, got.err
    assert digest(tmp_path / "signed" / "tool.bin") == digest(tmp_path / "tool.bin")
