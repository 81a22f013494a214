"""What each output format can hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from entrepot.core.conversions.runners.image.picture import CMYK, GRAY, RGB


@dataclass(frozen=True, slots=True)
class Format:
    """`models` of colour, the deepest channel in bits, the longest side in pixels."""

    models: frozenset[str]
    side_max: int
    alpha: bool = True
    bits: int = 8
    profile: bool = True
    animated: bool = False


_ALL, _SCREEN, _RGB = frozenset({GRAY, RGB, CMYK}), frozenset({GRAY, RGB}), frozenset({RGB})

FORMATS: Mapping[str, Format] = {
    "jpg": Format(_ALL, 65_500, alpha=False),  # libjpeg's JPEG_MAX_DIMENSION
    "png": Format(_SCREEN, 1_000_000, bits=16),  # what libpng reads again unless told otherwise
    "webp": Format(_RGB, 16_383, animated=True),  # 14 bits in the bitstream
    "avif": Format(_RGB, 16_384),
    "heic": Format(_RGB, 16_384),
    "tif": Format(_ALL, 1_000_000, bits=16),
    "gif": Format(_SCREEN, 65_535, profile=False, animated=True),
    "pdf": Format(_ALL, 65_500, alpha=False),  # a JPEG on a page
}
