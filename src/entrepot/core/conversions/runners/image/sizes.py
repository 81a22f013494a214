"""Arithmetic of sizes and places: no picture in here, only whole pixels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.runners.protocol import Refused


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, or a canvas around it."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Resized:
    """Scale to width x height, then cut to `cut` or place on a canvas `canvas`."""

    width: int
    height: int
    cut: tuple[int, int] | None = None
    canvas: tuple[int, int] | None = None


def resized(width: int, height: int, value: Mapping[str, Any], *, vector: bool = False) -> Resized:
    """What `resize` with this value makes of a picture of this size (recipes.py, `resize`)."""
    grow = bool(value["upscale"]) or vector
    if value.get("percent") is not None:
        factor = value["percent"] / 100
        return _scaled(width, height, factor if grow else min(1.0, factor))
    fit = value["fit"] if value["width"] and value["height"] else "inside"
    across = value["width"] / width if value["width"] else math.inf
    down = value["height"] / height if value["height"] else math.inf
    if fit == "fill":
        kept = 1 if not grow else math.inf
        return Resized(_side(width * min(across, kept)), _side(height * min(down, kept)))
    factor = max(across, down) if fit in ("outside", "cover") else min(across, down)
    scaled = _scaled(width, height, factor if grow else min(1.0, factor))
    if fit == "pad":
        return Resized(scaled.width, scaled.height, canvas=(value["width"], value["height"]))
    if fit == "cover":
        # Where the picture would have to grow, the box shrinks instead.
        less = 1.0 if grow else max(1.0, factor)
        box = (_side(value["width"] / less), _side(value["height"] / less))
        cut = (min(box[0], scaled.width), min(box[1], scaled.height))
        return Resized(max(scaled.width, cut[0]), max(scaled.height, cut[1]), cut=cut)
    return scaled


def _scaled(width: int, height: int, factor: float) -> Resized:
    return Resized(_side(width * factor), _side(height * factor))


def _side(length: float) -> int:
    """Rounded half up, and never nothing: a hair of 1 x 4000 stays a line."""
    return max(1, math.floor(length + 0.5))


def part(width: int, height: int, value: Mapping[str, Any]) -> tuple[int, int]:
    """The size of what a crop of kind "size" or "ratio" leaves."""
    if value["kind"] == "size":
        return min(width, value["width"]), min(height, value["height"])
    ratio = value["across"] / value["down"]
    if width > height * ratio:
        return min(width, _side(height * ratio)), height
    return width, min(height, _side(width / ratio))


def visible(width: int, height: int, value: Mapping[str, Any]) -> Box:
    """What a crop of kind "custom" has in common with the picture."""
    left, top = max(0, value["left"]), max(0, value["top"])
    right = min(width, value["left"] + value["width"])
    bottom = min(height, value["top"] + value["height"])
    if right <= left or bottom <= top:
        raise Refused(
            "crop-outside",
            f"The part to cut out lies outside of the picture, which is {width} x {height} here.",
        )
    return Box(left, top, right - left, bottom - top)


def place(outer: tuple[int, int], inner: tuple[int, int], gravity: str, margin: int = 0) -> Box:
    """Where `inner` lies in `outer`: north, south-east, centre, ... `margin` from the edge."""
    across = 1 if "east" in gravity else -1 if "west" in gravity else 0
    down = 1 if "south" in gravity else -1 if "north" in gravity else 0
    left = _along(outer[0] - inner[0], across, margin)
    return Box(left, _along(outer[1] - inner[1], down, margin), *inner)


def _along(free: int, towards: int, margin: int) -> int:
    margin = min(margin, max(0, free // 2))
    return (margin, free // 2, free - margin)[towards + 1]


def check_pixels(width: int, height: int, limits: Limits, frames: int = 1) -> None:
    """Refuses pictures that are too large, before a pixel of them is made."""
    if width * height * frames > limits.pixels_max:
        many = f", {frames} times," if frames > 1 else ""
        raise Refused(
            "media-too-large",
            f"The picture has {width} x {height}{many} pixels; at most"
            f" {limits.pixels_max:,} are converted here.",
        )


def check_side(width: int, height: int, side_max: int, extension: str) -> None:
    """Refuses what the format cannot hold, such as a WebP of 20,000 pixels."""
    if max(width, height) > side_max:
        raise Refused(
            "media-too-large",
            f"The picture would have {width} x {height} pixels; {extension} holds at most"
            f" {side_max:,} on a side. Ask for a smaller size or another format.",
        )
