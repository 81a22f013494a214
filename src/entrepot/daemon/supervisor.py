"""Keeps processes running: starts them, replaces those that die or freeze, stops them all.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from entrepot.daemon.console import say

# Run in the child with (ready, lifeline) descriptors; returns the exit code.
Child: TypeAlias = Callable[[int, int], int]

# A process that dies sooner than this after its start is started again only after a while.
SHORT_LIFE_SECONDS = 5.0
# A process that must show that it lives, and that has been silent for so long, is killed.
SILENT_SECONDS_MAX = 6.0
START_SECONDS_MAX = 30.0  # until its first sign of life
ALIVE, READY = b".", b"!"
DELAY_SECONDS_MIN = 0.5
DELAY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
_TICK_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """`count` processes that run `child`.

    A `vital` role must be up before the whole is; where the first of its processes cannot
    start, nothing does. A process writes READY to its descriptor `ready` once it is; one whose
    role `beats` writes ALIVE every second or so, before and after.
    """

    name: str
    child: Child
    count: int
    vital: bool = True
    beats: bool = False


@dataclass(slots=True)
class _Slot:
    """The place of one process."""

    role: Role
    pid: int = 0
    ready_end: int = -1  # read end of its pipe; -1: none, or nothing more comes
    ready: bool = False
    heard: bool = False
    heard_at: float = 0.0
    started_at: float = 0.0
    start_at: float = 0.0  # when the next one may start
    deaths: int = 0  # short lives in a row


@dataclass(slots=True)
class Supervisor:
    """The processes of `roles`, the vital ones first. `on_death` gets the pid of each that died.

    `listener` is closed as soon as the whole is told to stop; `farewell` is said then.
    """

    roles: Sequence[Role]
    grace_seconds: int
    listener: socket.socket | None = None
    farewell: str = ""
    on_death: Callable[[int], None] = lambda _pid: None
    _slots: list[_Slot] = field(default_factory=list)
    _lifeline: tuple[int, int] = (-1, -1)
    _wakeup: tuple[int, int] = (-1, -1)
    _looked_at: float = float("inf")
    _told_to_stop: int = 0  # how often
    _exit_code: int = 0
    _up: bool = False

    def run(self, on_ready: Callable[[], None]) -> int:
        """Go on until SIGTERM, SIGINT or SIGHUP; returns the exit code.

        `on_ready` is called once, when every vital process is ready. Where the first one cannot
        start at all, its exit code is returned.
        """
        self._lifeline = os.pipe()
        self._slots = [_Slot(role) for role in self.roles for _ in range(role.count)]
        gc.freeze()  # what is here now stays shared with the children
        with self._signals():
            self._start(self._slots[0])
            while not self._told_to_stop and not self._exit_code:
                self._wait()
                self._reap()
                self._kill_silent()
                self._start_due()
                if not self._up and all(slot.ready or not slot.role.vital for slot in self._slots):
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
        # A child that took the parent's handler along would note a stop and go on starting.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        pid = os.fork()
        if pid == 0:
            self._become_child(slot.role, ready)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(ready)
        slot.pid, slot.ready_end, slot.ready, slot.heard = pid, ready_end, False, False
        slot.started_at = slot.heard_at = time.monotonic()

    def _become_child(self, role: Role, ready: int) -> None:
        """Never returns; whatever happens, the child does not go on as a second parent."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            for end in (self._lifeline[1], *self._wakeup):
                os.close(end)
            for slot in self._slots:
                if slot.ready_end >= 0:
                    os.close(slot.ready_end)
            code = role.child(ready, self._lifeline[0])
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
            self._hear(pending[end])

    def _hear(self, slot: _Slot) -> None:
        said = os.read(slot.ready_end, 4096)
        slot.ready = slot.ready or READY in said
        slot.heard, slot.heard_at = True, time.monotonic()
        if not (said and slot.role.beats):
            self._forget_pipe(slot)

    def _kill_silent(self) -> None:
        """End what is frozen: its place is taken by a new one, its work by others."""
        now, looked_at = time.monotonic(), self._looked_at
        self._looked_at = now
        for slot in self._slots:
            if not (slot.pid and slot.role.beats):
                continue
            if now - looked_at > 3 * _TICK_SECONDS:
                slot.heard_at = now  # we were frozen ourselves: it may have been, too
            limit = SILENT_SECONDS_MAX if slot.heard else START_SECONDS_MAX
            if now - slot.heard_at > limit:
                _log.warning("a process is frozen", extra={"pid": slot.pid, "role": slot.role.name})
                slot.heard_at = time.monotonic()
                os.kill(slot.pid, signal.SIGKILL)

    def _timeout(self) -> float:
        """Until the next start that is due; signals end the wait anyway."""
        waits = [slot.start_at - time.monotonic() for slot in self._slots if not slot.pid]
        soonest = min(waits, default=_TICK_SECONDS) if self._slots[0].ready else _TICK_SECONDS
        return min(max(0.0, soonest), _TICK_SECONDS)

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
        if not self._up and slot.role.vital and status > 0:
            self._exit_code = status  # it has said why
            return
        slot.deaths = slot.deaths + 1 if life < SHORT_LIFE_SECONDS else 0
        delay = min(DELAY_SECONDS_MIN * 2 ** (slot.deaths - 2), DELAY_SECONDS_MAX)
        slot.start_at = time.monotonic() + (delay if slot.deaths > 1 else 0.0)
        said = f"{slot.role.name} process ended"
        _log.warning(said, extra={"pid": pid, "status": status})

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
        if self.listener is not None:
            self.listener.close()
        told = self._told_to_stop
        self._signal_all(signal.SIGTERM)
        if self.farewell and any(slot.pid for slot in self._slots) and self._up:
            say(self.farewell)
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
