"""Keeps the web processes running: starts them, replaces those that die, stops them all.

The processes are forked, so that a replacement answers within a fraction of a second and all
share the memory of the code. The parent runs no threads and holds no connections. Each child
watches a pipe whose other end only the parent holds: it ends when the parent does, however
that ends.
"""

import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from entrepot.daemon.console import say

# Run in the child with (ready, lifeline) descriptors; returns the exit code.
Child: TypeAlias = Callable[[int, int], int]

# A process that dies sooner than this after its start is started again only after a while.
SHORT_LIFE_SECONDS = 5.0
DELAY_SECONDS_MIN = 0.5
DELAY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
_TICK_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Slot:
    """The place of one web process."""

    pid: int = 0
    ready_end: int = -1  # read end of its pipe; -1: none, or it has been read
    ready: bool = False
    started_at: float = 0.0
    start_at: float = 0.0  # when the next one may start
    deaths: int = 0  # short lives in a row


@dataclass(slots=True)
class Supervisor:
    """`count` processes that run `child`. `on_death` is called with the pid of each that died."""

    child: Child
    listener: socket.socket
    count: int
    grace_seconds: int
    on_death: Callable[[int], None] = lambda _pid: None
    _slots: list[_Slot] = field(default_factory=list)
    _lifeline: tuple[int, int] = (-1, -1)
    _wakeup: tuple[int, int] = (-1, -1)
    _told_to_stop: int = 0  # how often
    _exit_code: int = 0
    _up: bool = False

    def run(self, on_ready: Callable[[], None]) -> int:
        """Serve until SIGTERM, SIGINT or SIGHUP; returns the exit code.

        `on_ready` is called once, when every process answers. Where the first one cannot
        start at all, its exit code is returned.
        """
        self._lifeline = os.pipe()
        self._slots = [_Slot() for _ in range(self.count)]
        gc.freeze()  # what is here now stays shared with the children
        with self._signals():
            self._start(self._slots[0])
            while not self._told_to_stop and not self._exit_code:
                self._wait()
                self._reap()
                self._start_due()
                if not self._up and all(slot.ready for slot in self._slots):
                    self._up = True
                    on_ready()
            self._stop()
        return self._exit_code

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Handlers that count, and a pipe that ends `select` when a signal comes."""
        self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        yield
        signal.set_wakeup_fd(-1)

    def _note_stop(self, *_: object) -> None:
        self._told_to_stop += 1

    def _start(self, slot: _Slot) -> None:
        ready_end, ready = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_child(ready)
        os.close(ready)
        slot.pid, slot.ready_end, slot.ready = pid, ready_end, False
        slot.started_at = time.monotonic()

    def _become_child(self, ready: int) -> None:
        """Never returns; whatever happens, the child does not go on as a second parent."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for end in (self._lifeline[1], *self._wakeup):
                os.close(end)
            for slot in self._slots:
                if slot.ready_end >= 0:
                    os.close(slot.ready_end)
            code = self.child(ready, self._lifeline[0])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _wait(self) -> None:
        pending = {slot.ready_end: slot for slot in self._slots if slot.ready_end >= 0}
        readable, _, _ = select.select([self._wakeup[0], *pending], [], [], self._timeout())
        for end in readable:
            if end == self._wakeup[0]:
                while _read_some(end):
                    pass
                continue
            slot = pending[end]
            slot.ready = bool(os.read(end, 1))
            self._forget_pipe(slot)

    def _timeout(self) -> float:
        """Until the next start that is due; signals end the wait anyway."""
        waits = [slot.start_at - time.monotonic() for slot in self._slots if not slot.pid]
        return max(0.0, min(waits)) if waits and self._slots[0].ready else _TICK_SECONDS

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid and (status := _ended(slot.pid)) is not None:
                self._bury(slot, status)

    def _bury(self, slot: _Slot, status: int) -> None:
        pid, life = slot.pid, time.monotonic() - slot.started_at
        self._forget_pipe(slot)
        slot.pid, slot.ready = 0, False
        self.on_death(pid)
        if self._told_to_stop:
            return
        if not self._up and status > 0:
            self._exit_code = status  # it has said why
            return
        slot.deaths = slot.deaths + 1 if life < SHORT_LIFE_SECONDS else 0
        delay = min(DELAY_SECONDS_MIN * 2 ** (slot.deaths - 2), DELAY_SECONDS_MAX)
        slot.start_at = time.monotonic() + (delay if slot.deaths > 1 else 0.0)
        _log.warning("web process ended", extra={"pid": pid, "status": status})

    def _start_due(self) -> None:
        """Start what is missing: the others once the first one has shown that it can."""
        if self._told_to_stop or self._exit_code:
            return
        for index, slot in enumerate(self._slots):
            waits_for_first = index > 0 and not self._up and not self._slots[0].ready
            if not slot.pid and not waits_for_first and time.monotonic() >= slot.start_at:
                self._start(slot)

    def _stop(self) -> None:
        """SIGTERM to all, then SIGKILL to those that outlive the grace time or a second signal."""
        self.listener.close()
        told = self._told_to_stop
        self._signal_all(signal.SIGTERM)
        if any(slot.pid for slot in self._slots) and self._up:
            say(f"Stopping: running downloads have {self.grace_seconds} s. Again: stop now.")
        deadline = time.monotonic() + self.grace_seconds + STOP_SECONDS_MAX
        while any(slot.pid for slot in self._slots):
            if self._told_to_stop > max(told, 1) or time.monotonic() > deadline:
                self._signal_all(signal.SIGKILL)
            self._wait_for_signal()
            self._reap_last()

    def _wait_for_signal(self) -> None:
        select.select([self._wakeup[0]], [], [], 0.2)
        while _read_some(self._wakeup[0]):
            pass

    def _reap_last(self) -> None:
        for slot in self._slots:
            if slot.pid and _ended(slot.pid) is not None:
                self.on_death(slot.pid)
                slot.pid = 0

    def _signal_all(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)

    def _forget_pipe(self, slot: _Slot) -> None:
        if slot.ready_end >= 0:
            os.close(slot.ready_end)
            slot.ready_end = -1


def _ended(pid: int) -> int | None:
    """The exit code of a child that has ended (minus the signal that killed it), else None."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return b""
