"""A page of a PDF as a picture: drawn as large as it is wanted, then given to the image runner."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners import image
from entrepot.core.conversions.runners.document.opening import (
    POINTS_PER_INCH,
    opened,
    page_size,
)
from entrepot.core.conversions.runners.image.sizes import check_pixels, part, resized
from entrepot.core.conversions.runners.protocol import Refused

DPI = 150  # where neither `dpi` nor a resize says otherwise
_PAPER = (255, 255, 255, 255)
# What may stand before the first resize without asking for a size in pixels of its own.
_SIZELESS = ("flip", "brightness", "contrast", "saturation", "watermark")


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path]
) -> dict[str, Fact]:
    """See entry.convert."""
    with opened(source, limits) as document, tempfile.TemporaryDirectory() as folder:
        page = recipe.setting("page")
        if not 1 <= page <= len(document):
            raise Refused(
                "page-outside", f"There is no page {page}: the PDF has {len(document)} pages."
            )
        document.init_forms()
        held = Path(folder) / "page"
        steps = _draw(document[page - 1], recipe, held, limits)
        rest = replace(recipe, runner="image", steps=steps)
        return image.convert(held, rest, target, limits, watermarks)


def _draw(page: Any, recipe: Recipe, held: Path, limits: Limits) -> tuple[Step, ...]:
    """Draws the page into the file `held`; gives the steps that are left to do."""
    wide, high = page_size(page)
    dots = (recipe.setting("dpi") or DPI) / POINTS_PER_INCH
    factor, done = _choose_factor(recipe.operations, wide * dots, high * dots)
    scale = dots * factor
    check_pixels(math.ceil(wide * scale), math.ceil(high * scale), limits)
    bitmap = page.render(scale=scale, fill_color=_PAPER, may_draw_forms=True)
    bitmap.to_pil().convert("RGB").save(held, format="PNG", compress_level=1)
    return tuple(step for step in recipe.steps if step.type != "page" and step is not done)


def _choose_factor(
    operations: Sequence[Step], width: float, height: float
) -> tuple[float, Step | None]:
    """By how much to draw a page of width x height pixels larger, for the first resize.

    With it the step that is done by that; None where it still has something to do.
    """
    wide, high = width, height
    for step in operations:
        if step.type == "resize":
            if "percent" in step.value:
                return step.value["percent"] / 100, step
            plan = resized(_whole(wide), _whole(high), step.value, vector=True)
            return max(plan.width / wide, plan.height / high), None
        if step.type == "rotate":
            wide, high = _turned(wide, high, step.value)
        elif step.type == "crop" and step.value["kind"] == "ratio":
            wide, high = part(_whole(wide), _whole(high), step.value)
        elif step.type not in _SIZELESS:
            break
    return 1.0, None


def _whole(length: float) -> int:
    return max(1, round(length))


def _turned(width: float, height: float, degrees: float) -> tuple[float, float]:
    across = abs(math.cos(math.radians(degrees)))
    down = abs(math.sin(math.radians(degrees)))
    return width * across + height * down, width * down + height * across
