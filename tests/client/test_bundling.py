"""Making a bundle through a bad line: the right bytes in the end, or no bundle at all."""

import fcntl
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.client import Client
from entrepot.client.bundle_part import Part, right_bytes
from entrepot.client.bundling import Chosen, Plan, choose, plan_bundle, write_bundle
from entrepot.client.downloader import Watcher
from entrepot.client.errors import BadAnswer, Cancelled, Corrupt, Denied, Unreachable
from entrepot.client.licences import Licence
from tests.client.conftest import QUICK, Ran
from tests.client.hub import ENTITLEMENT, LICENSED, RELEASE, Fault, File, Hub

DATA = [bytes(range(256)) * 4000, b"two" * 5000, b""]


@pytest.fixture
def files(hub: Hub) -> Hub:
    hub.files = [File(f"file {n}.bin", data) for n, data in enumerate(DATA)]
    return hub


def plan(client: Client, entitlement_id: str = ENTITLEMENT) -> Plan:
    entitlement = client.entitlement(entitlement_id)
    chosen = choose(client, entitlement, client.release(entitlement_id, RELEASE))
    return plan_bundle([chosen], source=client.api.base.url)


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as read:
        return {one.name: read.extractfile(one).read() for one in read.getmembers()}  # type: ignore[union-attr]


def index_of(path: Path) -> Any:
    return json.loads(contents(path)["entrepot-bundle.json"])


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


def test_the_same_releases_make_the_same_bundle(client: Client, files: Hub, tmp_path: Path) -> None:
    files.licence_accepted = True
    made = plan(client, LICENSED)
    for name in ("a.tar", "b.tar"):
        done = write_bundle(client, made, tmp_path / name, backoff=QUICK)
        assert (done.path, done.size, done.reused) == (tmp_path / name, made.size, 0)
    whole = (tmp_path / "a.tar").read_bytes()
    assert whole == (tmp_path / "b.tar").read_bytes()
    assert len(whole) == made.size
    held = contents(tmp_path / "a.tar")
    index = json.loads(held.pop("entrepot-bundle.json"))
    [licence] = index["licences"]
    assert held.pop(f"licences/{licence['sha256']}.txt").decode()
    assert held == {f"files/{hashlib.sha256(data).hexdigest()}": data for data in DATA}
    [release] = index["releases"]
    assert [one["fileName"] for one in release["artifacts"]] == [file.name for file in files.files]
    assert index["products"][0]["licence"] == {"code": "TERMS", "revision": 1}
    assert parts(tmp_path) == []


FAULTS = {
    "cuts": [Fault("cut", at=300_000), Fault("cut", at=1), Fault("cut", at=0)],
    "stalls": [Fault("stall", at=5000)],
    "a trickle": [Fault("trickle", at=5000), Fault("trickle", at=0)],
    "not now": [Fault("status", status=503), Fault("status", status=429)],
    "a dead link": [Fault("status", status=410), Fault("cut", at=9), Fault("status", status=403)],
    "a range that is not heeded": [Fault("cut", at=100_000), Fault("ignore-range")],
    "a flipped bit": [Fault("flip", at=1000)],
    "no length": [Fault("no-length")],
}


@pytest.mark.parametrize("how", FAULTS)
def test_it_is_right_in_the_end(how: str, client: Client, files: Hub, tmp_path: Path) -> None:
    files.faults = [replace(fault) for fault in FAULTS[how]]
    made = plan(client)
    write_bundle(client, made, tmp_path / "a.tar", backoff=QUICK)
    files.faults = []
    write_bundle(client, made, tmp_path / "b.tar", backoff=QUICK)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_trickle_without_end_is_told(client: Client, files: Hub, tmp_path: Path) -> None:
    files.faults = [Fault("trickle") for _ in range(9)]
    patience = replace(QUICK, attempts=2)
    with pytest.raises(Unreachable, match="hardly sends anything"):
        write_bundle(client, plan(client), tmp_path / "a.tar", backoff=patience)
    assert len(files.byte_requests()) == 2


def test_what_stays_wrong_makes_no_bundle(client: Client, files: Hub, tmp_path: Path) -> None:
    made = plan(client)
    files.faults = [Fault("flip", at=1000) for _ in range(9)]
    with pytest.raises(Corrupt):
        write_bundle(client, made, tmp_path / "a.tar", backoff=QUICK)
    files.faults = []
    files.files[0].data += b"!"  # another file by now
    with pytest.raises(Corrupt):
        write_bundle(client, made, tmp_path / "a.tar", backoff=QUICK)
    assert not (tmp_path / "a.tar").exists()


class _Stopping(Watcher):
    """Stops the client once so many bytes are there."""

    def __init__(self, client: Client, at: int) -> None:
        self._client = client
        self._at = at

    def at(self, name: str, done: int) -> None:
        if done >= self._at:
            self._client.stop.set()


def _copy(client: Client, hub: Hub) -> Client:
    return Client(hub.url, hub.token, times=client.times)


@pytest.mark.parametrize("at", [1, 600, 3000, 300_000, 700_000])
def test_a_stopped_run_is_gone_on_with(at: int, client: Client, files: Hub, tmp_path: Path) -> None:
    made, target = plan(client), tmp_path / "a.tar"
    with _copy(client, files) as first, pytest.raises(Cancelled):
        write_bundle(first, made, target, watcher=_Stopping(first, at), backoff=QUICK)
    [part] = parts(tmp_path)
    assert not target.exists()
    held = part.stat().st_size
    with _copy(client, files) as second:
        done = write_bundle(second, made, target, backoff=QUICK)
    assert held - 512 < done.reused <= held
    write_bundle(client, made, tmp_path / "b.tar", backoff=QUICK)
    assert target.read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert parts(tmp_path) == []
    asked = len(files.byte_requests())
    with _copy(client, files) as third:  # it is there
        assert write_bundle(third, made, target, backoff=QUICK).reused == made.size
    assert len(files.byte_requests()) == asked


def test_a_bundle_that_is_put_in_place_between_open_and_lock_is_not_written_to(
    client: Client, files: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, target = plan(client), tmp_path / "a.tar"
    write_bundle(client, made, target, backoff=QUICK)
    whole = target.read_bytes()
    part = tmp_path / f".a.tar.{made.mark}.part"
    target.rename(part)
    lock = fcntl.flock

    def other_command_ends_first(descriptor: int, how: int) -> None:
        if part.exists() and not target.exists():
            part.rename(target)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", other_command_ends_first)
    with Part(target, made, client.stop) as mine:
        assert (mine.size, target.read_bytes() == whole) == (0, True)


def test_a_part_that_is_another_file_too_is_not_written_to(
    client: Client, files: Hub, tmp_path: Path
) -> None:
    made, foreign = plan(client), tmp_path / "foreign"
    foreign.write_bytes(b"mine")
    (tmp_path / f".a.tar.{made.mark}.part").hardlink_to(foreign)
    write_bundle(client, made, tmp_path / "a.tar", backoff=QUICK)
    assert (foreign.read_bytes(), parts(tmp_path)) == (b"mine", [])


@pytest.mark.parametrize("where", [0, 700, 2000, 200_000])
def test_a_part_that_was_damaged_is_not_believed(
    where: int, client: Client, files: Hub, tmp_path: Path
) -> None:
    made, target = plan(client), tmp_path / "a.tar"
    write_bundle(client, made, target, backoff=QUICK)
    whole = target.read_bytes()
    target.unlink()
    part = tmp_path / f".a.tar.{made.mark}.part"
    for spoilt in (
        whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 :],
        whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 : 300_000],
        b"",
        whole + b"more",
    ):
        part.write_bytes(spoilt)
        write_bundle(client, made, target, backoff=QUICK)
        assert target.read_bytes() == whole
        with target.open("rb") as held:
            assert right_bytes(held.fileno(), made, client.stop) == made.size - 1024


def test_a_refusal_ends_it_and_tells_why(client: Client, files: Hub, tmp_path: Path) -> None:
    with pytest.raises(Denied):
        write_bundle(client, plan(client, LICENSED), tmp_path / "a.tar", backoff=QUICK)
    files.files[0].sha256 = None
    with pytest.raises(BadAnswer, match="cannot be bundled"):
        plan(client)
    entitlement, release = client.entitlement(ENTITLEMENT), client.release(ENTITLEMENT, RELEASE)
    wrong = Licence("T", "T", 1, "0" * 64, "", True, "text")
    with pytest.raises(Corrupt, match="licence"):
        plan_bundle([Chosen(entitlement, release, wrong)], source="")


def test_the_command(run: Callable[..., Ran], files: Hub, home: Path) -> None:
    ran = run("bundle", "DS000B@2022.2", "DS000B", "-o", "air.tar")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [str(home / "air.tar")]
    assert "3 files, sha256 verified" in ran.err
    assert len(index_of(home / "air.tar")["releases"]) == 1
    again = run("bundle", "DS000B", "-o", "air.tar", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert run("bundle", "-o", "x.tar").code == 2
    assert run("bundle", "NONE", "-o", "x.tar").code == 3
    assert run("bundle", "LIC1", "-o", "x.tar").code == 5


def test_programs_are_told_and_a_licence_is_accepted_before_anything_is_fetched(
    run: Callable[..., Ran], files: Hub, home: Path
) -> None:
    order = ["bundle", "LIC1", "-o", "in/air.tar", "--json"]
    refused = run(*order, "--accept-licence", "TERMS@2")
    assert (refused.code, files.licence_accepted, files.minted) == (5, False, 0), refused
    [ended] = [json.loads(line) for line in refused.out.splitlines()]
    assert (ended["event"], ended["error"], ended["exit_code"]) == ("ended", "LicenceNeeded", 5)
    assert "--accept-licence TERMS@1" in ended["remedy"]
    files.faults = [Fault("cut", 300_000)]
    # Named twice, by its product and by the number of an entitlement, it is one release.
    ran = run(*order, LICENSED, "--accept-licence", "TERMS@1", "--for-organisation")
    assert ran.code == 0, ran.err
    told = {one["event"]: one for one in map(json.loads, ran.out.splitlines())}
    size = (home / "in" / "air.tar").stat().st_size
    assert told["licence_accepted"]["revision"] == 1
    planned = {"folder": str(home / "in"), "files": ["air.tar"], "bytes": size}
    assert told["planned"] == {"event": "planned"} | planned
    assert (told["started"]["size"], told["trouble"]["file"]) == (size, "air.tar")
    done = told["finished"]
    assert (done["path"], done["size"]) == (str(home / "in" / "air.tar"), size)
    assert done["releases"] == len(index_of(home / "in" / "air.tar")["releases"]) == 1
    assert (done["verified"], done["signed"], done["skipped"]) == ("sha256", False, False)
    assert told["ended"] == {"event": "ended", "exit_code": 0, "complete": 1, "failed": 0}


def test_files_that_are_the_same_are_there_once(client: Client, files: Hub, tmp_path: Path) -> None:
    files.files[1].data = files.files[0].data
    write_bundle(client, plan(client), tmp_path / "a.tar", backoff=QUICK)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "a.tar").read_bytes())) as read:
        assert len([name for name in read.getnames() if name.startswith("files/")]) == 2
