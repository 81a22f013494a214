"""Which bytes of a file are there, and who of several connections fetches which of the rest."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A smaller rest is not worth another request.
SPLIT_BYTES_MIN = 256 * 1024


class Extents:
    """Disjoint spans [begin, end) of a file, in order. Not safe to use from several threads."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans: list[tuple[int, int]] = []
        self.total = 0
        for begin, end in spans:
            self.add(begin, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._spans)

    @property
    def front(self) -> int:
        """How many bytes are there from the first on without a gap."""
        return self._spans[0][1] if self._spans and self._spans[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """The end of the last span."""
        return self._spans[-1][1] if self._spans else 0

    def add(self, begin: int, end: int) -> None:
        """Add a span; what it overlaps or touches becomes one with it."""
        if begin >= end:
            return
        apart = [span for span in self._spans if span[1] < begin or span[0] > end]
        for span in self._spans:
            if not (span[1] < begin or span[0] > end):
                begin, end = min(begin, span[0]), max(end, span[1])
        self._set([*apart, (begin, end)])

    def remove(self, begin: int, end: int) -> None:
        """Take a span out."""
        if begin >= end:
            return
        left = [(first, min(last, begin)) for first, last in self._spans if first < begin]
        right = [(max(first, end), last) for first, last in self._spans if last > end]
        self._set(left + right)

    def gaps(self, size: int) -> list[tuple[int, int]]:
        """What is missing of a file of `size` bytes."""
        missing, at = [], 0
        for begin, end in self._spans:
            if begin > at:
                missing.append((at, min(begin, size)))
            at = end
        if at < size:
            missing.append((at, size))
        return missing

    def _set(self, spans: list[tuple[int, int]]) -> None:
        self._spans = sorted(spans)
        self.total = sum(end - begin for begin, end in spans)


@dataclass(slots=True, eq=False)
class Claim:
    """What one connection fetches: from `at` to `end`, which may come nearer meanwhile.

    `end` is None while the size of the file is not known.
    """

    at: int
    end: int | None


class Division:
    """The missing bytes, handed out so that no two connections fetch the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[tuple[int, int | None]] = []
        self._claims: set[Claim] = set()

    def reset(self, gaps: Iterable[tuple[int, int | None]]) -> None:
        """Begin with these gaps, in order; claims from before count no more."""
        with self._lock:
            self._open, self._claims = list(gaps), set()

    def take(self) -> Claim | None:
        """The first gap, else the later half of what another has most of; None for neither."""
        with self._lock:
            if self._open:
                claim = Claim(*self._open.pop(0))
            else:
                longest = max(self._claims, key=_left, default=None)
                if longest is None or longest.end is None or _left(longest) < 2 * SPLIT_BYTES_MIN:
                    return None
                middle = longest.end - _left(longest) // 2
                claim = Claim(middle, longest.end)
                longest.end = middle
            self._claims.add(claim)
            return claim

    def sole(self, claim: Claim) -> None:
        """Make `claim` the only one, of a file that begins anew."""
        with self._lock:
            self._open, self._claims = [], {claim}

    def give_back(self, claim: Claim) -> None:
        """End a claim; what is left of it can be taken again. Ending it twice does no harm."""
        with self._lock:
            if claim in self._claims and (claim.end is None or claim.at < claim.end):
                self._open.append((claim.at, claim.end))
                self._open.sort(key=_first)
            self._claims.discard(claim)

    def advance(self, claim: Claim, count: int) -> int:
        """Note that up to `count` more bytes were fetched; returns how many of them count."""
        with self._lock:
            if claim.end is not None:
                count = min(count, claim.end - claim.at)
            claim.at += count
            return count


def _first(gap: tuple[int, int | None]) -> int:
    return gap[0]


def _left(claim: Claim) -> int:
    return 0 if claim.end is None else claim.end - claim.at
