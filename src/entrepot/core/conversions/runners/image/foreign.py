"""Pictures that libvips' wheel cannot read: HEIC by pillow-heif, a few old ones by Pillow."""

import io
import warnings
from pathlib import Path
from typing import Any

import pillow_heif
import pyvips
from PIL import Image, ImageFile, UnidentifiedImageError

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.runners.image.libvips import reason
from entrepot.core.conversions.runners.image.picture import CMYK, GRAY, PROFILE, RGB, typed
from entrepot.core.conversions.runners.image.sizes import check_pixels
from entrepot.core.conversions.runners.protocol import Refused

# Pillow may try these and no other of its formats.
_FORMATS = {"bmp": "BMP", "jpeg2000": "JPEG2000"}
_MODES = {"L": GRAY, "LA": GRAY, "RGB": RGB, "RGBA": RGB, "CMYK": CMYK, "I;16": GRAY}
_BANDS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 1}


def read(kind: str, source: Path, limits: Limits, *, pixels: bool = True) -> pyvips.Image:
    """Decoded; profile, EXIF and XMP ride on it. The size is checked before the pixels.

    Without `pixels` it is black: right in everything but what it shows.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # our own limit follows, with an answer that says what it is
    try:
        with warnings.catch_warnings(), source.open("rb") as file:
            warnings.simplefilter("ignore")
            picture = _heif(file) if kind == "heic" else Image.open(file, formats=[_FORMATS[kind]])
            check_pixels(*picture.size, limits)
            return _pixels(picture) if pixels else _blank(picture)
    except Refused:
        raise
    except UnidentifiedImageError as error:
        raise Refused("media-damaged", "The picture cannot be read.") from error
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, IndexError) as error:
        raise Refused("media-damaged", f"The picture cannot be read: {reason(error)}") from error


def _heif(file: Any) -> Image.Image:
    """Turned already, as HEIF demands (ISO/IEC 23008-12, 6.5.10); EXIF's orientation is reset."""
    pillow_heif.options.DECODE_THREADS = 1
    return pillow_heif.HeifImageFile(file)  # type: ignore[no-untyped-call]


def _blank(picture: Image.Image) -> pyvips.Image:
    mode = picture.mode if picture.mode in _MODES else "RGB"
    black = pyvips.Image.black(*picture.size, bands=_BANDS[mode])
    return _described(typed(black, _MODES[mode], 16 if mode == "I;16" else 8), picture)


def _pixels(picture: Image.Image) -> pyvips.Image:
    if picture.mode not in _MODES:
        transparent = "transparency" in picture.info or picture.mode in ("PA", "La", "RGBa")
        info = picture.info
        picture = picture.convert("RGBA" if transparent else "RGB")
        picture.info.update(info)
    deep = picture.mode == "I;16"
    image = pyvips.Image.new_from_memory(
        picture.tobytes(), *picture.size, _BANDS[picture.mode], "ushort" if deep else "uchar"
    )
    return _described(typed(image, _MODES[picture.mode], 16 if deep else 8), picture)


def _described(image: pyvips.Image, picture: Image.Image) -> pyvips.Image:
    image = image.copy()
    for name, field in (("icc_profile", PROFILE), ("xmp", "xmp-data")):
        data = picture.info.get(name)
        if isinstance(data, bytes) and data:
            image.set_type(pyvips.GValue.blob_type, field, data)
    exif = picture.info.get("exif")
    if isinstance(exif, bytes) and exif:
        _add_exif(image, exif)
    return image


def _add_exif(image: pyvips.Image, exif: bytes) -> None:
    """libvips takes EXIF apart only while it reads a file: so it is given one to read."""
    carrier = io.BytesIO()
    Image.new("L", (1, 1)).save(carrier, "JPEG", exif=exif)
    read_back = pyvips.Image.jpegload_buffer(carrier.getvalue())
    for field in read_back.get_fields():
        if field.startswith("exif-"):
            image.set_type(read_back.get_typeof(field), field, read_back.get(field))
