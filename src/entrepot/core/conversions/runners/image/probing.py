"""Facts of a picture from its header alone."""

from pathlib import Path

import pyvips

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.runners.image.libvips import refusing, start
from entrepot.core.conversions.runners.image.opening import Header, read_header
from entrepot.core.conversions.runners.image.picture import profile_of
from entrepot.core.conversions.runners.image.profiles import profile_name

_INCH_MM = 25.4
_SPACES = {
    "b-w": "gray",
    "grey16": "gray",
    "srgb": "rgb",
    "rgb16": "rgb",
    "scrgb": "rgb",
    "cmyk": "cmyk",
    "lab": "lab",
    "labs": "lab",
}
_MODELS = {1: "gray", 2: "gray", 3: "rgb", 4: "rgb"}


def probe(source: Path, content_type: str, limits: Limits) -> dict[str, Fact]:
    """See entry.probe. The bytes decide what it is, whatever `content_type` says."""
    start()
    header = read_header(source, limits)
    with refusing(f"The file ({content_type}) cannot be read"):
        return _facts(header)


def _facts(header: Header) -> dict[str, Fact]:
    image = header.image
    space = _SPACES.get(image.interpretation) or _MODELS.get(image.bands)
    facts: dict[str, Fact] = {
        "codec": header.kind,
        "width": header.shown[0],
        "height": header.shown[1],
        "orientation": header.orientation,
        "bits": _bits(image),
        "alpha": bool(image.hasalpha()),
    }
    if space is not None:
        facts["colour_space"] = space
    profile = profile_of(image)
    if profile is not None and (name := profile_name(profile)):
        facts["colour_profile"] = name
    # libvips notes one pixel a millimetre where the file says nothing.
    if header.kind != "svg" and image.xres > 0 and image.xres != 1.0:
        facts["dpi"] = round(image.xres * _INCH_MM)
    return facts | _pages(header)


def _bits(image: pyvips.Image) -> int:
    if image.get_typeof("bits-per-sample") and image.get_typeof("palette") == 0:
        return int(image.get("bits-per-sample"))
    return 16 if image.format in ("ushort", "short") else 32 if image.format == "float" else 8


def _pages(header: Header) -> dict[str, Fact]:
    image = header.image
    if header.frames > 1:
        delays = list(image.get("delay")) if image.get_typeof("delay") else []
        duration: dict[str, Fact] = {"duration_seconds": sum(delays) / 1000} if delays else {}
        return {"frames": header.frames, **duration}
    pages = int(image.get("n-pages")) if image.get_typeof("n-pages") else 1
    return {"pages": pages}
