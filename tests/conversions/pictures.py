"""Pictures made by Pillow and libvips for the tests of the image runner, and how to convert them.

What comes out is judged by Pillow and LittleCMS, not by the library that made it.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pillow_heif
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image, ImageCms, ImageDraw

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners.image import convert

LIMITS = Limits(pixels_max=4_000_000, pages_max=20, frames_max=50)
LOSSY = ("jpg", "webp", "avif", "heic", "pdf")
RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 40), (40, 50, 190), (255, 255, 255)
QUARTERS = (RED, GREEN, BLUE, WHITE)  # top left, top right, bottom left, bottom right

Operation = tuple[str, Any]


def recipe(extension: str, *operations: Operation, **settings: Any) -> Recipe:
    """Complete, as compile_pipeline makes it: the settings given, over the usual ones."""
    known: dict[str, Any] = {"colorSpace": "auto", "colorProfile": "embed", "metadata": "strip"}
    if extension in LOSSY:
        known["quality"] = 90
    steps = [Step(kind, value) for kind, value in operations]
    steps += [Step(kind, value) for kind, value in (known | settings).items()]
    return Recipe("image", tuple(steps), extension, "application/octet-stream")


def converted(
    source: Path,
    extension: str,
    *operations: Operation,
    limits: Limits = LIMITS,
    watermarks: Sequence[Path] = (),
    **settings: Any,
) -> Path:
    """The result, beside the source."""
    return converted_with_facts(
        source, extension, *operations, limits=limits, watermarks=watermarks, **settings
    )[0]


def converted_with_facts(
    source: Path,
    extension: str,
    *operations: Operation,
    limits: Limits = LIMITS,
    watermarks: Sequence[Path] = (),
    **settings: Any,
) -> tuple[Path, Mapping[str, Fact]]:
    target = source.parent / "converted"
    target.write_bytes(b"")
    made = recipe(extension, *operations, **settings)
    return target, convert(source, made, target, limits, watermarks)


def opened(path: Path) -> Image.Image:
    """Decoded by Pillow (HEIC by pillow-heif, the page of a PDF by PDFium)."""
    data = path.read_bytes()
    if data.startswith(b"%PDF"):
        with pypdfium2.PdfDocument(data) as document:
            picture = next(iter(document[0].get_objects()))
            drawn: Image.Image = picture.get_bitmap(render=True).to_pil()
            return drawn
    if data[4:12] in (b"ftypheic", b"ftypmif1", b"ftypheix"):
        return pillow_heif.open_heif(io.BytesIO(data)).to_pillow()
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def quarters(width: int = 240, height: int = 160) -> Image.Image:
    """Four colours that tell every way of turning and cutting apart."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    half = (width // 2, height // 2)
    corners = ((0, 0), (half[0], 0), (0, half[1]), half)
    for (left, top), colour in zip(corners, QUARTERS, strict=True):
        draw.rectangle((left, top, left + half[0] - 1, top + half[1] - 1), fill=colour)
    return image


def corner_colours(image: Image.Image) -> list[tuple[int, ...]]:
    """In the middle of each quarter, in the order of QUARTERS."""
    rgb = image.convert("RGB")
    width, height = rgb.size
    places = ((1, 1), (3, 1), (1, 3), (3, 3))
    return [pixel(rgb, width * x // 4, height * y // 4) for x, y in places]


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = image.getpixel((x, y))
    assert value is not None
    return tuple(int(part) for part in value) if isinstance(value, tuple) else (int(value),)


def near(first: Sequence[float], second: Sequence[float], by: float = 6) -> bool:
    return len(first) == len(second) and all(
        abs(one - other) <= by for one, other in zip(first, second, strict=True)
    )


def saved(path: Path, image: Image.Image, form: str = "PNG", **options: Any) -> Path:
    image.save(path, form, **options)
    return path


def lab_of(image: Image.Image, x: int, y: int) -> tuple[float, ...]:
    """What a pixel looks like by the profile in the file (sRGB without), by LittleCMS."""
    data = image.info.get("icc_profile")
    profile = ImageCms.getOpenProfile(io.BytesIO(data)) if data else ImageCms.createProfile("sRGB")
    colour = image.convert("RGB") if image.mode == "RGBA" else image
    one = colour.crop((x, y, x + 1, y + 1))
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("LAB"),
        one.mode,
        "LAB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    lab = ImageCms.applyTransform(one, transform)
    assert lab is not None
    light, a, b = pixel(lab, 0, 0)
    return (light / 2.55, a - 128, b - 128)
