"""The last steps before writing: colour space, depth, profile, metadata, density."""

import pyvips

from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners.image.colour import built_in, to_space
from entrepot.core.conversions.runners.image.formats import Format
from entrepot.core.conversions.runners.image.metadata import carry
from entrepot.core.conversions.runners.image.picture import (
    CMYK,
    GRAY,
    PROFILE,
    RGB,
    Picture,
    typed,
    without_colour,
)
from entrepot.core.conversions.runners.image.sizes import check_side

_INCH_MM = 25.4


def finish(picture: Picture, recipe: Recipe, output: Format) -> Picture:
    """Ready to be written: nothing in it that the format or the recipe does not want."""
    check_side(*picture.size, output.side_max, recipe.extension)
    embed = recipe.setting("colorProfile") != "strip" and output.profile
    picture = _in_space(picture, recipe.setting("colorSpace") or "auto", output, embed=embed)
    if picture.bits > output.bits:
        model = picture.model
        picture = picture.each(lambda frame: typed(frame / 257, model, 8))
    if not embed:
        picture = picture.each(without_colour)
    elif picture.model == RGB and picture.profile is None:
        picture = picture.each(_tagged)
    dpi, rule = recipe.setting("dpi"), recipe.setting("metadata") or "strip"
    return picture.each(lambda frame: _dense(carry(frame, rule, recipe.extension), dpi))


def _in_space(picture: Picture, space: str, output: Format, *, embed: bool) -> Picture:
    if space in ("p3", "cmyk") and not output.profile:
        space = "srgb"  # what a reader takes it for, having no profile to go by
    if space != "auto":
        picture = to_space(picture, space)
    elif picture.profile is not None and picture.model != CMYK and not embed:
        # Numbers that nobody could read any more without their profile.
        picture = to_space(picture, "gray" if picture.model == GRAY else "srgb")
    return picture if picture.model in output.models else to_space(picture, "srgb")


def _tagged(image: pyvips.Image) -> pyvips.Image:
    copy = image.copy()
    copy.set_type(pyvips.GValue.blob_type, PROFILE, built_in("srgb"))
    return copy


def _dense(image: pyvips.Image, dpi: int | None) -> pyvips.Image:
    """With that many pixels an inch; else as the source had it."""
    if dpi is None:
        return image
    copy = image.copy(xres=dpi / _INCH_MM, yres=dpi / _INCH_MM)
    copy.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    return copy
