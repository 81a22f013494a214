"""Settings: defaults, what follows from what, every fault at once, nothing secret shown."""

import dataclasses
import re
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import settings_page
from entrepot.errors import Invalid
from entrepot.settings import DECLARED, Settings, describe, from_env

SECRET = "zK3v9QmT0xR7bLw2YfHd8sNc5JpGa1Ue"  # any 32 random characters will do
BASE = {"ENTREPOT_DATA": "/srv/hub", "ENTREPOT_SECRET_KEY": SECRET}


def load(**changes: str) -> Settings:
    """Settings from BASE with these fields changed; an empty text unsets one."""
    return from_env(BASE | {f"ENTREPOT_{name.upper()}": text for name, text in changes.items()})


def faults(**changes: str) -> dict[str, str]:
    """Variable -> what is wrong with it."""
    with pytest.raises(Invalid) as caught:
        load(**changes)
    return {name: str(text) for name, text in caught.value.details.items()}


def test_two_variables_are_enough_and_the_rest_follows() -> None:
    settings = from_env(BASE, cores=6)
    assert settings.database_url == "sqlite:////srv/hub/entrepot.sqlite3"
    assert settings.blobs_dir == Path("/srv/hub/blobs")
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.allowed_hosts == ("127.0.0.1", "localhost")
    assert settings.web_processes == 6
    assert (settings.link_seconds, settings.token_seconds) == (600, 3600)
    assert (settings.body_bytes_max, settings.reserve_bytes) == (2**20, 2**26)
    assert settings.upload_bytes_max is None
    assert not settings.password_grant
    assert not settings.sandbox
    assert settings.trusted_proxies == settings.embargoed_countries == ()


def test_everything_can_be_told(tmp_path: Path) -> None:
    authority = trustme.CA().issue_cert("hub.example")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_chain_pems[0].write_to_path(cert)
    authority.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    settings = load(
        database_url="postgresql://hub:pw@db:5432/hub",
        bind="[::]:8443",
        public_url="https://Hub.Example/downloads",
        trusted_proxies="10.0.0.0/8, ::1,10.0.0.0/8",
        country_header="CF-IPCountry",
        embargoed_countries="kp, IR",
        allowed_hosts="hub.example,localhost",
        password_grant="ON",
        log_format="json",
        upload_bytes_max="5 GiB",
        tls_cert=str(cert),
        tls_key=str(key),
    )
    assert (settings.bind.host, settings.bind.port, str(settings.bind)) == ("::", 8443, "[::]:8443")
    assert settings.public_url == "https://hub.example/downloads"
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.country_header == "cf-ipcountry"
    assert settings.embargoed_countries == ("KP", "IR")
    assert settings.password_grant
    assert settings.upload_bytes_max == 5 * 2**30


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        from_env({"ENTREPOT_BIND": "8080", "ENTREPOT_SANDBOX": "maybe", "ENTREPOT_LOG_LEVL": "x"})
    assert set(caught.value.details) == {
        "ENTREPOT_BIND",
        "ENTREPOT_DATA",
        "ENTREPOT_LOG_LEVL",
        "ENTREPOT_SANDBOX",
    }
    first, *lines = caught.value.message.splitlines()
    assert first == "4 settings are wrong:"
    assert lines[0] == (
        "  ENTREPOT_BIND: '8080' has no port from 0 to 65535; "
        "write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080"
    )
    assert all(re.fullmatch(r"  ENTREPOT_[A-Z_]+: .+; .+", line) for line in lines)
    assert len(lines) == 4


def test_a_missing_secret_is_told_once_the_folder_is_known() -> None:
    """The key lies in the hub's folder: without that, its absence would be a second riddle."""
    with pytest.raises(Invalid) as caught:
        from_env({})
    assert set(caught.value.details) == {"ENTREPOT_DATA"}
    with pytest.raises(Invalid) as caught:
        from_env({"ENTREPOT_DATA": "/srv/hub"})
    assert set(caught.value.details) == {"ENTREPOT_SECRET_KEY"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("data", "hub", "absolute"),
        ("data", "/", "absolute"),
        ("data", "/srv/../etc", "absolute"),
        ("data", "/srv/a\nb", "control characters"),
        ("data", "/" + "a" * 4096, "4096"),
        ("database_url", "mysql://u:hunter2@h/d", "neither SQLite nor PostgreSQL"),
        ("database_url", "postgresql://u:hunter2@h", "no database"),
        ("database_url", "postgresql://u:hunter2@h:port/d", "not a URL"),
        ("database_url", "sqlite:///hub.db", "absolute"),
        ("database_url", "sqlite:////srv/hub.db?mode=ro", "query"),
        ("bind", "127.0.0.1", "no port"),
        ("bind", "127.0.0.1:65536", "no port"),
        ("bind", "::1:8080", "ambiguous"),
        ("bind", "exa mple:80", "not a host"),
        ("public_url", "hub.example", "not an http"),
        ("public_url", "ftp://hub.example", "not an http"),
        ("public_url", "https://", "slash"),
        ("public_url", "https://hub.example/", "slash"),
        ("public_url", "https://hub.example/a/../b", "prefix"),
        ("public_url", "https://hub.example?x=1", "query"),
        ("public_url", "https://u:hunter2@hub.example", "user name"),
        ("public_url", "https://hub.example:99999", "not a URL"),
        ("secret_key", "short", "fewer than 32"),
        ("secret_key", "a" * 64, "guessed"),
        ("secret_key", "changeme" * 8, "guessed"),
        ("secret_key", "0123456789abcdef" * 4, "guessed"),
        ("secret_key", "é" + SECRET, "ASCII"),
        ("web_processes", "0", "1 to 256"),
        ("link_seconds", "601", "1 to 600"),
        ("link_seconds", "-1", "1 to 600"),
        ("link_seconds", "١", "1 to 600"),
        ("token_seconds", "3601", "60 to 3600"),
        ("trusted_proxies", "0.0.0.0/0", "whole world"),
        ("trusted_proxies", "::/0", "whole world"),
        ("trusted_proxies", "10.0.0.1/8", "host bits"),
        ("trusted_proxies", ",".join(f"10.0.0.{n}" for n in range(65)), "65 members"),
        ("country_header", "CF-IPCountry", "no proxy is trusted"),
        ("country_header", "Authorization", "cannot carry"),
        ("country_header", "X Country", "cannot carry"),
        ("embargoed_countries", "DE,UK", "'UK' is not a country code"),
        ("allowed_hosts", "*", "wildcard"),
        ("allowed_hosts", "127.0.0.1,*.example", "wildcard"),
        ("allowed_hosts", "hub.example", "lacks 127.0.0.1"),
        ("password_grant", "perhaps", "neither on nor off"),
        ("log_level", "trace", "debug, info, warning, error"),
        ("log_format", "xml", "auto, json, text"),
        ("body_bytes_max", "1 GB", "not a size"),
        ("body_bytes_max", "1 GiB", "not a size"),
        ("reserve_bytes", "1 KiB", "not a size"),
        ("page_size_max", "10001", "1 to 10000"),
        ("requests_per_minute", "-1", "0 to 1000000"),
        ("tls_cert", "/etc/none.pem", "is not set, but TLS_CERT is"),
        ("tls_key", "/etc/none.pem", "is not set, but TLS_KEY is"),
        ("secret_key_file", "/etc/none", "is set beside"),
    ],
)
def test_a_bad_value_is_named_with_a_remedy(name: str, text: str, says: str) -> None:
    found = faults(**{name: text})
    assert len(found) == 1
    (line,) = found.values()
    assert says in line
    assert re.search(r"; \S", line)
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("bind", "public_url", "proxies", "accepted"),
    [
        ("127.0.0.1:80", "", "", True),
        ("127.0.0.1:80", "http://localhost:80", "", True),
        ("[::1]:80", "http://[::1]:80", "", True),
        ("127.0.0.1:80", "http://hub.example", "", False),
        ("127.0.0.1:80", "http://hub.example", "127.0.0.1", True),
        ("127.0.0.1:80", "https://hub.example", "", False),
        ("127.0.0.1:80", "https://hub.example", "127.0.0.1", True),
        ("127.0.0.1:0", "", "", False),
        ("127.0.0.1:0", "http://127.0.0.1:1234", "", True),
        ("0.0.0.0:80", "", "", False),
        ("0.0.0.0:80", "http://127.0.0.1", "", False),
        ("0.0.0.0:80", "http://hub.example", "", False),
        ("0.0.0.0:80", "http://hub.example", "10.0.0.2", True),
        ("0.0.0.0:80", "https://hub.example", "", False),
        ("0.0.0.0:80", "https://hub.example", "10.0.0.2", True),
        ("hub.example:80", "", "", False),
    ],
)
def test_clear_text_stays_on_this_machine(
    bind: str, public_url: str, proxies: str, accepted: bool
) -> None:
    changes = {"bind": bind, "public_url": public_url, "trusted_proxies": proxies}
    if accepted:
        assert load(**changes).public_url == (public_url or "http://127.0.0.1:80")
    else:
        assert set(faults(**changes)) == {"ENTREPOT_PUBLIC_URL"}


def test_https_by_somebody_else_needs_a_word_on_who_that_is(tmp_path: Path) -> None:
    public_url = "https://hub.example"
    [line] = faults(public_url=public_url).values()
    assert "share the address of the proxy" in line
    assert "; name the proxy in TRUSTED_PROXIES, or set TLS_CERT" in line
    assert set(faults(public_url=public_url, tls_cert=str(tmp_path / "none"))) == {
        "ENTREPOT_TLS_KEY"
    }


def test_tls_makes_the_public_address_https(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("certificate")
    key.write_text("key")
    key.chmod(0o600)
    paths = {"tls_cert": str(cert), "tls_key": str(key)}
    assert load(**paths).public_url == "https://127.0.0.1:8080"
    assert "https" in faults(**paths, public_url="http://127.0.0.1:8080")["ENTREPOT_PUBLIC_URL"]
    key.chmod(0o644)
    cert.unlink()
    assert set(faults(**paths)) == {"ENTREPOT_TLS_CERT", "ENTREPOT_TLS_KEY"}


def test_the_secret_may_come_from_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    settings = load(secret_key="", secret_key_file=str(file))
    assert settings.secret_key == SECRET
    assert settings.sources["secret_key"] == "SECRET_KEY_FILE"


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (SECRET.encode(), 0o604, "chmod 600"),
        (SECRET.encode(), 0o620, "chmod 600"),
        (b"", 0o600, "fewer than 32"),
        (b"\xff" * 40, 0o600, "not text"),
        (b"a" * 5000, 0o600, "more than 4096 bytes"),
    ],
)
def test_a_secret_file_that_is_not_private_or_not_a_secret_is_refused(
    tmp_path: Path, content: bytes, mode: int, says: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    found = faults(secret_key="", secret_key_file=str(file))
    assert says in found["ENTREPOT_SECRET_KEY_FILE"]


@pytest.mark.parametrize(("name", "says"), [("", "is not a file"), ("none", "cannot be read")])
def test_a_secret_file_must_be_there(tmp_path: Path, name: str, says: str) -> None:
    found = faults(secret_key="", secret_key_file=str(tmp_path / name))
    assert says in found["ENTREPOT_SECRET_KEY_FILE"]


def test_the_command_line_wins_and_sources_say_so() -> None:
    settings = from_env(BASE | {"ENTREPOT_BIND": "[::1]:1"}, options={"bind": "127.0.0.1:2"})
    assert str(settings.bind) == "127.0.0.1:2"
    assert settings.sources["bind"] == "command line"
    assert settings.sources["data"] == "environment"
    assert settings.sources["log_level"] == "default"
    assert settings.sources["blobs_dir"] == "derived from DATA"


def test_names_of_other_programs_are_ignored_and_typing_errors_are_not() -> None:
    assert load(url="https://hub.example", port="tcp://10.0.0.1:80").data == Path("/srv/hub")
    assert faults(trusted_proxy="10.0.0.1") == {
        "ENTREPOT_TRUSTED_PROXY": "is not a setting; did you mean ENTREPOT_TRUSTED_PROXIES?"
    }


def test_nothing_secret_is_shown() -> None:
    settings = load(database_url="postgresql://hub:hunter2@db:5432/hub?sslpassword=hunter3")
    lines = describe(settings)
    shown = {variable: value for variable, value, _ in lines}
    assert list(shown) == [f"ENTREPOT_{name.upper()}" for name in DECLARED]
    assert shown["ENTREPOT_SECRET_KEY"] == "(hidden)"
    assert shown["ENTREPOT_DATABASE_URL"] == "postgresql://hub:(hidden)@db:5432/hub?(hidden)"
    assert shown["ENTREPOT_RESERVE_BYTES"] == "64 MiB"
    assert shown["ENTREPOT_SANDBOX"] == "off"
    assert shown["ENTREPOT_UPLOAD_BYTES_MAX"] == "none"
    for text in (repr(settings), repr(lines)):
        assert not any(secret in text for secret in (SECRET, "hunter2", "hunter3"))


def test_no_secret_has_a_default_and_every_setting_is_declared_and_documented() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert fields == [*DECLARED, "sources"]
    page = settings_page()
    for name, setting in DECLARED.items():
        assert page.count(f"| `ENTREPOT_{name.upper()}` |") == 1
        assert setting.meaning
        assert not (setting.secret and setting.default)


@given(st.dictionaries(st.sampled_from(list(DECLARED)), st.text(max_size=40)))
def test_any_text_is_either_read_or_refused_by_name(changes: dict[str, str]) -> None:
    try:
        load(**changes)
    except Invalid as error:
        assert error.details
        assert all(name.removeprefix("ENTREPOT_").lower() in DECLARED for name in error.details)
