"""Encoders: the same picture and settings give the same bytes, with no time and no name in them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pillow_heif
import pyvips
from PIL import Image

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners.image.metadata import EXIF, XMP
from entrepot.core.conversions.runners.image.pdf import pdf_page
from entrepot.core.conversions.runners.image.picture import PROFILE, Picture
from entrepot.core.conversions.runners.image.profiles import space_of
from entrepot.core.conversions.runners.protocol import Refused

QUALITY_MIN = 10  # the least that maxBytes goes down to
_KEEP = "exif|xmp|iptc|icc"
_SUFFIXES = {"jpg": "jpegsave", "webp": "webpsave", "avif": "heifsave"}
# Efforts where another step costs several times the time for a few percent of the size.
_LOSSY: dict[str, dict[str, Any]] = {
    "jpg": {"optimize_coding": True},
    "webp": {"effort": 4},
    "avif": {"compression": "av1", "effort": 3, "bitdepth": 8},
}


def write(picture: Picture, recipe: Recipe, target: Path, limits: Limits) -> dict[str, Fact]:
    """Writes the file; facts of it. Raises Refused max-bytes, media-too-large."""
    quality, most = recipe.setting("quality"), recipe.setting("maxBytes")
    if most is not None and quality is not None:
        picture = picture.settled()
        data, quality = _within(most, quality, lambda q: _lossy(picture, recipe, q))
        target.write_bytes(data)
    elif quality is not None:
        target.write_bytes(_lossy(picture, recipe, quality))
    else:
        _lossless(picture, recipe.extension, target)
    if target.stat().st_size > limits.output_bytes_max:
        raise Refused("media-too-large", "The result is larger than a result may be here.")
    return _facts(picture, quality)


def _within(most: int, quality: int, encode: Callable[[int], bytes]) -> tuple[bytes, int]:
    """The best quality that fits; at most eight encodings, by halving."""
    data = encode(quality)
    if len(data) <= most:
        return data, quality
    low, high = min(QUALITY_MIN, quality), quality - 1
    best: tuple[bytes, int] | None = None
    while low <= high:
        middle = (low + high) // 2
        data = encode(middle)
        if len(data) <= most:
            best, low = (data, middle), middle + 1
        else:
            high = middle - 1
    if best is None:
        raise Refused(
            "max-bytes",
            f"Even at the lowest quality the file has more than {most:,} bytes."
            " Ask for a smaller size in pixels.",
        )
    return best


def _lossy(picture: Picture, recipe: Recipe, quality: int) -> bytes:
    extension = recipe.extension
    if extension == "pdf":
        jpeg = picture.first.jpegsave_buffer(Q=quality, keep="none", **_LOSSY["jpg"])
        return pdf_page(picture, bytes(jpeg), recipe.setting("dpi"))
    if extension == "heic":
        return _heic(picture.first, quality)
    save = getattr(_strip(picture), f"{_SUFFIXES[extension]}_buffer")
    pages = {"page_height": picture.size[1]} if len(picture.frames) > 1 else {}
    return bytes(save(Q=quality, keep=_KEEP, **pages, **_LOSSY[extension]))


def _heic(image: pyvips.Image, quality: int) -> bytes:
    """By pillow-heif, since libvips' wheel has no encoder for HEVC."""
    mode = "RGBA" if image.bands == 4 else "RGB"
    pixels = Image.frombytes(mode, (image.width, image.height), image.write_to_memory())
    carried: dict[str, Any] = {}
    for name, field in (("icc_profile", PROFILE), ("xmp", XMP)):
        if image.get_typeof(field):
            carried[name] = bytes(image.get(field))
    if exif := _exif(image):
        carried["exif"] = exif
    made = io.BytesIO()
    options = {"quality": quality, "chroma": 420, "enc_params": {"preset": "medium"}}
    pillow_heif.from_pillow(pixels).save(made, **options, **carried)
    return made.getvalue()


def _exif(image: pyvips.Image) -> bytes:
    """As libvips puts it together for a file; empty where there is none."""
    fields = [field for field in image.get_fields() if field.startswith("exif-")]
    if not fields:
        return b""
    carrier = pyvips.Image.black(1, 1).copy(xres=image.xres, yres=image.yres)
    for field in fields:
        carrier.set_type(image.get_typeof(field), field, image.get(field))
    read_back = pyvips.Image.jpegload_buffer(carrier.jpegsave_buffer(keep="exif"))
    return bytes(read_back.get(EXIF)) if read_back.get_typeof(EXIF) else b""


def _lossless(picture: Picture, extension: str, target: Path) -> None:
    name = str(target)
    if extension == "png":
        picture.first.pngsave(name, keep=_KEEP, compression=6, filter="all", bitdepth=picture.bits)
    elif extension == "tif":
        size = picture.size[0] * picture.size[1] * picture.first.bands * picture.bits // 8
        # LZW may make noise larger; offsets of 32 bits end at 4 GiB.
        picture.first.tiffsave(
            name, keep=_KEEP, compression="lzw", predictor="horizontal", bigtiff=size > 2 << 30
        )
    else:
        pages = {"page_height": picture.size[1]} if len(picture.frames) > 1 else {}
        _strip(picture).gifsave(name, keep=_KEEP, effort=7, **pages)


def _strip(picture: Picture) -> pyvips.Image:
    """The frames of an animation below each other, as libvips writes them."""
    if len(picture.frames) == 1:
        return picture.first
    joined = pyvips.Image.arrayjoin(list(picture.frames), across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", picture.size[1])
    joined.set_type(pyvips.GValue.array_int_type, "delay", list(picture.delays_ms))
    joined.set_type(pyvips.GValue.gint_type, "loop", picture.loop)
    return joined


def _facts(picture: Picture, quality: int | None) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "width": picture.size[0],
        "height": picture.size[1],
        "colour_space": space_of(picture.model, picture.profile),
        "bits": picture.bits,
        "alpha": picture.alpha,
    }
    if quality is not None:
        facts["quality"] = quality
    if len(picture.frames) > 1:
        facts["frames"] = len(picture.frames)
        facts["duration_seconds"] = sum(picture.delays_ms) / 1000
    return facts
