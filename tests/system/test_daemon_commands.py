"""The operator's commands, in this process, on a hub in a folder of its own."""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from entrepot.core.accounts import (
    check_password,
    load_keyring,
    principal_of,
    sign_out_everywhere,
    verify_token,
)
from entrepot.core.accounts.tables import users
from entrepot.daemon.app import run
from entrepot.daemon.desk import Desk
from entrepot.db import connect
from entrepot.errors import Unauthenticated

SECRET = "T3st-0nly-secret.T3st-0nly-secret.42"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `entrepotd` in an environment without settings of ours."""
    for name in ("DATA", "SECRET_KEY", "SECRET_KEY_FILE", "BIND", "PUBLIC_URL", "DATABASE_URL"):
        monkeypatch.delenv(f"ENTREPOT_{name}", raising=False)
    monkeypatch.setenv("ENTREPOT_RESERVE_BYTES", "1 MiB")

    def command(*arguments: str | Path, stdin: str = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ended(int(code), said.out, said.err)

    return command


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new hub's folder, for tests to copy."""
    data = tmp_path_factory.mktemp("made") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTREPOT_RESERVE_BYTES", "1 MiB")
        patch.delenv("ENTREPOT_SECRET_KEY", raising=False)
        assert run(["init", "--data", str(data)]) == 0
    yield data


@pytest.fixture
def data(made_once: Path, tmp_path: Path) -> Path:
    """A new hub's folder of this test's own."""
    return Path(shutil.copytree(made_once, tmp_path / "data"))


@pytest.fixture
def entrepotd(bare: Run, data: Path) -> Run:
    """Runs `entrepotd` on the hub in `data`."""

    def command(*arguments: str | Path, stdin: str = "") -> Ended:
        return bare(*arguments, "--data", data, stdin=stdin)

    return command


def test_init_makes_a_hub_that_checks_out_and_can_be_repeated(bare: Run, tmp_path: Path) -> None:
    data = tmp_path / "new" / "hub"
    first = bare("init", "--data", data)
    assert first.code == 0
    assert "entrepotd serve --data" in first.err
    secret = data / "secret.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700
    key = secret.read_text()
    assert key not in first.err + first.out
    assert bare("init", "--data", data).code == 0
    assert secret.read_text() == key
    assert bare("check", "--data", data).code == 0


def test_the_folder_may_be_named_before_the_command_and_by_a_relative_path(
    bare: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    assert bare("--data", "data", "users", "list", "--json").json() == []
    monkeypatch.setenv("ENTREPOT_DATA", str(data))
    assert bare("user", "list", "--json").json() == []


def test_init_makes_no_key_beside_a_database_that_needs_another(entrepotd: Run, data: Path) -> None:
    (data / "secret.key").unlink()
    refused = entrepotd("init")
    assert refused.code == 13
    assert refused.err.count("\n") == 1
    assert not (data / "secret.key").exists()


def test_a_key_from_the_environment_needs_no_file(
    bare: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_SECRET_KEY", SECRET)
    assert bare("init", "--data", tmp_path / "hub").code == 0
    assert not (tmp_path / "hub" / "secret.key").exists()
    assert bare("check", "--data", tmp_path / "hub").code == 0


def test_check_shows_settings_with_their_sources_and_no_secret(
    entrepotd: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_LINK_SECONDS", "77")
    (data / "served.json").write_text('{"bind": "127.0.0.1:4711"}')
    found = entrepotd("check", "--json").json()
    assert found["ok"] is True
    assert {check["name"] for check in found["checks"]} == {
        "database",
        "keys",
        "stored files",
        "disk",
        "tls",
        "media rules",
        "office documents",
        "identity providers",
    }
    shown = {row["name"]: (row["value"], row["source"]) for row in found["settings"]}
    assert shown["ENTREPOT_LINK_SECONDS"] == ("77", "environment")
    assert shown["ENTREPOT_DATA"] == (str(data), "command line")
    assert shown["ENTREPOT_SECRET_KEY_FILE"][1] == "secret.key"
    assert shown["ENTREPOT_BIND"] == ("127.0.0.1:4711", "served.json")
    plain = entrepotd("check")
    secret = (data / "secret.key").read_text().strip()
    assert "ENTREPOT_SECRET_KEY" in plain.out
    assert secret not in plain.out + plain.err + json.dumps(found)


@pytest.mark.parametrize(
    ("harm", "check"),
    [
        (lambda data: shutil.rmtree(data / "blobs"), "stored files"),
        (lambda data: (data / "entrepot.sqlite3").unlink(), "database"),
        (lambda data: (data / "secret.key").write_text(SECRET), "keys"),
        (lambda data: (data / "disk.reserve").unlink(), "disk"),
    ],
)
def test_check_names_what_does_not_work(
    entrepotd: Run, data: Path, harm: Callable[[Path], object], check: str
) -> None:
    harm(data)
    ended = entrepotd("check", "--json")
    assert ended.code == 1
    faults = {each["name"]: each["fault"] for each in json.loads(ended.out)["checks"]}
    assert faults[check]
    assert entrepotd("check").code == 1


def test_check_refuses_faulty_media_rules(
    entrepotd: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "media.toml"
    rules.write_text('[presets.odd]\nsteps = [{ type = "blurr", value = 2 }]\n')
    monkeypatch.setenv("ENTREPOT_MEDIA_RULES", str(rules))
    ended = entrepotd("check", "--json")
    assert ended.code == 1
    faults = {each["name"]: each["fault"] for each in json.loads(ended.out)["checks"]}
    assert "presets.odd.steps[0].type" in faults["media rules"]
    rules.write_text(rules.read_text().replace("blurr", "blur"))
    assert entrepotd("check").code == 0


def test_check_tells_every_wrong_setting(entrepotd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_LINK_SECONDS", "0")
    monkeypatch.setenv("ENTREPOT_LOG_LEVEL", "loud")
    ended = entrepotd("check")
    assert ended.code == 1
    assert "ENTREPOT_LINK_SECONDS" in ended.err
    assert "ENTREPOT_LOG_LEVEL" in ended.err


def test_migrate_says_what_it_did(bare: Run, entrepotd: Run, data: Path) -> None:
    assert "nothing to do" in entrepotd("migrate").err
    (data / "entrepot.sqlite3").unlink()
    assert "from revision none" in entrepotd("migrate").err
    assert bare("version", "--json").json()["entrepot"]


def test_organisations(entrepotd: Run) -> None:
    number = entrepotd("organisation", "add", "Äcme & Co", "--country", "de").out.strip()
    assert entrepotd("organisation", "block", "Äcme & Co").code == 0
    [row] = entrepotd("organisations", "list", "--json").json()
    assert (str(row["id"]), row["name"], row["country"], row["blocked"]) == (
        number,
        "Äcme & Co",
        "DE",
        True,
    )
    assert entrepotd("organisation", "unblock", number).code == 0
    assert entrepotd("organisation", "list", "--json").json()[0]["blocked"] is False
    table = entrepotd("organisation", "list").out.splitlines()
    assert table[0].split() == ["ID", "NAME", "COUNTRY", "BLOCKED", "CREATED", "AT"]
    assert "Äcme & Co" in table[1]
    assert entrepotd("organisation", "add", "Äcme & Co", "--country", "FR").code == 6
    assert entrepotd("organisation", "add", "Other", "--country", "XX").code == 5
    named = entrepotd("organisation", "add", "Other", "--country", "Germany")
    assert (named.code, "is DE." in named.err) == (5, True)
    assert entrepotd("organisation", "block", "Nobody").code == 3


def test_a_page_says_how_much_there_is(entrepotd: Run) -> None:
    for name in ("One", "Two", "Three"):
        entrepotd("organisation", "add", name, "--country", "DE")
    page = entrepotd("organisation", "list", "--skip", "1", "--take", "1", "--json")
    assert [row["name"] for row in page.json()] == ["Two"]
    assert "1 of 3" in page.err


def test_people_and_their_passwords(entrepotd: Run, data: Path) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    added = entrepotd(
        "user", "add", "Ada@Example.com", "--organisation", "Acme", "--role", "publisher",
        "--ask-password", stdin="correct horse battery\n",
    )  # fmt: skip
    assert added.code == 0, added
    [row] = entrepotd("users", "list", "--organisation", "Acme", "--json").json()
    assert (row["email"], row["roles"], row["given_name"]) == (
        "ada@example.com",
        ["publisher"],
        "Ada",
    )
    assert "hash" not in json.dumps(row)

    def signs_in(password: str) -> bool:
        with Desk({"data": str(data)}).hub() as hub:
            try:
                check_password(
                    hub.database,
                    email="ada@example.com",
                    password=password,
                    address="192.0.2.1",
                    now=hub.now,
                )
            except Unauthenticated:
                return False
        return True

    assert signs_in("correct horse battery")
    entrepotd("tokens", "make", "ada@example.com", "--name", "ci", "--scope", "orders")
    changed = entrepotd("user", "set-password", added.out.strip(), stdin="another long secret\n")
    assert (changed.code, "tokens that still hold: 1" in changed.out + changed.err) == (0, True)
    assert signs_in("another long secret")
    assert not signs_in("correct horse battery")
    assert entrepotd("user", "disable", "ada@example.com").code == 0
    assert not signs_in("another long secret")
    assert entrepotd("user", "enable", "ada@example.com").code == 0
    assert signs_in("another long secret")
    assert entrepotd("user", "roles", "ada@example.com", "customer", "operator").code == 0
    assert entrepotd("user", "list", "--json").json()[0]["roles"] == ["customer", "operator"]
    with Desk({"data": str(data)}).hub() as hub, hub.database.write() as tx:
        tx.execute(update(users).values(password_invited=True))
    promoted = entrepotd("user", "roles", "ada@example.com", "customer", "publisher")
    assert "invitation and has ended" in promoted.out + promoted.err
    assert not signs_in("another long secret")
    assert entrepotd("user", "set-password", "ada@example.com", stdin="short\n").code == 5
    assert entrepotd("user", "disable", "nobody@example.com").code == 3


def test_machines_get_their_secret_once(entrepotd: Run) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    added = entrepotd(
        "client", "add", "robot", "--organisation", "Acme", "--scope", "publish", "--role",
        "publisher", "--json",
    )  # fmt: skip
    secret = added.json()["client_secret"]
    listed = entrepotd("clients", "list", "--organisation", "Acme", "--json")
    assert secret not in listed.out
    (robot,) = listed.json()
    assert (robot["scopes"], robot["grants"]) == (["publish"], ["client_credentials"])
    assert entrepotd("client", "disable", "robot").code == 0
    every = {one["client_id"]: one for one in entrepotd("client", "list", "--json").json()}
    assert every["robot"]["disabled_at"]
    assert every["entrepot-cli"]["public"]
    assert every["entrepot-cli"]["organisation_name"] is None
    assert entrepotd("token", "robot").code == 4
    assert entrepotd("client", "enable", "robot").code == 0
    assert entrepotd("token", "robot").code == 0


def test_a_program_of_people_has_no_secret(entrepotd: Run) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    shop = ("--organisation", "Acme", "--redirect-uri", "https://shop.example.com/back")
    public = entrepotd("client", "add", "app", *shop, "--public", "--json")
    assert public.json() == {"client_id": "app"}
    assert entrepotd("client", "add", "old", *shop, "--no-pkce", "--json").json()["client_secret"]
    refused = entrepotd("client", "add", "bad", *shop, "--public", "--grant", "client_credentials")
    assert refused.code == 5
    assert "no secret" in refused.err


def test_tokens_for_ci_are_made_listed_and_revoked(entrepotd: Run) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    entrepotd("user", "add", "ada@example.com", "--organisation", "Acme")
    wanted = ("--name", "Nightly", "--scope", "entitlements", "--days", "7")
    made = entrepotd("tokens", "make", "ada@example.com", *wanted, "--network", "192.0.2.0/24")
    assert made.out.startswith("ept_")
    told = entrepotd("tokens", "make", "ada@example.com", *wanted, "--json").json()
    assert set(told) == {"id", "token", "expires_at"}
    listed = entrepotd("tokens", "list", "ada@example.com", "--json")
    assert made.out.strip() not in listed.out
    assert [one["networks"] for one in listed.json()] == [[], ["192.0.2.0/24"]]
    assert entrepotd("tokens", "revoke", "ada@example.com", told["id"]).code == 0
    shown = entrepotd("tokens", "list", "ada@example.com", "--json").json()
    assert [one["revoked_at"] is None for one in shown] == [False, True]
    assert entrepotd("tokens", "revoke", "ada@example.com", "9").code == 3
    refused = entrepotd("tokens", "make", "ada@example.com", "--name", "x", "--scope", "admin")
    assert refused.code == 5


def test_a_grant_says_what_it_gives_in_all(entrepotd: Run) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    entrepotd("product", "add", "DS1", "--name", "A product")
    limits = ("--downloads", "5", "--bytes", "1000", "--addresses", "2")
    assert entrepotd("grant", "Acme", "DS1", *limits).code == 0
    (given,) = entrepotd("entitlements", "list", "--json").json()
    assert (given["downloads_max"], given["bytes_max"], given["addresses_max"]) == (5, 1000, 2)
    shown = entrepotd("entitlement", "show", given["id"], "--json").json()
    used = {"downloads_used": 0, "bytes_used": 0, "addresses_used": 0, "returns_at": None}
    assert shown == given | used
    missing = entrepotd("entitlement", "show", "1")
    assert (missing.code, "`entrepotd entitlement list`" in missing.err) == (3, True)
    assert entrepotd("grant", "Acme", "DS1", "--downloads", "0").code == 2


def test_a_token_is_good_where_the_hub_was_served(entrepotd: Run, data: Path) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    entrepotd("user", "add", "ada@example.com", "--organisation", "Acme")
    (data / "served.json").write_text('{"bind": "127.0.0.1:4711", "sandbox": "off"}')
    issued = entrepotd("token", "ada@example.com", "--scope", "entitlements", "--json").json()
    assert issued["scopes"] == ["entitlements"]
    with Desk({"data": str(data)}).hub() as hub:
        with hub.database.read() as tx:
            ring = load_keyring(tx, hub.keys.box, now=hub.now())
            logged = tx.execute(text("SELECT actor, subject FROM events WHERE type='token.issued'"))
            assert logged.all() == [("operator", "user:10001")]
        issuer = "http://127.0.0.1:4711"
        claims = verify_token(ring, issued["access_token"], issuer=issuer, now=hub.now())
    assert claims is not None
    assert claims["emails"] == ["ada@example.com"]
    with Desk({"data": str(data)}).hub() as hub, hub.database.write() as tx:
        assert principal_of(tx, claims).label == "user:10001"
        sign_out_everywhere(tx, 10001, now=hub.now())  # or a new password: it ends with them
        with pytest.raises(Unauthenticated):
            principal_of(tx, claims)
    assert entrepotd("token", "nobody@example.com").code == 3
    assert entrepotd("token", "nobody").code == 3


def test_licences(entrepotd: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "one.txt", tmp_path / "two.txt"
    first.write_text("First text\n")
    second.write_bytes(b"\xff\xfe")
    assert entrepotd("licence", "add", "EULA", first, "--name", "The licence").code == 0
    assert entrepotd("licence", "revise", "EULA", second).code == 5
    second.write_text("Second text\n")
    assert entrepotd("licence", "revise", "EULA", second).out.strip() == "2"
    assert entrepotd("licence", "show", "EULA").out == "Second text\n"
    assert entrepotd("licence", "show", "EULA", "--revision", "1").out == "First text\n"
    assert entrepotd("licences", "list", "--json").json()[0]["revision"] == 2
    assert entrepotd("licence", "show", "NONE").code == 3


def test_products_change_in_part(entrepotd: Run, tmp_path: Path) -> None:
    licence = tmp_path / "licence.txt"
    licence.write_text("Text")
    entrepotd("licence", "add", "EULA", licence)
    number = entrepotd(
        "product", "add", "P1", "--name", "One", "--us-eccn", "5D002", "--licence", "EULA"
    ).out.strip()
    assert entrepotd("product", "change", "P1", "--unlisted", "--process", "7nm").code == 0
    shown = entrepotd("product", "show", number, "--json").json()
    assert (shown["name"], shown["listed"], shown["process"], shown["us_eccn"]) == (
        "One",
        False,
        "7nm",
        ["5D002"],
    )
    assert shown["licence_code"] == "EULA"
    assert entrepotd("product", "change", "P1", "--licence", "").code == 0
    assert entrepotd("product", "show", "P1", "--json").json()["licence_code"] is None
    assert entrepotd("product", "add", "GROUP", "--member", "P1").code == 0
    assert entrepotd("product", "show", "GROUP", "--json").json()["members"] == ["P1"]
    listed = entrepotd("products", "list", "--json").json()
    assert [(row["code"], row["grouped"]) for row in listed] == [("GROUP", True), ("P1", False)]
    assert entrepotd("product", "change", "P1").code == 5
    assert entrepotd("product", "add", "p 1").code == 5


def test_publish_grant_withdraw_revoke(entrepotd: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    one.write_bytes(b"1" * 1000)
    two.write_bytes(b"2" * 2000)
    entrepotd("product", "add", "P1")
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    release = entrepotd(
        "publish", "P1", "1.0", one, two, "--quality", "beta", "--major", "1", "--minor", "0",
        "--patch", "3", "--revision", "r0p1", "--type", "Patch", "--repository", "controlled-x",
        "--available-at", "2026-01-31", "--json",
    ).json()  # fmt: skip
    assert (release["name"], release["quality"], release["state"]) == ("1.0", "BETA", "available")
    assert release["available_at"] == "2026-01-31T00:00:00.000Z"
    assert release["product_code"] == "P1"
    assert [each["size"] for each in release["artifacts"]] == [1000, 2000]
    assert all(each["controlled"] for each in release["artifacts"])
    assert entrepotd("publish", "P1", "1.0", one).code == 6
    assert entrepotd("publish", "P2", "1.0", one).code == 3
    assert entrepotd("publish", "P1", "1.1", tmp_path / "none.bin").code == 9
    assert entrepotd("publish", "P1", "1.1", one, one).code == 5
    assert entrepotd("publish", "P1", "1.1", one, "--available-at", "soon").code == 2
    [listed] = entrepotd("releases", "P1", "--json").json()
    assert listed == release
    number = entrepotd("grant", "Acme", "P1", "--country", "de", "--valid-to", "2099-01-01").out
    [given] = entrepotd("entitlement", "list", "--organisation", "Acme", "--json").json()
    assert str(given["id"]) == number.strip()
    assert given["allowed_countries"] == ["DE"]
    assert given["product_code"] == "P1"
    for ends, state in (("2001-01-02", "ended"), (None, "active")):
        more = ("--valid-from", "2001-01-01", "--valid-to", ends) if ends else ()
        entrepotd("grant", "Acme", "P1", "--again", *more)
        assert entrepotd("entitlements", "list", "--json").json()[-1]["state"] == state
    entrepotd("grant", "Acme", "P1", "--again", "--valid-from", "2099-01-01")
    assert entrepotd("revoke", number.strip()).code == 0
    table = entrepotd("entitlement", "list").out.splitlines()
    heads = ("ID", "ORGANISATION NAME", "PRODUCT CODE", "RIGHT TO", "STATE", "VALID FROM")
    assert all(head in table[0] for head in heads)
    states = [line.split()[4:6] for line in table[1:]]
    assert [each[0] for each in states] == ["revoked", "ended", "active", "to"]
    assert entrepotd("revoke", number.strip()).code == 6
    assert entrepotd("withdraw", release["id"]).code == 0
    assert entrepotd("withdraw", release["id"]).code == 6
    assert entrepotd("releases", "P1", "--json").json()[0]["state"] == "withdrawn"
    assert entrepotd("product", "add", "BOTH", "--member", "P1").code == 0
    group = entrepotd("releases", "BOTH")
    assert (group.code, "`entrepotd releases P1`" in group.err) == (0, True)
    assert entrepotd("releases", "BOTH", "--json").json() == []
    assert entrepotd("downloads", "--json").json() == []
    assert "nothing to list" in entrepotd("downloads").err
    assert entrepotd("downloads", "--artifact", "x").code == 2
    assert "No event fits." in entrepotd("audit", "export", "--actor", "nobody").err
    slip = entrepotd("audit", "export", "--type", "release.publish")
    assert (slip.code, slip.out, "release.available" in slip.err) == (5, "", True)
    assert entrepotd("downloads", "--organisation", "Nobody").code == 3


def test_keys_rotate_and_what_they_signed_stays_good(entrepotd: Run, data: Path) -> None:
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    entrepotd("user", "add", "ada@example.com", "--organisation", "Acme")
    token = entrepotd("token", "ada@example.com").out.strip()
    for purpose in ("token", "link"):
        kid = entrepotd("keys", "rotate", purpose).out.strip()
        rows = [
            row for row in entrepotd("keys", "list", "--json").json() if row["purpose"] == purpose
        ]
        assert [row["state"] for row in rows] == ["signing", "next"]
        assert rows[1]["kid"] == kid
        assert rows[0]["retires_at"] > rows[1]["signs_from"]
    assert "sealed" not in entrepotd("keys", "list", "--json").out
    with Desk({"data": str(data)}).hub() as hub:
        issuer = hub.policy.public_url
        assert verify_token(hub.keys.current, token, issuer=issuer, now=hub.now())


def test_text_from_elsewhere_cannot_steer_the_terminal(entrepotd: Run, data: Path) -> None:
    entrepotd("product", "add", "P1", "--description", "a\x1b[31mred")
    database = connect(f"sqlite:///{data}/entrepot.sqlite3")
    with database.write() as tx:
        tx.execute(text("UPDATE products SET name = :name"), {"name": "x\x1b]0;owned\x07\u202ey"})
    database.close()
    listed = entrepotd("product", "list")
    assert "\x1b" not in listed.out
    assert "\u202e" not in listed.out
    assert "\\x1b" in listed.out


def test_wrong_use_says_so(bare: Run) -> None:
    assert bare("publsh").code == 2
    assert bare("publish").code == 2
    assert bare("--help").code == 0
    assert "organisation" in bare("--help").out


def test_what_is_left_out_of_the_settings_is_named(bare: Run) -> None:
    for words in (("user", "list"), ("init",), ("serve",)):
        ended = bare(*words)
        assert ended.code == 10
        assert ended.err.count("\n") == 1
        for told in ("which hub", "--data DIR", "ENTREPOT_DATA", "entrepotd init"):
            assert told in ended.err
        assert "SECRET_KEY" not in ended.err
