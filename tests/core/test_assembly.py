"""Putting the hub together: what prepare makes, what assemble refuses, keys and the clock."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, text

from entrepot import assembly
from entrepot.assembly import Hub, assemble, prepare
from entrepot.core import accounts
from entrepot.core.accounts.tables import keys
from entrepot.db import connect
from entrepot.errors import Unavailable
from entrepot.settings import Settings, from_env
from tests import factories
from tests.factories import OPERATOR

SECRET = "T3st-0nly-secret.T3st-0nly-secret.42"
PREPARES = """
import os, sys
from entrepot.assembly import prepare
from entrepot.settings import from_env

settings = from_env(os.environ, cores=1)
sys.stdin.readline()
prepare(settings)
"""


def environ(database_url: str, folder: Path) -> dict[str, str]:
    return {
        "ENTREPOT_DATA": str(folder),
        "ENTREPOT_DATABASE_URL": database_url,
        "ENTREPOT_SECRET_KEY": SECRET,
        "ENTREPOT_BIND": "127.0.0.1:8080",
        "ENTREPOT_RESERVE_BYTES": "1 MiB",
    }


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings over a migrated database."""
    return from_env(environ(database_url, tmp_path / "data"), cores=1)


def opened(settings: Settings, clock: Callable[[], float] | None = None) -> Hub:
    prepare(settings)
    return assemble(settings, clock=clock)


def test_prepare_makes_everything_and_again_changes_nothing(settings: Settings) -> None:
    hub = opened(settings)
    before = sorted(hub.keys.current.link_keys), sorted(hub.keys.current.token_keys)
    with hub.database.write() as tx:
        number = factories.add_organisation(tx)
    hub.close()
    again = opened(settings)
    assert (sorted(again.keys.current.link_keys), sorted(again.keys.current.token_keys)) == before
    with again.database.read() as tx:
        assert accounts.find_organisation(tx, number).id == number
        count = select(func.count()).select_from(keys)
        assert tx.execute(count).scalar_one() == len(accounts.PURPOSES)
    assert again.policy.public_url == "http://127.0.0.1:8080"
    again.close()


def refusal(settings: Settings) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        assemble(settings)
    return caught.value


def test_what_does_not_fit_is_refused_in_a_line_that_says_what_to_do(settings: Settings) -> None:
    prepare(settings)
    other = from_env(
        {**environ(settings.database_url, settings.data), "ENTREPOT_SECRET_KEY": SECRET[::-1]},
        cores=1,
    )
    wrong_key = refusal(other)
    assert (wrong_key.code, bool(wrong_key.remedy)) == ("secret-key-wrong", True)
    assert SECRET[::-1] not in wrong_key.message + wrong_key.remedy
    database = connect(settings.database_url)
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert refusal(settings).code == "database-newer"
    with pytest.raises(Unavailable, match="newer version"):
        prepare(settings)
    with database.write() as tx:
        tx.execute(text("DELETE FROM alembic_version"))
    assert refusal(settings).code == "database-older"
    database.close()


def test_without_a_key_nothing_is_signed(settings: Settings) -> None:
    hub = opened(settings)
    with hub.database.write() as tx:
        tx.execute(delete(keys))
    with pytest.raises(Unavailable, match="no key") as caught:
        hub.keys.refresh().signing_link_key(hub.now())
    assert caught.value.code == "keys-missing"
    hub.close()


def test_a_file_in_the_place_of_the_folder_is_named(settings: Settings) -> None:
    settings.data.write_text("a file")
    with pytest.raises(Unavailable) as caught:
        prepare(settings)
    assert caught.value.code == "folder-not-writable"
    assert str(settings.data) in caught.value.message


def test_processes_that_prepare_at_the_same_moment_make_one_set_of_keys(
    settings: Settings,
) -> None:
    database = connect(settings.database_url)
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PREPARES],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **environ(settings.database_url, settings.data),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with database.read() as tx:
        assert sorted(tx.execute(select(keys.c.purpose)).scalars()) == sorted(accounts.PURPOSES)
    database.close()


def test_an_unknown_key_is_looked_for_once_a_second_however_many_ask(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = opened(settings)
    loads: list[float] = []
    load, slowly = accounts.load_keyring, threading.Event()
    # The second that passes is told: a loaded machine may take longer than one for any line here.
    monkeypatch.setattr(assembly, "KEYS_RELOAD_SECONDS_MIN", 3600.0)

    def counted(*arguments: object, **named: object) -> accounts.Keyring:
        loads.append(time.monotonic())
        slowly.wait(0.05)
        return load(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("entrepot.assembly.load_keyring", counted)
    for _ in range(20):  # just loaded: nothing to find
        hub.keys.refresh_for_unknown()
    assert loads == []
    with hub.database.write() as tx:
        kid = accounts.rotate_keys(tx, hub.keys.box, "link", actor=OPERATOR, now=hub.now())
    assert kid not in hub.keys.current.link_keys
    hub.keys._loaded_at -= assembly.KEYS_RELOAD_SECONDS_MIN
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(hub.keys.refresh_for_unknown) for _ in range(40)]
        assert all(kid in done.result().link_keys for done in asked)
    assert len(loads) == 1
    hub.close()


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_with_postgresql_all_processes_have_the_databases_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(settings)
    real = time.time
    with monkeypatch.context() as wrong:
        wrong.setattr("entrepot.assembly.time.time", lambda: real() + 3600)
        hub = assemble(settings)
    assert abs(hub.now() - datetime.fromtimestamp(real(), UTC)) < timedelta(minutes=1)
    before = hub.now()
    with monkeypatch.context() as jumped:
        jumped.setattr("entrepot.assembly.time.time", lambda: real() - 36_000)
        assert timedelta(0) <= hub.now() - before < timedelta(minutes=1)
    hub.close()


def test_tests_may_give_a_clock(settings: Settings) -> None:
    hub = opened(settings, clock=lambda: 1_800_000_000.0)
    assert abs(hub.now() - datetime(2027, 1, 15, 8, tzinfo=UTC)) < timedelta(seconds=30)
    hub.close()
