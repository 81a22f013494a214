"""Writing to SQLite from many requests: those that wait share one commit.

SQLite writes one transaction at a time, and most of what a small one costs is its commit:
the pages it touched go to the log and the disk has to say that it has them. So the writes
that come while a commit is under way wait together, and the next transaction makes them
all, each in a part of its own that an error takes back alone. Nobody gets an answer before
the commit; where it fails, it has failed for all. With one request at a time nothing waits.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from entrepot.db import Database, Tx, is_lost
from entrepot.web.http.threads import Threads, portable

T = TypeVar("T")

SHARED_MAX = 64
# Writes that would begin later than this in a transaction wait for the next one.
SHARED_SECONDS_MAX = 0.01


@dataclass(frozen=True, slots=True)
class _Write:
    verb: Callable[[Tx], Any]
    context: Context
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: BaseException | None = None


class SharedWrites:
    """The writes of one process that wait for the database's only writer."""

    def __init__(self, database: Callable[[], Database], threads: Threads) -> None:
        self._database = database
        self._threads = threads
        self._waiting: deque[_Write] = deque()
        self._working: asyncio.Task[None] | None = None

    async def write(self, verb: Callable[[Tx], T]) -> T:
        """The outcome of `verb`, once it is committed."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(verb, copy_context(), future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._commit_some()
        finally:
            self._working = None

    async def _commit_some(self) -> None:
        count = min(len(self._waiting), SHARED_MAX)
        writes = [self._waiting.popleft() for _ in range(count)]
        wanted = [write for write in writes if not write.future.done()]
        try:
            outcomes = await self._threads.run(lambda: self._perform(wanted))
        except BaseException as error:
            for write in wanted:
                if not write.future.done():
                    write.future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        self._waiting.extendleft(reversed(wanted[len(outcomes) :]))
        for write, outcome in zip(wanted, outcomes, strict=False):
            if write.future.done():
                continue
            if outcome.error is None:
                write.future.set_result(outcome.value)
            else:
                write.future.set_exception(outcome.error)

    def _perform(self, writes: Sequence[_Write]) -> list[_Outcome]:
        """The outcomes of as many as there was time for, committed."""
        end = time.monotonic() + SHARED_SECONDS_MAX
        database = self._database()
        with database.write() as tx:
            if len(writes) == 1:  # an error takes back the transaction
                return [_Outcome(writes[0].context.run(writes[0].verb, tx))]
            outcomes = []
            for write in writes:
                outcomes.append(_attempt(database, tx, write))
                if time.monotonic() > end:
                    break
            return outcomes


def _attempt(database: Database, tx: Tx, write: _Write) -> _Outcome:
    try:
        with database.part(tx):
            return _Outcome(write.context.run(write.verb, tx))
    except Exception as error:
        if is_lost(tx):
            raise
        return _Outcome(error=portable(error))
