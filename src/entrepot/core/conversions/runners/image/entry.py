"""The two doors of the image runner. The libraries are loaded by the first call, not by import."""

from collections.abc import Sequence
from pathlib import Path

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path] = ()
) -> dict[str, Fact]:
    """Writes the picture `source` into `target` by `recipe`; facts of what was written.

    Facts: width, height, colour_space, bits, alpha, quality (jpg webp avif heic pdf), frames,
    duration_seconds (animations). Raises Refused: media-damaged, media-too-large,
    media-unsupported, crop-outside, max-bytes,
    watermark-too-small.
    """
    from entrepot.core.conversions.runners.image import pipeline

    return pipeline.convert(source, recipe, target, limits, watermarks)


def probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]:
    """Facts of the picture `source`, read from its header; only what was found.

    width, height (as shown, after the orientation), orientation (1..8, EXIF), colour_space
    (rgb gray cmyk lab), colour_profile (its name), bits, alpha, pages, frames, duration_seconds,
    dpi, codec. Raises Refused: media-damaged, media-too-large, media-unsupported.
    """
    from entrepot.core.conversions.runners.image import probing

    return probing.probe(source, content_type, limits)
