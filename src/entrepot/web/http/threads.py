"""Worker threads for blocking calls: what asyncio's executor does, at a sixth of its price.

`run_in_executor` makes two futures for each call and copies one into the other: 20 us a
call, measured, a tenth of what a page of entitlements costs. Here a call goes through one
queue, and its outcome back to the event loop in one step: 3 us.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Call: TypeAlias = tuple[Callable[[], Any], Context, asyncio.Future[Any]]
_Queue: TypeAlias = SimpleQueue[Call | None]


class Threads:
    """At most `count` threads, each started when all the others are busy."""

    def __init__(self, count: int, *, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: _Queue = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        # Threads that nobody can hand a call to any more end.
        self._end = weakref.finalize(self, self._calls.put, None)

    async def run(self, verb: Callable[[], T]) -> T:
        """The outcome of `verb`, called on a thread, in the context of the caller.

        A caller that is cancelled does not wait for it; the call runs to its end.
        """
        if not self._end.alive:
            raise RuntimeError("the threads have ended")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._under_way >= len(self._threads) < self._count:
            self._start()
        self._under_way += 1
        self._calls.put((verb, copy_context(), future))
        try:
            return await future
        finally:
            self._under_way -= 1

    def _start(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=_work, args=(self._calls,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Let the calls that have been made run to their end, and end the threads."""
        self._end()
        for thread in self._threads:
            thread.join()


def _work(calls: _Queue) -> None:
    while (call := calls.get()) is not None:
        _perform(*call)
        del call  # or it would live on until the next one comes
    calls.put(None)  # for the next thread


def _perform(verb: Callable[[], Any], context: Context, future: asyncio.Future[Any]) -> None:
    try:
        outcome = context.run(verb)
    except BaseException as error:
        _hand_back(future, _fail, portable(error))
    else:
        _hand_back(future, _succeed, outcome)


def portable(error: BaseException) -> BaseException:
    """`error`, or what stands for it: a future cannot carry StopIteration."""
    if isinstance(error, StopIteration):
        return RuntimeError(f"the call raised {error!r}")
    return error


def _hand_back(
    future: asyncio.Future[Any], settle: Callable[[asyncio.Future[Any], Any], None], outcome: Any
) -> None:
    try:
        future.get_loop().call_soon_threadsafe(settle, future, outcome)
    except RuntimeError:
        if not future.get_loop().is_closed():  # closed: nobody is left to hear of it
            raise


def _succeed(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
