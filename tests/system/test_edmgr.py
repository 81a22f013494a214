"""The unmodified edmgr, as its users type it, against a running hub (contract, sections 3-6)."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.system.hubs import EDMGR, Customer, Hub, customer, http_of

ADA = "ada@halden.example"
HALDEN, OKABE = "Halden Microsystems", "Okabe Robotics"
HERE = Path(__file__).parent


@pytest.fixture
def ada(hub: Hub, tmp_path: Path) -> Customer:
    """Ada of Halden, whose token edmgr finds in its environment."""
    someone = customer(hub, tmp_path / "home", EDMGR)
    token = hub.user(ADA)["token"]
    return replace(someone, environment={**someone.environment, "EDM_ACCESS_TOKEN": token})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of_release(hub: Hub, entitlement_id: str, nth: int = 0) -> list[dict[str, Any]]:
    """The artifacts of the entitlement's nth newest release, in the publisher's order."""
    listed = hub.artifacts(entitlement_id)
    releases = list(dict.fromkeys(one["release_id"] for one in listed))
    return [one for one in listed if one["release_id"] == releases[nth]]


def chain(artifact: dict[str, Any], *, one: bool = False) -> list[str]:
    """The options that lead to an artifact's release, or with `one` to the artifact."""
    ids = ["-e", artifact["entitlement_id"], "-r", artifact["release_id"]]
    return [*ids, "-a", artifact["artifact_id"]] if one else ids


def test_a_token_is_checked_shown_and_forgotten(edmgr: Customer) -> None:
    said = edmgr.run("login", "token", edmgr.hub.user(ADA)["token"])
    assert (said.code, "Token saved" in said.out) == (0, True), said
    shown = edmgr.run("login", "show-token")
    assert "Token Owner: Ada Brandt" in shown.out, shown
    assert ADA in shown.out
    assert edmgr.run("logout").code == 0
    after = edmgr.run("entitlements")
    assert (after.code, after.out) == (1, "")
    assert "Access token not found" in after.err


def test_entitlements_come_as_json_and_pretty(ada: Customer) -> None:
    given = [one for one in ada.hub.world["entitlements"] if one["organisation"] == HALDEN]
    plain, pretty = ada.run("entitlements", "-f", "json"), ada.run("entitlements", "-f", "jsonpp")
    listed = plain.objects()
    assert len(plain.out.splitlines()) == 1
    assert pretty.out == json.dumps(listed, indent=4, sort_keys=True) + "\n"
    assert {one["id"] for one in listed} == {one["id"] for one in given}
    # Active before lapsed, each by number.
    lapsed = ada.hub.entitlement("lapsed", HALDEN)["id"]
    assert [one["id"] for one in listed][-1] == lapsed
    assert all(one["rightTo"] == "download" for one in listed)


def test_entitlements_come_as_a_table(ada: Customer) -> None:
    said = ada.run("entitlements")
    assert said.code == 0, said
    for given in ada.hub.world["entitlements"]:
        shown = f"│ {given['id']} │" in said.out.replace("  ", " ").replace("  ", " ")
        assert shown == (given["organisation"] == HALDEN), said.out
    assert "group (2 entitlements)" in said.out
    assert "5D002" in said.out


def test_pages_are_counted_from_one_and_cover_everything(ada: Customer) -> None:
    every = [one["id"] for one in ada.run("entitlements", "-f", "json").objects()]
    pages = [
        ada.run("entitlements", "-o", str(page), "-l", "2", "-f", "json").objects()
        for page in (1, 2, 3)
    ]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["id"] for page in pages for one in page] == every
    beyond = ada.run("entitlements", "-o", "4", "-l", "2")
    assert "Couldn't find any Entitlements" in beyond.err


def test_a_product_code_filters(ada: Customer) -> None:
    found = ada.run("entitlements", "-p", "EP400", "-f", "json").objects()
    assert [one["id"] for one in found] == [ada.hub.entitlement("controlled", HALDEN)["id"]]
    assert found[0]["product"]["id"] == "EP400"
    children = ada.run("entitlements", "-p", "EP310", "-f", "json").objects()
    assert [one["characteristics"]["virtual"] for one in children] == [True]
    none = ada.run("entitlements", "-p", "NO-SUCH-CODE")
    assert "Couldn't find Entitlements" in none.err


def test_one_entitlement_with_its_children(ada: Customer) -> None:
    group = ada.hub.entitlement("grouped", HALDEN)["id"]
    shown = ada.run("entitlement", group)
    assert "Showing from 1 to 2 of 2 Entitlements found" in shown.out, shown
    second = ada.run("entitlement", group, "-o", "2", "-l", "1")
    assert "Showing from 2 to 2 of 2" in second.out
    assert ("EP310" in second.out, "EP320" in second.out) == (False, True)
    raw = ada.run("entitlement", group, "-f", "json").objects()
    children = {child["id"] for child in raw["virtualEntitlements"]}
    assert len(children) == 2
    listed = {one["entitlement_id"] for one in ada.hub.world["artifacts"]}
    assert children <= listed
    assert ada.run("entitlements", "-e", group, "-f", "json").objects()[0]["id"] == group


def test_releases_newest_first_and_one(ada: Customer) -> None:
    plain = ada.hub.entitlement("plain", HALDEN)["id"]
    releases = ada.run("releases", "-e", plain, "-f", "json").objects()
    assert [one["name"] for one in releases] == ["2.0", "1.10", "1.9"]
    times = [one["availableAt"] for one in releases]
    assert times == sorted(times, reverse=True)
    one = ada.run("releases", "-e", plain, "-r", releases[1]["id"], "-f", "json").objects()
    assert [release["name"] for release in one] == ["1.10"]
    assert ada.run("releases", "-e", plain).out.count(plain) == 3


def test_a_lapsed_entitlement_gives_the_earlier_releases(ada: Customer) -> None:
    lapsed = ada.hub.entitlement("lapsed", HALDEN)["id"]
    releases = ada.run("releases", "-e", lapsed, "-f", "json").objects()
    assert [one["name"] for one in releases] == ["1.1", "1.0"]
    other = ada.hub.entitlement("plain", OKABE, "EP200")["id"]
    later = of_release(ada.hub, other)[0]
    refused = ada.run("artifacts", "-e", lapsed, "-r", later["release_id"])
    assert (refused.code, refused.out) == (1, "")
    assert "403" in refused.err


def test_artifacts_of_a_release_and_one(ada: Customer) -> None:
    expected = of_release(ada.hub, ada.hub.entitlement("plain", HALDEN)["id"])
    said = ada.run("artifacts", *chain(expected[0]), "-f", "json")
    listed = said.objects()
    assert [(one["id"], one["fileName"], one["sha256"]) for one in listed] == [
        (one["artifact_id"], one["file_name"], one["sha256"]) for one in expected
    ]
    one = ada.run("artifacts", *chain(expected[1], one=True), "-f", "json").objects()
    assert one == [listed[1]]
    table = ada.run("artifacts", *chain(expected[0])).out
    assert all(artifact["md5"] in table for artifact in listed)


def test_downloads_of_one_and_of_all_bring_the_right_bytes(ada: Customer) -> None:
    expected = of_release(ada.hub, ada.hub.entitlement("plain", HALDEN)["id"])
    one = ada.run("download-artifacts", *chain(expected[1], one=True), "-d", "one")
    assert "All done!" in one.out, one
    assert [path.name for path in (ada.home / "one").iterdir()] == [expected[1]["file_name"]]
    assert digest(ada.home / "one" / expected[1]["file_name"]) == expected[1]["sha256"]
    every = ada.run("download-artifacts", *chain(expected[0]))
    assert "All done!" in every.out, every
    found = {path.name: digest(path) for path in (ada.home / "Artifacts").iterdir()}
    assert found == {one["file_name"]: one["sha256"] for one in expected}


def test_a_child_of_a_group_downloads(ada: Customer) -> None:
    group = ada.hub.entitlement("grouped", HALDEN)["id"]
    child = ada.run("entitlement", group, "-f", "json").objects()["virtualEntitlements"][0]["id"]
    expected = of_release(ada.hub, child)[0]
    said = ada.run("download-artifacts", *chain(expected, one=True), "-d", "child")
    assert digest(ada.home / "child" / expected["file_name"]) == expected["sha256"], said


def test_a_controlled_file_comes_with_the_country_of_the_token(ada: Customer) -> None:
    expected = of_release(ada.hub, ada.hub.entitlement("controlled", HALDEN)["id"])[0]
    said = ada.run("download-artifacts", *chain(expected, one=True), "-d", "controlled")
    assert "Controlled IP found" in said.out
    assert digest(ada.home / "controlled" / expected["file_name"]) == expected["sha256"], said
    token = ada.hub.user(ADA)["token"]
    for headers in ({}, {"declared-country-code": "FR"}):
        refused = ada.hub.ask(http_of(expected), token=token, headers=headers)
        assert refused.status == 403, refused


def test_a_licence_is_accepted_in_the_browser_and_the_download_goes_on(ada: Customer) -> None:
    expected = of_release(ada.hub, ada.hub.entitlement("licence", HALDEN)["id"])[0]
    fetch = ["download-artifacts", *chain(expected, one=True), "-d", "licence"]
    declined = ada.run(*fetch, stdin="n\nn\n")
    assert declined.code == 1
    assert not (ada.home / "licence" / expected["file_name"]).exists()
    said = ada.run(
        *fetch,
        stdin="y\ny\n",
        BROWSER=f"{sys.executable} {HERE / 'accepting_browser.py'} %s",
        VISITOR_EMAIL=ADA,
        VISITOR_PASSWORD=ada.hub.user(ADA)["password"],
    )
    assert "All done!" in said.out, said
    assert digest(ada.home / "licence" / expected["file_name"]) == expected["sha256"]


def test_garbage_is_no_token(edmgr: Customer) -> None:
    said = edmgr.run("login", "token", "not.a.token")
    assert said.code == 1
    assert "Authentication error" in said.err
    assert "Access token not found" in edmgr.run("entitlements").err


def test_an_expired_token_is_refused(hub: Hub, tmp_path: Path, minted: Any) -> None:
    someone = customer(hub, tmp_path / "home", EDMGR)
    said = someone.run("login", "token", minted(ADA, seconds=-5))
    assert said.code == 1
    assert "Token expired" in said.err


def test_the_hub_itself_refuses_what_edmgr_lets_through(edmgr: Customer, minted: Any) -> None:
    """edmgr checks no issuer, so this token of another hub's name gets as far as ours."""
    token = minted(ADA, issuer="https://elsewhere.example")
    said = edmgr.run("entitlements", EDM_ACCESS_TOKEN=token)
    assert (said.code, said.out) == (1, "")
    assert "Unauthorized" in said.err


def test_what_is_not_there_and_what_is_not_yours_look_alike(ada: Customer) -> None:
    theirs = ada.hub.entitlement("plain", OKABE)["id"]
    for number in ("999999", theirs):
        said = ada.run("entitlement", number)
        assert (said.out, said.err.strip()) == ("", f"Couldn't find Entitlement {number}")
    mine = of_release(ada.hub, ada.hub.entitlement("plain", HALDEN)["id"])[0]
    unknown = "00000000-0000-4000-8000-000000000000"
    said = ada.run("download-artifacts", "-e", mine["entitlement_id"], "-r", unknown)
    assert "No artifact found" in said.err
