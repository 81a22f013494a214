"""One line on a terminal that says how far the reading of a file has come."""

import io
import sys
import time
from pathlib import Path

from entrepot.daemon.console import printable

_REDRAW_SECONDS = 0.2


class ProgressFile(io.RawIOBase):
    """A file opened for reading, which shows on stderr how much of it has been read.

    `raw` is the plain file, so that a store can ask for its size before it reads.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.raw = io.FileIO(path)
        self._name = printable(path.name)
        self._size = path.stat().st_size
        self._read_bytes = 0
        self._drawn_at = self._started_at = time.monotonic()
        self._shown = sys.stderr.isatty()

    def readable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes read so far."""
        return self._read_bytes

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read, count, and draw the line anew five times a second."""
        count = self.raw.readinto(buffer)
        self._read_bytes += count
        moment = time.monotonic()
        if self._shown and moment - self._drawn_at > _REDRAW_SECONDS:
            self._drawn_at = moment
            self._draw(moment)
        return count

    def _draw(self, moment: float) -> None:
        share = 100 * self._read_bytes // max(self._size, 1)
        rate = self._read_bytes / max(moment - self._started_at, 0.001) / 2**20
        line = f"\r\x1b[K{self._name}: {share} % of {self._size >> 20} MiB, {rate:.0f} MiB/s"
        print(line, end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the file and take the line away."""
        if not self.closed and self._shown and self._drawn_at != self._started_at:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        self.raw.close()
        super().close()
