"""What lies behind a picture: the colour of what a padding or a rotation adds."""

from dataclasses import dataclass

import pyvips

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.runners.image.colour import SRGB_WHITE, paint
from entrepot.core.conversions.runners.image.picture import (
    CMYK,
    Picture,
    bits_of,
    full,
    join,
    split,
    typed,
    with_alpha,
)
from entrepot.core.conversions.runners.image.sizes import place

Colour = tuple[int, int, int, int]
_CLEAR: Colour = (0, 0, 0, 0)


def parse_colour(text: str) -> Colour:
    """ "#rrggbbaa" as four numbers to 255."""
    red, green, blue, opacity = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue, opacity


def over_white(colour: Colour) -> Colour:
    """Made opaque, with white behind it."""
    red, green, blue, opacity = colour
    return (
        round((red * opacity + 255 * (255 - opacity)) / 255),
        round((green * opacity + 255 * (255 - opacity)) / 255),
        round((blue * opacity + 255 * (255 - opacity)) / 255),
        255,
    )


@dataclass(frozen=True, slots=True)
class Canvas:
    """`background` None: transparent where the output can be (`keeps_alpha`), else white."""

    background: Colour | None
    keeps_alpha: bool
    limits: Limits

    def ready(self, picture: Picture) -> tuple[Picture, list[float]]:
        """The picture with a channel of alpha if the canvas needs one, and the canvas' colour."""
        colour = self.background or (_CLEAR if self.keeps_alpha else SRGB_WHITE)
        if picture.model == CMYK or not self.keeps_alpha:
            colour = over_white(colour)
        if colour[3] < 255 and picture.model != CMYK:
            picture = picture.each(lambda frame: with_alpha(frame, picture.model))
        return picture, paint(picture, colour)

    def enlarge(self, picture: Picture, size: tuple[int, int]) -> Picture:
        """Centred on a canvas of this size, which is at least the picture's."""
        picture, colour = self.ready(picture)
        at = place(size, picture.size, "centre")
        return picture.each(
            lambda frame: frame.embed(
                at.left, at.top, *size, extend="background", background=colour
            )
        )

    def settle(self, picture: Picture) -> Picture:
        """Alpha dissolved where a background was asked for or the output cannot have it."""
        if not picture.alpha or (self.keeps_alpha and self.background is None):
            return picture
        behind = self.background or SRGB_WHITE
        if not self.keeps_alpha:
            behind = over_white(behind)
        colour = paint(picture, behind)
        if behind[3] == 255:
            return picture.each(lambda frame: _flat(frame, colour[:-1]))
        return picture.each(lambda frame: _over(frame, picture.model, colour))


def _flat(image: pyvips.Image, colour: list[float]) -> pyvips.Image:
    bits, most = bits_of(image), full(image)
    flat = image.flatten(background=colour, max_alpha=most)
    return flat.cast("ushort" if bits == 16 else "uchar")


def _over(image: pyvips.Image, model: str, behind: list[float]) -> pyvips.Image:
    """Porter and Duff's "over", with the background being half transparent itself."""
    most = full(image)
    colour, alpha = split(image, model)
    if alpha is None:
        return image
    front, back = alpha / most, behind[-1] / most
    whole = front + (1 - front) * back
    mixed = colour * front + (1 - front) * [part * back for part in behind[:-1]]
    # Dividing by zero gives zero in libvips: where nothing is, its colour does not matter.
    return typed(join(mixed / whole, whole * most), model, bits_of(image))
