"""One sandboxed process: started, given one item at a time, watched, killed.

What it says is checked, what it uses is measured from here. After any error of `run` it must be
killed; so must a child that `is_clean` no longer says yes to.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence

from entrepot.core.conversions.port import ConversionCancelled, ConversionFailed
from entrepot.core.conversions.runners import protocol
from entrepot.core.conversions.runners.protocol import READY, Answer, Request
from entrepot.core.conversions.sandbox._command import Program, sandbox_command
from entrepot.core.conversions.sandbox._seccomp import seccomp_program
from entrepot.core.conversions.sandbox._usage import Usage, measure

PROCESSES_MAX = 64
THREADS_MAX = 512
_START_SECONDS_MAX = 30.0
_SEND_SECONDS_MAX = 5.0
_KILL_SECONDS_MAX = 10.0
_LOOK_SECONDS = 0.1  # between two looks at what the child uses
_ASK_SECONDS = 0.25  # between two questions whether the item is cancelled
_COMPLAINT_BYTES_MAX = 2048

_log = logging.getLogger(__name__)


class NotStarted(Exception):  # noqa: N818 - not an error of the item
    """No sandbox could be started; the text is one line that says why."""


class Child:
    """A started child that is ready. Start it on a thread that outlives it: where that thread
    ends the kernel takes it for the end of the hub and kills the child."""

    def __init__(self, program: Program) -> None:
        self._limits = program.limits
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = _spawn(program, theirs)
        except OSError as error:
            self._socket.close()
            raise NotStarted(str(error)) from error
        try:
            self._await_ready()
        except NotStarted:
            self.kill()
            raise
        finally:
            assert self._process.stderr is not None
            self._process.stderr.close()
        self._idle_processes = self._measure().processes
        self.items = 0

    def _await_ready(self) -> None:
        packet = b""
        if self._has_said(_START_SECONDS_MAX):
            packet = self._receive()
        try:
            protocol.decode_answer(packet, serial=READY)
        except ValueError as error:
            complaint = self._complaint() or "the sandbox did not start in time"
            raise NotStarted(complaint) from error

    def _complaint(self) -> str:
        """The last line that bubblewrap or Python wrote before it gave up."""
        assert self._process.stderr is not None
        written = self._process.stderr.fileno()
        os.set_blocking(written, False)
        text = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(written, 65536):
                text = (text + chunk)[-_COMPLAINT_BYTES_MAX:]
        lines = text.decode(errors="replace").strip().splitlines()
        return protocol.one_line(lines[-1], protocol.REASON_MAX) if lines else ""

    def is_waiting(self) -> bool:
        """Whether it lives and has said nothing unasked."""
        return self._process.poll() is None and not self._has_said(0)

    def is_clean(self, *, memory_bytes_max: int) -> bool:
        """Whether it may take another item: nothing of the last one runs on or fills memory."""
        usage = self._measure()
        return usage.processes == self._idle_processes and usage.memory_bytes <= memory_bytes_max

    def run(
        self, request: Request, descriptors: Sequence[int], cancelled: Callable[[], bool]
    ) -> Answer:
        """The answer, done or refused. Raises ConversionFailed, ConversionCancelled."""
        self.items += 1
        before = self._measure().cpu_seconds
        try:
            packet = protocol.encode_request(request)
        except ValueError as error:
            raise ConversionFailed(f"The recipe is too long: {error}.") from error
        try:
            self._socket.settimeout(_SEND_SECONDS_MAX)
            socket.send_fds(self._socket, [packet], list(descriptors))
        except OSError as error:
            raise _died(self._process) from error
        self._watch(before, cancelled)
        answer = self._take_answer(request.serial)
        self._check(self._measure(), before)
        return answer

    def _watch(self, before: float, cancelled: Callable[[], bool]) -> None:
        """Returns once the child has said something or has ended."""
        deadline = time.monotonic() + self._limits.wall_seconds_max
        asked = 0.0
        while not self._has_said(_LOOK_SECONDS):
            now = time.monotonic()
            self._check(self._measure(), before)
            if now >= deadline:
                raise ConversionFailed(
                    f"The conversion took longer than {self._limits.wall_seconds_max} s.",
                    code="media-too-slow",
                )
            if now - asked >= _ASK_SECONDS:
                if cancelled():
                    raise ConversionCancelled("The conversion was cancelled.")
                asked = time.monotonic()

    def _check(self, usage: Usage, before: float) -> None:
        limits = self._limits
        if usage.processes > PROCESSES_MAX or usage.threads > THREADS_MAX:
            raise ConversionFailed(
                "The file made its converter start too many processes.", code="media-damaged"
            )
        if usage.memory_bytes > limits.memory_bytes_max:
            raise ConversionFailed(
                f"The conversion needs more than {limits.memory_bytes_max >> 20} MiB of memory.",
                code="media-too-large",
            )
        if usage.cpu_seconds - before > limits.cpu_seconds_max:
            raise ConversionFailed(
                f"The conversion needs more than {limits.cpu_seconds_max} s of processor time.",
                code="media-too-slow",
            )

    def _take_answer(self, serial: int) -> Answer:
        packet = self._receive()
        if not packet:
            raise _died(self._process)
        try:
            answer = protocol.decode_answer(packet, serial=serial)
        except ValueError as error:
            _log.warning("a converter answered with rubbish: %s", error)
            raise ConversionFailed(
                "The converter gave an answer that is none.", code="converter-defect"
            ) from error
        if answer.outcome == "defect":
            _log.error("a converter failed unexpectedly: %s", answer.trace)
            raise ConversionFailed(
                "The converter failed in a way that was not foreseen.", code="converter-defect"
            )
        return answer

    def _has_said(self, seconds: float) -> bool:
        """Waits so long for a packet or the end (poll: descriptors may be above 1,023)."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(seconds * 1000))

    def _receive(self) -> bytes:
        """One packet, a byte longer than allowed where it was too long; empty: the end."""
        try:
            packet = self._socket.recv(protocol.MESSAGE_BYTES_MAX + 1, socket.MSG_DONTWAIT)
        except OSError:
            return b""
        return packet

    def _measure(self) -> Usage:
        return measure(self._process.pid, processes_max=PROCESSES_MAX)

    def kill(self) -> None:
        """Ends it and everything below it; returns once nothing of it can write any more."""
        self._process.kill()  # the namespace goes with it: bwrap --die-with-parent
        try:
            self._process.wait(_KILL_SECONDS_MAX)
            self._await_hangup()
        except (subprocess.TimeoutExpired, TimeoutError):
            _log.exception("a sandbox did not end within %s s", _KILL_SECONDS_MAX)
        finally:
            self._socket.close()

    def _await_hangup(self) -> None:
        """The other end is closed when the last process that held it is gone."""
        self._socket.settimeout(_KILL_SECONDS_MAX)
        with contextlib.suppress(ConnectionError):
            while self._socket.recv(protocol.MESSAGE_BYTES_MAX):
                pass


def _spawn(program: Program, theirs: socket.socket) -> subprocess.Popen[bytes]:
    rules = seccomp_program(local_sockets=program.local_sockets)
    reading: int | None = None
    if rules is not None:
        reading, writing = os.pipe()  # a page is enough for it, so this never blocks
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(rules)
    try:
        command = sandbox_command(program, seccomp=reading)
        return subprocess.Popen(  # noqa: S603 - the command is ours, without a shell
            command,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[] if reading is None else [reading],
            env=dict[str, str](),
            cwd="/",
            start_new_session=True,
        )
    finally:
        if reading is not None:
            os.close(reading)


def _died(process: subprocess.Popen[bytes]) -> ConversionFailed:
    """Why a child that is gone went, as far as its exit status tells (128 + signal)."""
    try:
        status = process.wait(1)
    except subprocess.TimeoutExpired:
        status = 0
    if status == 128 + signal.SIGXCPU:
        return ConversionFailed("The conversion needs too much time.", code="media-too-slow")
    if status == 128 + signal.SIGXFSZ:
        return ConversionFailed("The result is larger than it may be.", code="media-too-large")
    return ConversionFailed("The file made its converter break down.", code="converter-died")
