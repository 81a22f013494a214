"""From source to target by a recipe: open, operate, settle the colours, write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners.image import geometry, tone
from entrepot.core.conversions.runners.image.canvas import Canvas, parse_colour
from entrepot.core.conversions.runners.image.finishing import finish
from entrepot.core.conversions.runners.image.formats import FORMATS, Format
from entrepot.core.conversions.runners.image.libvips import refusing, start
from entrepot.core.conversions.runners.image.opening import open_picture
from entrepot.core.conversions.runners.image.picture import Picture
from entrepot.core.conversions.runners.image.watermarks import watermark
from entrepot.core.conversions.runners.image.writing import write
from entrepot.core.conversions.runners.protocol import Refused


@dataclass(frozen=True, slots=True)
class Desk:
    """What operations need besides the picture and their value."""

    canvas: Canvas
    watermarks: Sequence[Path]
    limits: Limits


_Operation = Callable[[Picture, Any, Desk], Picture]
_OPERATIONS: Mapping[str, _Operation] = {
    "resize": lambda picture, value, desk: geometry.resize(picture, value, desk.canvas),
    "crop": lambda picture, value, _: geometry.crop(picture, value),
    "rotate": lambda picture, value, desk: geometry.rotate(picture, value, desk.canvas),
    "flip": lambda picture, value, _: geometry.flip(picture, value),
    "trim": lambda picture, value, _: geometry.trim(picture, value["threshold"]),
    "blur": lambda picture, value, _: tone.blur(picture, value),
    "sharpen": lambda picture, value, _: tone.sharpen(picture, value),
    "brightness": lambda picture, value, _: tone.brightness(picture, value),
    "contrast": lambda picture, value, _: tone.contrast(picture, value),
    "saturation": lambda picture, value, _: tone.saturation(picture, value),
    "watermark": lambda picture, value, desk: watermark(
        picture, value, desk.watermarks, desk.limits
    ),
}
# These read their input from top to bottom, once; for the others it has to be in memory.
_STREAMING = frozenset({"resize", "crop", "brightness", "contrast", "saturation", "watermark"})


def convert(
    source: Path, recipe: Recipe, target: Path, limits: Limits, watermarks: Sequence[Path]
) -> dict[str, Fact]:
    """See entry.convert."""
    start()
    output = FORMATS.get(recipe.extension)
    if output is None:
        raise Refused("media-unsupported", f"Pictures are not written as {recipe.extension} here.")
    operations = recipe.operations
    picture = open_picture(source, operations, limits, animated=output.animated)
    desk = Desk(_canvas(recipe, output, limits), watermarks, limits)
    with refusing("The picture is damaged"):
        for step in operations:
            picture = _apply(picture, step, desk)
        picture = finish(desk.canvas.settle(picture), recipe, output)
        return write(picture, recipe, target, limits)


def _apply(picture: Picture, step: Step, desk: Desk) -> Picture:
    if not (picture.in_memory or _streams(step)):
        picture = picture.settled()
    return _OPERATIONS[step.type](picture, step.value, desk)


def _streams(step: Step) -> bool:
    chosen = step.type == "crop" and step.value.get("gravity") in geometry.CHOSEN
    return step.type in _STREAMING and not chosen


def _canvas(recipe: Recipe, output: Format, limits: Limits) -> Canvas:
    background = recipe.setting("background")
    return Canvas(
        background=None if background is None else parse_colour(background),
        keeps_alpha=output.alpha and recipe.setting("colorSpace") != "cmyk",
        limits=limits,
    )
