"""Signing in by a code, where the sign-in is kept, and how it ends."""

import json
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

from entrepot.client import (
    BadAnswer,
    Cancelled,
    Client,
    Denied,
    InvalidUse,
    NotSignedIn,
    Stop,
    Times,
    Unreachable,
)
from entrepot.client import keyrings as keyrings_module
from entrepot.client.auth import SavedToken
from entrepot.client.connections import Address, parse_hub_address
from entrepot.client.device import (
    CLIENT_ID,
    GRANT_TYPE,
    DeviceSignIn,
    begin_device_sign_in,
    wait_for_device_sign_in,
)
from entrepot.client.keyrings import SystemKeyring
from entrepot.client.token_store import Grant, TokenStore
from tests.client import toy_keyrings
from tests.client.conftest import Ran, clean_environment
from tests.client.hub import ARTIFACTS, ENTITLEMENT, RELEASE, File, Hub, make_token

TIMES = Times(connect_seconds=2, stall_seconds=2, call_seconds=5)
CODE = {
    "device_code": "d" * 43,
    "user_code": "BCDF-GHJK",
    "verification_uri": "http://127.0.0.1:1/device",
    "verification_uri_complete": "http://127.0.0.1:1/device?user_code=BCDF-GHJK",
    "expires_in": 30,
    "interval": 0.01,
}
PENDING = (400, {"error": "authorization_pending"})
Run = Callable[..., Ran]


@pytest.fixture
def address(hub: Hub) -> Address:
    return parse_hub_address(hub.url)


def begun(**changed: Any) -> DeviceSignIn:
    values = {"device_code": "d", "user_code": "B", "page": "p", "whole_page": None}
    return DeviceSignIn(**{**values, "seconds": 30.0, "interval": 0.0, **changed})


def test_a_person_types_the_code_and_the_command_is_signed_in(run: Run, hub: Hub) -> None:
    hub.grants["device_authorization"] = (200, CODE)
    granted = (200, {"access_token": hub.token, "refresh_token": "r"})
    hub.grants[GRANT_TYPE] = [PENDING, PENDING, granted]
    hub.grants["revoke"] = (200, {})
    env = {"ENTREPOT_TOKEN": "", "ENTREPOT_KEYRING": "off"}
    ran = run("login", env=env)
    assert (ran.code, ran.out) == (0, "")
    assert "http://127.0.0.1:1/device\n" in ran.err
    assert "BCDF-GHJK" in ran.err
    assert "Ada Lovelace" in ran.err
    for secret in (hub.token, CODE["device_code"]):
        assert str(secret) not in ran.err
    asked, *polls = [request.query for request in hub.requests]
    assert asked["client_id"] == [CLIENT_ID]
    assert "offline_access" in asked["scope"][0].split()
    assert [poll["device_code"] for poll in polls] == [[CODE["device_code"]]] * 3
    assert run("entitlements", env=env).code == 0
    out = run("logout", env=env)
    assert out.code == 0
    (told,) = hub.asked("/oauth/revoke")
    assert (told.query["token"], told.query["client_id"]) == (["r"], [CLIENT_ID])
    assert run("entitlements", env=env).code == 6


def test_logging_out_works_where_the_hub_does_not(run: Run, hub: Hub, home: Path) -> None:
    env = {"ENTREPOT_TOKEN": "", "ENTREPOT_KEYRING": "off"}
    store = TokenStore(home / ".entrepot", "prod", parse_hub_address(hub.url))
    store.save(Grant("access", "refresh", CLIENT_ID))
    hub.grants["revoke"] = (503, {"error": "temporarily_unavailable"})
    ran = run("logout", env=env)
    assert (ran.code, "could not be told" in ran.err) == (0, True)
    assert not store.path.exists()


def test_polling_keeps_to_the_pace_that_the_hub_asks_for(
    hub: Hub, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    stop = Stop()
    monkeypatch.setattr(stop, "wait", waits.append)
    slow = (400, {"error": "slow_down"})
    hub.grants[GRANT_TYPE] = [PENDING, slow, PENDING, (503, {}), (200, {"access_token": "t"})]
    grant = wait_for_device_sign_in(address, begun(seconds=900, interval=5.0), TIMES, stop)
    assert grant == Grant("t", None, CLIENT_ID)
    assert waits == [5.0, 5.0, 10.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((400, {"error": "access_denied"}), Denied),
        ((400, {"error": "expired_token"}), NotSignedIn),
        ((400, {"error": "invalid_grant"}), NotSignedIn),
        ((401, {"error": "invalid_client"}), NotSignedIn),
        ((200, {"token": 1}), BadAnswer),
    ],
)
def test_a_sign_in_that_comes_to_nothing(
    hub: Hub, address: Address, answer: tuple[int, dict[str, Any]], expected: type[Exception]
) -> None:
    hub.grants[GRANT_TYPE] = [PENDING, answer]
    with pytest.raises(expected):
        wait_for_device_sign_in(address, begun(), TIMES)


def test_waiting_ends_with_the_code_or_with_ctrl_c(hub: Hub, address: Address) -> None:
    hub.grants[GRANT_TYPE] = PENDING
    with pytest.raises(NotSignedIn, match="in time"):
        wait_for_device_sign_in(address, begun(seconds=0.05, interval=0.02), TIMES)
    stop = Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Cancelled):
        wait_for_device_sign_in(address, begun(interval=20.0), TIMES, stop)


@pytest.mark.parametrize(
    "changed",
    [
        {"user_code": "\x1b]0;evil\x07"},
        {"user_code": ""},
        {"user_code": "A" * 400},
        {"device_code": None},
        {"device_code": "é"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": None},
        {"verification_uri_complete": "file:///etc/passwd"},
    ],
)
def test_a_strange_offer_is_not_shown(hub: Hub, address: Address, changed: dict[str, Any]) -> None:
    hub.grants["device_authorization"] = (200, CODE | changed)
    with pytest.raises(BadAnswer):
        begin_device_sign_in(address, TIMES)


def test_personal_tokens_work_as_others_do(run: Run, hub: Hub) -> None:
    token = "ept_" + "x" * 43
    hub.tokens.add(token)
    env = {"ENTREPOT_TOKEN": ""}
    ran = run("login", "token", "-", stdin=token, env=env | {"ENTREPOT_KEYRING": "off"})
    assert (ran.code, ran.out) == (0, "")
    assert run("entitlements", env=env).code == 0
    shown = run("login", "show-token", env=env)
    assert token in shown.out
    assert "personal token" in shown.err
    for name in ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN"):
        assert run("entitlements", env={"ENTREPOT_TOKEN": ""} | {name: token}).code == 0


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[KeyringBackend]], Path]:
    """Makes a kind of keyring the system's; returns the file of its secrets."""
    path = tmp_path / "keyring.json"
    monkeypatch.setenv("TOY_KEYRING", str(path))

    def use(kind: type[KeyringBackend]) -> Path:
        made = kind()
        monkeypatch.setattr(keyring, "get_keyring", lambda: made)
        return path

    return use


Toy = Callable[[type[KeyringBackend]], Path]


def test_the_keyring_holds_the_tokens_and_the_file_only_their_name(
    hub: Hub, address: Address, tmp_path: Path, toy: Toy
) -> None:
    held = toy(toy_keyrings.FileKeyring)
    store = TokenStore(tmp_path / "root", "prod", address, SystemKeyring({}))
    grant = Grant(make_token(ends_in_seconds=5), "refresh-1", CLIENT_ID)
    kept = store.save(grant)
    assert (kept.keyring, kept.trouble) == (keyring.get_keyring().name, "")
    text = store.path.read_text()
    assert "refresh-1" not in text
    assert grant.access_token not in text
    assert store.load() == grant
    hub.grants["refresh_token"] = (200, {"access_token": hub.token, "refresh_token": "refresh-2"})
    assert SavedToken(store, address, TIMES).token() == hub.token
    assert store.load() == Grant(hub.token, "refresh-2", CLIENT_ID)
    assert len(json.loads(held.read_text())) == 1
    store.delete()
    assert json.loads(held.read_text()) == {}
    assert store.load() is None


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [
        (toy_keyrings.LockedKeyring, "Failed to unlock"),
        (toy_keyrings.ForgetfulKeyring, "did not keep"),
        (toy_keyrings.HangingKeyring, "did not answer"),
        (toy_keyrings.PlainKeyring, ""),
    ],
)
def test_without_a_keyring_that_works_the_file_is_used(
    address: Address,
    tmp_path: Path,
    toy: Toy,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[KeyringBackend],
    trouble: str,
) -> None:
    toy(kind)
    monkeypatch.setattr(keyrings_module, "SECONDS_MAX", 0.5)
    store = TokenStore(tmp_path / "root", "prod", address, SystemKeyring({}))
    kept = store.save(Grant("access", "refresh"))
    assert kept.keyring is None
    assert trouble in kept.trouble
    assert bool(kept.trouble) == bool(trouble)
    assert store.load() == Grant("access", "refresh")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_keyring_that_locks_itself_later_is_told_and_signing_in_again_helps(
    hub: Hub, address: Address, tmp_path: Path, toy: Toy
) -> None:
    toy(toy_keyrings.FileKeyring)
    TokenStore(tmp_path, "prod", address, SystemKeyring({})).save(Grant("access"))
    toy(toy_keyrings.LockedKeyring)
    locked = TokenStore(tmp_path, "prod", address, SystemKeyring({}))
    for store in (
        locked,
        TokenStore(tmp_path, "prod", address, SystemKeyring({"ENTREPOT_KEYRING": "off"})),
    ):
        with pytest.raises(NotSignedIn, match="keyring, which cannot be read now"):
            store.load()
    assert "Failed to unlock" in locked.save(Grant(hub.token)).trouble
    assert locked.load() == Grant(hub.token)
    with pytest.raises(InvalidUse, match="auto or off"):
        SystemKeyring({"ENTREPOT_KEYRING": "maybe"})


def test_the_command_uses_the_keyring_of_the_system(run: Run, hub: Hub, tmp_path: Path) -> None:
    env = {
        "ENTREPOT_TOKEN": "",
        "PYTHON_KEYRING_BACKEND": "tests.client.toy_keyrings.FileKeyring",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TOY_KEYRING": str(tmp_path / "keyring.json"),
    }
    ran = run("login", "token", "-", stdin=hub.token, env=env)
    assert (ran.code, "kept in the keyring" in ran.err) == (0, True), ran
    assert hub.token in (tmp_path / "keyring.json").read_text()
    assert run("entitlements", env=env).code == 0
    broken = env | {"PYTHON_KEYRING_BACKEND": "tests.client.toy_keyrings.LockedKeyring"}
    assert run("entitlements", env=broken).code == 6
    assert run("show-config", env=broken).code == 0
    ran = run("login", "token", "-", stdin=hub.token, env=broken)
    assert (ran.code, "cannot be used" in ran.err) == (0, True), ran
    assert run("entitlements", env=broken).code == 0
    assert run("logout", env=env).code == 0


def test_a_token_that_lapses_in_mid_batch_is_renewed_by_itself(
    hub: Hub, address: Address, tmp_path: Path
) -> None:
    hub.files = [File(f"part-{n}", bytes(2000)) for n in range(3)]
    store = TokenStore(tmp_path / "root", "prod", address)
    store.save(Grant(hub.token, "refresh-1", CLIENT_ID))
    fresh = make_token(serial=2)
    hub.grants["refresh_token"] = (200, {"access_token": fresh, "refresh_token": "refresh-2"})
    with Client(hub.url, SavedToken(store, address, TIMES)) as client:
        artifacts = client.artifacts(ENTITLEMENT, RELEASE)
        client.download(ENTITLEMENT, RELEASE, artifacts[0], tmp_path)
        hub.tokens = {fresh}  # the hour is over, whatever this machine's clock says
        for artifact in artifacts[1:]:
            client.download(ENTITLEMENT, RELEASE, artifact, tmp_path)
    assert len(hub.asked("/oauth/token")) == 1
    assert store.load() == Grant(fresh, "refresh-2", CLIENT_ID)


def test_a_clock_that_is_wrong_does_not_renew_for_ever(
    hub: Hub, address: Address, tmp_path: Path
) -> None:
    store = TokenStore(tmp_path / "root", "prod", address)
    ended = make_token(ends_in_seconds=-7200, serial=3)
    hub.tokens = {ended}
    store.save(Grant(make_token(ends_in_seconds=-7200), "refresh-1", CLIENT_ID))
    hub.grants["refresh_token"] = (200, {"access_token": ended, "refresh_token": "refresh-2"})
    with Client(hub.url, SavedToken(store, address, TIMES)) as client:
        for _ in range(3):
            assert client.artifact(ENTITLEMENT, RELEASE, ARTIFACTS[0])
    assert len(hub.asked("/oauth/token")) == 1


def test_a_hub_that_cannot_renew_now_is_not_taken_for_a_sign_in_that_has_ended(
    hub: Hub, address: Address, tmp_path: Path
) -> None:
    store = TokenStore(tmp_path / "root", "prod", address)
    held = Grant(make_token(ends_in_seconds=20), "refresh-1", CLIENT_ID)
    hub.tokens = {held.access_token}
    store.save(held)
    hub.grants["refresh_token"] = (503, {"error": "temporarily_unavailable"})
    source = SavedToken(store, address, TIMES)
    assert source.token() == held.access_token  # it is good for some seconds more
    with pytest.raises(Unreachable):
        source.renewed(held.access_token)
    assert store.load() == held
    hub.grants["refresh_token"] = (400, {"error": "invalid_grant"})
    with pytest.raises(NotSignedIn, match="has ended"):
        source.renewed(held.access_token)
    assert source.token() == held.access_token  # until it is over
    assert store.load() == Grant(held.access_token, None, CLIENT_ID)


def test_commands_at_the_same_time_renew_one_sign_in_once(hub: Hub, home: Path) -> None:
    store = TokenStore(home / ".entrepot", "prod", parse_hub_address(hub.url))
    store.save(Grant("ended", "refresh-1", CLIENT_ID))
    refused = (400, {"error": "invalid_grant"})
    fresh = (200, {"access_token": hub.token, "refresh_token": "refresh-2"})
    hub.grants["refresh_token"] = [fresh, refused]
    env = clean_environment(home, hub) | {"ENTREPOT_KEYRING": "off"}
    del env["ENTREPOT_TOKEN"]
    command = [sys.executable, "-m", "entrepot.cli", "entitlements", "-f", "json"]
    running = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in running]
    assert [code for _, _, code in ended] == [0] * 4, ended
    assert len(hub.asked("/oauth/token")) == 1
    assert store.load() == Grant(hub.token, "refresh-2", CLIENT_ID)
