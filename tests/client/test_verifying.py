"""A folder held against what it should be: every kind of difference, and signed manifests."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.client import inside as inside_module
from entrepot.client.download_notes import Notes, load_notes
from entrepot.client.downloader import Downloaded
from entrepot.client.errors import LocalFileError, NotFound, Untrusted
from entrepot.client.inside import Inside
from entrepot.client.manifests import Manifest, ManifestFile
from entrepot.client.stop import Stop
from entrepot.client.verifying import Should, of_manifests, verify_folder


def should(path: str, data: bytes) -> Should:
    return Should(path, "r", path[-1], len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "P" / "1.0"
    place.mkdir(parents=True)
    for name in "abc":
        (place / name).write_bytes(name.encode() * 3)
    return tmp_path


def test_every_kind_of_difference_is_told(folder: Path) -> None:
    place = folder / "P" / "1.0"
    (place / "b").write_bytes(b"bbc")
    (place / "c").write_bytes(b"longer")
    (place / "e").symlink_to(place / "a")
    (place / "f").mkdir()
    (folder / "P" / "linked").symlink_to(place)
    (folder / "stray").write_text("")
    (place / ".a.12345678.part").write_text("what was stopped")
    (folder / ".entrepot").mkdir()
    (folder / ".entrepot" / "state.json").write_text("{}")
    (folder / "entrepot.lock").write_text("{}")
    wanted = [should(f"P/1.0/{name}", name.encode() * 3) for name in "abcdf"]
    wanted += [should("P/1.0/e", b"aaa"), should("P/linked/a", b"aaa")]
    found = {one.path: one.standing for one in verify_folder(folder, wanted)}
    assert found == {
        "P/1.0/a": "ok",
        "P/1.0/b": "changed",
        "P/1.0/c": "changed",
        "P/1.0/d": "missing",
        "P/1.0/e": "changed",
        "P/1.0/f": "changed",
        "P/linked": "unknown",
        "P/linked/a": "changed",
        "stray": "unknown",
    }
    with pytest.raises(NotFound):
        verify_folder(folder / "none", wanted)


def test_what_the_publisher_signed_counts_for_more_than_what_was_noted(folder: Path) -> None:
    signed = hashlib.sha256(b"aaa").hexdigest()
    files = (ManifestFile("a", "a", 3, signed), ManifestFile("b", "b", 3, "0" * 64))
    manifest = Manifest("P", "r", "1.0", "Publisher", None, files, b"")
    (folder / "P" / "1.0" / "a").write_bytes(b"bad")
    noted = should("P/1.0/a", b"bad")  # by whoever changed both
    assert verify_folder(folder, [noted])[0].standing == "ok"
    wanted = of_manifests([noted], [manifest])
    found = verify_folder(folder, wanted)[0]
    assert (found.standing, found.signed) == ("changed", True)
    with pytest.raises(Untrusted):
        of_manifests([should("P/1.0/z", b"")], [manifest])


def test_nothing_in_the_way_is_followed_or_waited_for(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "state.json").write_text("{}")
    inside = Inside(folder)
    assert (inside.is_there(), inside.read("state.json", 9), inside.names("manifests")) == (
        False,
        None,
        [],
    )
    inside.write("manifests/a.json", b"a")
    (inside.path / "metadata").symlink_to(elsewhere)
    (inside.path / "state.json").symlink_to(elsewhere / "state.json")
    os.mkfifo(inside.path / "answers.json")

    def refused(*acts: Callable[[], object]) -> None:
        for act in acts:
            with pytest.raises(LocalFileError, match="follows no link"):
                act()

    refused(
        lambda: inside.names("metadata"),
        lambda: inside.read("metadata/state.json", 9),
        lambda: inside.write("metadata/b.json", b"b"),
        lambda: inside.read("state.json", 9),
        lambda: inside.read("answers.json", 9),
    )
    inside.write("state.json", b"mine")
    assert (inside.read("state.json", 9), (elsewhere / "state.json").read_text()) == (b"mine", "{}")
    with pytest.raises(LocalFileError, match="larger than 3"):
        inside.read("state.json", 3)
    for linked in (True, False):
        inside.path.rename(tmp_path / f"away-{linked}")
        if linked:
            inside.path.symlink_to(elsewhere)
        else:
            inside.path.touch()
        refused(
            inside.is_there,
            lambda: inside.has("state.json"),
            lambda: inside.write("state.json", b""),
            lambda: inside.locked("lock", wait=False).__enter__(),
        )
    assert [path.name for path in elsewhere.iterdir()] == ["state.json"]


def test_nobody_waits_for_good_for_a_lock_that_somebody_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inside_module, "LOCK_SECONDS_MAX", 0.1)
    notes, stop = Notes(folder), Stop()
    done = Downloaded(folder / "a", 1, "sha256", skipped=False, seconds=0.0, sha256="0" * 64)
    notes.add(
        done,
        hub="http://h",
        product="P",
        release_id="r",
        release="1",
        artifact_id="a",
        stop=stop,
    )
    with Inside(folder).locked("downloads.lock", wait=True):
        notes.save()
        assert (load_notes(folder), "at work in" in caplog.text) == ({}, True)
    notes.save()
    assert list(load_notes(folder)) == ["a"], "and it is noted as soon as it can be"
    path = folder / ".entrepot" / "downloads.json"
    path.write_text(path.read_text().replace("http://h", "no hub"))
    with pytest.raises(LocalFileError, match="is damaged"):
        load_notes(folder)
