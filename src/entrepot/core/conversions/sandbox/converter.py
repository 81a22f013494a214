"""The converter that stands between the hub and hostile files."""

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from entrepot.core.conversions.port import (
    MEBIBYTE,
    ConversionCancelled,
    ConversionFailed,
    Converted,
    Fact,
    Limits,
    conversions_off,
    never,
)
from entrepot.core.conversions.runners.protocol import DESCRIPTORS_MAX, Answer, Request
from entrepot.core.conversions.sandbox._child import Child, NotStarted
from entrepot.core.conversions.sandbox._command import Program
from entrepot.errors import StorageFull

_TURN_SECONDS = 0.25  # how long to wait for a free child before asking whether to go on
_CLOSE_SECONDS_MAX = 15.0  # for one child to end
_FREE_BYTES_MIN = 16 * MEBIBYTE  # less than this: it was the disk that was too small


class SandboxedConverter:
    """A Converter (port.py) over up to `children_max` sandboxed processes.

    A process takes up to `items_max` items one after the other and is replaced sooner after any
    failure, or where more than `idle_memory_bytes_max` stay in use. `runners` (name: module) and
    `paths` (visible inside, to import them from) add to the hub's own runners.
    LibreOffice needs `local_sockets`.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        children_max: int = 1,
        items_max: int = 50,
        idle_memory_bytes_max: int = 384 * MEBIBYTE,
        runners: Mapping[str, str] | None = None,
        paths: Sequence[Path] = (),
        bwrap: str | None = None,
        local_sockets: bool = False,
    ) -> None:
        self._limits = limits or Limits()
        self._program = Program(self._limits, runners or {}, tuple(paths), bwrap, local_sockets)
        self._items_max = items_max
        self._idle_memory_bytes_max = idle_memory_bytes_max
        self._children_max = children_max
        self._turns = threading.BoundedSemaphore(children_max)
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._serials = itertools.count(1)
        self._closed = threading.Event()
        # Children die with the thread that started them (see Child): this one stays.
        self._launcher = ThreadPoolExecutor(1, thread_name_prefix="sandbox-launcher")

    def convert(
        self,
        source: BinaryIO,
        recipe: Mapping[str, object],
        target: BinaryIO,
        *,
        watermarks: Sequence[BinaryIO] = (),
        cancelled: Callable[[], bool] = never,
    ) -> Converted:
        """See Converter.convert; StorageFull where the disk of `target` is full."""
        if len(watermarks) > DESCRIPTORS_MAX - 2:
            raise ConversionFailed(
                f"More than {DESCRIPTORS_MAX - 2} watermarks.", code="media-unsupported"
            )
        with _reopened([source], [target], watermarks) as descriptors:
            request = Request(next(self._serials), "convert", recipe=dict(recipe))
            try:
                answer = self._run(request, descriptors, cancelled)
                size = self._measured_size(target)
            except ConversionFailed as error:
                raise _fault_of_disk(target) or error from error
        return Converted(answer.facts, size)

    def probe(self, source: BinaryIO, *, content_type: str) -> Mapping[str, Fact]:
        """See Converter.probe."""
        with _reopened([source], [], []) as descriptors:
            request = Request(next(self._serials), "probe", content_type=content_type)
            return self._run(request, descriptors, never).facts

    def close(self) -> None:
        """Ends every child; conversions under way end with ConversionCancelled."""
        if self._closed.is_set():
            return
        self._closed.set()
        for _ in range(self._children_max):  # whoever has a turn sees it and kills its child
            self._turns.acquire(timeout=_CLOSE_SECONDS_MAX)
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()
        self._launcher.shutdown()

    def _measured_size(self, target: BinaryIO) -> int:
        size = os.fstat(target.fileno()).st_size
        if size > self._limits.output_bytes_max:
            raise ConversionFailed("The result is larger than it may be.", code="media-too-large")
        if size == 0:
            raise ConversionFailed("The converter wrote nothing.", code="converter-defect")
        return size

    def _run(
        self, request: Request, descriptors: Sequence[int], cancelled: Callable[[], bool]
    ) -> Answer:
        def ended() -> bool:
            return self._closed.is_set() or cancelled()

        with self._turn(ended):
            child = self._borrow()
            done = False
            try:
                answer = child.run(request, descriptors, ended)
                done = answer.outcome == "done"
            finally:
                self._give_back(child, reusable=done)
        if not done:
            raise ConversionFailed(answer.message, code=answer.code)
        return answer

    @contextlib.contextmanager
    def _turn(self, ended: Callable[[], bool]) -> Iterator[None]:
        while not self._turns.acquire(timeout=_TURN_SECONDS):
            if ended():
                raise ConversionCancelled("The conversion was cancelled.")
        try:
            if ended():
                raise ConversionCancelled("The conversion was cancelled.")
            yield
        finally:
            self._turns.release()

    def _borrow(self) -> Child:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return self._start()
            if child.is_waiting():
                return child
            child.kill()

    def _start(self) -> Child:
        try:
            return self._launcher.submit(Child, self._program).result()
        except NotStarted as error:
            raise conversions_off(str(error)) from error
        except RuntimeError as error:  # the launcher was shut down
            raise ConversionCancelled("The converter was closed.") from error

    def _give_back(self, child: Child, *, reusable: bool) -> None:
        reusable = (
            reusable
            and child.items < self._items_max
            and child.is_clean(memory_bytes_max=self._idle_memory_bytes_max)
        )
        with self._lock:
            if reusable and not self._closed.is_set():
                self._idle.append(child)
                return
        child.kill()


@contextlib.contextmanager
def _reopened(
    read: Sequence[BinaryIO], written: Sequence[BinaryIO], also_read: Sequence[BinaryIO]
) -> Iterator[list[int]]:
    """Descriptors of their own for the child: no shared position, and sources only to read."""
    wanted = [(file, os.O_RDONLY) for file in read]
    wanted += [(file, os.O_RDWR) for file in written]
    wanted += [(file, os.O_RDONLY) for file in also_read]
    with contextlib.ExitStack() as opened:
        descriptors: list[int] = []
        for file, flags in wanted:
            descriptor = os.open(f"/proc/self/fd/{file.fileno()}", flags | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            descriptors.append(descriptor)
        yield descriptors


def _fault_of_disk(target: BinaryIO) -> StorageFull | None:
    """The conversion failed: was it for want of room where the result goes?"""
    disk = os.fstatvfs(target.fileno())
    if disk.f_bavail * disk.f_frsize >= _FREE_BYTES_MIN:
        return None
    return StorageFull(
        "There is no room for the result of a conversion.",
        remedy="Free space on the disk of the data folder.",
    )
