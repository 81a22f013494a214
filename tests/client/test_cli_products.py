"""Products by code, releases by version, artifacts by pattern; what programs are told."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.client import Client, LicenceNeeded
from entrepot.client.errors import InvalidUse, NotFound
from entrepot.client.finding import match_artifacts, match_release, parse_wanted
from tests.client.conftest import Ran
from tests.client.hub import ENTITLEMENT, GROUP, LICENSED, RELEASE, Fault, File, Hub

Run = Callable[..., Ran]


def release(name: str, *parts: str, revision: str = "", identity: str = "") -> dict[str, Any]:
    keys = ("majorVersion", "minorVersion", "patch")
    told = {"id": identity or f"id-{name}", "name": name, **dict(zip(keys, parts, strict=False))}
    return told | ({"revision": revision} if revision else {})


EVERY = [
    release("2.0", "2", "0"),
    release("Spring", "1", "10", "1", revision="r1p10"),
    release("1.9", "1", "9"),
    release("1.10", "1", "1", identity="ABC-1"),
]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2.0", "2.0"),
        ("2", "2.0"),
        ("spring", "Spring"),
        ("R1P10", "Spring"),
        ("1.10.1", "Spring"),
        ("1.10", "1.10"),  # the name wins over parts of another's version
        ("1.9", "1.9"),
        ("abc-1", "1.10"),
    ],
)
def test_a_version_is_matched_the_closest_way(version: str, name: str) -> None:
    assert match_release(EVERY, version)["name"] == name


def test_a_version_that_is_none_or_several_names_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"There are 2\.0 \(id-2\.0\), Spring") as none:
        match_release(EVERY, "9.9")
    assert "entrepot why CODE@9.9" in none.value.remedy
    with pytest.raises(InvalidUse, match=r"3 releases.*Spring.*1\.9.*1\.10"):
        match_release(EVERY, "1")
    with pytest.raises(NotFound, match="There are none"):
        match_release([], "1")


def test_artifacts_are_matched_by_file_name_name_or_id_in_their_order() -> None:
    every = [
        {"id": "a", "fileName": "tool-linux.tar.gz", "name": "Linux"},
        {"id": "b", "fileName": "tool-win.zip", "name": "Windows"},
        {"id": "c", "fileName": "notes.pdf", "name": "Release notes"},
    ]

    def ids(*patterns: str) -> str:
        return "".join(one["id"] for one in match_artifacts(every, patterns))

    assert ids() == "abc"
    assert ids("*.ZIP", "tool-linux*") == "ab"
    assert ids("release*") == "c"
    assert ids("b") == "b"
    assert ids("tool-[lw]*") == "ab"
    with pytest.raises(NotFound, match=r"'\*\.exe'\. There are tool-linux\.tar\.gz, tool-win"):
        match_artifacts(every, ["*.zip", "*.exe"])


@pytest.mark.parametrize("text", ["", "@1", "CODE@", " "])
def test_what_names_no_product(text: str) -> None:
    with pytest.raises(InvalidUse):
        parse_wanted(text)


def test_releases_and_artifacts_of_a_product(run: Run, hub: Hub) -> None:
    expected = [hub.release(ENTITLEMENT)]
    for what in ("DS000B", "DS000B@2022.2", "DS000B@latest", "DS000B@1.10", ENTITLEMENT):
        assert json.loads(run("releases", what, "-f", "json").out) == expected, what
        found = run("artifacts", what, "-f", "json")
        assert json.loads(found.out) == expected[0]["artifacts"], what
    by_release = run("artifacts", "DS000B", "-r", RELEASE, "-f", "json")
    assert json.loads(by_release.out) == expected[0]["artifacts"]
    for wrong, code, words in (
        (("releases", "DS000B", "-e", ENTITLEMENT), 2, "not both"),
        (("artifacts", "DS000B@2022.2", "-r", RELEASE), 2, "leave one of them out"),
        (("releases", "DS000B@7"), 3, "There are 2022.2"),
        (("artifacts", "DS000B@7"), 3, f"entrepot why {ENTITLEMENT}@7"),
        (("releases", "NONE"), 3, "entrepot products"),
        (("download", GROUP), 3, "Give the code or the number of one of them"),
        (("artifacts", f"{GROUP}@1.0"), 3, f"{GROUP} is a group"),
        (("why", GROUP), 3, "Give the code or the number of one of them"),
        (("why", "NONE"), 3, "There is no 'NONE'"),
        (("artifacts",), 2, "--entitlement-id"),
    ):
        ran = run(*wrong)
        assert (ran.code, ran.out) == (code, ""), wrong
        assert words in ran.err, wrong


def test_what_is_mistyped_is_suggested(run: Run) -> None:
    ran = run("donwload", "DS000B")
    assert ran.code == 2
    assert "Did you mean download" in ran.err
    ran = run("download", "DS000B", "--artefact", "x")
    assert ran.code == 2
    assert "--artifact" in ran.err


def test_a_release_by_version_and_pattern(run: Run, hub: Hub, home: Path) -> None:
    hub.files += [File("two.zip", b"two"), File("three.zip", b"three")]
    ran = run("download", "DS000B@2022.2", "--artifact", "t*.ZIP", "-d", "a")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (home / "a").glob("[!.]*")) == ["three.zip", "two.zip"]
    none = run("download", "DS000B", "--artifact", "*.exe", "-d", "b")
    assert (none.code, none.out) == (3, "")
    assert "installer.tar.gz, two.zip, three.zip" in none.err
    assert not (home / "b").exists()
    for wrong in (["-r", RELEASE], ["--zip", "--artifact", "x"], ["--limit-rate", "fast"]):
        assert run("download", "DS000B@2022.2", *wrong).code == 2, wrong


def test_what_download_fetched_is_verified_by_what_it_noted(run: Run, hub: Hub, home: Path) -> None:
    hub.files += [File("md5.zip", b"two", sha256=None)]
    assert run("download", "DS000B", "-d", "in").code == 0
    folder = home / "in"

    def verify(*more: str) -> tuple[int, str]:
        ran = run("verify", "in", *more, env={"ENTREPOT_URL": "", "ENTREPOT_TOKEN": ""})
        return ran.code, ran.out if more else ran.err

    assert verify() == (0, "2 ok; 2 as the hub said at the download.\n")
    code, told = verify("--json")
    files = {one["path"]: one for one in json.loads(told)["files"]}
    assert {one["against"] for one in files.values()} == {"download"}
    assert files["md5.zip"]["sha256"] == hashlib.sha256(b"two").hexdigest()
    # Another file of that name, by edmgr's command: it keeps up what is noted.
    (folder / "installer.tar.gz").unlink()
    assert verify()[0] == 8
    assert "missing  installer.tar.gz" in verify()[1]
    hub.files[0].data = b"another"
    assert run("download-artifacts", "-e", ENTITLEMENT, "-r", RELEASE, "-d", "in").code == 0
    assert verify()[0] == 0
    (folder / "md5.zip").write_bytes(b"owt")
    (folder / "sub" / ".entrepot").mkdir(parents=True)
    (folder / "sub" / ".entrepot" / "state.json").touch()
    code, said = verify()
    assert (code, "changed  md5.zip" in said, "sub" in said) == (8, True, False)
    (folder / "installer.tar.gz").write_bytes(b"")
    assert "0 ok, 2 changed; none as the hub said at the download." in verify()[1]
    (folder / ".entrepot" / "downloads.json").write_text("{}")
    assert verify()[0] == 9
    assert run("download", "DS000B", "-d", "in").code == 0, "it is written anew"
    assert verify()[0] == 0
    # Elsewhere is not here.
    (folder / ".entrepot").rename(home / "elsewhere")
    (folder / ".entrepot").symlink_to(home / "elsewhere")
    held = {path.name: path.read_bytes() for path in (home / "elsewhere").iterdir()}
    (folder / "md5.zip").unlink()
    assert "There is no folder" in run("verify", "elsewhere/none").err
    assert (run("verify", "").code, run("sync", "").code) == (2, 2)
    for refused in (("download", "DS000B", "-d", "in"), ("sync", "in"), ("verify", "in")):
        ran = run(*refused)
        assert (ran.code, "follows no link" in ran.err) == (9, True), ran
    assert {path.name: path.read_bytes() for path in (home / "elsewhere").iterdir()} == held
    assert not (folder / "md5.zip").exists()


def test_programs_are_told_by_a_line_of_json_an_event(run: Run, hub: Hub, home: Path) -> None:
    hub.files += [File("two.zip", b"two"), File("bad.zip", b"3", sha256="0" * 64)]
    hub.faults = [Fault("cut", 300_000)]
    ran = run("download", "DS000B", "--json", "-d", "in", "-j", "1", "--connections", "1")
    assert ran.code == 8
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert told[0] == {
        "event": "planned",
        "entitlement": ENTITLEMENT,
        "release": RELEASE,
        "folder": str(home / "in"),
        "files": ["installer.tar.gz", "two.zip", "bad.zip"],
    }
    kinds = [(one["event"], one.get("file")) for one in told]
    assert ("trouble", "installer.tar.gz") in kinds
    whole = next(one for one in told if one["event"] == "finished")
    assert whole.pop("seconds") >= 0
    assert whole == {
        "event": "finished",
        "file": "installer.tar.gz",
        "path": str(home / "in" / "installer.tar.gz"),
        "size": len(hub.files[0].data),
        "verified": "sha256",
        "skipped": False,
    }
    failed = next(one for one in told if one["event"] == "failed")
    assert (failed["file"], failed["error"], failed["exit_code"]) == ("bad.zip", "Corrupt", 8)
    assert told[-1] == {"event": "ended", "exit_code": 8, "complete": 2, "failed": 1}
    assert "1 of 3 failed" in ran.err
    nothing = run("download", "NONE", "--json")
    [ended] = [json.loads(line) for line in nothing.out.splitlines()]
    assert (ended["event"], ended["error"], ended["exit_code"]) == ("ended", "NotFound", 3)


def test_quiet_says_nothing_but_errors(run: Run, hub: Hub, home: Path) -> None:
    ran = run("download", "DS000B", "-q", "--limit-rate", "50M")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{home / 'Artifacts' / 'installer.tar.gz'}\n"
    hub.files[0].sha256 = "0" * 64
    again = run("download", "DS000B", "--quiet", "-d", "other")
    assert (again.code, again.out) == (8, "")
    assert "Error:" in again.err


def test_a_licence_is_accepted_by_the_revision_that_was_read(run: Run, hub: Hub) -> None:
    hub.licence_revision = 3
    fetch = ["download", "LIC1", "-d", "in"]
    needed, told = run(*fetch), run(*fetch, "--json")
    assert (needed.code, told.code) == (5, 5)
    assert "A machine, once somebody has read it: --accept-licence TERMS@3\n" in needed.err
    [failed] = [one for one in map(json.loads, told.out.splitlines()) if one["event"] == "failed"]
    assert (failed["licence"], failed["revision"]) == ("TERMS", 3)
    assert failed["remedy"].endswith("--accept-licence TERMS@3")
    for named in ("2", "TERMS@4", "OTHER@3"):
        ran = run(*fetch, "--accept-licence", named)
        assert (ran.code, ran.out) == (5, ""), named
        assert "--accept-licence TERMS@3" in ran.err, named
        assert hub.licence_url in ran.err
    assert not hub.licence_accepted
    assert run(*fetch, "--accept-licence", "three").code == 2
    ran = run(*fetch, "--accept-licence", "OTHER@1", "--accept-licence", "TERMS@3")
    assert ran.code == 0, ran.err
    assert "TERMS@3" in ran.err
    accepted = [one for one in hub.requests if one.method == "PUT"]
    assert [json.loads(one.body) for one in accepted] == [
        {"revision": 3, "for": "me", "licence": "TERMS"}
    ]
    assert accepted[0].path.endswith(f"/{LICENSED}/licence")


def test_the_sdk_accepts_a_licence(client: Client, hub: Hub) -> None:
    wanted = client.licences.required(LICENSED)
    assert (wanted.code, wanted.revision, wanted.accepted) == ("TERMS", 1, False)
    with pytest.raises(LicenceNeeded, match="Another"):
        client.licences.accept(LICENSED, "TERMS@2")
    assert client.licences.accept(LICENSED, f"{wanted.code}@{wanted.revision}").accepted
    with pytest.raises(NotFound):
        client.licences.required(ENTITLEMENT)


def test_a_licence_by_its_number_alone_and_a_hub_that_takes_none(run: Run, hub: Hub) -> None:
    hub.takes_acceptances = False
    order = ["download-artifacts", "-e", LICENSED, "-r", RELEASE, "--accept-licence", "1"]
    ran = run(*order)
    assert (ran.code, ran.out) == (5, "")
    assert hub.licence_url in ran.err
    hub.takes_acceptances = True
    ran = run(*order, "--for-organisation", "--json")
    told = [json.loads(line) for line in ran.out.splitlines()]
    [accepted] = [json.loads(one.body) for one in hub.requests if one.method == "PUT"]
    assert accepted == {"revision": 1, "for": "organisation", "licence": "TERMS"}
    assert [one["event"] for one in told if one["event"] == "licence_accepted"]
    assert told[-1]["exit_code"] == 0
