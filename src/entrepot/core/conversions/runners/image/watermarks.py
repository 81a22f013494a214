"""A text or another picture laid over the picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyvips

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Step
from entrepot.core.conversions.runners.image import fonts
from entrepot.core.conversions.runners.image.canvas import Canvas, parse_colour
from entrepot.core.conversions.runners.image.colour import like, to_space
from entrepot.core.conversions.runners.image.geometry import resize
from entrepot.core.conversions.runners.image.opening import open_picture
from entrepot.core.conversions.runners.image.picture import (
    RGB,
    Picture,
    bits_of,
    full,
    join,
    split,
    typed,
)
from entrepot.core.conversions.runners.image.sizes import place
from entrepot.core.conversions.runners.protocol import Refused

_MARGIN = 0.02  # of the picture's shorter side, between a mark and the edge
_GAP = 0.5  # between tiles, of their own size
_FONT_PIXELS = 100.0
_LETTERS_MIN = 1.0  # pixels high; below, a text is not even a line


def watermark(
    picture: Picture, value: Mapping[str, Any], sources: Sequence[Path], limits: Limits
) -> Picture:
    """Every frame with the mark that the value describes (recipes.py, `watermark`)."""
    width = max(1, round(picture.size[0] * value["scale"]))
    if value["text"] is not None:
        mark = _text(value["text"], value["colour"], width, picture.size[1])
    else:
        mark = _picture(sources, value["source"], width, picture.size[1], limits)
    mark = _laid(mark, picture.size, value["position"], tile=value["tile"])
    strength = mark.extract_band(3) * (value["opacity"] / 255)
    ink = like(typed(mark.extract_band(0, n=3), RGB, 8), picture)
    return picture.each(lambda frame: _over(frame, picture.model, ink, strength))


def _text(text: str, colour: str, width: int, height: int) -> pyvips.Image:
    """As RGBA, as wide as asked for unless it gets higher than the picture."""
    red, green, blue, opacity = parse_colour(colour)
    sample = fonts.render(text, _FONT_PIXELS)
    factor = min(width / sample.width, height / sample.height)
    mask = fonts.render(text, max(1.0, _FONT_PIXELS * factor))
    if sample.height * factor < _LETTERS_MIN:
        raise Refused(
            "watermark-too-small",
            f"The text of the watermark has {len(text)} characters, which is too long for the "
            f"picture: in {width} pixels its letters would be less than a pixel high.",
        )
    # Letters grow in steps of pixels: what is missing to the size is a hair.
    factor = min(width / mask.width, height / mask.height)
    mask = mask.resize(
        max(1, round(mask.width * factor)) / mask.width,
        vscale=max(1, round(mask.height * factor)) / mask.height,
    )
    sheet = pyvips.Image.black(mask.width, mask.height, bands=3)
    ink = sheet.linear(1, [red, green, blue]).cast("uchar")
    return ink.bandjoin((mask * (opacity / 255)).rint().cast("uchar")).copy_memory()


def _picture(
    sources: Sequence[Path], at: int, width: int, height: int, limits: Limits
) -> pyvips.Image:
    """As sRGB and alpha of 8 bits, in that box."""
    if not 0 <= at < len(sources):
        raise Refused("media-unsupported", "The picture for the watermark is not there.")
    box = {"width": width, "height": height, "fit": "inside", "upscale": True}
    try:
        mark = open_picture(sources[at], [Step("resize", box)], limits, animated=False)
        mark = resize(mark, box, Canvas(None, keeps_alpha=True, limits=limits))
        mark = to_space(mark, "srgb")
        image = mark.first
        image = typed(image / 257, RGB, 8) if bits_of(image) == 16 else image
        image = image if mark.alpha else image.bandjoin(255)
        # Its pixels and nothing else: no profile and no notice of it may get into the picture.
        pixels = image.write_to_memory()
        return pyvips.Image.new_from_memory(pixels, image.width, image.height, 4, "uchar")
    except pyvips.Error as error:
        raise Refused("media-damaged", "The picture for the watermark is damaged.") from error


def _laid(mark: pyvips.Image, size: tuple[int, int], position: str, *, tile: bool) -> pyvips.Image:
    """On a transparent sheet of the picture's size."""
    if tile:
        gaps = (round(mark.width * _GAP), round(mark.height * _GAP))
        cell = mark.embed(gaps[0] // 2, gaps[1] // 2, mark.width + gaps[0], mark.height + gaps[1])
        times = (-(-size[0] // cell.width), -(-size[1] // cell.height))
        return cell.copy_memory().replicate(*times).crop(0, 0, *size)
    at = place(size, (mark.width, mark.height), position, round(min(size) * _MARGIN))
    return mark.embed(at.left, at.top, *size)


def _over(
    image: pyvips.Image, model: str, ink: pyvips.Image, strength: pyvips.Image
) -> pyvips.Image:
    """Porter and Duff's "over"; `strength` 0..1."""
    bits, most = bits_of(image), full(image)
    colour, alpha = split(image, model)
    if alpha is None:
        return typed(colour * (1 - strength) + ink * strength, model, bits)
    below = alpha / most * (1 - strength)
    whole = strength + below
    mixed = (colour * below + ink * strength) / whole
    return typed(join(mixed, whole * most), model, bits)
