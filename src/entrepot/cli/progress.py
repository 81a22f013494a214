"""How downloads are shown: bars on a terminal, one line per event elsewhere, all on stderr."""

import sys
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from entrepot.cli.console import say
from entrepot.cli.rows import size_text
from entrepot.client.batch import Outcome
from entrepot.client.downloader import Watcher
from entrepot.client.errors import LicenceNeeded

if TYPE_CHECKING:
    from rich.progress import TaskID


class Display(Protocol):
    """A watcher of transfers that also says how each ended; a context manager."""

    watcher: Watcher

    def finished(self, outcome: Outcome) -> None:
        """One artifact ended, well or not."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_display() -> Display:
    """Bars where stderr is a terminal, else lines."""
    return _Bars() if sys.stderr.isatty() else _Lines()


def outcome_text(outcome: Outcome) -> str:
    """One line on how it ended."""
    if isinstance(outcome.error, LicenceNeeded):
        # All files of a release need the same one: its text and page are told once, at the end.
        return f"{outcome.name}: a licence has to be accepted first"
    if outcome.error is not None:
        remedy = f" {outcome.error.remedy}" if outcome.error.remedy else ""
        return f"{outcome.name}: failed. {outcome.error.message}{remedy}"
    done = outcome.downloaded
    assert done is not None, "an outcome has one of the two"
    if done.skipped:
        return f"{outcome.name}: already complete ({done.verified} verified), skipped"
    if done.verified == "size":
        proof = "size checked; the hub announced no digest"
    else:
        proof = f"{done.verified} verified"
    speed = size_text(int(done.size / done.seconds)) if done.seconds > 0 else "?"
    return f"{outcome.name}: {size_text(done.size)} at {speed}/s, {proof}"


class _Lines(Watcher):
    """For logs: what begins, what is tried again, what ended."""

    def __init__(self) -> None:
        self.watcher: Watcher = self
        self._lock = Lock()

    def started(self, name: str, size: int | None) -> None:
        with self._lock:
            say(f"{name}: downloading" + ("" if size is None else f" {size_text(size)}"))

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        with self._lock:
            say(f"{name}: {message} Trying again in {pause_seconds:.1f} s.")

    def finished(self, outcome: Outcome) -> None:
        with self._lock:
            say(outcome_text(outcome), color="red" if outcome.error else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close."""


class _Bars(_Lines):
    """A bar per running transfer; what ended stays above the bars."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def started(self, name: str, size: int | None) -> None:
        with self._lock:
            self._drop(name)
            self._tasks[name] = self._bars.add_task(name, total=size)

    def at(self, name: str, done: int) -> None:
        task = self._tasks.get(name)
        if task is not None:
            self._bars.update(task, completed=done)

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        with self._lock:
            self._print(f"{name}: {message} Trying again in {pause_seconds:.1f} s.", "yellow")

    def finished(self, outcome: Outcome) -> None:
        with self._lock:
            self._drop(outcome.name)
            self._print(outcome_text(outcome), "red" if outcome.error else "green")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def _drop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            self._bars.remove_task(task)

    def _print(self, line: str, style: str) -> None:
        from entrepot.client.names import printable

        self._console.print(printable(line), style=style, soft_wrap=True)
