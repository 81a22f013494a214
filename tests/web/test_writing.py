"""Writes of many requests to SQLite: one commit for those that wait, each on its own."""

import asyncio
import functools
import shutil
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError

from entrepot.core.accounts.tables import organisations, users
from entrepot.db import Database, Tx, connect
from entrepot.db.migrate import migrate
from entrepot.errors import Conflict
from entrepot.web.http.threads import Threads
from entrepot.web.http.writing import SHARED_SECONDS_MAX, SharedWrites
from tests.factories import NOW

NAME: ContextVar[str] = ContextVar("name")


class Writes:
    """Shared writes on a database of their own, and how many commits they took."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.threads = Threads(4, name="writing")
        self.shared = SharedWrites(lambda: database, self.threads)
        self.commits = 0
        event.listen(database.engine, "commit", self._count)

    def _count(self, _: object) -> None:
        self.commits += 1

    def names(self) -> set[str]:
        with self.database.read() as tx:
            return set(tx.execute(select(organisations.c.name)).scalars())


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database to copy."""
    path = tmp_path_factory.mktemp("writing") / "migrated.sqlite3"
    database = connect(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture
def writes(migrated: Path, tmp_path: Path) -> Iterator[Writes]:
    path = tmp_path / "shared.sqlite3"
    shutil.copyfile(migrated, path)
    database = connect(f"sqlite:///{path}")
    made = Writes(database)
    yield made
    made.threads.close()
    database.close()


def in_loop(
    test: Callable[[Writes], Coroutine[None, None, None]],
) -> Callable[[Writes], None]:
    @functools.wraps(test)
    def run(writes: Writes) -> None:
        asyncio.run(test(writes))

    return run


def adding(name: str, *, fault: Exception | None = None) -> Callable[[Tx], str]:
    def add(tx: Tx) -> str:
        values = {"name": name, "country": "DE", "blocked": False, "created_at": NOW}
        tx.execute(insert(organisations), values)
        if fault is not None:
            raise fault
        return name

    return add


@in_loop
async def test_writes_that_wait_share_a_commit(writes: Writes) -> None:
    names = [f"n{number}" for number in range(40)]
    with pytest.MonkeyPatch.context() as patch:  # on a loaded machine one may take its time
        patch.setattr("entrepot.web.http.writing.SHARED_SECONDS_MAX", 60.0)
        found = await asyncio.gather(*(writes.shared.write(adding(name)) for name in names))
    assert found == names
    assert writes.names() == set(names)
    assert writes.commits < 20


@in_loop
async def test_one_after_the_other_each_has_its_own(writes: Writes) -> None:
    for number in range(3):
        await writes.shared.write(adding(f"n{number}"))
    assert writes.commits == 3


@in_loop
async def test_an_error_takes_back_its_own_write_alone(writes: Writes) -> None:
    fault = Conflict("no", code="taken")
    verbs = [adding("a"), adding("b", fault=fault), adding("c"), adding("a"), adding("d")]
    verbs.append(adding("e", fault=StopIteration()))
    found = await asyncio.gather(*(writes.shared.write(v) for v in verbs), return_exceptions=True)
    assert found[0] == "a"
    assert found[1] is fault
    assert found[2] == "c"
    assert isinstance(found[3], Exception)  # the name is taken by the first
    assert found[4] == "d"
    assert isinstance(found[5], RuntimeError)
    assert writes.names() == {"a", "c", "d"}


@in_loop
async def test_an_error_of_the_only_one_comes_back_as_it_is(writes: Writes) -> None:
    fault = Conflict("no", code="taken")
    with pytest.raises(Conflict) as caught:
        await writes.shared.write(adding("a", fault=fault))
    assert caught.value is fault
    assert writes.names() == set()
    assert await writes.shared.write(adding("b")) == "b"


@in_loop
async def test_where_the_transaction_is_lost_all_have_failed(writes: Writes) -> None:
    def lose(tx: Tx) -> None:
        driver = tx.connection.driver_connection
        assert driver is not None
        driver.execute("ROLLBACK")  # as SQLite does by itself when the disk fails
        raise OSError("the disk")

    verbs: list[Callable[[Tx], object]] = [adding("z"), adding("a"), lose, adding("b")]
    found = await asyncio.gather(*(writes.shared.write(v) for v in verbs), return_exceptions=True)
    shared = [outcome for outcome in found if isinstance(outcome, OSError)]
    kept = {str(outcome) for outcome in found if isinstance(outcome, str)}
    assert shared
    assert writes.names() == kept  # nobody was told of a write that does not hold
    assert await writes.shared.write(adding("after")) == "after"


@in_loop
async def test_where_the_commit_fails_all_have_failed(writes: Writes) -> None:
    def orphan(tx: Tx) -> None:
        tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        values = {"email": "a@example.com", "given_name": "A", "family_name": "B", "roles": []}
        tx.execute(insert(users), values | {"organisation_id": 999, "created_at": NOW})

    verbs: list[Callable[[Tx], object]] = [adding("z"), adding("a"), orphan, adding("b")]
    found = await asyncio.gather(*(writes.shared.write(v) for v in verbs), return_exceptions=True)
    assert any(isinstance(outcome, IntegrityError) for outcome in found)
    assert writes.names() == {str(outcome) for outcome in found if isinstance(outcome, str)}
    assert await writes.shared.write(adding("after")) == "after"


@in_loop
async def test_each_write_sees_the_context_of_its_request(writes: Writes) -> None:
    async def ask(name: str) -> str:
        NAME.set(name)
        return await writes.shared.write(lambda _: NAME.get())

    names = [f"n{number}" for number in range(20)]
    assert await asyncio.gather(*(ask(name) for name in names)) == names


@in_loop
async def test_who_has_gone_before_its_turn_writes_nothing(writes: Writes) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(_: Tx) -> None:
        begun.set()
        go.wait(60)

    first = asyncio.create_task(writes.shared.write(slow))
    assert await asyncio.to_thread(begun.wait, 60)
    gone = asyncio.create_task(writes.shared.write(adding("gone")))
    there = asyncio.create_task(writes.shared.write(adding("there")))
    await asyncio.sleep(0)
    gone.cancel()
    go.set()
    await first
    assert await there == "there"
    assert writes.names() == {"there"}


@in_loop
async def test_a_shared_transaction_is_short(writes: Writes) -> None:
    def slow(_: Tx) -> None:
        time.sleep(SHARED_SECONDS_MAX)

    await asyncio.gather(*(writes.shared.write(slow) for _ in range(12)))
    assert writes.commits >= 6
