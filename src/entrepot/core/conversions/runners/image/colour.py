"""Colours by profiles: what the numbers mean decides what they become (ICC.1, IEC 61966-2-1).

A picture without a profile is sRGB, gray with the curve of sRGB, or CMYK by the built-in profile.
The intent is perceptual, with the black point kept.
"""

from collections.abc import Callable
from functools import cache

import pyvips

from entrepot.core.conversions.runners.image.picture import (
    CMYK,
    GRAY,
    PROFILE,
    RGB,
    Picture,
    bits_of,
    full,
    join,
    profile_of,
    split,
    typed,
    without_colour,
)

SRGB_WHITE = (255, 255, 255, 255)
_MODEL_OF_SIGNATURE = {b"RGB ": RGB, b"GRAY": GRAY, b"CMYK": CMYK}
_BUILT_IN = {RGB: "srgb", CMYK: "cmyk"}
_INTENT = {"intent": "perceptual", "black_point_compensation": True}


def fitting_profile(image: pyvips.Image, model: str) -> pyvips.Image:
    """Without its profile where that is none for its colour model, or a wreck."""
    profile = profile_of(image)
    if profile is None:
        return image
    sound = len(profile) > 128 and profile[36:40] == b"acsp"
    if sound and _MODEL_OF_SIGNATURE.get(profile[16:20]) == model and _usable(profile, model):
        return image
    return without_colour(image)


def _usable(profile: bytes, model: str) -> bool:
    """Tried on one pixel: else it would only fail when the whole picture is being written."""
    pixel = typed(pyvips.Image.black(1, 1, bands={GRAY: 1, RGB: 3, CMYK: 4}[model]), model, 8)
    pixel = pixel.copy()
    pixel.set_type(pyvips.GValue.blob_type, PROFILE, profile)
    try:
        # Both ways: a profile of a scanner has no way back.
        pixel.icc_import(pcs="lab", embedded=True).icc_export(depth=8).getpoint(0, 0)
    except pyvips.Error:
        return False
    return True


@cache
def built_in(name: str) -> bytes:
    """The ICC profile srgb, p3 or cmyk that libvips carries."""
    pixel = typed(pyvips.Image.black(1, 1, bands=3), RGB, 8)
    made = pixel.icc_transform(name, input_profile="srgb")
    return bytes(made.get(PROFILE))


def to_space(picture: Picture, space: str) -> Picture:
    """In srgb, p3, cmyk (with that profile) or gray (the curve of sRGB, no profile)."""
    if space == "gray":
        return picture.as_model(GRAY, lambda frame: _to_gray(frame, picture.model))
    model = CMYK if space == "cmyk" else RGB
    if picture.model == model and picture.profile == built_in(space):
        return picture
    return picture.as_model(model, lambda frame: _transformed(frame, picture.model, space))


def _transformed(image: pyvips.Image, model: str, space: str) -> pyvips.Image:
    target = CMYK if space == "cmyk" else RGB
    bits = bits_of(image)
    colour, alpha = split(image, model)
    if profile_of(colour) is None and model == GRAY:
        colour, model = typed(colour.bandjoin([colour, colour]), RGB, bits), RGB
    if profile_of(colour) is None and model == RGB and space == "srgb":
        made = colour.copy()
        made.set_type(pyvips.GValue.blob_type, PROFILE, built_in("srgb"))
    else:
        made = colour.icc_transform(
            space, embedded=True, input_profile=_BUILT_IN.get(model, "srgb"), depth=bits, **_INTENT
        )
    return typed(join(made, alpha), target, bits)


def _to_gray(image: pyvips.Image, model: str) -> pyvips.Image:
    bits = bits_of(image)
    if model == GRAY and profile_of(image) is None:
        return image
    colour, alpha = split(_transformed(image, model, "srgb"), RGB)
    gray = without_colour(colour).colourspace("grey16" if bits == 16 else "b-w")
    return typed(join(gray, alpha), GRAY, bits)


def on_lab(picture: Picture, change: Callable[[pyvips.Image], pyvips.Image]) -> Picture:
    """`change` applied to the picture as CIE L*a*b* (float, D50), and back as it was."""
    return picture.each(lambda frame: _frame_on_lab(frame, picture.model, change))


def _frame_on_lab(
    image: pyvips.Image, model: str, change: Callable[[pyvips.Image], pyvips.Image]
) -> pyvips.Image:
    bits = bits_of(image)
    colour, alpha = split(image, model)
    if model == CMYK or profile_of(colour) is not None:
        known = {"embedded": True, "input_profile": _BUILT_IN.get(model, "srgb")}
        lab = change(colour.icc_import(pcs="lab", intent="relative", **known))
        back = {} if profile_of(colour) is not None else {"output_profile": _BUILT_IN[model]}
        made = lab.icc_export(pcs="lab", intent="relative", depth=bits, **back)
        if back:
            made = without_colour(made)
    else:
        named = {(GRAY, 8): "b-w", (GRAY, 16): "grey16", (RGB, 8): "srgb", (RGB, 16): "rgb16"}
        made = change(colour.colourspace("lab")).colourspace(named[model, bits])
    return typed(join(made, alpha), model, bits)


def paint(picture: Picture, colour: tuple[int, int, int, int]) -> list[float]:
    """An sRGB colour with its opacity (0..255) in the picture's own numbers, alpha included."""
    image = picture.first
    pixel = typed(pyvips.Image.black(1, 1, bands=3) + list(colour[:3]), RGB, 8)
    made = like(pixel, picture).getpoint(0, 0)
    opacity = [colour[3] / 255 * full(image)] if picture.alpha else []
    return [*made, *opacity]


def like(pixels: pyvips.Image, picture: Picture) -> pyvips.Image:
    """Opaque sRGB pixels of 8 bits in the picture's model, profile and depth, without a profile."""
    bits, profile = picture.bits, picture.profile
    if profile is None and picture.model == CMYK:
        made = pixels.icc_transform("cmyk", input_profile="srgb", depth=bits, **_INTENT)
    elif profile is None:
        named = {(GRAY, 8): "b-w", (GRAY, 16): "grey16", (RGB, 8): "srgb", (RGB, 16): "rgb16"}
        made = pixels.colourspace(named[picture.model, bits])
    else:
        lab = pixels.icc_import(pcs="lab", input_profile="srgb", intent="relative").copy()
        lab.set_type(pyvips.GValue.blob_type, PROFILE, profile)
        made = lab.icc_export(pcs="lab", intent="relative", depth=bits)
    return without_colour(typed(made, picture.model, bits))
