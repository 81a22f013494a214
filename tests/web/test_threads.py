"""Blocking calls on worker threads: outcomes, context, cancelling, limits, ending."""

import asyncio
import functools
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar

import pytest

from entrepot.web.http.threads import Threads

NUMBER: ContextVar[int] = ContextVar("number", default=0)


def living(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


@in_loop
async def test_every_caller_gets_its_own_outcome() -> None:
    threads = Threads(4, name="own")

    async def ask(number: int) -> int:
        return await threads.run(lambda: number * number)

    assert await asyncio.gather(*(ask(n) for n in range(300))) == [n * n for n in range(300)]
    threads.close()


@in_loop
async def test_an_error_comes_back_as_it_was() -> None:
    threads = Threads(1, name="error")
    fault = LookupError("nothing here")

    def fail() -> None:
        raise fault

    with pytest.raises(LookupError) as caught:
        await threads.run(fail)
    assert caught.value is fault
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(lambda: next(iter(())))
    assert await threads.run(lambda: 7) == 7
    threads.close()


@in_loop
async def test_a_call_sees_the_context_of_its_caller_and_leaves_none_behind() -> None:
    threads = Threads(1, name="context")
    NUMBER.set(5)

    def change() -> int:
        before = NUMBER.get()
        NUMBER.set(9)
        return before

    assert await threads.run(change) == 5
    assert await threads.run(NUMBER.get) == 5
    threads.close()


@in_loop
async def test_threads_are_started_as_needed_and_never_more_than_allowed() -> None:
    threads = Threads(3, name="few")
    for _ in range(5):
        await threads.run(lambda: None)
    assert living("few") == 1
    running, most, lock = 0, 0, threading.Lock()
    three = threading.Barrier(3)

    def wait() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        three.wait(60)  # none goes on before three are here
        with lock:
            running -= 1

    await asyncio.gather(*(threads.run(wait) for _ in range(12)))
    assert most == 3
    assert living("few") == 3
    threads.close()
    assert living("few") == 0


@in_loop
async def test_who_is_cancelled_does_not_wait_and_disturbs_nobody() -> None:
    threads = Threads(1, name="cancel")
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go.wait(60)
        ended.set()

    task = asyncio.create_task(threads.run(slow))
    assert await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await threads.run(lambda: 3) == 3
    assert ended.is_set()
    threads.close()


@in_loop
async def test_closing_lets_calls_end_and_refuses_new_ones() -> None:
    threads = Threads(2, name="close")

    def work() -> str:
        time.sleep(0.05)
        return "done"

    task = asyncio.create_task(threads.run(work))
    await asyncio.sleep(0)
    threads.close()
    assert await task == "done"
    with pytest.raises(RuntimeError, match="ended"):
        await threads.run(lambda: None)
    threads.close()


@in_loop
async def test_threads_nobody_holds_end_by_themselves() -> None:
    threads = Threads(2, name="forgotten")
    await threads.run(lambda: None)
    assert living("forgotten") == 1
    del threads
    gc.collect()
    for _ in range(100):
        if not living("forgotten"):
            break
        await asyncio.sleep(0.02)
    assert living("forgotten") == 0


def test_an_outcome_after_the_loop_has_closed_is_dropped() -> None:
    threads = Threads(1, name="late")
    begun, go = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go.wait(60)

    async def leave() -> None:
        task = asyncio.create_task(threads.run(slow))
        assert await asyncio.to_thread(begun.wait, 60)
        task.cancel()

    asyncio.run(leave())
    go.set()
    threads.close()
    assert living("late") == 0
