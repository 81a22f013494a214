"""Our own command against a running hub: the same matrix as edmgr's, and what edmgr cannot."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.client.errors import ExitCode
from entrepot.daemon.demo.visitor import accept_licence
from tests.system.bad_line import bad_line
from tests.system.hubs import ENTREPOT, Customer, Hub, Ran, customer, free_port, running_hub

ADA, CHIYO, DIETER = "ada@halden.example", "chiyo@okabe.example", "dieter@vega.example"
HALDEN, OKABE, VEGA = "Halden Microsystems", "Okabe Robotics", "Vega Aerodata"


def sign_in(who: Customer, email: str = ADA) -> None:
    said = who.run("login", "token", "-", stdin=f"{who.hub.user(email)['token']}\n")
    assert said.code == 0, said


@pytest.fixture
def ada(entrepot: Customer) -> Customer:
    """Ada of Halden, whose token our command finds in its environment."""
    token = entrepot.hub.user(ADA)["token"]
    return replace(entrepot, environment={**entrepot.environment, "ENTREPOT_TOKEN": token})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newest(hub: Hub, kind: str, organisation: str, code: str = "") -> list[dict[str, Any]]:
    """The artifacts of the newest release under the organisation's entitlement of a kind."""
    listed = hub.artifacts(hub.entitlement(kind, organisation, code)["id"])
    return [one for one in listed if one["release_id"] == listed[0]["release_id"]]


def chain(artifact: dict[str, Any]) -> list[str]:
    return ["-e", artifact["entitlement_id"], "-r", artifact["release_id"]]


def refused(said: Ran, code: ExitCode, *words: str) -> None:
    """Ended with this status, wrote no data, and said why on stderr."""
    assert (said.code, said.out) == (code, ""), said
    for word in words:
        assert word in said.err, said


def test_signing_in_from_stdin_and_out_again(entrepot: Customer) -> None:
    sign_in(entrepot)
    token = entrepot.hub.user(ADA)["token"]
    shown = entrepot.run("login", "show-token")
    assert ("Ada Brandt" in shown.out, token in shown.out) == (True, True)
    assert entrepot.run("logout").code == 0
    refused(entrepot.run("entitlements"), ExitCode.NOT_SIGNED_IN, "entrepot login")
    assert not [path for path in entrepot.home.rglob("*") if token in _text(path)]


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def test_a_machine_signs_in_with_its_own_credentials(entrepot: Customer) -> None:
    client = next(one for one in entrepot.hub.world["clients"] if "entitlements" in one["scopes"])
    said = entrepot.run(
        *("entitlements", "-f", "json"),
        ENTREPOT_CLIENT_ID=client["client_id"],
        ENTREPOT_CLIENT_SECRET=client["client_secret"],
    )
    assert len(said.objects()) == 5
    wrong = entrepot.run(
        "entitlements", ENTREPOT_CLIENT_ID=client["client_id"], ENTREPOT_CLIENT_SECRET="wrong"
    )
    assert (wrong.code, wrong.out) == (ExitCode.NOT_SIGNED_IN, "")


def test_listings_agree_with_the_sandbox(ada: Customer) -> None:
    every = ada.run("entitlements", "-f", "json").objects()
    assert len(every) == 5
    pretty = ada.run("entitlements", "-f", "jsonpp").out
    assert pretty == json.dumps(every, indent=4, sort_keys=True) + "\n"
    second = ada.run("entitlements", "-o", "2", "-l", "2", "-f", "json").objects()
    assert second == every[2:4]
    one = ada.run("entitlement", every[0]["id"], "-f", "json").objects()
    assert one == every[0]
    expected = newest(ada.hub, "plain", HALDEN)
    releases = ada.run("releases", "-e", every[0]["id"], "-f", "json").objects()
    assert [one["name"] for one in releases] == ["2.0", "1.10", "1.9"]
    files = ada.run("artifacts", *chain(expected[0]), "-f", "json").objects()
    assert [one["sha256"] for one in files] == [one["sha256"] for one in expected]


def test_tables_show_values_as_they_are(ada: Customer) -> None:
    plain = ada.hub.entitlement("plain", HALDEN)["id"]
    table = ada.run("releases", "-e", plain).out
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines()]
    shown = {row[3]: row[5] for row in rows if len(row) > 5 and row[2] == plain}
    assert shown == {"2.0": "", "1.10": "0100", "1.9": "0099"}
    assert "100003" in ada.run("entitlements").out


def test_downloads_are_verified_and_their_paths_printed(ada: Customer) -> None:
    expected = newest(ada.hub, "plain", HALDEN)
    said = ada.run("download-artifacts", *chain(expected[0]), "-d", "files")
    assert said.code == 0, said
    folder = ada.home / "files"
    assert said.out.splitlines() == [str(folder / one["file_name"]) for one in expected]
    assert {path.name: digest(path) for path in folder.iterdir()} == {
        one["file_name"]: one["sha256"] for one in expected
    }
    (folder / expected[0]["file_name"]).write_bytes(b"damaged")
    again = ada.run("download-artifacts", *chain(expected[0]), "-d", "files")
    assert again.code == 0, again
    assert digest(folder / expected[0]["file_name"]) == expected[0]["sha256"]


def test_a_controlled_file_goes_only_where_it_may(ada: Customer) -> None:
    expected = newest(ada.hub, "controlled", HALDEN)[0]
    fetch = ["download-artifacts", *chain(expected), "-a", expected["artifact_id"], "-d", "files"]
    elsewhere = ada.run(*fetch, "--country", "FR")
    refused(elsewhere, ExitCode.DENIED, "FR")
    assert ada.run(*fetch).code == 0
    assert digest(ada.home / "files" / expected["file_name"]) == expected["sha256"]


def test_a_lapsed_entitlement_says_what_is_still_owned(ada: Customer) -> None:
    lapsed = ada.hub.entitlement("lapsed", HALDEN)["id"]
    owned = newest(ada.hub, "lapsed", HALDEN)[0]
    later = newest(ada.hub, "plain", OKABE, "EP200")[0]["release_id"]
    said = ada.run("download-artifacts", "-e", lapsed, "-r", later, "-d", "files")
    refused(said, ExitCode.DENIED, "maintenance period ended", owned["release_id"])
    assert said.err.count(owned["release_id"]) == 1, "the remedy is told once"
    assert ada.run("download-artifacts", *chain(owned), "-d", "files").code == 0


def test_a_licence_is_accepted_on_its_page(entrepot: Customer) -> None:
    sign_in(entrepot, DIETER)
    expected = newest(entrepot.hub, "licence", VEGA)
    fetch = ["download-artifacts", *chain(expected[0]), "-d", "files"]
    said = entrepot.run(*fetch)
    refused(said, ExitCode.LICENCE_NEEDED, "SAMPLE-EVALUATION")
    url = next(word for word in said.err.split() if word.startswith(entrepot.hub.url))
    accept_licence(url, DIETER, entrepot.hub.user(DIETER)["password"])
    assert entrepot.run(*fetch).code == 0
    assert {path.name for path in (entrepot.home / "files").iterdir()} == {
        one["file_name"] for one in expected
    }


def test_each_kind_of_failure_has_its_exit_code(ada: Customer, minted: Any) -> None:
    theirs = ada.hub.entitlement("plain", OKABE)["id"]
    for number in ("999999", theirs):
        refused(ada.run("entitlement", number), ExitCode.NOT_FOUND)
    expected = newest(ada.hub, "plain", HALDEN)[0]
    (ada.home / "a-file").write_text("in the way")
    blocked = ada.run("download-artifacts", *chain(expected), "-d", "a-file")
    refused(blocked, ExitCode.LOCAL_FILE)
    nobody = f"http://127.0.0.1:{free_port()}"
    gone = ada.run("--url", nobody, "entitlements", ENTREPOT_TOKEN=ada.hub.user(ADA)["token"])
    refused(gone, ExitCode.NETWORK)
    assert ada.run("releases", "-o").code == ExitCode.USAGE
    for token in (
        minted(ADA, seconds=-5),
        minted(ADA, issuer="https://elsewhere.example"),
        "not.a.token",
    ):
        refused(ada.run("entitlements", ENTREPOT_TOKEN=token), ExitCode.NOT_SIGNED_IN)


def test_a_wrong_path_of_the_hub_is_told_as_one(ada: Customer) -> None:
    """Nobody shall look for a wrong id where the address is wrong."""
    elsewhere = f"{ada.hub.url}/wrong"
    for words in (("entitlements",), ("order", "list"), ("select", "add", "5"), ("login",)):
        said = ada.run("--url", elsewhere, *words)
        refused(said, ExitCode.USAGE, "leads to no endpoint", "entrepot show-config")
        assert "not yours" not in said.err


def test_a_revocation_stops_a_download_in_its_middle(data: Path, tmp_path: Path) -> None:
    """Held for 5 s after the revocation, then cut: the next range is refused, and so is a new
    link; nothing is left under the file's name."""
    revoked: list[Ran] = []

    def revoke() -> None:
        revoked.append(hub.operate("revoke", expected["entitlement_id"]))

    with (
        bad_line() as line,
        running_hub(data, public_url=f"http://127.0.0.1:{line.port}", web_processes="1") as hub,
    ):
        line.target = ("127.0.0.1", int(hub.bind.split(":")[1]))
        line.break_once(seconds=5.2, meanwhile=revoke)
        expected = newest(hub, "plain", OKABE, "EP100")[0]
        who = customer(hub, tmp_path / "home", ENTREPOT)
        said = who.run(
            *("download-artifacts", *chain(expected), "-a", expected["artifact_id"]),
            *("-d", "files"),
            ENTREPOT_TOKEN=hub.user(CHIYO)["token"],
        )
        assert [ran.code for ran in revoked] == [0], revoked
        refused(said, ExitCode.DENIED, "revoked")
        first, second = (asked.head for asked in line.asked)
        assert b"Range" not in first
        assert b"Range: bytes=" in second
        assert not (who.home / "files" / expected["file_name"]).exists()


def test_a_link_that_dies_meanwhile_is_replaced(data: Path, tmp_path: Path) -> None:
    """Links live for two seconds here; the line is cut later than that."""
    with (
        bad_line() as line,
        running_hub(
            data,
            public_url=f"http://127.0.0.1:{line.port}",
            link_seconds="2",
            web_processes="1",
        ) as hub,
    ):
        line.target = ("127.0.0.1", int(hub.bind.split(":")[1]))
        line.break_once(seconds=2.2)
        expected = newest(hub, "plain", HALDEN)[0]
        who = customer(hub, tmp_path / "home", ENTREPOT)
        said = who.run(
            *("download-artifacts", *chain(expected), "-a", expected["artifact_id"]),
            *("-d", "files"),
            ENTREPOT_TOKEN=hub.user(ADA)["token"],
        )
        assert said.code == 0, said
        assert digest(who.home / "files" / expected["file_name"]) == expected["sha256"]
        heads = [asked.head for asked in line.asked]
        assert len({head.split()[1] for head in heads}) > 1, "a new link was asked for"
        assert b"Range: bytes=" in heads[-1]
