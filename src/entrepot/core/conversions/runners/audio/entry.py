"""The two doors of the audio runner. ffmpeg's libraries are loaded by the first call."""

from collections.abc import Sequence
from pathlib import Path

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path] = ()
) -> dict[str, Fact]:
    """Writes the sound of `source` into `target` by `recipe`; facts as by `probe`.

    A picture in the file (a cover) is left out. Raises Refused: media-damaged, media-too-large,
    media-too-slow, media-unsupported, start-outside; OSError (ENOSPC) where the disk is full.
    """
    from entrepot.core.conversions.runners.audio import coding

    del watermarks  # a sound shows none
    return coding.convert(source, recipe, target, limits)


def probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]:
    """Facts of a sound: duration_seconds, audio_codec, channels, sample_rate, title."""
    from entrepot.core.conversions.runners import video

    return video.probe(source, content_type, limits)
