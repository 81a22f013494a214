"""Operations on colour and sharpness, on CIE L*a*b* so that they look alike in every space."""

from collections.abc import Mapping
from typing import Any

import pyvips

from entrepot.core.conversions.runners.image.colour import on_lab
from entrepot.core.conversions.runners.image.geometry import weighed
from entrepot.core.conversions.runners.image.picture import Picture


def brightness(picture: Picture, percent: float) -> Picture:
    """L* times 1 + percent/100."""
    return on_lab(picture, lambda lab: lab * [1 + percent / 100, 1, 1])


def contrast(picture: Picture, percent: float) -> Picture:
    """L* moved away from the middle, 50, times 1 + percent/100."""
    factor = 1 + percent / 100
    return on_lab(picture, lambda lab: lab.linear([factor, 1, 1], [50 * (1 - factor), 0, 0]))


def saturation(picture: Picture, percent: float) -> Picture:
    """Chroma, the distance from gray, times 1 + percent/100."""
    factor = 1 + percent / 100
    return on_lab(picture, lambda lab: lab * [1, factor, factor])


def sharpen(picture: Picture, value: Mapping[str, Any]) -> Picture:
    """Unsharp mask: what the blurred lightness lacks is added again, `amount` times."""

    def change(lab: pyvips.Image) -> pyvips.Image:
        light, rest = lab.extract_band(0), lab.extract_band(1, n=2)
        lost = light - light.gaussblur(value["sigma"], precision="float")
        return (light + lost * value["amount"]).bandjoin(rest)

    return on_lab(picture, change)


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian, sigma in pixels."""
    return picture.each(
        lambda frame: weighed(frame, picture.model, lambda pixels: pixels.gaussblur(sigma))
    )
