"""Rough edges of the operator's command: help, slips, and what a refusal says to do."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from entrepot.cli.app import cli as customers_command
from entrepot.core.accounts import passwords
from entrepot.daemon.app import cli
from entrepot.daemon.commands import COMMANDS
from entrepot.daemon.desk import Desk
from entrepot.daemon.sandbox import load_world
from tests.hashing import UnhurriedHasher
from tests.system.hubs import ENTREPOTD, clean_environment
from tests.system.test_daemon_commands import (  # noqa: F401 - fixtures
    Run,
    bare,
    data,
    entrepotd,
    made_once,
)

# What the help page has no use for, and what would take most of its time.
HEAVY = {
    "alembic",
    "argon2",
    "asyncio",
    "authlib",
    "cryptography",
    "joserfc",
    "litestar",
    "msgspec",
    "sqlalchemy",
    "ssl",
}


def loaded_by(*arguments: str) -> set[str]:
    """Every module that the command imports, in a process of its own."""
    ended = subprocess.run(
        [ENTREPOTD[0], "-X", "importtime", *ENTREPOTD[1:], *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = (line for line in ended.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_imports_neither_the_hub_nor_what_it_stands_on(option: str) -> None:
    loaded = loaded_by(option)
    assert "click" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert not {name for name in loaded if name.startswith(("entrepot.core", "entrepot.db"))}


def test_an_ordinary_command_loads_only_what_it_needs(data: Path) -> None:  # noqa: F811
    loaded = loaded_by("organisation", "list", "--data", str(data))
    assert "sqlalchemy" in loaded
    for name in ("alembic", "argon2", "authlib", "dbos", "joserfc", "litestar", "PIL", "uvicorn"):
        assert name not in loaded


def test_the_version_is_told_before_anything_is_imported() -> None:
    assert "click" not in loaded_by("--version")


def test_the_help_page_says_what_each_command_says_of_itself() -> None:
    root = click.Context(cli, info_name="entrepotd")
    for name, listed in COMMANDS.items():
        command = cli.get_command(root, name)
        assert command is not None
        assert command.get_short_help_str(limit=1000) == listed.does


def every_command(command: click.Command, context: click.Context) -> list[list[str]]:
    """The words that lead to each command below this one, and to itself."""
    if not isinstance(command, click.Group):
        return [[]]
    found: list[list[str]] = [[]]
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        inner = click.Context(below, info_name=name, parent=context)
        found += [[name, *words] for words in every_command(below, inner)]
    return found


@pytest.mark.parametrize("root", [cli, customers_command], ids=["entrepotd", "entrepot"])
def test_short_and_long_help_are_the_same_everywhere(
    root: click.Group, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = every_command(root, click.Context(root, info_name="x"))
    assert len(ways) > 10
    for words in ways:
        pages = []
        for option in ("-h", "--help"):
            root.main([*words, option], prog_name="x", standalone_mode=False)
            pages.append(capsys.readouterr().out)
        assert pages[0] == pages[1] != ""
        assert pages[0].startswith(f"Usage: x{''.join(f' {word}' for word in words)}"), words


def test_a_slip_in_controlled_publishes_nothing(entrepotd: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "one.bin"
    file.write_bytes(b"1")
    entrepotd("product", "add", "P1")
    slip = ("publish", "P1", "1.0", file, "--repository", "controled")
    refused = entrepotd(*slip)
    assert (refused.code, refused.out) == (5, "")
    assert "uncontrolled" in refused.err
    assert entrepotd("releases", "P1", "--json").json() == []
    meant = entrepotd(*slip, "--uncontrolled", "--json").json()
    assert meant["artifacts"][0]["controlled"] is False


def test_a_release_of_the_future_is_scheduled(entrepotd: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "one.bin"
    file.write_bytes(b"1")
    entrepotd("product", "add", "P1")
    entrepotd("publish", "P1", "1.0", file)
    later = entrepotd("publish", "P1", "2.0", file, "--available-at", "2999-01-01", "--json")
    assert later.json()["state"] == "scheduled"
    states = {row["name"]: row["state"] for row in entrepotd("releases", "P1", "--json").json()}
    assert states == {"1.0": "available", "2.0": "scheduled"}
    assert "scheduled" in entrepotd("releases", "P1").out
    entrepotd("withdraw", later.json()["id"])
    assert entrepotd("releases", "P1", "--json").json()[0]["state"] == "withdrawn"


def test_files_that_cannot_be_read_are_9(entrepotd: Run, tmp_path: Path) -> None:  # noqa: F811
    none, folder = tmp_path / "none.bin", tmp_path / "folder"
    folder.mkdir()
    entrepotd("product", "add", "P1")
    for arguments in (
        ("publish", "P1", "1.0", none),
        ("publish", "P1", "1.0", folder),
        ("licence", "add", "L1", none),
        ("licence", "revise", "L1", folder),
        ("assets", "add", none, "--public"),
    ):
        ended = entrepotd(*arguments)
        assert (ended.code, ended.out) == (9, ""), ended
        assert str(arguments[3] if arguments[0] != "assets" else none) in ended.err
        assert ended.err.startswith("entrepotd: ")
        assert ended.err.count("\n") == 1


def test_a_second_grant_of_the_same_is_to_be_meant(entrepotd: Run) -> None:  # noqa: F811
    entrepotd("product", "add", "P1")
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    first = entrepotd("grant", "Acme", "P1", "--valid-to", "2099-01-01").out.strip()
    again = ("grant", "Acme", "P1", "--valid-to", "2099-01-01")
    refused = entrepotd(*again)
    assert (refused.code, refused.out) == (6, "")
    assert first in refused.err
    assert "again" in refused.err
    assert entrepotd("grant", "Acme", "P1", "--valid-to", "2098-01-01").code == 0
    assert entrepotd(*again, "--again").code == 0
    assert len(entrepotd("entitlement", "list", "--json").json()) == 3


@pytest.mark.parametrize("command", ["check", "keys list", "user list"])
def test_another_secret_key_is_told_with_all_that_can_be_done(
    entrepotd: Run,  # noqa: F811
    data: Path,  # noqa: F811
    command: str,
) -> None:
    (data / "secret.key").write_text("T3st-0nly-secret.T3st-0nly-secret.42")
    ended = entrepotd(*command.split())
    said = ended.err if command != "check" else ended.out
    assert ended.code == (1 if command == "check" else 13)
    for words in ("backup", "secret.key", "ENTREPOT_SECRET_KEY", "--data"):
        assert words in said


def test_a_lost_secret_key_and_a_folder_without_a_hub_are_told_apart(
    bare: Run,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (data / "secret.key").unlink()
    for command in (["serve", "--bind", "127.0.0.1:0"], ["migrate"], ["user", "list"]):
        lost = bare(*command, "--data", data)
        assert lost.code == 13
        for words in ("holds a database", "backup", str(data / "secret.key"), "no use"):
            assert words in lost.err
        assert "token_urlsafe" not in lost.err
        astray = bare(*command, "--data", tmp_path / "elsewhere")
        assert astray.code == 13
        assert f"There is no hub in {tmp_path / 'elsewhere'}" in astray.err
        assert "--data" in astray.err
        assert f"entrepotd init --data {tmp_path / 'elsewhere'}" in astray.err
    assert not (tmp_path / "elsewhere").exists()


def test_passwords_are_hashed_while_others_may_write(
    entrepotd: Run,  # noqa: F811
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = UnhurriedHasher(f"sqlite:///{data}/entrepot.sqlite3")
    monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
    with Desk({"data": str(data)}).hub() as hub:
        assert load_world(hub, data)
    loaded = hasher.calls
    assert loaded > 1
    entrepotd("organisation", "add", "Acme", "--country", "DE")
    person = ("user", "add", "new@example.com", "--organisation", "Acme", "--ask-password")
    assert entrepotd(*person, stdin="a long password\n").code == 0
    renewed = entrepotd("user", "set-password", "new@example.com", stdin="another password\n")
    assert renewed.code == 0
    assert hasher.calls == loaded + 2


def test_python_m_is_the_same_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "entrepot.daemon", "version", "--json"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(ended.stdout)["entrepot"]
