"""Sign-ins: kept private, bound to their hub, renewed where that is possible."""

import json
import signal
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client import Client, Denied, InvalidUse, LocalFileError, NotSignedIn, Times
from entrepot.client.auth import (
    ClientSecret,
    SavedToken,
    choose_tokens,
    sign_in_with_password,
)
from entrepot.client.connections import Address, parse_hub_address
from entrepot.client.profiles import downloads_folder, files_root, load_profile, save_profile
from entrepot.client.token_store import Grant, TokenStore, delete_sign_in
from entrepot.client.tokens import clean_token, read_claims
from tests.client.hub import Hub, make_token

TIMES = Times(connect_seconds=2, stall_seconds=2, call_seconds=5)


@pytest.fixture
def address(hub: Hub) -> Address:
    return parse_hub_address(hub.url)


@pytest.fixture
def store(tmp_path: Path, address: Address) -> TokenStore:
    return TokenStore(tmp_path / "root", "prod", address)


def test_the_store_is_private_whatever_the_umask(store: TokenStore) -> None:
    store.save(Grant("access", "refresh"))
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert store.load() == Grant("access", "refresh")


def test_a_store_open_to_others_is_closed(store: TokenStore) -> None:
    store.save(Grant("access"))
    store.path.chmod(0o644)
    assert store.load() == Grant("access")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_saved_token_is_never_offered_to_another_hub(store: TokenStore, tmp_path: Path) -> None:
    store.save(Grant("access"))
    other = TokenStore(tmp_path / "root", "prod", parse_hub_address("https://evil.example"))
    assert other.load() is None
    assert (
        TokenStore(tmp_path / "root", "qa", parse_hub_address("https://evil.example")).load()
        is None
    )


def test_profiles_keep_their_sign_ins_apart(store: TokenStore, address: Address) -> None:
    qa = TokenStore(store.path.parent, "qa", address)
    store.save(Grant("one"))
    qa.save(Grant("two"))
    store.delete()
    assert store.load() is None
    assert qa.load() == Grant("two")
    qa.delete()
    assert not store.path.exists()
    delete_sign_in(store.path.parent, "qa")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_a_damaged_store_is_said_to_be_so(store: TokenStore, content: bytes) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    store.path.chmod(0o600)
    with pytest.raises(LocalFileError, match="damaged"):
        store.load()


@pytest.mark.parametrize("content", [[], {"prod": 3}, {"prod": {"url": "x"}}])
def test_a_strange_store_holds_no_sign_in(store: TokenStore, content: object) -> None:
    store.path.parent.mkdir()
    store.path.write_text(json.dumps(content))
    assert store.load() is None


def test_a_saved_sign_in_is_renewed_when_the_hub_refuses_it(
    hub: Hub, store: TokenStore, address: Address
) -> None:
    store.save(Grant("old", "refresh-1"))
    hub.grants["refresh_token"] = (200, {"access_token": hub.token, "refresh_token": "refresh-2"})
    with Client(hub.url, SavedToken(store, address, TIMES)) as client:
        assert client.entitlements()
    assert store.load() == Grant(hub.token, "refresh-2")
    assert hub.asked("/oauth/token")[0].query["refresh_token"] == ["refresh-1"]


def test_a_sign_in_about_to_end_is_renewed_before_it_is_used(
    hub: Hub, store: TokenStore, address: Address
) -> None:
    store.save(Grant(make_token(ends_in_seconds=5), "refresh-1"))
    hub.grants["refresh_token"] = (200, {"access_token": hub.token})
    assert SavedToken(store, address, TIMES).token() == hub.token
    assert store.load() == Grant(hub.token, "refresh-1")


def test_ctrl_c_in_a_renewal_works_when_the_new_sign_in_is_kept(store: TokenStore) -> None:
    """The hub takes a refresh token once: what it gave for it may not be lost."""
    store.save(Grant("old", "refresh-1"))
    handler = signal.getsignal(signal.SIGINT)

    def renew(held: Grant) -> Grant:
        signal.raise_signal(signal.SIGINT)
        return Grant("new", "refresh-2")

    with pytest.raises(KeyboardInterrupt):
        store.exchange("old", renew)
    assert store.load() == Grant("new", "refresh-2")
    assert signal.getsignal(signal.SIGINT) is handler


def test_many_threads_renew_once(hub: Hub, store: TokenStore, address: Address) -> None:
    store.save(Grant("old", "refresh-1"))
    hub.grants["refresh_token"] = (200, {"access_token": hub.token, "refresh_token": "refresh-2"})
    source = SavedToken(store, address, TIMES)
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(source.renewed("old"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [hub.token] * 6
    assert len(hub.asked("/oauth/token")) == 1


def test_a_sign_in_made_meanwhile_by_another_command_is_taken(
    hub: Hub, store: TokenStore, address: Address
) -> None:
    source = SavedToken(store, address, TIMES)
    store.save(Grant("old"))
    assert source.token() == "old"
    store.save(Grant(hub.token))
    assert source.renewed("old") == hub.token
    assert source.renewed(hub.token) is None
    assert hub.asked("/oauth/token") == []


def test_a_machine_gets_a_token_and_another_when_it_ends(hub: Hub, address: Address) -> None:
    hub.grants["client_credentials"] = (200, {"access_token": make_token(serial=1)})
    source = ClientSecret(address, "ci", "s3:cret", TIMES)
    with Client(hub.url, source) as client:
        with pytest.raises(NotSignedIn):
            client.entitlements()
        hub.grants["client_credentials"] = (200, {"access_token": hub.token})
        assert client.entitlements()
        assert client.entitlements()
    posts = hub.asked("/oauth/token")
    assert posts[0].headers["authorization"] == "Basic Y2k6czMlM0FjcmV0"
    assert len(posts) == 3


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, "invalid_grant", NotSignedIn),
        (401, "invalid_client", NotSignedIn),
        (400, "unsupported_grant_type", Denied),
        (400, "unauthorized_client", Denied),
    ],
)
def test_grants_that_are_refused(
    hub: Hub, address: Address, status: int, error: str, expected: type[Exception]
) -> None:
    hub.grants["password"] = (status, {"error": error, "error_description": "Because."})
    with pytest.raises(expected, match="Because"):
        sign_in_with_password(address, "ada", "pw", TIMES)


def test_what_the_environment_says_comes_first(
    hub: Hub, store: TokenStore, address: Address
) -> None:
    store.save(Grant("saved"))
    root = store.path.parent

    def token(**environment: str) -> str:
        return choose_tokens(environment, root, "prod", address, TIMES).token()

    hub.grants["client_credentials"] = (200, {"access_token": "machine"})
    assert token() == "saved"
    assert token(ENTREPOT_CLIENT_ID="ci", ENTREPOT_CLIENT_SECRET="s") == "machine"
    assert token(EDM_ACCESS_TOKEN="edm", ENTREPOT_CLIENT_ID="ci") == "edm"
    assert token(ENTREPOT_TOKEN="ours", EDM_ACCESS_TOKEN="edm") == "ours"
    with pytest.raises(InvalidUse, match="belong together"):
        token(ENTREPOT_CLIENT_ID="ci")


def test_claims_are_read_without_being_trusted() -> None:
    claims = read_claims(make_token(country="FR"))
    assert (claims.owner, claims.emails, claims.country) == (
        "Ada Lovelace",
        ("ada@example.com",),
        "FR",
    )
    assert claims.expires_at is not None
    now = datetime.now(UTC)
    assert timedelta(0) < claims.expires_at - now <= timedelta(hours=1)
    assert read_claims(make_token(ends_in_seconds=-1)).expired(now)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True)))
def test_no_text_breaks_the_reading_of_a_token(text: str) -> None:
    try:
        read_claims(clean_token(text))
    except InvalidUse as error:
        assert error.message


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a\nb", "a\r\nX-Evil: 1", "é", "x" * 20_000, "\x01"]
)
def test_a_token_cannot_carry_a_header(text: str) -> None:
    with pytest.raises(InvalidUse):
        clean_token(text)


def test_a_token_is_cleaned_of_what_pasting_adds() -> None:
    assert clean_token("  Bearer abc.def.ghi \n") == "abc.def.ghi"


def test_profiles_remember_their_hub(tmp_path: Path) -> None:
    environment = {"EDM_ROOT": str(tmp_path)}
    with pytest.raises(InvalidUse, match="Which hub"):
        load_profile(None, None, environment).hub()
    save_profile(load_profile("qa", "https://qa.example/x/", environment))
    save_profile(load_profile(None, "https://prod.example", environment))
    assert load_profile(None, None, environment).hub().url == "https://prod.example"
    assert load_profile("QA", None, environment).hub().url == "https://qa.example/x"
    assert load_profile(None, None, environment | {"EDM_ENV": "QA"}).name == "qa"
    assert load_profile("prod", None, environment | {"EDM_ENV": "QA"}).name == "prod"
    given_by_variable = environment | {"ENTREPOT_URL": "https://e.example"}
    assert load_profile(None, None, given_by_variable).hub().url == "https://e.example"
    with pytest.raises(InvalidUse, match="EDM_ENV"):
        load_profile(None, None, environment | {"EDM_ENV": "x"})


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files_root({}) == tmp_path / ".entrepot"
    assert files_root({"EDM_ROOT": "~/e"}) == tmp_path / "e"
    assert files_root({"EDM_ROOT": "/e", "ENTREPOT_ROOT": "/o"}) == Path("/o")
    assert downloads_folder({}) == tmp_path / "Artifacts"
    assert downloads_folder({"EDM_DOWNLOADS": "/d"}) == Path("/d")
