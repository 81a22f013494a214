"""The command as its users meet it: a process, its output, its exit code."""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest

from entrepot import __version__
from entrepot.client.tokens import read_claims
from tests.client.conftest import Ran, clean_environment
from tests.client.hub import (
    ARTIFACTS,
    EMPTY,
    ENTITLEMENT,
    GROUP,
    RELEASE,
    Fault,
    Hub,
    make_token,
    running_hub,
)
from tests.client.terminal import run_on_terminal

Run = Callable[..., Ran]
RELEASES = ["releases", "-e", ENTITLEMENT]
ARTIFACT_LIST = ["artifacts", "-e", ENTITLEMENT, "-r", RELEASE]


def _seconds_of_children() -> float:
    """Of a processor, by the processes that have ended: others share the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_version_starts_fast(run: Run) -> None:
    times = []
    for _ in range(5):
        started = _seconds_of_children()
        ran = run("--version")
        times.append(_seconds_of_children() - started)
        assert (ran.code, ran.out) == (0, f"entrepot, version {__version__}\n")
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "entrepot.cli", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stderr
    assert not re.search(r"\| +(click|tuf|ssl|http\.client)\n", loaded)
    assert min(times) < 1.0


def test_help_names_every_command_and_exit_code(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    for word in ("login", "logout", "show-config", "entitlements", "entitlement", "products"):
        assert re.search(rf"^  {word} ", ran.out, re.MULTILINE), word
    for code in (*range(10), 130):
        assert re.search(rf"\b{code}  \w", ran.out), code


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["releases", "--nonsense"],
        ["entitlements", "-f", "xml"],
        ["entitlements", "-o", "0"],
        ["entitlements", "-l", "0"],
        ["entitlement"],
        ["releases"],
        ["releases", "-e", ""],
        ["releases", "-e", "../x"],
        ["artifacts", "-e", "1"],
        ["download-artifacts", "-e", "1", "-r", "2", "--country", "GBR"],
    ],
)
def test_wrong_use_is_2_and_says_nothing_on_stdout(
    run: Run, hub: Hub, arguments: list[str]
) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err
    assert hub.requests == []


def test_json_is_one_line_of_the_hubs_objects(run: Run, hub: Hub) -> None:
    assert run("entitlements", "-f", "json").out == json.dumps(hub.entitlements()) + "\n"
    one = run("entitlements", "-e", ENTITLEMENT, "-f", "json").out
    assert one == json.dumps(hub.entitlements()[:1]) + "\n"
    assert run("entitlement", GROUP, "-f", "json").out == json.dumps(hub.entitlements()[1]) + "\n"
    assert run(*RELEASES, "-f", "json").out == json.dumps([hub.release(ENTITLEMENT)]) + "\n"
    one = run(*RELEASES, "-r", RELEASE, "-f", "json").out
    assert one == json.dumps([hub.release(ENTITLEMENT)]) + "\n"
    listed = hub.release(ENTITLEMENT)["artifacts"]
    assert run(*ARTIFACT_LIST, "-f", "json").out == json.dumps(listed) + "\n"
    assert run(*ARTIFACT_LIST, "-a", ARTIFACTS[0], "-f", "JSON").out == json.dumps(listed) + "\n"


def test_jsonpp_is_indented_and_sorted(run: Run, hub: Hub) -> None:
    expected = json.dumps(hub.entitlements(), indent=4, sort_keys=True) + "\n"
    assert run("entitlements", "-f", "jsonpp").out == expected


def test_options_of_commands_may_be_in_any_case(run: Run) -> None:
    ran = run("-k", "PROD", "releases", "-E", ENTITLEMENT, "-F", "JSON", "--Release-ID", RELEASE)
    assert ran.code == 0
    assert json.loads(ran.out)[0]["id"] == RELEASE


def test_filters_and_pages(run: Run, hub: Hub) -> None:
    found = json.loads(run("entitlements", "-p", "0099", "-f", "json").out)
    assert [item["id"] for item in found] == [GROUP]
    found = json.loads(run("entitlements", "-o", "2", "-l", "1", "-f", "json").out)
    assert [item["id"] for item in found] == [GROUP]
    run("entitlements", "-l", "1")
    assert hub.requests[-1].query == {}
    both = run("entitlements", "-p", "0099", "-e", ENTITLEMENT, "-f", "json")
    assert (both.code, both.out) == (3, "[]\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["entitlements", "-e", "999"],
        ["entitlements", "-p", "NONE"],
        ["entitlements", "-o", "99"],
        ["entitlement", "999"],
        ["releases", "-e", "999"],
        ["releases", "-e", EMPTY],
        ["releases", "-e", ENTITLEMENT, "-r", "nope"],
        ["artifacts", "-e", ENTITLEMENT, "-r", "nope"],
        [*ARTIFACT_LIST, "-a", "nope"],
        ["download-artifacts", "-e", ENTITLEMENT, "-r", "nope", "-d", "."],
    ],
)
def test_not_found_is_3_with_a_message(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (3, "")
    assert "Error:" in ran.err
    if "nope" in arguments:  # what was not found, and the command that lists what there is
        listed = "artifacts" if "-a" in arguments else "releases"
        assert " nope" in ran.err
        assert f"entrepot {listed} -e {ENTITLEMENT}" in ran.err


def test_releases_of_a_group_are_those_of_its_children_which_are_named(run: Run, hub: Hub) -> None:
    children = hub.entitlements()[1]["virtualEntitlements"]
    ran = run("releases", "-e", GROUP)
    assert (ran.code, ran.out) == (3, "")
    for child in children:
        assert f"  {child['id']}  {child['product']['id']}  " in ran.err
    assert f"entrepot releases -e {children[0]['id']}" in ran.err
    assert "no release yet" not in ran.err
    assert run("releases", "-e", GROUP, "-f", "json").out == "[]\n"


def test_tables_keep_every_value(run: Run, hub: Hub) -> None:
    table = run(*RELEASES).out
    for value in ("1.10", "0099", "r1p10", "00", RELEASE, ENTITLEMENT):
        assert re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", table), value
    table = run("entitlements").out
    assert "Group of [bold]things[/bold]" in table
    assert "group (5 entitlements)" in table
    assert "EAC, REL" in table
    table = run(*ARTIFACT_LIST).out
    described = hub.release(ENTITLEMENT)["artifacts"][0]
    for key in ("id", "name", "fileName", "md5", "sha256"):
        assert described[key] in table
    assert "1.024 MB" in table


def test_a_narrow_terminal_folds_text_and_never_ids(home: Path, hub: Hub) -> None:
    env = clean_environment(home, hub)
    code, shown = run_on_terminal(ARTIFACT_LIST, [], env=env, cwd=home)
    assert code == 0
    described = hub.release(ENTITLEMENT)["artifacts"][0]
    for key in ("id", "md5", "sha256"):
        assert described[key] in shown


def test_names_with_escape_sequences_are_shown_not_obeyed(run: Run, hub: Hub) -> None:
    hub.files[0].name = "a\x1b]0;owned\x07b\u202e.zip"
    table = run(*ARTIFACT_LIST).out
    assert "\x1b" not in table
    assert "a\\x1b]0;owned\\x07b\\u202e.zip" in table


def test_a_group_is_shown_with_its_children_in_pages(run: Run) -> None:
    whole = run("entitlement", GROUP).out
    assert all(f"20{n}" in whole for n in range(5))
    page = run("entitlement", GROUP, "-o", "2", "-l", "2").out
    assert "Entitlements 3 to 4 of 5" in page
    assert "Child 2" in page
    assert "Child 4" not in page
    one = run("entitlement", GROUP, "-p", "0930").out
    assert "Child 3" in one
    assert "Child 2" not in one
    assert run("entitlement", GROUP, "-p", "none").code == 3


def test_products_maps_codes_to_names(run: Run) -> None:
    found = json.loads(run("products", "-f", "json").out)
    plain = {"id": "DS000B", "name": "Development Studio", "entitlements": [ENTITLEMENT]}
    assert plain | {"group": False} in found
    assert [one["id"] for one in found if one["group"]] == ["0099"]
    assert "0930" in [product["id"] for product in found]
    shown = run("products").out
    assert "Development Studio" in shown
    assert re.search(r"0099 .* group ", shown)


def test_no_product_at_all_is_an_answer(run: Run, hub: Hub) -> None:
    for form, out in (("table", ""), ("json", "[]\n")):
        hub.api_faults = [Fault("answer", answer={"items": []})]
        ran = run("products", "-f", form)
        assert (ran.code, ran.out) == (0, out)
        assert ran.err == (
            "Your organisation has no entitlement, so there is no product to list.\n"
        )
    hub.api_faults = [Fault("answer", answer={"items": []})]
    assert run("entitlements").code == 3, "as edmgr has it"


def test_denials_show_description_and_remedy(run: Run, hub: Hub) -> None:
    hub.api_faults = [Fault("denied")]
    ran = run(*RELEASES)
    assert (ran.code, ran.out) == (4, "")
    assert "Maintenance ended on 1 May." in ran.err
    assert "The newest release you still own is 2022.1." in ran.err


def test_not_signed_in_is_6(run: Run, hub: Hub) -> None:
    nobody = run("entitlements", env={"ENTREPOT_TOKEN": ""})
    assert nobody.code == 6
    assert "entrepot login" in nobody.err
    assert run("entitlements", env={"ENTREPOT_TOKEN": "wrong"}).code == 6
    assert run("profile", "add", "lab", "--url", hub.url).code == 0
    for order in (["products"], ["download", "DS000B"]):
        for token in ("", "wrong"):
            ran = run("-k", "lab", *order, env={"ENTREPOT_TOKEN": token, "ENTREPOT_URL": ""})
            assert (ran.code, "Run `entrepot -k lab login`" in ran.err) == (6, True), ran


def test_a_hub_that_is_down_is_7(run: Run) -> None:
    ran = run("entitlements", env={"ENTREPOT_URL": "http://127.0.0.1:9"})
    assert (ran.code, ran.out) == (7, "")
    assert "127.0.0.1:9" in ran.err


def test_no_hub_known_says_how_to_name_one(run: Run) -> None:
    ran = run("entitlements", env={"ENTREPOT_URL": ""})
    assert ran.code == 2
    assert "--url" in ran.err
    assert "ENTREPOT_URL" in ran.err


def test_plain_http_to_another_machine_is_warned_of(run: Run) -> None:
    env = {"ENTREPOT_URL": "http://hub.invalid", "http_proxy": "http://127.0.0.1:9"}
    assert "plain http" in run("login", "token", make_token(), env=env).err
    assert "plain http" not in run("entitlements").err


def test_signing_in_with_a_token_from_stdin_then_out(run: Run, hub: Hub, home: Path) -> None:
    env = {"ENTREPOT_TOKEN": "", "ENTREPOT_URL": ""}
    env["TZ"] = "Asia/Kolkata"
    ran = run("--url", hub.url, "login", "token", "-", stdin=hub.token + "\n", env=env)
    assert (ran.code, ran.out) == (0, "")
    # In UTC, and saying so, whatever the zone of this machine.
    expires = read_claims(hub.token).expires_at
    assert expires is not None
    until = expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"the token is good until {until}." in ran.err
    assert "Ada Lovelace" in ran.err
    assert hub.token not in ran.err
    assert run("entitlements", "-f", "json", env=env).code == 0
    shown = run("login", "show-token", env=env)
    for text in ("Ada Lovelace", "ada@example.com", hub.token, f"Expires: {until}\n"):
        assert text in shown.out
    config = json.loads(run("show-config", env=env).out)
    assert config["base_url"] == hub.url
    assert config["token_from"] == "saved sign-in"
    assert config["root"] == str(home / ".entrepot")
    with running_hub() as other:
        assert run("--url", other.url, "entitlements", env=env).code == 6
        assert other.requests == []
    assert run("logout", env=env).code == 0
    assert run("entitlements", env=env).code == 6
    assert run("logout", env=env).code == 0


def test_a_token_in_argv_works_with_a_warning(run: Run, hub: Hub) -> None:
    env = {"ENTREPOT_TOKEN": ""}
    ran = run("login", "token", hub.token, "--url", hub.url, env=env)
    assert ran.code == 0
    assert "Warning" in ran.err
    assert run("entitlements", env=env).code == 0


def test_a_refused_token_leaves_the_old_sign_in(run: Run, hub: Hub) -> None:
    env = {"ENTREPOT_TOKEN": ""}
    assert run("login", "token", "-", stdin=hub.token, env=env).code == 0
    stale = make_token(ends_in_seconds=-60)
    ran = run("login", "token", "-", stdin=stale, env=env)
    assert ran.code == 6
    assert "expired" in ran.err
    assert run("login", "token", "-", stdin="no token at all", env=env).code == 2
    assert run("entitlements", env=env).code == 0


def test_where_no_code_is_to_be_had_login_names_the_other_way(run: Run, hub: Hub) -> None:
    for told in ((400, {"error": "unauthorized_client"}), (404, {})):
        hub.grants["device_authorization"] = told
        ran = run("login")
        assert (ran.code, ran.out) == (4, "")
        assert f"{hub.url}/token" in ran.err
        assert "login token -" in ran.err
    assert run("login", env={"ENTREPOT_URL": ""}).code == 2


def test_credentials_where_the_hub_allows_them(run: Run, hub: Hub) -> None:
    env = {"ENTREPOT_TOKEN": ""}
    hub.grants["password"] = (200, {"access_token": hub.token, "refresh_token": "r"})
    ran = run("login", "credentials", "-u", "ada@example.com", stdin="pa ss\n", env=env)
    assert ran.code == 0
    assert "pa ss" not in ran.err
    form = hub.asked("/oauth/token")[0].query
    assert form["username"] == ["ada@example.com"]
    assert form["password"] == ["pa ss"]
    assert form["client_id"] == ["bcca11a6-8f8f-42d9-aa4d-0f46815d9c75"]
    assert run("entitlements", env=env).code == 0


def test_credentials_where_the_hub_does_not(run: Run, hub: Hub) -> None:
    ran = run("login", "credentials", "-u", "ada", "--password", "x")
    assert ran.code == 4
    assert f"{hub.url}/token" in ran.err
    assert "`entrepot login`" in ran.err
    hub.grants["password"] = (400, {"error": "invalid_grant", "error_description": "No."})
    assert run("login", "credentials", "-u", "ada", "--password", "x").code == 6


def test_show_config_holds_no_secret(run: Run, hub: Hub) -> None:
    ran = run("-k", "qa", "show-config", env={"EDM_DOWNLOADS": "/d", "EDM_LOG_LEVEL": "info"})
    config = json.loads(ran.out)
    assert config["environment"] == "qa"
    assert config["downloads"] == "/d"
    assert config["log_level"] == "info"
    assert hub.token not in ran.out
    assert run("show-config", env={"EDM_LOG_LEVEL": "loud"}).code == 2


def test_logs_hold_no_token_and_no_link(run: Run, hub: Hub) -> None:
    ran = run("-vvv", "download-artifacts", "-e", ENTITLEMENT, "-r", RELEASE, "-d", "in")
    assert ran.code == 0
    assert "INFO" in ran.err
    assert hub.token not in ran.err
    assert "/dl/" not in ran.err


def test_ids_are_asked_for_on_a_terminal(home: Path, hub: Hub) -> None:
    env = clean_environment(home, hub)
    answers = [("Entitlement ID", ENTITLEMENT), ("Release ID", RELEASE)]
    code, shown = run_on_terminal(["artifacts"], answers, env=env, cwd=home)
    assert code == 0
    assert ARTIFACTS[0] in shown


def test_a_reader_that_goes_away_is_no_traceback(home: Path, hub: Hub) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "entrepot.cli", "entitlements"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(home, hub),
        cwd=home,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    process.wait(60)
    assert "Traceback" not in err
    assert "Exception" not in err


def test_a_stdout_that_lacks_letters(run: Run, hub: Hub) -> None:
    hub.files[0].name = "名前.zip"
    ran = run(*ARTIFACT_LIST, env={"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"})
    assert ran.code == 0
    assert "\\u540d\\u524d.zip" in ran.out
    assert os.linesep in ran.out
