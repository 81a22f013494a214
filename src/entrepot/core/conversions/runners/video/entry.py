"""Which way a video goes: to a video, to an animation, to a sound, or to one picture."""

from collections.abc import Sequence
from pathlib import Path

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path] = ()
) -> dict[str, Fact]:
    """Writes `source` into `target` by `recipe`; facts of what was written, as by `probe`.

    Of a still: the facts that the image runner gives. Raises Refused: media-damaged,
    media-too-large, media-too-slow, media-unsupported, crop-outside, frame-outside,
    start-outside, and the image runner's for a still. OSError (ENOSPC) where the disk is full.
    """
    from entrepot.core.conversions.runners.video import moving, still

    if recipe.setting("frame") is not None:
        return still.convert(source, recipe, target, limits, watermarks)
    if recipe.setting("audio") is not None:
        from entrepot.core.conversions.runners import audio

        return audio.convert(source, recipe, target, limits, watermarks)
    return moving.convert(source, recipe, target, limits, watermarks)


def probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]:
    """Facts of a video or sound; only what was found. The bytes decide, not `content_type`.

    width and height (as seen), rotation (degrees clockwise that were needed for it),
    duration_seconds, fps, video_codec, audio_codec, channels, sample_rate, title. Raises
    Refused: media-damaged, media-too-large, media-unsupported.
    """
    from entrepot.core.conversions.runners.video.source import facts_of, read_source

    del content_type
    return facts_of(read_source(source, limits))
