"""Signed releases from the publisher's keys to the customer's disk, and a hub that lies.

The customer's command runs where `cryptography` cannot be imported: all is verified without it.
"""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from entrepot.client.errors import ExitCode
from entrepot.client.manifests import verify_saved
from entrepot.core.catalogue import find_product
from entrepot.core.catalogue.tables import artifacts, releases
from entrepot.core.manifests import list_to_sign
from entrepot.daemon.app import run as run_here
from entrepot.daemon.desk import Desk
from entrepot.worker.manifests import sign_by_kept_keys
from tests.system.hubs import HERE, Customer, Hub, Ran, customer
from tests.system.test_entrepot_cli import digest

WITHOUT = [sys.executable, str(HERE / "without_cryptography.py")]
CODE, SIZE = "SIG7", 9 << 20
OWNER, WHO = "Signal Works", "grace@signal.example"


@dataclass(frozen=True)
class Publisher:
    """The operator's commands on the hub's folder, and the publisher's own folder of keys."""

    hub: Hub
    folder: Path
    said: Callable[[], tuple[str, str]]

    def run(self, *arguments: str, code: int = 0) -> Ran:
        ended = run_here([*arguments, "--data", str(self.hub.data)])
        ran = Ran(ended, *self.said())
        assert ran.code == code, ran
        return ran

    def key(self, name: str) -> str:
        """A new key; the path of its private half."""
        path = str(self.folder / name)
        made = run_here(["keys", "make", path, *self.password])
        assert (made, len(self.said()[0].strip())) == (0, 64)
        return path

    @property
    def password(self) -> tuple[str, str]:
        return ("--password-file", str(self.folder / "password"))

    def by(self, *keys: str) -> list[str]:
        return [word for key in keys for word in ("--key", key)] + [*self.password]


@pytest.fixture
def publisher(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Publisher:
    folder = tmp_path / "safe"
    folder.mkdir()
    (folder / "password").write_text("twelve letters or more\n")
    (folder / "password").chmod(0o600)
    return Publisher(hub, folder, capsys.readouterr)


@pytest.fixture
def grace(publisher: Publisher, tmp_path: Path) -> Customer:
    """A customer of its own: what an organisation was given once stays in its list for ever."""
    publisher.run("organisation", "add", OWNER, "--country", "NO")
    publisher.run("user", "add", WHO, "--organisation", OWNER)
    found = customer(publisher.hub, tmp_path / "home", WITHOUT)
    token = publisher.run("token", WHO).out.strip()
    return replace(found, environment={**found.environment, "ENTREPOT_TOKEN": token})


def test_what_is_signed_is_what_arrives(
    publisher: Publisher, grace: Customer, tmp_path: Path
) -> None:
    data = random.Random(7).randbytes(SIZE)
    (tmp_path / "tool.bin").write_bytes(data)
    root_key, key = publisher.key("root.key"), publisher.key("targets.key")
    publisher.run("product", "add", CODE)
    publisher.run("grant", OWNER, CODE)
    tool = str(tmp_path / "tool.bin")
    publisher.run("publish", CODE, "0.9", tool, "--sign-key", key, *publisher.password, code=5)
    keys = ("--root-key", f"{root_key}.pub", "--targets-key", f"{key}.pub")
    publisher.run("keys", "root", CODE, *keys, *publisher.by(root_key))
    told = publisher.run("publish", CODE, "0.9", tool)
    assert f"nothing of {CODE} is: customers cannot verify it yet." in told.err
    told = publisher.run("publish", CODE, "1.0", tool, "--sign-key", key, *publisher.password)
    assert "Signed too, for nobody had signed it yet: 0.9 (" in told.err
    listed = publisher.run("keys", "list", CODE, "--json").objects()
    assert {(one["role"], one["held_by_hub"]) for one in listed} == {
        ("root", False),
        ("targets", False),
        ("snapshot", True),
        ("timestamp", True),
    }

    # The first time, the hub's word is taken for the keys, and that is said.
    first = download(grace, tmp_path / "one")
    assert first.code == 0, first
    exported = publisher.run("keys", "export", CODE, str(tmp_path / "root.json")).out.strip()
    assert exported in first.err
    assert (tmp_path / "one" / "tool.bin").read_bytes() == data
    [pin] = grace.run("trust", "list", "-f", "json").objects()
    assert (pin["product"], pin["fingerprint"], pin["by"]) == (CODE, exported, "first use")
    assert grace.run("trust", "show", CODE, "-f", "json").objects()["current_as_of"]
    [offline] = verify_saved(tmp_path / "one", None, root=(tmp_path / "root.json").read_bytes())
    assert offline.files[0].sha256 == digest(tmp_path / "one" / "tool.bin")
    assert offline.as_of is not None

    # Bits flip on the disk: the file is mended.
    damaged = bytearray(data)
    damaged[5_000_000] ^= 1
    (tmp_path / "one" / "tool.bin").write_bytes(damaged)
    assert download(grace, tmp_path / "one").code == 0
    assert (tmp_path / "one" / "tool.bin").read_bytes() == data

    _a_hub_that_lies(publisher, grace, tmp_path)
    _signed_on_another_machine(publisher, grace, tmp_path, key)
    _other_keys(publisher, grace, tmp_path, root_key, key)


def download(grace: Customer, folder: Path, version: str = "1.0") -> Ran:
    return grace.run("download", f"{CODE}@{version}", "-d", str(folder))


def _a_hub_that_lies(publisher: Publisher, grace: Customer, tmp_path: Path) -> None:
    """Whoever has the database gives out other bytes, with a digest that fits them."""
    other = tmp_path / "evil" / "tool.bin"
    other.parent.mkdir()
    other.write_bytes(b"evil" * 1000)
    publisher.run("product", "add", f"{CODE}-EVIL")
    publisher.run("publish", f"{CODE}-EVIL", "1.0", str(other))
    right, wrong = digest(tmp_path / "tool.bin"), digest(other)
    with Desk({"data": str(publisher.hub.data)}).hub() as inside:

        def swap(old: str, new: str) -> None:
            with inside.database.write() as tx:
                mine = artifacts.c.release_id.in_(
                    select(releases.c.id).where(releases.c.product_id == find_product(tx, CODE).id)
                )
                changed = update(artifacts).where(mine, artifacts.c.sha256 == old)
                tx.execute(changed.values(sha256=new))

        swap(right, wrong)
        lied = download(grace, tmp_path / "lied")
        swap(wrong, right)
    assert lied.code == ExitCode.UNTRUSTED, lied
    assert not (tmp_path / "lied" / "tool.bin").exists()
    assert download(grace, tmp_path / "lied").code == 0


def _signed_on_another_machine(
    publisher: Publisher, grace: Customer, tmp_path: Path, key: str
) -> None:
    told = publisher.run("publish", CODE, "2.0", str(tmp_path / "tool.bin"))
    assert f"refuse it until somebody does.\nSign it: entrepotd sign {CODE} --key FILE" in told.err
    unsigned = download(grace, tmp_path / "two", "2.0")
    assert unsigned.code == ExitCode.UNTRUSTED, unsigned
    assert not (tmp_path / "two" / "tool.bin").exists()
    paper = str(tmp_path / "paper.json")
    publisher.run("sign", CODE, "--export", paper)
    publisher.run("sign", CODE, "--import", paper, code=6)
    # The paper is its owner's alone, and what is laid beside it is not written to.
    assert Path(paper).stat().st_mode & 0o777 == 0o600
    bystander = tmp_path / "bystander"
    bystander.write_text("mine")
    (tmp_path / ".paper.json.signed").symlink_to(bystander)
    Path(paper).chmod(0o640)
    assert run_here(["keys", "sign", paper, *publisher.by(key)]) == 0
    _, shown = publisher.said()
    assert Path(paper).stat().st_mode & 0o777 == 0o640
    assert bystander.read_text() == "mine"
    assert not list(tmp_path.glob(".paper.json.*[!d]"))
    assert digest(tmp_path / "tool.bin") in shown
    signed = publisher.run("sign", CODE, "--import", paper, "--json").objects()
    assert (len(signed["added"]), signed["releases"]) == (1, 3)
    assert download(grace, tmp_path / "two", "2.0").code == 0
    again = str(tmp_path / "again.json")
    publisher.run("sign", CODE, "--export", again)
    assert run_here(["keys", "sign", again, *publisher.by(key)]) == 0
    assert "nothing is new or changed" in "".join(publisher.said())


def _other_keys(
    publisher: Publisher, grace: Customer, tmp_path: Path, root_key: str, key: str
) -> None:
    fresh = publisher.key("fresh.key")
    publisher.run(
        *("keys", "root", CODE, "--targets-key", f"{fresh}.pub"), *publisher.by(root_key, fresh)
    )
    publisher.run("sign", CODE, *publisher.by(key), code=5)
    assert download(grace, tmp_path / "three", "2.0").code == 0

    # A key that the hub keeps signs by itself, until it is taken away.
    publisher.run("keys", "keep", CODE, *publisher.by(key), code=5)
    publisher.run("keys", "keep", CODE, *publisher.by(fresh))
    told = publisher.run("publish", CODE, "3.0", str(tmp_path / "tool.bin"))
    assert "A worker signs it within a minute" in told.err
    with Desk({"data": str(publisher.hub.data)}).hub() as inside:
        with inside.database.read() as tx:
            number = find_product(tx, CODE).id
            lives = inside.policy.manifest_lives
            due = number in list_to_sign(tx, lives=lives, now=inside.now())
        if due:  # else the hub's own worker was faster
            sign_by_kept_keys(inside, number)
    assert download(grace, tmp_path / "four", "3.0").code == 0
    publisher.run("keys", "forget", CODE)
    held = publisher.run("keys", "list", CODE, "--json").objects()
    assert not any(one["held_by_hub"] for one in held if one["role"] == "targets")

    # Trusted by name instead of on first use; somebody else's root is none.
    pinned = grace.run("trust", "add", CODE, "--root", str(tmp_path / "root.json"))
    assert pinned.code == 0, pinned
    assert download(grace, tmp_path / "five").code == 0
    assert grace.run("trust", "add", CODE, "--fingerprint", "0" * 64).code == 0
    assert download(grace, tmp_path / "six").code == ExitCode.UNTRUSTED
    assert grace.run("trust", "remove", CODE).code == 0
    assert grace.run("trust", "show", CODE).code == ExitCode.NOT_FOUND


def test_keys_stay_where_they_belong(publisher: Publisher, tmp_path: Path) -> None:
    inside = publisher.hub.data / "publisher.key"
    assert run_here(["--data", str(publisher.hub.data), "keys", "make", str(inside)]) == 5
    assert not inside.exists()
    key = publisher.key("a.key")
    assert Path(key).stat().st_mode & 0o777 == 0o600
    assert run_here(["keys", "make", key, *publisher.password]) == 6
    Path(key).chmod(0o644)
    publisher.run("product", "add", f"{CODE}-KEYS")
    named = ("--root-key", f"{key}.pub", "--targets-key", f"{key}.pub")
    publisher.run("keys", "root", f"{CODE}-KEYS", *named, *publisher.by(key), code=5)
    Path(key).chmod(0o600)
    public = json.loads(Path(f"{key}.pub").read_text())
    Path(f"{key}.pub").write_text(json.dumps(public | {"keyid": "0" * 64}))
    publisher.run("keys", "root", f"{CODE}-KEYS", *named, *publisher.by(key), code=5)
    publisher.run("keys", "root", f"{CODE}-KEYS", code=2)
    publisher.run("keys", "export", f"{CODE}-KEYS", str(tmp_path / "root.json"), code=6)
    assert publisher.run("keys", "list", f"{CODE}-KEYS", "--json").objects() == []
