"""A watermark for a video: drawn once by the image runner on an empty picture, laid over all."""

from collections.abc import Sequence
from pathlib import Path

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners import image
from entrepot.core.conversions.runners.hardening import harden_pillow


def draw_watermark(
    step: Step,
    size: tuple[int, int],
    *,
    recipe: Recipe,
    watermarks: Sequence[Path],
    limits: Limits,
    scratch: Path,
) -> Path:
    """A PNG of this size in the folder `scratch`: the watermark, and nothing around it."""
    number = len(list(scratch.iterdir()))
    empty, drawn = scratch / f"empty-{number}", scratch / f"watermark-{number}"
    pillow = harden_pillow(limits.pixels_max)
    pillow.new("RGBA", size, (0, 0, 0, 0)).save(empty, format="PNG", compress_level=1)
    drawing = Recipe(
        runner="image",
        steps=(
            step,
            Step("colorSpace", "srgb"),
            Step("colorProfile", "strip"),
            Step("metadata", "strip"),
        ),
        extension="png",
        content_type="image/png",
        watermark_sha256s=recipe.watermark_sha256s,
    )
    image.convert(empty, drawing, drawn, limits, watermarks)
    empty.unlink()
    return drawn
