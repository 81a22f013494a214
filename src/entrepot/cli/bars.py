"""Bars at the foot of a terminal, redrawn in place; what is printed meanwhile stays above them."""

import shutil
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Self

import click

from entrepot.cli.rows import size_text
from entrepot.cli.widths import cut, width_of
from entrepot.client.names import printable

_REDRAW_SECONDS = 0.1
_SPEED_SECONDS = 8.0  # how far back a speed looks
_BAR_CELLS = 28
_NAME_CELLS_MIN = 12
_SAMPLES_MAX = 256


@dataclass(slots=True)
class Bar:
    """One bar: `done` of `total` (None: unknown), and `note` in place of sizes and speed."""

    name: str
    total: int | None
    done: int = 0
    note: str | None = None
    begun: float = field(default_factory=monotonic)
    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_SAMPLES_MAX))

    def speed(self, now: float) -> float | None:
        """Bytes per second of late, None before there is anything to tell by."""
        self.samples.append((now, self.done))
        while len(self.samples) > 2 and now - self.samples[0][0] > _SPEED_SECONDS:
            self.samples.popleft()
        then, before = self.samples[0]
        if now - then < _REDRAW_SECONDS or self.done < before:
            return None
        return (self.done - before) / (now - then)


class Bars:
    """Any number of bars on stderr; a context manager. Safe to use from several threads."""

    def __init__(self) -> None:
        self._bars: list[Bar] = []
        self._drawn = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, daemon=True)
        self._plain = not (sys.stderr.encoding or "").lower().startswith("utf")

    def add(self, name: str, total: int | None) -> Bar:
        """A new bar under the others."""
        bar = Bar(printable(name), total)
        with self._lock:
            self._bars.append(bar)
        return bar

    def drop(self, bar: Bar) -> None:
        """Take a bar away; one that is not there does no harm."""
        with self._lock:
            if bar in self._bars:
                self._bars.remove(bar)

    def print(self, line: str, color: str | None = None) -> None:
        """A line that stays."""
        with self._lock:
            self._wipe()
            sys.stderr.write(click.style(printable(line), fg=color) + "\n")
            self._draw()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._wipe()
            sys.stderr.flush()

    def _keep_drawing(self) -> None:
        while not self._ended.wait(_REDRAW_SECONDS):
            with self._lock:
                self._wipe()
                self._draw()

    def _wipe(self) -> None:
        if self._drawn:
            sys.stderr.write(f"\x1b[{self._drawn}A\r\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        size = shutil.get_terminal_size()
        # More lines than the screen has could not be wiped again.
        shown = self._bars[: max(1, size.lines - 2)]
        for bar in shown:
            sys.stderr.write(bar_line(bar, size.columns - 1, monotonic(), plain=self._plain) + "\n")
        self._drawn = len(shown)
        sys.stderr.flush()


def bar_line(bar: Bar, columns: int, now: float, *, plain: bool = False) -> str:
    """One bar as text of at most `columns` cells."""
    numbers = bar.note if bar.note is not None else _numbers(bar, now)
    drawn = _drawn(bar, plain=plain)
    room = columns - width_of(numbers) - len(drawn) - 4
    if room < _NAME_CELLS_MIN:
        drawn, room = "", columns - width_of(numbers) - 2
    name = cut(bar.name, max(room, _NAME_CELLS_MIN))
    return cut("  ".join(part for part in (name, drawn, numbers) if part), columns)


def _numbers(bar: Bar, now: float) -> str:
    parts = [size_text(bar.done) + ("" if bar.total is None else f" of {size_text(bar.total)}")]
    speed = bar.speed(now)
    if speed is not None:
        parts.append(f"{size_text(int(speed))}/s")
        if bar.total is not None and speed > 0:
            parts.append(_clock((bar.total - bar.done) / speed))
    return "  ".join(parts)


def _drawn(bar: Bar, *, plain: bool) -> str:
    if not bar.total:
        return ""
    full = min(_BAR_CELLS, _BAR_CELLS * bar.done // bar.total)
    begun, rest = ("#", ".") if plain else ("━", "┄")
    return begun * full + rest * (_BAR_CELLS - full)


def _clock(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole >= 360_000:
        return "more than 99 h"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
