"""Hubs by name: which is meant, what goes with it, and a sign-in of its own for each."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from entrepot.client.connections import parse_hub_address, trusting
from entrepot.client.errors import InvalidUse, NotFound
from entrepot.client.profiles import (
    PROFILES_MAX,
    Profile,
    check_name,
    downloads_folder,
    list_profiles,
    load_profile,
    remove_profile,
    save_profile,
    use_profile,
)
from tests.client.conftest import Ran
from tests.client.hub import Hub, running_hub

Run = Callable[..., Ran]
NOBODY = {"ENTREPOT_URL": "", "ENTREPOT_TOKEN": ""}


def test_which_profile_and_which_hub_is_meant(tmp_path: Path) -> None:
    root = {"ENTREPOT_ROOT": str(tmp_path)}
    for name in ("prod", "staging", "qa"):
        save_profile(Profile(name, tmp_path, parse_hub_address(f"https://{name}.example")))
    variables = {"ENTREPOT_URL": "https://url.example"}

    def chosen(name: str | None = None, url: str | None = None, **more: str) -> str:
        return load_profile(name, url, root | more).hub().host

    assert chosen() == "prod.example"
    use_profile(tmp_path, "staging")
    assert chosen() == "staging.example"
    assert chosen(EDM_ENV="qa") == "qa.example"
    assert chosen(EDM_ENV="qa", ENTREPOT_PROFILE="PROD") == "prod.example"
    assert chosen("Staging", EDM_ENV="qa") == "staging.example"
    assert chosen(**variables) == "url.example"
    assert chosen("qa", **variables) == "qa.example", "what is typed wins over the environment"
    assert chosen("qa", "https://typed.example", **variables) == "typed.example"
    with pytest.raises(InvalidUse, match=r"ENTREPOT_PROFILE is 'nope'.*prod, qa, staging"):
        chosen(ENTREPOT_PROFILE="nope")
    assert remove_profile(tmp_path, "staging").name == "staging"
    assert chosen() == "prod.example"
    with pytest.raises(NotFound):
        remove_profile(tmp_path, "staging")
    with pytest.raises(NotFound):
        use_profile(tmp_path, "staging")
    assert [one.name for one, _ in list_profiles(root)] == ["prod", "qa"]


def test_what_goes_with_a_profile_is_kept_when_the_hub_is_saved_anew(tmp_path: Path) -> None:
    root = {"ENTREPOT_ROOT": str(tmp_path)}
    address = parse_hub_address("https://a.example")
    save_profile(Profile("big", tmp_path, address, "/ca.pem", "GB", str(tmp_path / "down")))
    save_profile(load_profile("big", "https://b.example", root))
    again = load_profile("big", None, root | {"ENTREPOT_CACERT": "/other.pem"})
    assert (again.hub().host, again.cacert, again.country) == ("b.example", "/other.pem", "GB")
    assert load_profile("big", None, root).cacert == "/ca.pem"
    assert downloads_folder(root, again) == tmp_path / "down"
    assert downloads_folder(root | {"EDM_DOWNLOADS": "/d"}, again) == Path("/d")


@pytest.mark.parametrize("name", ["", ".x", "a b", "../up", "x" * 65, "_in_use", "é"])
def test_what_cannot_name_a_profile(name: str) -> None:
    with pytest.raises(InvalidUse, match="cannot name"):
        check_name(name)


def test_there_is_a_most_of_profiles(tmp_path: Path) -> None:
    address = parse_hub_address("https://a.example")
    for number in range(PROFILES_MAX):
        save_profile(Profile(f"p{number}", tmp_path, address))
    with pytest.raises(InvalidUse, match="the most"):
        save_profile(Profile("one-more", tmp_path, address))


def test_profiles_by_the_command(run: Run, hub: Hub, home: Path) -> None:
    assert run("profile", "add", "Lab", "--url", hub.url, "--country", "gb", env=NOBODY).code == 0
    assert stat.S_IMODE((home / ".entrepot" / "profiles.json").stat().st_mode) == 0o600
    again = run("profile", "add", "lab", "--url", "https://x.example", env=NOBODY)
    assert (again.code, "--replace" in again.err) == (2, True)
    assert run("profile", "use", "lab", env=NOBODY).code == 0
    listed = json.loads(run("profile", "list", "-f", "json", env=NOBODY).out)
    assert [(one["name"], one["in_use"]) for one in listed] == [
        ("lab", True),
        ("prod", False),
        ("qa", False),
    ]
    assert listed[0]["country"] == "GB"
    assert hub.url in run("profile", "list", env=NOBODY).out
    assert run("login", "token", "-", stdin=hub.token, env=NOBODY).code == 0
    assert run("entitlements", "-f", "json", env=NOBODY).code == 0
    with running_hub() as other:
        typed = ["-k", "elsewhere", "entitlements"]
        assert run("profile", "add", "elsewhere", "--url", other.url, env=NOBODY).code == 0
        assert run(*typed, env=NOBODY).code == 6, "its own sign-in, which there is not"
        assert other.requests == []
    unknown = run("-k", "nowhere", "entitlements", env=NOBODY)
    assert (unknown.code, "entrepot profile add nowhere" in unknown.err) == (2, True)
    assert run("profile", "remove", "lab", env=NOBODY).code == 0
    assert run("entitlements", env=NOBODY).code == 2
    assert "lab" not in (home / ".entrepot" / "profiles.json").read_text()
    assert hub.token not in "".join(
        path.read_text() for path in (home / ".entrepot").iterdir() if path.is_file()
    )


def test_a_file_of_certificates_is_read_when_it_is_named(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    ran = run("profile", "add", "lab", "--url", "https://x.example", "--cacert", str(broken))
    assert (ran.code, "PEM" in ran.err) == (2, True)
    assert run("products", "--cacert", str(tmp_path / "none.pem")).code == 2
    good = tmp_path / "good.pem"
    trustme.CA().cert_pem.write_to_path(good)
    assert trusting(str(good)) is trusting(str(good)), "read once"
