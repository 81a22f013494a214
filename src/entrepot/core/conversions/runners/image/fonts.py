"""Fonts for texts on pictures: the one that Pillow brings, else one of the machine's.

Pillow's covers plain Latin without accents and is everywhere the same. A text with other
characters takes the first font below FOLDERS that has all of them, so its shape depends on the
machine. Where there is none the text is refused: boxes instead of letters help nobody.
"""

import os
from functools import cache
from pathlib import Path

import pyvips
from PIL import Image, ImageDraw, ImageFont

from entrepot.core.conversions.runners.image.picture import GRAY, typed
from entrepot.core.conversions.runners.protocol import Refused

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
FONTS_MAX = 2000
_PREFERRED = ("NotoSans-Regular", "DejaVuSans", "LiberationSans-Regular")
_NEVER = "\uffff"  # no character, so no font has it: what is drawn for it means "not there"
_PROBE_PIXELS = 24
_TRIMMED_MIN = 3  # pixels; libvips looks at each with its neighbours


def render(text: str, height: float) -> pyvips.Image:
    """The text as a mask of one channel, cut to its ink; `height` is the font's, in pixels."""
    if _covers(_built_in(_PROBE_PIXELS), text):
        return _drawn(text, _built_in(height))
    path = _font_with(text)
    if path is None:
        raise Refused(
            "media-unsupported",
            f"No font on this machine has every character of the text {text[:40]!r}."
            " The operator can install one, such as the package fonts-noto.",
        )
    # By Pango, which also knows how letters of scripts such as Arabic join.
    face = ImageFont.truetype(str(path), _PROBE_PIXELS).getname()
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    mask = pyvips.Image.text(
        escaped, font=f"{face[0]} {face[1]} {height:.2f}", fontfile=str(path), dpi=72
    )
    return _inked(mask)


def _drawn(text: str, font: ImageFont.FreeTypeFont) -> pyvips.Image:
    left, top, right, bottom = font.getbbox(text)
    size = (max(1, round(right - left)), max(1, round(bottom - top)))
    sheet = Image.new("L", size, 0)
    ImageDraw.Draw(sheet).text((-left, -top), text, fill=255, font=font)
    mask = pyvips.Image.new_from_memory(sheet.tobytes(), *size, 1, "uchar")
    return _inked(typed(mask, GRAY, 8))


def _inked(mask: pyvips.Image) -> pyvips.Image:
    mask = mask.copy_memory()
    if min(mask.width, mask.height) < _TRIMMED_MIN:
        return mask
    left, top, width, height = mask.find_trim(threshold=1, background=[0])
    return mask.crop(left, top, width, height) if width and height else mask


def _built_in(height: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(1.0, height))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType")
    return font


def _covers(font: ImageFont.FreeTypeFont, text: str) -> bool:
    missing = bytes(font.getmask(_NEVER))
    letters = {letter for letter in text if not letter.isspace()}
    return all(bytes(font.getmask(letter)) != missing for letter in letters)


def _font_with(text: str) -> Path | None:
    for path in _fonts():
        try:
            if _covers(ImageFont.truetype(str(path), _PROBE_PIXELS), text):
                return path
        except (OSError, ValueError):  # no font, or one that FreeType does not like
            continue
    return None


@cache
def _fonts() -> tuple[Path, ...]:
    """Those to try first, first; the others by name. Bounded: a folder may be anything."""
    found: list[Path] = []
    for folder in FOLDERS:
        for where, _, names in os.walk(folder):
            found += [Path(where, name) for name in names if name.endswith((".ttf", ".otf"))]
    order = {name: place for place, name in enumerate(_PREFERRED)}
    ranked = sorted(found, key=lambda path: (order.get(path.stem, len(order)), str(path)))
    return tuple(ranked[:FONTS_MAX])
