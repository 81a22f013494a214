"""Attacks on signed manifests, as python-tuf's conformance suite has them, against our client.

Each begins from a state that the client has seen, unless it says otherwise, and must end in
Untrusted with a reason; what was seen before stays trusted.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from entrepot.client import Client, ExitCode, InvalidUse, LocalFileError, NotFound, Untrusted
from entrepot.client.manifests import (
    Manifest,
    fetch_manifest,
    save_manifest,
    verify_saved,
)
from entrepot.client.retries import Backoff
from entrepot.client.trust import Pin, Trust, list_pins
from tests.client.manifest_repository import (
    ARTIFACT,
    CHUNK_BYTES,
    PRODUCT,
    PUBLISHER,
    RELEASE,
    Repository,
    manifest,
    served,
)

DAY = timedelta(days=1)


class Machine:
    """A customer's machine: its trust store, and how it asks."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.pinned: list[Pin] = []

    def trust(self, *, first_use: bool = True) -> Trust:
        return Trust(self.folder, self.url, first_use=first_use, told=self.pinned.append)

    def fetch(self, release: str = RELEASE, trust: Trust | None = None) -> Manifest | None:
        with Client(self.url, "token", call_backoff=Backoff(attempts=1)) as client:
            return fetch_manifest(client, trust or self.trust(), PRODUCT, release)

    def sees(self) -> Manifest:
        found = self.fetch()
        assert found is not None
        return found

    def refuses(self, *reasons: str, trust: Trust | None = None) -> Untrusted:
        with pytest.raises(Untrusted) as caught:
            self.fetch(trust=trust)
        assert caught.value.reason in reasons, (caught.value.reason, caught.value.message)
        assert caught.value.exit_code == ExitCode.UNTRUSTED
        assert caught.value.message
        return caught.value


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def machine(repository: Repository, tmp_path: Path) -> Iterator[Machine]:
    with served(repository) as url:
        yield Machine(tmp_path / "root", url)


def test_a_manifest_that_verifies(repository: Repository, machine: Machine) -> None:
    data = bytes(range(256)) * (3 * CHUNK_BYTES // 512)
    repository.documents[RELEASE] = manifest(data)
    repository.publish()
    found = machine.sees()
    assert (found.product, found.release_name, found.publisher) == (PRODUCT, "2022.2", PUBLISHER)
    assert found.licence is not None
    assert (found.licence.code, found.licence.revision) == ("TOOLS", 2)
    expected = found.file(ARTIFACT).expected()
    assert (expected.size, expected.algorithm) == (len(data), "sha256")
    assert expected.digest == hashlib.sha256(data).hexdigest()
    assert expected.chunks == tuple(
        hashlib.sha256(data[at : at + CHUNK_BYTES]).digest()
        for at in range(0, len(data), CHUNK_BYTES)
    )
    with pytest.raises(Untrusted, match="does not name"):
        found.file("another")
    [pin] = machine.pinned
    assert pin.fingerprint == hashlib.sha256(repository.served["root.json"]).hexdigest()
    # Nothing is asked twice that was kept, and within a process nothing at all.
    repository.asked.clear()
    trust = machine.trust()
    machine.fetch(trust=trust)
    machine.fetch(trust=trust)
    assert sorted(repository.asked) == ["2.root.json", "timestamp.json"]
    with pytest.raises(InvalidUse):
        machine.fetch("../../etc/passwd")


def test_where_nothing_was_ever_signed_what_verifies_is_not_even_loaded(
    repository: Repository, machine: Machine
) -> None:
    repository.served.clear()
    code = (
        "import sys; from pathlib import Path; from entrepot.client import Client\n"
        "from entrepot.client.manifests import fetch_manifest; "
        "from entrepot.client.trust import Trust\n"
        "root, url, product, release = sys.argv[1:]\n"
        "with Client(url, 'token') as client:\n"
        "    found = fetch_manifest(client, Trust(Path(root), url), product, release)\n"
        "print(found, any(name.partition('.')[0] == 'tuf' for name in sys.modules))"
    )
    arguments = [str(machine.folder), machine.url, PRODUCT, RELEASE]
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
        text=True,
    ).stdout
    assert told.split() == ["None", "False"]
    assert repository.asked == ["root.json"]


def _rollback(*roles: str) -> Callable[[Repository], None]:
    def lie(repository: Repository) -> None:
        for role in roles:
            repository.versions[role] -= 1
        others = {"targets", "snapshot", "timestamp"} - set(roles)
        for role in others:
            repository.versions[role] += 1
        repository.publish()

    return lie


def _freeze(role: str) -> Callable[[Repository], None]:
    def lie(repository: Repository) -> None:
        repository.lives[role] = -DAY
        if role == "root":
            repository.rotate()
        repository.advance()

    return lie


def _wrong_key(role: str) -> Callable[[Repository], None]:
    def lie(repository: Repository) -> None:
        repository.keys[role] = [CryptoSigner.generate_ed25519()]
        repository.advance()

    return lie


def _wrong_root(repository: Repository) -> None:
    repository.keys["root"] = [CryptoSigner.generate_ed25519()]
    repository.versions["root"] += 1
    repository.publish_root()
    repository.advance()


def _too_few(role: str) -> Callable[[Repository], None]:
    def lie(repository: Repository) -> None:
        repository.keys[role].append(CryptoSigner.generate_ed25519())
        repository.thresholds[role] = 2
        repository.rotate()
        repository.keys[role].pop()
        repository.advance()

    return lie


def _twice_the_same(repository: Repository) -> None:
    """Two signatures by one key are one."""
    _too_few("targets")(repository)
    repository.keys["targets"] *= 2
    repository.advance()


def _mix_targets(repository: Repository) -> None:
    """Old targets under the name of the new ones."""
    old = repository.served["2.targets.json"]
    repository.advance()
    repository.served["3.targets.json"] = old


def _mix_snapshot(repository: Repository) -> None:
    old = repository.served["2.snapshot.json"]
    repository.advance()
    repository.served["3.snapshot.json"] = old


def _other_manifest(repository: Repository) -> None:
    name = next(name for name in repository.served if name.endswith(f".{RELEASE}.json"))
    repository.documents[RELEASE] = manifest(b"other")
    repository.advance()
    old = repository.served[name]
    for each in repository.served:
        if each.endswith(f".{RELEASE}.json"):
            repository.served[each] = old


def _truncated(part: str) -> Callable[[Repository], None]:
    def lie(repository: Repository) -> None:
        repository.documents[RELEASE] = manifest(b"new")
        repository.advance()
        for name in repository.served:
            if name.endswith(part) and not name.startswith(("1.", "2.")):
                repository.served[name] = repository.served[name][:-10]

    return lie


def _oversized(part: str, size: int) -> Callable[[Repository], None]:
    def lie(repository: Repository) -> None:
        repository.documents[RELEASE] = manifest(b"new")
        repository.advance()
        for name in repository.served:
            if name.endswith(part) and not name.startswith(("1.", "2.")):
                repository.served[name] = repository.served[name] + b" " * size

    return lie


def _oversized_root(repository: Repository) -> None:
    repository.rotate()
    repository.served["2.root.json"] += b" " * (300 << 10)


def _skipped_root(repository: Repository) -> None:
    """Version 3 under the name of version 2."""
    repository.rotate()
    repository.served["2.root.json"] = repository.rotate()


def _unsigned_after_signed(repository: Repository) -> None:
    repository.served.clear()


def _withdrawn(repository: Repository) -> None:
    repository.documents = {"00000000-0000-4000-8000-000000000000": manifest()}
    repository.advance()


def _fast_forward(repository: Repository) -> None:
    """A snapshot's version goes back, though the timestamp's goes on."""
    repository.versions["snapshot"] -= 1
    repository.versions["timestamp"] += 1
    repository.publish()


def _no_json(repository: Repository) -> None:
    repository.served["timestamp.json"] = b"[" * 10_000


def _other_kind(repository: Repository) -> None:
    repository.served["timestamp.json"] = repository.served["2.snapshot.json"]


MISMATCH = ("manifest-mismatch", "manifest-rollback", "manifest-invalid")
ATTACKS: dict[str, tuple[Callable[[Repository], None], tuple[str, ...]]] = {
    "rollback of the timestamp": (_rollback("timestamp"), ("manifest-rollback",)),
    "rollback of the snapshot": (_rollback("snapshot"), ("manifest-rollback",)),
    "rollback of the targets": (_rollback("targets"), ("manifest-rollback",)),
    "rollback of everything": (
        _rollback("timestamp", "snapshot", "targets"),
        ("manifest-rollback",),
    ),
    "snapshot goes back": (_fast_forward, ("manifest-rollback",)),
    "freeze of the timestamp": (_freeze("timestamp"), ("manifest-expired",)),
    "freeze of the snapshot": (_freeze("snapshot"), ("manifest-expired",)),
    "freeze of the targets": (_freeze("targets"), ("manifest-expired",)),
    "freeze of the root": (_freeze("root"), ("manifest-expired",)),
    "timestamp by another key": (_wrong_key("timestamp"), ("manifest-signature",)),
    "snapshot by another key": (_wrong_key("snapshot"), ("manifest-signature",)),
    "targets by another key": (_wrong_key("targets"), ("manifest-signature",)),
    "root by another key": (_wrong_root, ("manifest-signature",)),
    "too few targets signatures": (_too_few("targets"), ("manifest-signature",)),
    "too few timestamp signatures": (_too_few("timestamp"), ("manifest-signature",)),
    "one signature twice": (_twice_the_same, ("manifest-signature",)),
    "old targets mixed in": (_mix_targets, MISMATCH),
    "old snapshot mixed in": (_mix_snapshot, MISMATCH),
    "another manifest": (_other_manifest, ("manifest-mismatch", "manifest-too-large")),
    "truncated timestamp": (_truncated("timestamp.json"), ("manifest-invalid",)),
    "truncated snapshot": (_truncated("snapshot.json"), MISMATCH),
    "truncated targets": (_truncated("targets.json"), MISMATCH),
    "truncated manifest": (_truncated(f"{RELEASE}.json"), MISMATCH),
    "oversized timestamp": (_oversized("timestamp.json", 1 << 20), ("manifest-too-large",)),
    "oversized snapshot": (_oversized("snapshot.json", 1 << 20), ("manifest-too-large",)),
    "oversized targets": (_oversized("targets.json", 40 << 20), ("manifest-too-large",)),
    "oversized manifest": (_oversized(f"{RELEASE}.json", 1 << 20), ("manifest-too-large",)),
    "oversized root": (_oversized_root, ("manifest-too-large",)),
    "a root left out": (_skipped_root, ("manifest-rollback",)),
    "unsigned after signed": (_unsigned_after_signed, ("manifest-missing",)),
    "not among what is signed": (_withdrawn, ("manifest-missing",)),
    "no JSON": (_no_json, ("manifest-invalid",)),
    "metadata of another kind": (_other_kind, ("manifest-invalid", "manifest-signature")),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(attack: str, repository: Repository, machine: Machine) -> None:
    lie, reasons = ATTACKS[attack]
    repository.advance()
    machine.sees()
    lie(repository)
    machine.refuses(*reasons)
    machine.refuses(*reasons)  # once refused is not believed the next time
    assert len(machine.pinned) == 1


def test_nothing_is_pinned_that_does_not_verify(repository: Repository, machine: Machine) -> None:
    repository.lives["timestamp"] = -DAY
    repository.publish()
    machine.refuses("manifest-expired")
    assert (machine.pinned, list_pins(machine.folder)) == ([], [])
    repository.lives["timestamp"] = DAY
    repository.advance()
    machine.sees()
    assert len(list_pins(machine.folder)) == 1


def test_a_trust_store_that_cannot_be_written_is_told(machine: Machine) -> None:
    found = machine.sees()
    folder = machine.trust().folder(found.product)
    (folder / "timestamp.json").unlink()
    (folder / "timestamp.json").mkdir()
    with pytest.raises(LocalFileError):
        machine.fetch()


def test_keys_change_and_old_ones_end(repository: Repository, machine: Machine) -> None:
    machine.sees()
    for roles in (("root",), ("targets",), ("snapshot", "timestamp"), ("root", "targets")):
        repository.rotate(*roles)
        repository.advance()
        machine.sees()
    old = repository.keys["targets"]
    repository.rotate("targets")
    repository.keys["targets"] = old
    repository.advance()
    machine.refuses("manifest-signature")


def test_fast_forward_is_healed_by_new_keys(repository: Repository, machine: Machine) -> None:
    """Whoever stole the hub's key can raise versions to the sky; a new root forgets them."""
    machine.sees()
    repository.versions |= dict.fromkeys(("timestamp", "snapshot"), 2**31 - 1)
    repository.publish()
    machine.sees()
    repository.versions |= dict.fromkeys(("timestamp", "snapshot"), 2)
    repository.publish()
    machine.refuses("manifest-rollback")
    repository.rotate("timestamp", "snapshot")
    repository.advance()
    machine.sees()


def test_an_endless_chain_of_roots_ends(repository: Repository, machine: Machine) -> None:
    machine.sees()
    made = {1: repository.served["1.root.json"]}

    def more(version: int) -> bytes:
        while version not in made:
            root = repository.rotate()
            made[repository.versions["root"]] = root
        return made[version]

    repository.endless_roots = more
    repository.asked.clear()
    machine.sees()
    assert len([name for name in repository.asked if name.endswith(".root.json")]) <= 64


def test_products_that_were_never_signed_are_told_apart(tmp_path: Path) -> None:
    repository = Repository()
    repository.served.clear()
    with served(repository) as url:
        machine = Machine(tmp_path, url)
        assert machine.fetch() is None
        trust = machine.trust()
        trust.add(PRODUCT, expected="0" * 64)
        machine.refuses("manifest-missing")


def test_what_is_trusted_can_be_said_beforehand(repository: Repository, machine: Machine) -> None:
    root = repository.served["root.json"]
    repository.rotate("targets")
    repository.advance()
    strict = machine.trust(first_use=False)
    assert hashlib.sha256(repository.served["root.json"]).hexdigest() in str(
        machine.refuses("manifest-root-unknown", trust=strict)
    )
    for pinned in (
        {"root": root},
        {"expected": hashlib.sha256(root).hexdigest().upper()},
        {"root": root, "expected": hashlib.sha256(root).hexdigest()},
        {"expected": hashlib.sha256(repository.served["root.json"]).hexdigest()},
    ):
        strict.add(PRODUCT, **pinned)
        assert machine.fetch(trust=strict) is not None
        assert machine.fetch(trust=machine.trust(first_use=False)) is not None
    [pin] = list_pins(machine.folder)
    assert (pin.hub, pin.product, pin.source) == (machine.url, PRODUCT, "fingerprint")
    assert strict.remove(PRODUCT) == pin
    with pytest.raises(NotFound):
        strict.remove(PRODUCT)

    other = Repository().served["root.json"]
    strict.add(PRODUCT, root=other)
    machine.refuses("manifest-signature", trust=strict)
    strict.add(PRODUCT, expected=hashlib.sha256(other).hexdigest())
    machine.refuses("manifest-root-unknown", trust=strict)
    for wrong in (
        b"",
        b"{}",
        repository.served["timestamp.json"],
        other[:-2],
        other + b" " * 2**20,
    ):
        with pytest.raises(Untrusted):
            strict.add(PRODUCT, root=wrong)
    with pytest.raises(Untrusted):
        strict.add(PRODUCT, root=root, expected="0" * 64)
    for use in ({"expected": "xyz"}, {}):
        with pytest.raises(InvalidUse):
            strict.add(PRODUCT, **use)  # type: ignore[arg-type]
    with pytest.raises(InvalidUse):
        strict.pin_of("../elsewhere")


def test_files_are_verified_without_the_hub(
    repository: Repository, machine: Machine, tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    first_root = repository.served["root.json"]
    found = machine.sees()
    save_manifest(found, folder)
    repository.rotate("targets", "timestamp", "snapshot")
    repository.advance()
    later = machine.sees()
    [offline] = verify_saved(folder, machine.trust())
    assert replace(offline, proof=None) == replace(found, proof=None)
    assert offline.until is not None
    save_manifest(later, folder)
    for trust, root in ((machine.trust(), None), (None, first_root)):
        assert len(verify_saved(folder, trust, root=root)) == 1
    stranger = Repository().served["root.json"]
    for trust, root in (
        (None, stranger),
        (None, None),
        (Trust(tmp_path / "new", machine.url), None),
    ):
        with pytest.raises(Untrusted):
            verify_saved(folder, trust, root=root)
    assert verify_saved(tmp_path, machine.trust()) == ()
    folder = tmp_path / "alone"
    save_manifest(later, folder)
    for path in sorted(folder.rglob(".entrepot/*/*.json")):
        held = path.read_bytes()
        for damage in (held[:-20], held.replace(b"1", b"2"), b"{}", b""):
            if damage != held:
                path.write_bytes(damage)
                with pytest.raises(Untrusted):
                    verify_saved(folder, None, root=first_root)
        path.write_bytes(held)
    assert len(verify_saved(folder, None, root=first_root)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"kind": "other"},
        {"chunkBytes": 1},
        {"product": {"code": "OTHER"}},
        {"release": {"id": ARTIFACT, "name": "x"}},
        {"files": []},
        {"files": [{"artifactId": "a", "name": "b", "size": -1, "sha256": "0" * 64, "chunks": ""}]},
        {"files": [{"artifactId": "a", "name": "b", "size": 1, "sha256": "0" * 64, "chunks": ""}]},
        {"files": [{"artifactId": "a", "name": "b", "size": 0, "sha256": "00", "chunks": ""}]},
        {"files": {"a": 1}},
        {"publisher": ""},
        {"licence": {"code": "a", "revision": "1", "sha256": "0" * 64}},
    ],
)
def test_signed_nonsense_is_refused(
    change: dict[str, Any], repository: Repository, machine: Machine
) -> None:
    repository.documents[RELEASE] = manifest(**change)
    repository.publish()
    machine.refuses("manifest-format")
