"""Operations that move pixels: resize, crop, rotate, flip, trim."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyvips

from entrepot.core.conversions.runners.image.canvas import Canvas
from entrepot.core.conversions.runners.image.opening import is_turned, upright
from entrepot.core.conversions.runners.image.picture import (
    Picture,
    bits_of,
    full,
    has_alpha,
    join,
    split,
    typed,
)
from entrepot.core.conversions.runners.image.sizes import (
    Box,
    check_pixels,
    part,
    place,
    resized,
    visible,
)

CHOSEN = frozenset({"entropy", "attention"})
_QUARTERS = {90: "d90", 180: "d180", 270: "d270"}


def resize(picture: Picture, value: Mapping[str, Any], canvas: Canvas) -> Picture:
    """By Lanczos with three lobes on the numbers as they are, as `vipsthumbnail` does it.

    The picture may have been made smaller already while it was read; its orientation, where one
    is left, is applied here.
    """
    width, height = picture.stored or picture.size
    wanted = resized(width, height, value, vector=picture.vector)
    check_pixels(*(wanted.canvas or (wanted.width, wanted.height)), canvas.limits)
    check_pixels(wanted.width, wanted.height, canvas.limits)
    turned = is_turned(picture.first) and picture.first.get("orientation") >= 5
    size = (wanted.height, wanted.width) if turned else (wanted.width, wanted.height)
    model = picture.model
    picture = replace(
        picture.each(lambda frame: scaled(frame, model, *size)), stored=None, vector=False
    )
    if is_turned(picture.first):
        picture = picture.settled().each(upright)
    if wanted.cut:
        return _cut(picture, place(picture.size, wanted.cut, "centre"))
    if wanted.canvas and wanted.canvas != picture.size:
        return canvas.enlarge(picture, wanted.canvas)
    return picture


def scaled(image: pyvips.Image, model: str, width: int, height: int) -> pyvips.Image:
    """Of exactly this size. What is transparent does not bleed into what is not."""
    if (image.width, image.height) == (width, height):
        return image
    across, down = width / image.width, height / image.height
    if not has_alpha(image, model):
        return image.resize(across, vscale=down, kernel="lanczos3")
    return weighed(image, model, lambda pixels: pixels.resize(across, vscale=down))


def weighed(image: pyvips.Image, model: str, change: Any) -> pyvips.Image:
    """`change` applied with every colour weighed by its opacity, where it has one."""
    if not has_alpha(image, model):
        return change(image)
    most = full(image)
    changed = change(image.premultiply(max_alpha=most)).unpremultiply(max_alpha=most)
    return typed(changed, model, bits_of(image))


def crop(picture: Picture, value: Mapping[str, Any]) -> Picture:
    """The part that the value names (recipes.py, `crop`)."""
    if value["kind"] == "custom":
        return _cut(picture, visible(*picture.size, value))
    size = part(*picture.size, value)
    if value["gravity"] in CHOSEN:
        return _cut(picture, _chosen(picture, size, value["gravity"]))
    return _cut(picture, place(picture.size, size, value["gravity"]))


def _chosen(picture: Picture, size: tuple[int, int], interest: str) -> Box:
    """Where there is most to see on the first frame; every frame is cut there."""
    colour, alpha = split(picture.first, picture.model)
    seen = join(colour.colourspace("srgb"), alpha)
    found = seen.smartcrop(*size, interesting=interest)
    return Box(-found.xoffset, -found.yoffset, *size)


def _cut(picture: Picture, box: Box) -> Picture:
    if (box.width, box.height) == picture.size:
        return picture
    return picture.each(lambda frame: frame.crop(box.left, box.top, box.width, box.height))


def rotate(picture: Picture, degrees: float, canvas: Canvas) -> Picture:
    """Clockwise. A quarter turn moves pixels; any other one grows the canvas to hold them all."""
    if degrees in _QUARTERS:
        return picture.each(lambda frame: frame.rot(_QUARTERS[int(degrees)]))
    slant = math.radians(degrees)
    across, down = abs(math.cos(slant)), abs(math.sin(slant))
    width, height = picture.size
    check_pixels(
        math.ceil(width * across + height * down),
        math.ceil(width * down + height * across),
        canvas.limits,
    )
    picture, colour = canvas.ready(picture)
    # The colour of the corners is weighed as the pixels are.
    opacity = colour[-1] / full(picture.first) if picture.alpha else 1.0
    corner = [part * opacity for part in colour[:-1]] + [colour[-1]] if picture.alpha else colour
    smooth = pyvips.Interpolate.new("bicubic")
    return picture.each(
        lambda frame: weighed(
            frame,
            picture.model,
            lambda pixels: pixels.rotate(degrees, interpolate=smooth, background=corner),
        )
    )


def flip(picture: Picture, way: str) -> Picture:
    """ "h": left and right change places; "v": top and bottom."""
    return picture.each(lambda frame: frame.fliphor() if way == "h" else frame.flipver())


def trim(picture: Picture, threshold: float) -> Picture:
    """Cuts off what looks like the top left pixel, on the first frame; all are cut alike."""
    image = picture.first
    pixels = image.premultiply(max_alpha=full(image)) if picture.alpha else image
    corner = pixels.getpoint(0, 0)
    other = ((pixels - corner).abs() > threshold * full(image) / 255).bandor()
    columns, rows = other.project()
    left, right = _ends(columns, picture.size[0])
    top, bottom = _ends(rows.rot("d270"), picture.size[1])
    if right <= left:
        return picture
    return _cut(picture, Box(left, top, right - left, bottom - top))


def _ends(line: pyvips.Image, length: int) -> tuple[int, int]:
    """The first that is not zero, and the one after the last; (0, 0) where all are."""
    marked = [value > 0 for value in memoryview(line.cast("uint").write_to_memory()).cast("I")]
    if True not in marked:
        return 0, 0
    return marked.index(True), length - marked[::-1].index(True)
