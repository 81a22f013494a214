"""From a file to a Picture: header first, limits next, pixels last and no more than needed."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyvips

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Step
from entrepot.core.conversions.runners.image import foreign
from entrepot.core.conversions.runners.image.colour import fitting_profile
from entrepot.core.conversions.runners.image.kinds import BY_LIBVIPS, kind_of
from entrepot.core.conversions.runners.image.libvips import refusing
from entrepot.core.conversions.runners.image.picture import (
    CMYK,
    GRAY,
    RGB,
    Picture,
    colours,
    join,
    split,
    typed,
)
from entrepot.core.conversions.runners.image.sizes import check_pixels, resized
from entrepot.core.conversions.runners.protocol import Refused

SVG_BYTES_MAX = 64 << 20
_LOADERS = {"gif": "gifload", "tiff": "tiffload", "avif": "heifload"}
_ANIMATED = frozenset({"gif", "webp"})
_FAIL = {"fail_on": "error"}
_STREAMED = {**_FAIL, "access": "sequential"}

# Fields that say how pages follow each other in one image: a single frame has no use for them.
_OF_PAGES = ("n-pages", "page-height", "delay", "loop", "gif-delay", "gif-loop")
# What may stand before the resize of a drawing without asking for a size in pixels of its own.
_SIZELESS = ("flip", "brightness", "contrast", "saturation", "watermark")
_MODELS = {1: GRAY, 2: GRAY, 3: RGB, 4: RGB}


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says of itself. Width and height as stored, before the orientation."""

    kind: str
    image: pyvips.Image
    frames: int
    orientation: int

    @property
    def turned(self) -> bool:
        """Whether the orientation swaps width and height."""
        return self.orientation >= 5

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as the picture is meant to be seen."""
        size = (self.image.width, self.image.height)
        return (size[1], size[0]) if self.turned else size


def read_header(
    source: Path, limits: Limits, *, animated: bool = False, pixels: bool = False
) -> Header:
    """`pixels`: of what Pillow reads, the picture itself and not only its measures.

    Raises Refused for what is no picture, or one beyond the limits."""
    kind = kind_of(source)
    with refusing("The picture cannot be read"):
        image = _load(kind, source, limits, {}) if kind in BY_LIBVIPS else None
    if image is None:
        image = foreign.read(kind, source, limits, pixels=pixels)
    pages = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    frames = pages if kind in _ANIMATED else 1
    if pages > (limits.frames_max if frames > 1 else limits.pages_max):
        raise Refused("media-too-large", f"The picture has {pages} pages or frames: too many.")
    check_pixels(image.width, image.height, limits, frames if animated else 1)
    orientation = int(image.get("orientation")) if image.get_typeof("orientation") else 1
    return Header(kind, image, frames, orientation if 1 <= orientation <= 8 else 1)


def open_picture(
    source: Path, operations: Sequence[Step], limits: Limits, *, animated: bool
) -> Picture:
    """The picture upright, as 8 or 16 bits of gray, RGB or CMYK, with a profile that fits.

    Where a resize comes first it may arrive smaller than stored, but never below twice the size
    asked for; SVG arrives at just that size. Errors in the pixels may surface only when they are
    used. Raises Refused.
    """
    header = read_header(source, limits, animated=animated, pixels=True)
    first = _first_resize(operations, _SIZELESS if header.kind == "svg" else ())
    with refusing("The picture is damaged"):
        if animated and header.frames > 1:
            return _animation(source, header, limits)
        image = _still(source, header, first, limits)
        check_memory(image, limits)
        picture = _normal(image)
        if first is not None:  # else the size changes before the first resize, or there is none
            picture = replace(picture, stored=header.shown, vector=header.kind == "svg")
        if header.orientation != 1 and first is None:
            return picture.settled().each(upright)
        # Else turned after that resize: pixels that nobody wants are not moved.
        return picture


def _first_resize(operations: Sequence[Step], before: Sequence[str]) -> Step | None:
    """Where nothing stands before it but steps of the types `before`."""
    rest = itertools.dropwhile(lambda step: step.type in before, operations)
    step = next(rest, None)
    return step if step is not None and step.type == "resize" else None


def upright(image: pyvips.Image) -> pyvips.Image:
    """Turned as its EXIF orientation says; the tag is gone afterwards."""
    return image.autorot()


def is_turned(image: pyvips.Image) -> bool:
    """Whether an orientation still has to be applied."""
    return bool(image.get_typeof("orientation")) and image.get("orientation") != 1


def check_memory(image: pyvips.Image, limits: Limits) -> None:
    """Refuses what could not be held in memory, where that is already plain."""
    size = image.width * image.height * image.bands * (2 if image.format != "uchar" else 1)
    if size > limits.memory_bytes_max // 2:
        raise Refused(
            "media-too-large",
            f"The picture takes {size >> 20:,} MiB when it is unpacked: too much for this machine.",
        )


def _still(source: Path, header: Header, first: Step | None, limits: Limits) -> pyvips.Image:
    if header.kind not in BY_LIBVIPS:
        return header.image
    options: dict[str, Any] = dict(_STREAMED)
    if first is not None:
        options |= _shrinking(header, first, limits)
    return _load(header.kind, source, limits, options)


def _shrinking(header: Header, resize: Step, limits: Limits) -> dict[str, Any]:
    """Options that let the decoder itself make the picture smaller."""
    vector = header.kind == "svg"
    wanted = resized(*header.shown, resize.value, vector=vector)
    check_pixels(wanted.width, wanted.height, limits)
    factor = min(header.shown[0] / wanted.width, header.shown[1] / wanted.height)
    if header.kind == "jpeg":
        # A block is averaged without a filter: the last halving is left to the resize.
        return {"shrink": next((by for by in (8, 4, 2) if factor >= 2 * by), 1)}
    if header.kind == "webp" and header.frames == 1 and factor > 2:
        return {"scale": 2 / factor}
    return {"scale": 1 / factor} if vector else {}


def _load(kind: str, source: Path, limits: Limits, options: dict[str, Any]) -> pyvips.Image:
    """By the loader of that kind and no other."""
    if kind == "svg":
        # From memory it has no folder: nothing beside it can be referred to.
        if source.stat().st_size > SVG_BYTES_MAX:
            raise Refused("media-too-large", f"An SVG may have {SVG_BYTES_MAX >> 20} MiB here.")
        image = pyvips.Image.svgload_buffer(source.read_bytes(), **options)
        check_pixels(image.width, image.height, limits)
        return image
    loader = getattr(pyvips.Image, _LOADERS.get(kind, f"{kind}load"))
    return loader(str(source), **options)


def _animation(source: Path, header: Header, limits: Limits) -> Picture:
    image = _load(header.kind, source, limits, {**_STREAMED, "n": -1})
    check_memory(image, limits)
    strip = image.copy_memory()
    height, count = header.image.height, header.frames
    delays = list(strip.get("delay")) if strip.get_typeof("delay") else []
    frames = [strip.crop(0, at * height, strip.width, height) for at in range(count)]
    picture = _normal(frames[0])
    return Picture(
        tuple(_normal(frame).first for frame in frames),
        picture.model,
        delays_ms=tuple((delays + [100] * count)[:count]),
        loop=int(strip.get("loop")) if strip.get_typeof("loop") else 0,
        in_memory=True,
    )


def _normal(image: pyvips.Image) -> Picture:
    """Whatever a file may hold, as gray, RGB or CMYK of 8 or 16 bits, perhaps with alpha."""
    model, bits = _MODELS.get(image.bands, RGB), 16 if image.format == "ushort" else 8
    if image.interpretation == "cmyk":
        # A fifth channel is a spot colour or a mask: CMYK has no transparency here.
        image, model = image.extract_band(0, n=4) if image.bands > 4 else image, CMYK
    elif image.interpretation == "multiband" and image.format in ("uchar", "ushort"):
        image = image.extract_band(0, n=4) if image.bands > 4 else image
    elif image.interpretation not in ("b-w", "grey16", "srgb", "rgb16"):
        image, model, bits = _measured(image), RGB, 8
    elif image.bands > colours(model) + 1:
        image = image.extract_band(0, n=4)
    elif image.format not in ("uchar", "ushort"):
        image = image.cast("uchar")
    image = fitting_profile(typed(image, model, bits), model).copy()
    for field in _OF_PAGES:
        if image.get_typeof(field):
            image.remove(field)
    return Picture((image,), model)


def _measured(image: pyvips.Image) -> pyvips.Image:
    """CIE Lab, linear light and the like: as sRGB of 8 bits."""
    colour, alpha = (image, None) if image.bands < 4 else split(image, RGB)
    if alpha is not None:
        alpha = alpha.cast("uchar")
    return join(colour.colourspace("srgb"), alpha)
