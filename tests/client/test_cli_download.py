"""The command download-artifacts, and the steps that scripts of customers take."""

import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.conftest import Ran, clean_environment
from tests.client.hub import (
    ARTIFACTS,
    EMPTY,
    ENTITLEMENT,
    LICENSED,
    RELEASE,
    Fault,
    File,
    Hub,
    make_token,
)
from tests.client.terminal import Answer, run_on_terminal

Run = Callable[..., Ran]
ALL = ["download-artifacts", "-e", ENTITLEMENT, "-r", RELEASE]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_files_of_a_release_arrive_and_their_paths_are_the_output(
    run: Run, hub: Hub, home: Path
) -> None:
    hub.files += [File("two.zip", b"two" * 9999), File("three.zip", b"")]
    ran = run(*ALL)
    assert ran.code == 0
    folder = home / "Artifacts"
    assert ran.out.splitlines() == [str(folder / file.name) for file in hub.files if file.name]
    for file in hub.files:
        assert file.name
        assert (folder / file.name).read_bytes() == file.data
    assert len(names(folder)) == 3
    assert "sha256 verified" in ran.err
    assert "All done!" in ran.err
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_file_into_a_chosen_folder(run: Run, hub: Hub, home: Path) -> None:
    hub.files.append(File("two.zip", b"two"))
    assert run(*ALL, "-a", ARTIFACTS[1], "-d", "deep/in").code == 0
    assert names(home / "deep" / "in") == ["two.zip"]
    assert run(*ALL, "-a", ARTIFACTS[1], env={"EDM_DOWNLOADS": str(home / "edm")}).code == 0
    assert names(home / "edm") == ["two.zip"]
    assert run(*ALL, "-a", ARTIFACTS[1], "-d", "~/tilde", "-m", "HTTP").code == 0
    assert names(home / "tilde") == ["two.zip"]
    # -a is the same as that of `links` and `download`.
    hub.files.append(File("three.bin", b"three"))
    assert run(*ALL, "-a", "*.ZIP", "--artifact-id", ARTIFACTS[2], "-d", "some").code == 0
    assert names(home / "some") == ["three.bin", "two.zip"]
    assert run("links", "DS000B", "-a", ARTIFACTS[2], "--as", "urls").out.count("/dl/") == 1


def test_a_second_run_fetches_nothing(run: Run, hub: Hub) -> None:
    run(*ALL)
    hub.requests.clear()
    ran = run(*ALL)
    assert ran.code == 0
    assert "already complete" in ran.err
    assert ran.out
    assert hub.byte_requests() == []


def test_one_failure_does_not_stop_the_others_and_shows_in_the_code(
    run: Run, hub: Hub, home: Path
) -> None:
    hub.files = [
        File("one.zip", b"1" * 5000, sha256="0" * 64),
        File("two.zip", b"2" * 5000),
        File(None, b"3"),
        File("four.zip", b"4" * 5000),
    ]
    ran = run(*ALL)
    assert ran.code == 8
    assert names(home / "Artifacts") == ["four.zip", "two.zip"]
    assert len(ran.out.splitlines()) == 2
    assert "2 of 4 failed" in ran.err
    assert "All done!" not in ran.err


def test_a_dead_link_is_an_error_and_leaves_the_good_file(run: Run, hub: Hub, home: Path) -> None:
    folder = home / "Artifacts"
    folder.mkdir()
    (folder / "installer.tar.gz").write_bytes(b"the good one of last year")
    hub.faults = [Fault("status", status=403) for _ in range(20)]
    ran = run(*ALL)
    assert ran.code == 4
    assert (folder / "installer.tar.gz").read_bytes() == b"the good one of last year"
    assert names(folder) == ["installer.tar.gz"]
    assert "All done!" not in ran.err


def test_cuts_and_a_link_that_ends_are_healed(run: Run, hub: Hub, home: Path) -> None:
    hub.faults = [Fault("cut", 300_000), Fault("status", status=410), Fault("cut", 300_000)]
    ran = run(*ALL)
    assert ran.code == 0
    assert "Trying again" in ran.err
    assert (home / "Artifacts" / "installer.tar.gz").read_bytes() == hub.files[0].data


def test_time_outs_and_retries_are_the_callers_choice(run: Run, hub: Hub) -> None:
    hub.faults = [Fault("stall", 10) for _ in range(5)]
    ran = run(*ALL, "--stall-timeout", "2", "--retries", "0")
    assert ran.code == 7
    assert len(hub.byte_requests()) == 1


def test_names_that_lead_elsewhere_stay_in_the_folder(run: Run, hub: Hub, home: Path) -> None:
    hub.files = [File("../../evil", b"1"), File("/tmp/evil", b"2"), File("..\\evil", b"3")]
    ran = run(*ALL, "-d", "in/deep")
    assert ran.code == 0
    assert len(names(home / "in" / "deep")) == 3
    assert names(home / "in") == ["deep"]
    assert "is not used as it is" in ran.err


def test_two_artifacts_of_one_name_are_both_kept(run: Run, hub: Hub, home: Path) -> None:
    hub.files = [File("same.zip", b"1"), File("SAME.zip", b"2")]
    assert run(*ALL).code == 0
    folder = home / "Artifacts"
    assert sorted((folder / name).read_bytes() for name in names(folder)) == [b"1", b"2"]


def test_a_disk_without_room_is_9_before_anything_is_fetched(
    run: Run, hub: Hub, home: Path
) -> None:
    hub.files[0].size = 1 << 60
    old = home / "Artifacts" / f".installer.tar.gz.{'0' * 16}.part"
    old.parent.mkdir()
    old.touch()
    ran = run(*ALL)
    assert (ran.code, old.exists()) == (9, False), "the room that it took may have been enough"
    assert "No room" in ran.err
    assert hub.minted == 0


def test_a_folder_that_cannot_be_made_is_9(run: Run, home: Path) -> None:
    (home / "file").write_text("x")
    assert run(*ALL, "-d", "file/folder").code == 9


def test_an_empty_release_list_is_3(run: Run, hub: Hub) -> None:
    hub.files = []
    assert run("download-artifacts", "-e", EMPTY, "-r", RELEASE).code == 3


def test_controlled_artifacts(run: Run, hub: Hub) -> None:
    hub.files = [File("c.zip", b"1", repository="controlled-eu")]
    assert run(*ALL).code == 0
    assert hub.asked("/http")[0].headers["declared-country-code"] == "GB"
    ran = run(*ALL, "--country", "fr", "-d", "fr")
    assert ran.code == 4
    assert "Declare GB." in ran.err
    assert run(*ALL, "-m", "fasp", "-d", "fasp").code == 0
    assert hub.asked("/fasp") == []


def test_a_licence_without_a_terminal_is_5_with_the_url(run: Run, hub: Hub) -> None:
    ran = run("download-artifacts", "-e", LICENSED, "-r", RELEASE)
    assert (ran.code, ran.out) == (5, "")
    assert hub.licence_url in ran.err
    assert "Accept the licence of Licensed" in ran.err


def test_a_licence_for_many_files_is_told_once_with_their_names(run: Run, hub: Hub) -> None:
    hub.files = [File(f"{n}.zip", bytes([n])) for n in range(4)]
    ran = run("download-artifacts", "-e", LICENSED, "-r", RELEASE)
    assert ran.code == 5
    assert ran.err.count("Accept the licence of Licensed") == 1
    assert ran.err.count(hub.licence_url) == 1
    listed = ran.err.partition("It is needed for:\n")[2].splitlines()
    assert listed[:4] == ["  0.zip", "  1.zip", "  2.zip", "  3.zip"]


def test_a_licence_on_a_terminal_is_opened_and_the_download_goes_on(
    home: Path, hub: Hub, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    opened = tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {opened}\n')
    browser.chmod(0o755)
    hub.files.append(File("two.zip", b"two"))
    env = clean_environment(home, hub) | {"BROWSER": str(browser)}
    watch = threading.Thread(target=_accept_when, args=(hub, opened))
    watch.start()

    def accepted() -> str:
        watch.join(30)
        return "y"

    answers: list[Answer] = [("Open it in your web browser", "y"), ("Accepted", accepted)]
    order = ["download-artifacts", "-e", LICENSED, "-r", RELEASE]
    code, shown = run_on_terminal(order, answers, env=env, cwd=home)
    assert code == 0, shown
    assert opened.read_text() == hub.licence_url
    assert names(home / "Artifacts") == ["installer.tar.gz", "two.zip"]
    assert shown.count("Open it in your web browser") == 1


def test_a_licence_that_is_declined_is_5_and_odd_urls_are_not_opened(home: Path, hub: Hub) -> None:
    hub.licence_url = "file:///etc/passwd"
    env = clean_environment(home, hub)
    order = ["download-artifacts", "-e", LICENSED, "-r", RELEASE]
    code, shown = run_on_terminal(order, [("Accepted", "n")], env=env, cwd=home)
    assert code == 5
    assert "Open it" not in shown


def test_a_token_that_ends_in_mid_batch_can_be_replaced_on_a_terminal(home: Path, hub: Hub) -> None:
    hub.files = [File(f"{n}.zip", bytes([n]) * 1000) for n in range(3)]
    fresh = make_token(serial=2)
    # The release is listed, then the hub forgets every token and knows only the new one.
    hub.api_faults = [Fault("none"), Fault("none"), Fault("revoke")]
    env = clean_environment(home, hub)

    def grant() -> None:
        while hub.tokens:
            hub.released.wait(0.01)
        hub.tokens.add(fresh)

    watch = threading.Thread(target=grant)
    watch.start()
    code, shown = run_on_terminal(
        [*ALL, "-j", "1"], [("Paste a new token", fresh)], env=env, cwd=home
    )
    watch.join()
    assert code == 0, shown
    assert names(home / "Artifacts") == ["0.zip", "1.zip", "2.zip"]
    assert fresh not in shown


def test_a_token_that_ends_in_mid_batch_without_a_terminal_is_6(run: Run, hub: Hub) -> None:
    hub.api_faults = [Fault("none"), Fault("none"), Fault("revoke")]
    assert run(*ALL).code == 6


def test_a_machines_credentials_outlive_its_token(run: Run, hub: Hub) -> None:
    hub.files = [File(f"{n}.zip", bytes([n]) * 1000) for n in range(3)]
    hub.grants["client_credentials"] = (200, {"access_token": hub.token})
    env = {"ENTREPOT_TOKEN": "", "ENTREPOT_CLIENT_ID": "ci", "ENTREPOT_CLIENT_SECRET": "s"}
    hub.api_faults = [Fault("none"), Fault("status", status=401), Fault("none")]
    ran = run(*ALL, "-j", "1", env=env)
    assert ran.code == 0, ran.err
    assert len(hub.asked("/oauth/token")) == 3


def test_bars_are_drawn_on_a_terminal_only(run: Run, home: Path, hub: Hub) -> None:
    assert "\x1b" not in run(*ALL, "-d", "a").err
    code, shown = run_on_terminal([*ALL, "-d", "b"], [], env=clean_environment(home, hub), cwd=home)
    assert code == 0
    assert "\x1b[" in shown
    assert "sha256 verified" in shown


def test_ctrl_c_stops_at_once_and_leaves_nothing(home: Path, hub: Hub) -> None:
    hub.faults = [Fault("stall", 1000)]
    env = clean_environment(home, hub)
    code, shown = run_on_terminal(ALL, [], env=env, cwd=home, interrupt_at="installer.tar.gz")
    assert code == 130, shown
    assert "Stopped." in shown
    assert "failed" not in shown, "who stopped it knows"
    assert names(home / "Artifacts") == []
    hub.faults = [Fault("stall", 1000)]
    code, shown = run_on_terminal([*ALL, "--json"], [], env=env, cwd=home, interrupt_at='"started"')
    told = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert (code, told[-1]["event"], told[-1]["exit_code"]) == (130, "ended", 130), shown
    assert told[-1]["error"] == "Cancelled"


def test_files_are_fetched_side_by_side(run: Run, hub: Hub) -> None:
    hub.files = [File(f"{n}.zip", b"x" * 1000) for n in range(3)]
    barrier = threading.Event()
    hub.faults = [Fault("stall", 10), Fault("stall", 10), Fault("stall", 10)]

    def release() -> None:
        while len(hub.byte_requests()) < 3:
            barrier.wait(0.01)
        hub.released.set()

    watch = threading.Thread(target=release)
    watch.start()
    ran = run(*ALL, "-j", "3")
    watch.join()
    assert ran.code == 0, ran.err


def test_aspera_where_the_hub_has_none(run: Run) -> None:
    ran = run(*ALL, "-m", "fasp")
    assert ran.code == 2
    assert "No Aspera server here." in ran.err


def test_aspera_runs_its_program_without_a_shell_and_is_verified(
    run: Run, hub: Hub, home: Path, tmp_path: Path
) -> None:
    """A stand-in for `ascli` (which needs a licence and a server) that writes what it was told."""
    hub.files[0].name = "x; touch owned; $(touch owned).bin"
    spec = {
        "remote_host": "aspera.test",
        "token": "secret",
        "paths": [{"source": "/s; touch owned", "destination": "../../evil"}],
    }
    answer = {"data": {"transfer_specs": [{"transfer_spec": spec}]}}
    hub.grants["fasp"] = (200, answer)
    source = tmp_path / "source"
    source.write_bytes(hub.files[0].data)
    program = tmp_path / "ascli"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "file = sys.argv[4].removeprefix('--ts=@json:@file:')\n"
        "spec = json.loads(pathlib.Path(file).read_text())\n"
        f"data = pathlib.Path({str(source)!r}).read_bytes()\n"
        "pathlib.Path(spec['paths'][0]['destination']).write_bytes(data)\n"
        f"pathlib.Path({str(tmp_path / 'argv')!r}).write_text(json.dumps(sys.argv[1:]))\n"
    )
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = run(*ALL, "-m", "fasp", env=env)
    assert ran.code == 0, ran.err
    folder = home / "Artifacts"
    assert len(names(folder)) == 1
    assert (folder / names(folder)[0]).read_bytes() == hub.files[0].data
    argv = json.loads((tmp_path / "argv").read_text())
    assert argv[:3] == ["server", "download", "--url=ssh://aspera.test:33001"]
    assert "secret" not in " ".join(argv)
    assert not (home / "owned").exists()
    source.write_bytes(b"something else")
    assert run(*ALL, "-m", "fasp", "-d", "other", env=env).code == 8
    assert names(home / "other") == []


def test_the_steps_of_a_script_run(hub: Hub, home: Path, tmp_path: Path) -> None:
    """Through a shell, with the command found on PATH by its name, as the guide shows it."""
    command = tmp_path / "bin" / "entrepot"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m entrepot.cli "$@"\n')
    command.chmod(0o755)
    env = clean_environment(home, hub)
    env |= {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    first = f"{sys.executable} -c 'import json, sys; print(json.load(sys.stdin)[0][\"id\"])'"
    steps = f"""
        set -e
        entrepot entitlements -p DS000B -f json > DS000B.json
        product=$({first} < DS000B.json)
        entrepot releases -e "$product" -f json > releases.json
        release=$({first} < releases.json)
        entrepot artifacts -e "$product" -r "$release" -f json > artifacts.json
        artifact=$({first} < artifacts.json)
        entrepot download-artifacts -e "$product" -r "$release" -a "$artifact" -d .
        rm -f ./*.json
        entrepot logout
    """
    ended = subprocess.run(
        ["sh", "-c", steps],
        env=env,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    digest = hashlib.sha256((home / "installer.tar.gz").read_bytes()).hexdigest()
    assert digest == hashlib.sha256(hub.files[0].data).hexdigest()


def _accept_when(hub: Hub, opened: Path) -> None:
    while not opened.exists() and not hub.released.wait(0.02):
        pass
    hub.licence_accepted = True


@pytest.mark.parametrize("kind", ["cut", "flip", "stall"])
def test_a_good_file_survives_every_failure(run: Run, hub: Hub, home: Path, kind: str) -> None:
    folder = home / "Artifacts"
    folder.mkdir()
    (folder / "installer.tar.gz").write_bytes(b"good")
    hub.faults = [Fault(kind, 10) for _ in range(9)]
    ran = run(*ALL, "--retries", "0", "--stall-timeout", "0.2")
    assert ran.code in (7, 8)
    assert (folder / "installer.tar.gz").read_bytes() == b"good"
    assert names(folder) == ["installer.tar.gz"]
