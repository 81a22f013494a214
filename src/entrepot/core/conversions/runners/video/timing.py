"""Which part of the time is asked for, and whether it is too much."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.runners.protocol import Refused
from entrepot.core.conversions.runners.video.ffmpeg import Encoded

# Sounds and pictures of a whole file seldom end on the same instant.
_SHORT_SECONDS = 1.0
_SHORT_PART = 0.1
# Time and frames are read this far beyond the limit, so that a lie about the length shows.
_SECONDS_MORE = 1.0


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` for `duration` seconds; None: to the end, wherever that is."""

    start: float
    duration: float | None
    limits: Limits

    @property
    def options(self) -> tuple[str, ...]:
        """Options before `-i`: cut here, nothing beyond is decoded."""
        cut = ("-ss", f"{self.start:.6f}") if self.start else ()
        most = self.limits.duration_seconds_max + _SECONDS_MORE
        duration = most if self.duration is None else min(self.duration, most)
        return (*cut, "-t", f"{duration:.6f}")

    def check(self, encoded: Encoded, *, empty: bool) -> None:
        """Refuses what is empty or too long, or broke off long before the time it promised."""
        if empty and self.start:
            raise Refused("start-outside", f"There is nothing at {self.start:g} seconds.")
        if empty:
            raise Refused("media-damaged", "Nothing in the file could be read.")
        check_seconds(encoded.seconds, self.limits)
        promised = self.duration
        if promised is None or not encoded.complaints:
            return
        missing = promised - encoded.seconds
        if missing > max(_SHORT_SECONDS, promised * _SHORT_PART):
            raise Refused(
                "media-damaged",
                f"The file is damaged: it breaks off after {encoded.seconds:.1f}"
                f" of {promised:.1f} seconds.",
            )


def choose_span(value: Mapping[str, Any], whole: float | None, limits: Limits) -> Span:
    """The part that `start_seconds` and `duration_seconds` name in a file of `whole` seconds.

    Refused: start-outside, media-too-large.
    """
    start, wanted = float(value["start_seconds"]), value["duration_seconds"]
    if whole is not None and start > 0 and start >= whole:
        raise Refused(
            "start-outside", f"It lasts {whole:.1f} seconds; a start at {start:g} is beyond."
        )
    rest = None if whole is None else max(0.0, whole - start)
    spans = [float(one) for one in (rest, wanted) if one is not None]
    duration = min(spans) if spans else None
    if duration is not None:
        check_seconds(duration, limits)
    return Span(start, duration, limits)


def check_seconds(seconds: float, limits: Limits) -> None:
    """Refused (media-too-large) where it lasts longer than allowed."""
    if seconds > limits.duration_seconds_max:
        raise Refused(
            "media-too-large",
            f"It lasts longer than the {limits.duration_seconds_max} seconds allowed.",
        )
