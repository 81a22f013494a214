"""How downloads are shown: bars on a terminal, lines elsewhere, JSON lines for programs, nothing.

For people on stderr; JSON on stdout, where it is the command's data. docs/reference/events.md
has every event and its fields.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import click

from entrepot.cli.bars import Bar, Bars
from entrepot.cli.console import remedy_of, say, speaking_for
from entrepot.cli.rows import size_text
from entrepot.client.batch import Outcome
from entrepot.client.downloader import Watcher
from entrepot.client.errors import Cancelled, ClientError, LicenceNeeded

_PROGRESS_SECONDS_MIN = 1.0  # between two events on one file
_SOON_BYTES_MAX = 256 * 1024  # a file of this size has come before its beginning is read


class Display(Protocol):
    """A watcher of transfers that also says how each ended."""

    watcher: Watcher

    def finished(self, outcome: Outcome) -> None:
        """One artifact ended, well or not."""
        ...


class Report(Enum):
    """Whom a command reports to: `people`, programs that read `json`, or nobody but `errors`."""

    PEOPLE = "people"
    JSON = "json"
    ERRORS = "errors"

    def say(self, text: str, *, color: str | None = None) -> None:
        """A message for people."""
        if self is Report.PEOPLE:
            say(text, color=color)

    def tell(self, event: str, **fields: Any) -> None:
        """An event for programs: one line of JSON on stdout, at once."""
        if self is Report.JSON:
            told = {key: value for key, value in fields.items() if value is not None}
            click.echo(json.dumps({"event": event, **told}))
            sys.stdout.flush()

    def print_paths(self, paths: Iterable[object]) -> None:
        """The paths of complete files, which are the data of the command unless that is JSON."""
        lines = [] if self is Report.JSON else [str(path) for path in paths]
        if lines:
            click.echo("\n".join(lines))


@contextmanager
def open_display(report: Report = Report.PEOPLE) -> Iterator[Display]:
    """For people bars where stderr is a terminal, else lines."""
    if report is Report.JSON:
        yield _Events()
    elif report is Report.ERRORS:
        yield _Failures()
    elif sys.stderr.isatty():
        with Bars() as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


def error_fields(error: ClientError) -> Mapping[str, Any]:
    """What an event says of an error."""
    told = {
        "error": type(error).__name__,
        "exit_code": int(error.exit_code),
        "message": error.message,
        "remedy": remedy_of(error),
        "reason": error.reason,
    }
    if isinstance(error, LicenceNeeded):
        told |= {"agreement_url": error.agreement_url, "licence": error.licence}
        told |= {"revision": error.revision or ""}
    return {key: value for key, value in told.items() if value != ""}


def outcome_text(outcome: Outcome) -> str:
    """One line on how it ended."""
    if isinstance(outcome.error, LicenceNeeded):
        # All files of a release need the same one: its text and page are told once, at the end.
        return f"{outcome.name}: a licence has to be accepted first"
    if outcome.error is not None:
        remedy = f" {remedy_of(outcome.error)}" if outcome.error.remedy else ""
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


def _was_stopped(outcome: Outcome) -> bool:
    """Whether a person stopped it, with all others: who did that knows."""
    return isinstance(outcome.error, Cancelled)


class _Lines(Watcher):
    """For logs: what begins and may take a while, what is tried again, what ended."""

    def __init__(self) -> None:
        self.watcher: Watcher = self
        self._lock = Lock()
        self._context = click.get_current_context(silent=True)

    def started(self, name: str, size: int | None) -> None:
        if size is not None and size <= _SOON_BYTES_MAX:
            return
        with self._lock:
            say(f"{name}: downloading" + ("" if size is None else f" {size_text(size)}"))

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        with self._lock:
            say(f"{name}: {message} Trying again in {pause_seconds:.1f} s.")

    def finished(self, outcome: Outcome) -> None:
        if _was_stopped(outcome):
            return
        with self._lock, speaking_for(self._context):
            say(outcome_text(outcome), color="red" if outcome.error else None)


class _Failures(_Lines):
    """For CI that wants to hear of errors only; the summary at the end tells them."""

    def started(self, name: str, size: int | None) -> None:
        """Nothing."""

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        """Nothing: what is tried again is no error yet."""

    def finished(self, outcome: Outcome) -> None:
        """Nothing."""


class _Events(_Lines):
    """For programs: a line of JSON an event."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[str, float] = {}
        self._sizes: dict[str, int | None] = {}

    def started(self, name: str, size: int | None) -> None:
        with self._lock:
            self._told_at[name] = monotonic()
            self._sizes[name] = size
            Report.JSON.tell("started", file=name, size=size)

    def at(self, name: str, done: int) -> None:
        if monotonic() - self._told_at.get(name, 0.0) < _PROGRESS_SECONDS_MIN:
            return
        with self._lock:
            self._told_at[name] = monotonic()
            Report.JSON.tell("progress", file=name, done=done, size=self._sizes.get(name))

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        with self._lock:
            pause = round(pause_seconds, 3)
            Report.JSON.tell("trouble", file=name, message=message, pause_seconds=pause)

    def finished(self, outcome: Outcome) -> None:
        with self._lock, speaking_for(self._context):
            if outcome.error is not None:
                Report.JSON.tell("failed", file=outcome.name, **error_fields(outcome.error))
                return
            done = outcome.downloaded
            assert done is not None, "an outcome has one of the two"
            Report.JSON.tell(
                "finished",
                file=outcome.name,
                path=str(done.path),
                size=done.size,
                verified=done.verified,
                skipped=done.skipped,
                seconds=round(done.seconds, 3),
            )


class _Bars(_Lines):
    """A bar per running transfer; what ended stays above the bars."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars
        self._running: dict[str, Bar] = {}

    def started(self, name: str, size: int | None) -> None:
        with self._lock:
            self._drop(name)
            self._running[name] = self._bars.add(name, size)

    def at(self, name: str, done: int) -> None:
        bar = self._running.get(name)
        if bar is not None:
            bar.done = done

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:
        self._bars.print(f"{name}: {message} Trying again in {pause_seconds:.1f} s.", "yellow")

    def finished(self, outcome: Outcome) -> None:
        with self._lock:
            self._drop(outcome.name)
        if _was_stopped(outcome):
            return
        with speaking_for(self._context):
            self._bars.print(outcome_text(outcome), "red" if outcome.error else "green")

    def _drop(self, name: str) -> None:
        bar = self._running.pop(name, None)
        if bar is not None:
            self._bars.drop(bar)
