"""A folder kept in step with a running hub: sync, lock, verify and why, by the command alone."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from sqlalchemy import func, select

from entrepot.assembly import Hub as Inside
from entrepot.cli.app import run as run_command
from entrepot.client.errors import ExitCode
from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.delivery.tables import leases
from entrepot.core.manifests.papers import sign_paper
from entrepot.core.manifests.roots import RootSpec, install_root, prepare_root
from entrepot.core.manifests.signing import sign_releases
from entrepot.daemon.desk import Desk
from entrepot.db import Tx
from tests import factories
from tests.system.hubs import Hub, Ran, run

SYNC = [sys.executable, "-m", "entrepot.cli"]


@dataclass
class Mirror:
    """An organisation of its own on the shared hub, and a machine with nothing but a token."""

    hub: Hub
    inside: Inside
    home: Path
    organisation: int
    who: accounts.Principal
    token: str

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """A change at the hub."""
        with self.inside.database.write() as tx:
            yield tx

    def publish(self, product: str, name: str, **files: str) -> factories.Published:
        """A release with text files."""
        with self.writing() as tx:
            return factories.add_release(
                tx,
                product,
                name=name,
                files=[(f"{stem}.txt", text.encode()) for stem, text in files.items()],
                available_at=self.inside.now(),
                store=self.inside.blobs,
            )

    def bare(self) -> dict[str, str]:
        """The environment of a CI system: four variables, and no more."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "ENTREPOT_URL": self.hub.url,
            "ENTREPOT_TOKEN": self.token,
        }

    def run_alone(self, *arguments: str) -> Ran:
        """Run the command in a process of its own."""
        return run([*SYNC, *arguments], env=self.bare(), cwd=self.home)

    def run(self, *arguments: str) -> Ran:
        """The same within this process, which saves a third of a second each time."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.home)
            for name in list(os.environ):
                if name.startswith(("ENTREPOT_", "EDM_")) or name.lower().endswith("_proxy"):
                    patch.delenv(name)
            for name, value in self.bare().items():
                patch.setenv(name, value)
            code = run_command(arguments)
        return Ran(code, out.getvalue(), err.getvalue())

    def events(self, *arguments: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
        """The events of a run with --json, by kind."""
        said = self.run(*arguments, "--json")
        assert said.code == code, said
        return self.parse(said.out)

    @staticmethod
    def parse(out: str) -> dict[str, list[dict[str, Any]]]:
        """Lines of JSON, by the kind of event."""
        found: dict[str, list[dict[str, Any]]] = {}
        for line in out.splitlines():
            event = json.loads(line)
            found.setdefault(event["event"], []).append(event)
        return found

    def files(self, folder: str = "mirror") -> dict[str, str]:
        """What lies in a folder, by path."""
        root = self.home / folder
        return {
            path.relative_to(root).as_posix(): path.read_text()
            for path in root.rglob("*")
            if path.is_file() and not path.relative_to(root).parts[0].startswith((".", "entrepot."))
        }

    def links(self, artifact_id: str | None = None) -> int:
        """How many links the hub has issued to this organisation so far, all or to one file."""
        query = select(func.count()).where(leases.c.organisation_id == self.organisation)
        if artifact_id is not None:
            query = query.where(leases.c.artifact_id == artifact_id)
        with self.inside.database.read() as tx:
            return int(tx.execute(query).scalar_one())


@pytest.fixture
def mirror(hub: Hub, tmp_path: Path) -> Iterator[Mirror]:
    with Desk({"data": str(hub.data)}).hub() as inside:
        with inside.database.write() as tx:
            organisation = factories.add_organisation(tx, f"Mirror of {tmp_path.name}")
            who = factories.add_user(tx, organisation, email=f"{os.urandom(6).hex()}@mirror.test")
            token = accounts.issue_token(
                tx, inside.keys.current, who, issuer=hub.url, now=inside.now()
            )
        home = tmp_path / "home"
        home.mkdir()
        yield Mirror(hub, inside, home, organisation, who, token.value)


def states(events: dict[str, list[dict[str, Any]]], kind: str) -> dict[str, str]:
    return {event["file"]: event["state"] for event in events.get(kind, [])}


def add_product(mirror: Mirror) -> tuple[str, int]:
    code = f"MIR{os.urandom(4).hex().upper()}"
    with mirror.writing() as tx:
        factories.add_product(tx, code)
        return code, factories.grant(tx, mirror.organisation, code)


def test_a_folder_is_kept_in_step_through_everything_that_a_hub_does(mirror: Mirror) -> None:
    code, _ = add_product(mirror)
    other, other_number = add_product(mirror)
    first = mirror.publish(code, "1.0", a="one", b="two")
    mirror.publish(other, "5", x="five")
    tried = mirror.events("sync", "mirror", "--dry-run")
    assert len(tried["difference"]) == 3
    assert not (mirror.home / "mirror").exists()

    said = mirror.run_alone("sync", "mirror", "--json")
    assert said.code == 0, said
    told = mirror.parse(said.out)
    whole = {f"{code}/1.0/a.txt": "one", f"{code}/1.0/b.txt": "two", f"{other}/5/x.txt": "five"}
    assert mirror.files() == whole
    assert set(states(told, "difference").values()) == {"new"}
    links = mirror.links()
    assert links == 3

    again = mirror.events("sync", "mirror")
    assert (again["ended"][0]["complete"], "difference" in again) == (3, False)
    assert mirror.links() == links, "nothing that is complete is asked for"
    assert (told["planned"][0]["lists_unchanged"], again["planned"][0]["lists_unchanged"]) == (0, 2)

    mirror.publish(code, "2.0", a="three")
    told = mirror.events("sync", "mirror")
    whole[f"{code}/2.0/a.txt"] = "three"
    assert (states(told, "difference"), mirror.files()) == ({f"{code}/2.0/a.txt": "new"}, whole)

    with mirror.writing() as tx:
        catalogue.withdraw_release(tx, first.id, actor="operator", now=mirror.inside.now())
        entitlements.revoke(tx, other_number, actor="operator", now=mirror.inside.now())
    told = mirror.events("sync", "mirror")
    left = {
        f"{code}/1.0/a.txt": "withdrawn",
        f"{code}/1.0/b.txt": "withdrawn",
        f"{other}/5/x.txt": "ended",
    }
    assert (states(told, "leftover"), mirror.files()) == (left, whole), "nothing is removed"
    assert told["withheld"][0]["reason"] == "entitlement-revoked"

    (mirror.home / "mirror" / code / "1.0" / "a.txt").write_text("mine now")
    told = mirror.events("sync", "mirror", "--remove")
    results = {event["file"]: event["result"] for event in told["leftover"]}
    assert results == dict.fromkeys(left, "removed") | {f"{code}/1.0/a.txt": "kept"}
    assert mirror.files() == {f"{code}/2.0/a.txt": "three", f"{code}/1.0/a.txt": "mine now"}
    assert not (mirror.home / "mirror" / other).exists(), "no empty folder is left"
    kept = mirror.run("sync", "mirror", "--remove").err
    assert f"{code}/1.0/a.txt: the publisher has withdrawn it; kept, for somebody has" in kept


def test_a_flipped_bit_is_found_without_a_network_and_repaired(mirror: Mirror) -> None:
    code, _ = add_product(mirror)
    mirror.publish(code, "1.0", a="one", b="two")
    assert mirror.run("sync", "mirror").code == 0
    assert mirror.run_alone("verify", "mirror").code == 0
    path = mirror.home / "mirror" / code / "1.0" / "a.txt"
    before = path.stat()
    path.write_text("onf")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk would do it
    (mirror.home / "mirror" / "stray.txt").write_text("whose is this?")
    offline = mirror.run("--url", "http://127.0.0.1:9", "verify", "mirror", "--json")
    assert offline.code == ExitCode.CORRUPT, offline
    told = json.loads(offline.out)
    assert told["counts"] == {"ok": 1, "changed": 1, "missing": 0, "unknown": 1}
    assert mirror.events("sync", "mirror")["ended"][0]["fetched"] == 0, "its time says nothing"
    told = mirror.events("sync", "mirror", "--check")
    assert {one["state"] for one in told["difference"]} == {"check"}, "nothing is told as lost"
    assert told["planned"][0]["lists_unchanged"] == 0, "nor is what was kept of the lists believed"
    assert (told["ended"][0]["fetched"], path.read_text()) == (1, "one")
    path.write_text("changed by a person, which its time shows")
    assert mirror.events("sync", "mirror")["ended"][0]["fetched"] == 1
    path.unlink()
    assert mirror.run("verify", "mirror").code == ExitCode.CORRUPT
    assert mirror.events("sync", "mirror")["ended"][0]["fetched"] == 1
    assert mirror.run("verify", "mirror", "-q").code == 0
    assert mirror.run("verify", "mirror", "--strict").code == ExitCode.CORRUPT


def test_a_sync_that_was_killed_goes_on_where_it_was(mirror: Mirror) -> None:
    code, _ = add_product(mirror)
    made = mirror.publish(code, "1.0", a="1" * 2000, b="2" * 9000, c="3" * 9000)
    place = mirror.home / "mirror" / code / "1.0"
    begun = subprocess.Popen(
        [*SYNC, "sync", "mirror", "-j", "1", "--limit-rate", "2k", "-q"],
        env=mirror.bare(),
        cwd=mirror.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (place / "a.txt").exists() or not list(place.glob(".b.txt.*")):
            assert begun.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        begun.kill()
        begun.wait()
    assert not (place / "b.txt").exists()
    told = mirror.events("sync", "mirror")
    assert set(states(told, "difference")) == {f"{code}/1.0/b.txt", f"{code}/1.0/c.txt"}
    assert mirror.links(made.artifact_ids[0]) == 1, "what was complete is not asked for again"
    assert {len(text) for text in mirror.files().values()} == {2000, 9000}
    assert mirror.run("verify", "mirror", "--strict").code == 0


def test_a_file_names_what_is_wanted_and_one_failure_stops_nothing(mirror: Mirror) -> None:
    code, _ = add_product(mirror)
    mirror.publish(code, "1.0", a="old")
    mirror.publish(code, "1.1", a="new", notes="read me")
    folder = mirror.home / "mirror"
    folder.mkdir()
    wanted = folder / "entrepot.toml"
    wanted.write_text(
        f'[[product]]\ncode = "{code}"\nreleases = "latest"\nartifacts = ["a.*"]\n'
        '[[product]]\ncode = "NOSUCH"\n'
    )
    said = mirror.run("sync", "mirror")
    assert (said.code, mirror.files()) == (ExitCode.NOT_FOUND, {f"{code}/1.1/a.txt": "new"}), said
    assert "NOSUCH" in said.err
    wanted.write_text(f'[[product]]\ncode = "{code}"\nartifact = "a"\n')
    said = mirror.run("sync", "mirror")
    assert (said.code, "'artifact'" in said.err) == (ExitCode.USAGE, True), said
    wanted.write_text(f'[[product]]\ncode = "{code}"\n')
    (folder / code / "1.0").mkdir(parents=True)
    (folder / code / "1.0" / "a.txt").mkdir()
    said = mirror.run("sync", "mirror")
    assert said.code == ExitCode.LOCAL_FILE, said
    assert f"{code}/1.1/notes.txt" in mirror.files()


def test_two_syncs_of_one_folder_at_once_are_refused(mirror: Mirror) -> None:
    from entrepot.client.mirror_state import holding

    code, _ = add_product(mirror)
    mirror.publish(code, "1.0", a="one")
    with holding(mirror.home / "mirror"):
        said = mirror.run("sync", "mirror")
    assert (said.code, "Another command" in said.err) == (ExitCode.LOCAL_FILE, True), said
    assert mirror.run("sync", "mirror").code == 0


def test_a_lock_file_makes_a_build_repeatable_and_tells_every_change(mirror: Mirror) -> None:
    code, number = add_product(mirror)
    first = mirror.publish(code, "1.0", a="one", b="two")
    assert mirror.run("lock", f"{code}@1.0").code == 0
    lock = mirror.home / "entrepot.lock"
    raw = lock.read_bytes()
    pinned = json.loads(raw)["releases"][0]["files"]
    assert pinned[0]["sha256"] == hashlib.sha256(b"one").hexdigest()
    again = mirror.run("lock", f"{code}@1.0")
    assert (again.code, again.out, lock.read_bytes()) == (0, f"{lock}\n", raw)
    assert "says so already" in again.err
    assert str(lock) not in again.err, "it is told once"
    mirror.publish(code, "2.0", a="three")
    locked = ["sync", "build", "--locked", "--lock-file", "entrepot.lock"]
    assert mirror.run(*locked).code == 0
    assert mirror.files("build") == {f"{code}/1.0/a.txt": "one", f"{code}/1.0/b.txt": "two"}
    assert mirror.run("verify", "build", "--lock-file", "entrepot.lock").code == 0

    assert mirror.run("download", code, "--locked", "-d", "flat").code == 0
    assert mirror.files("flat") == {"a.txt": "one", "b.txt": "two"}

    changed = json.loads(raw)
    changed["releases"][0]["files"][0]["sha256"] = "0" * 64
    lock.write_text(json.dumps(changed))
    said = mirror.run("sync", "other", "--locked", "--lock-file", "entrepot.lock")
    assert (said.code, mirror.files("other")) == (ExitCode.CORRUPT, {}), said
    assert "pinned is 000" in said.err

    said = mirror.run("download", code, "--locked", "-d", "other")
    assert (said.code, mirror.files("other")) == (ExitCode.CORRUPT, {}), said

    said = mirror.run("download", code, "--lock-file", "entrepot.lock", "-d", "other")
    assert (said.code, mirror.files("other")) == (ExitCode.USAGE, {}), "it is not locked by that"

    said = mirror.run("download", "NONE7", "--locked", "-d", "other")
    assert (said.code, "Pin one in it: entrepot lock NONE7@VERSION" in said.err) == (2, True), said

    lock.write_bytes(raw)
    with mirror.writing() as tx:
        catalogue.withdraw_release(tx, first.id, actor="operator", now=mirror.inside.now())
    said = mirror.run("sync", "other", "--locked", "--lock-file", "entrepot.lock")
    assert (said.code, mirror.files("other")) == (ExitCode.DENIED, {}), said
    assert "withdrawn" in said.err
    said = mirror.run(*locked)
    assert (said.code, "whole and as they were pinned" in said.err) == (0, True), said
    assert mirror.run("lock", code).code == 0
    assert [one["name"] for one in json.loads(lock.read_bytes())["releases"]] == ["2.0"]
    mirror.publish(code, "3.0", a="four")
    assert mirror.run("lock", "--update", code).code == 0
    assert [one["name"] for one in json.loads(lock.read_bytes())["releases"]] == ["3.0"]
    with mirror.writing() as tx:
        entitlements.revoke(tx, number, actor="operator", now=mirror.inside.now())
    assert mirror.run("lock", "--update", code).code == ExitCode.DENIED


def test_why_says_what_is_in_the_way_and_leaves_no_trace(mirror: Mirror) -> None:
    code, number = add_product(mirror)
    made = mirror.publish(code, "1.0", a="one")
    allowed = mirror.run("why", code)
    assert (allowed.code, "allowed" in allowed.out) == (0, True), allowed
    # By its number one entitlement is asked about, by a code all that there are to it.
    with mirror.writing() as tx:
        second = factories.grant(tx, mirror.organisation, code)
    by_entitlement = {
        what: [one["entitlement"]["id"] for one in mirror.run("why", what, "--json").objects()]
        for what in (code, str(second), f"{second}@1.0")
    }
    one = [str(second)]
    expected = {code: [str(number), *one], str(second): one, f"{second}@1.0": one}
    assert by_entitlement == expected
    none = mirror.run("why", f"{second}@9")
    assert (none.code, none.out) == (ExitCode.NOT_FOUND, "")
    assert f"no release '9' by entitlement {second}" in none.err
    with mirror.writing() as tx:
        catalogue.withdraw_release(tx, made.id, actor="operator", now=mirror.inside.now())
    for what in (code, f"{number}@latest", made.id, made.artifact_ids[0]):
        said = mirror.run("why", what)
        assert said.code == ExitCode.DENIED, said
        assert "release-withdrawn" in said.out
        assert "Take another release" in said.out
    told = json.loads(mirror.run("why", code, "--json").out)
    assert told[0]["entitlement"]["id"] == str(number)
    assert mirror.run("why", f"{code}@9").code == ExitCode.NOT_FOUND
    with mirror.writing() as tx:
        factories.add_release(
            tx, code, name="2.0", repository="controlled-ip", available_at=mirror.inside.now()
        )
        only = entitlements.Grant(code, allowed_countries=("DE",))
        entitlements.change_entitlement(tx, number, only, actor="operator", now=mirror.inside.now())
    assert mirror.run("why", code).code == 0, "the token's country is declared"
    assert mirror.run("why", code, "--country", "FR").code == 0, "by the second"
    said = mirror.run("why", str(number), "--country", "FR")
    assert (said.code, "declared-country-not-allowed" in said.out) == (ExitCode.DENIED, True), said
    assert mirror.links() == 0


def sign(mirror: Mirror, product: str, root: CryptoSigner, targets: CryptoSigner) -> None:
    """Sign all that is published of the product, with keys that count from now on."""
    inside = mirror.inside
    lives, box = inside.policy.manifest_lives, inside.keys.box
    with mirror.writing() as tx:
        keys = RootSpec([root.public_key], [targets.public_key])
        paper = prepare_root(tx, box, product, keys, now=inside.now())
    sign_paper(paper, [root])
    with mirror.writing() as tx:
        install_root(tx, box, paper, lives=lives, actor="operator", now=inside.now())
    sign_releases(
        inside.database,
        inside.blobs,
        box,
        product,
        (),
        [targets],
        publisher="Mirror Ltd",
        lives=lives,
        actor="operator",
        now=inside.now,
    )


def test_what_the_publisher_signed_is_held_against_everything(mirror: Mirror) -> None:
    code, _ = add_product(mirror)
    mirror.publish(code, "1.0", a="one")
    root, targets = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    sign(mirror, code, root, targets)
    told = mirror.events("sync", "mirror")
    assert told["pinned"][0]["product"] == code
    assert mirror.run("lock", code).code == 0
    lock = mirror.home / "entrepot.lock"
    assert len(json.loads(lock.read_text())["releases"][0]["manifest"]) == 64
    assert mirror.run("sync", "build", "--locked", "--lock-file", "entrepot.lock").code == 0
    assert mirror.run("download", code, "--locked", "-d", "flat").code == 0
    raw = lock.read_text()
    manifest = json.loads(raw)["releases"][0]["manifest"]
    lock.write_text(raw.replace(manifest, "0" * 64))
    for locked in (
        ("sync", "other", "--locked", "--lock-file", "entrepot.lock"),
        ("download", code, "--locked", "-d", "other"),
    ):
        said = mirror.run(*locked)
        assert (said.code, mirror.files("other")) == (ExitCode.CORRUPT, {}), said
        assert f"its signed manifest is {manifest}, pinned is 000" in said.err
        assert f"entrepot lock --update {code}" in said.err
    lock.write_text(raw.replace('"size": 3', '"size": 4'))
    said = mirror.run("verify", "build", "--lock-file", "entrepot.lock")
    assert (said.code, "4 bytes and" in said.err) == (ExitCode.UNTRUSTED, True), said
    assert "signed are 3 bytes" in said.err
    lock.write_text(raw)

    mirror.publish(code, "2.0", a="nobody signed this")
    said = mirror.run("sync", "mirror")
    assert (said.code, mirror.files()) == (ExitCode.UNTRUSTED, {f"{code}/1.0/a.txt": "one"}), said

    verified = json.loads(mirror.run("verify", "mirror", "--json").out)
    assert [(one["state"], one["signed"]) for one in verified["files"]] == [("ok", True)]
    # Whoever changes a file and what was noted of it cannot change what was signed.
    path = mirror.home / "mirror" / code / "1.0" / "a.txt"
    path.write_text("bad")
    state = mirror.home / "mirror" / ".entrepot" / "state.json"
    good, bad = (hashlib.sha256(text).hexdigest() for text in (b"one", b"bad"))
    state.write_text(state.read_text().replace(good, bad))
    said = mirror.run("verify", "mirror")
    assert said.code == ExitCode.CORRUPT, said
    assert mirror.run("sync", "mirror").code == ExitCode.UNTRUSTED, "for 2.0 is not signed"
    assert path.read_text() == "one"
