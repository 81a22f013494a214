"""Steps that change the picture: from what a customer wrote to their normal form.

Each reader takes the value and gives none, one or more steps; see recipes.py for the form.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from entrepot.core.conversions._given import (
    Given,
    read_fields,
    read_flag,
    read_number,
    read_text,
    read_whole,
    read_word,
    tidy,
    words,
)
from entrepot.core.conversions._recipe import Step
from entrepot.errors import Invalid

SIDE_PIXELS_MAX = 20_000
TEXT_LENGTH_MAX = 200
PERCENT_MAX = 1_000
_RATIO_PART_MAX = 10_000
_RATIO = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)(?:[:/x](\d{1,5}(?:\.\d{1,4})?))?", re.ASCII)

_FITS = words("inside", "outside", "cover", "pad", "fill", contain="inside")
_COMPASS = words(
    "centre",
    "north",
    "south",
    "east",
    "west",
    "north-east",
    "north-west",
    "south-east",
    "south-west",
    center="centre",
    middle="centre",
    top="north",
    bottom="south",
    right="east",
    left="west",
    topright="north-east",
    topleft="north-west",
    bottomright="south-east",
    bottomleft="south-west",
)
_GRAVITIES = {**_COMPASS, "entropy": "entropy", "attention": "attention"}
_CROPPING = words("Custom", "Entropy", "CentralFocalPoint")

# The sixteen names of HTML 4, and transparent; everything else is written in hexadecimal.
_COLOURS = {
    "transparent": "00000000",
    "black": "000000",
    "silver": "c0c0c0",
    "gray": "808080",
    "grey": "808080",
    "white": "ffffff",
    "maroon": "800000",
    "red": "ff0000",
    "purple": "800080",
    "fuchsia": "ff00ff",
    "green": "008000",
    "lime": "00ff00",
    "olive": "808000",
    "yellow": "ffff00",
    "navy": "000080",
    "blue": "0000ff",
    "teal": "008080",
    "aqua": "00ffff",
}
_HEXADECIMAL = re.compile(r"#?([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", re.ASCII)


def read_colour(given: Given) -> str:
    """#rrggbbaa from a name or from 3, 4, 6 or 8 hexadecimal digits."""
    text = given.value.strip().lower() if isinstance(given.value, str) else ""
    match = _HEXADECIMAL.fullmatch(_COLOURS.get(text, text))
    if not match:
        raise given.refuse("a colour such as white, transparent, #ff8800 or #ff880080")
    digits = match[1]
    if len(digits) in (3, 4):
        digits = "".join(2 * digit for digit in digits)
    return f"#{digits:f<8}"


def _side(given: Given) -> int:
    return read_whole(given, 1, SIDE_PIXELS_MAX, unit="pixels")


def _resize(given: Given) -> Iterator[Step]:
    expected = "width, height, fit and upscale, or longest_edge, or percent"
    names = ("width", "height", "fit", "upscale", "longest_edge", "percent")
    told = read_fields(given, names, expected)
    upscale = read_flag(told.pop("upscale")) if "upscale" in told else False
    if "percent" in told:
        yield _by_percent(given, told, upscale=upscale)
        return
    fit = read_word(told.pop("fit"), _FITS) if "fit" in told else "inside"
    if "longest_edge" in told:
        if told.keys() != {"longest_edge"} or fit != "inside":
            raise given.refuse("longest_edge without width, height or a fit of its own")
        edge = _side(told["longest_edge"])
        yield resize_step(edge, edge, upscale=upscale)
        return
    if not told:
        raise given.refuse(f"an object with {expected}")
    sides = {name: _side(side) for name, side in told.items()}
    if len(sides) == 1 and fit == "fill":
        raise given.refuse("both width and height where the picture is stretched (fit: fill)")
    # With one side the other follows, however a box would be filled.
    fit = fit if len(sides) == 2 else "inside"
    yield resize_step(sides.get("width"), sides.get("height"), fit=fit, upscale=upscale)


def _by_percent(given: Given, told: Mapping[str, Given], *, upscale: bool) -> Step:
    if told.keys() != {"percent"}:
        raise given.refuse("percent without width, height, fit or longest_edge")
    percent = read_number(told["percent"], 0.1, PERCENT_MAX)
    if percent > 100 and not upscale:
        raise told["percent"].refuse("at most 100, or upscale: true beside it")
    return Step("resize", {"percent": percent, "upscale": upscale})


def resize_step(
    width: int | None, height: int | None, *, fit: str = "inside", upscale: bool = False
) -> Step:
    """A resize in its normal form."""
    return Step("resize", {"width": width, "height": height, "fit": fit, "upscale": upscale})


def _width(given: Given) -> Iterator[Step]:
    yield resize_step(_side(given), None)


def _height(given: Given) -> Iterator[Step]:
    yield resize_step(None, _side(given))


def _crop(given: Given) -> Iterator[Step]:
    expected = "cropping_type with width and height, or ratio with gravity"
    names = ("cropping_type", "top_left", "width", "height", "ratio", "gravity")
    told = read_fields(given, names, expected)
    if "ratio" in told:
        if not told.keys() <= {"ratio", "gravity"}:
            raise given.refuse("ratio with nothing but gravity beside it")
        yield from _by_ratio(told["ratio"], _gravity(told))
        return
    if not {"width", "height"} <= told.keys():
        raise given.refuse(f"an object with {expected}")
    size = {"width": _side(told["width"]), "height": _side(told["height"])}
    kind = read_word(told["cropping_type"], _CROPPING) if "cropping_type" in told else ""
    if kind == "Custom" or (not kind and "top_left" in told):
        if "gravity" in told:
            raise told["gravity"].refuse("no gravity where top_left says the place")
        yield Step("crop", {"kind": "custom", **_corner(told), **size})
        return
    if "top_left" in told:
        raise told["top_left"].refuse(f"no top_left beside cropping_type {kind}")
    if kind and "gravity" in told:
        raise told["gravity"].refuse(f"no gravity beside cropping_type {kind}")
    gravity = "entropy" if kind == "Entropy" else _gravity(told)
    yield Step("crop", {"kind": "size", **size, "gravity": gravity})


def _gravity(told: Mapping[str, Given]) -> str:
    return read_word(told["gravity"], _GRAVITIES) if "gravity" in told else "centre"


def _corner(told: Mapping[str, Given]) -> dict[str, int]:
    """Where a custom crop begins: its place counts from the picture's top left corner."""
    if "top_left" not in told:
        return {"left": 0, "top": 0}
    corner = read_fields(told["top_left"], ("x", "y"), "x and y")
    place = {
        name: read_whole(given, 0, SIDE_PIXELS_MAX, unit="pixels") for name, given in corner.items()
    }
    return {"left": place.get("x", 0), "top": place.get("y", 0)}


def _ratio(given: Given) -> Iterator[Step]:
    yield from _by_ratio(given, "centre")


def _by_ratio(given: Given, gravity: str) -> Iterator[Step]:
    written = given.value
    if not isinstance(written, str):
        written = str(read_number(given, 0.01, 100))
    match = _RATIO.fullmatch(written.replace(" ", ""))
    ratio = Fraction(0)
    if match and Fraction(match[2] or 1):
        ratio = Fraction(match[1]) / Fraction(match[2] or 1)
    if not Fraction(1, 100) <= ratio <= 100:
        raise given.refuse("a ratio from 1:100 to 100:1, such as 16:9")
    ratio = ratio.limit_denominator(_RATIO_PART_MAX)
    across, down = ratio.numerator, ratio.denominator
    value = {"kind": "ratio", "across": across, "down": down, "gravity": gravity}
    yield Step("crop", value)


def _rotate(given: Given) -> Iterator[Step]:
    if isinstance(given.value, str) and given.value.strip().lower() == "auto":
        return  # the orientation noted in the file is applied in any case
    try:
        degrees = tidy(read_number(given, -360, 360) % 360)
    except Invalid as error:
        raise given.refuse("auto, or degrees clockwise from -360 to 360") from error
    if degrees % 360:
        yield Step("rotate", degrees)


_FLIPS = words("h", "v", "both", horizontal="h", vertical="v", hv="both")


def _flip(given: Given) -> Iterator[Step]:
    way = read_word(given, _FLIPS)
    for each in ("h", "v") if way == "both" else (way,):
        yield Step("flip", each)


def _trim(given: Given) -> Iterator[Step]:
    threshold = given
    if isinstance(given.value, Mapping):
        threshold = read_fields(given, ("threshold",), "threshold").get("threshold", given)
    if threshold.value is True or threshold.value is None:
        yield Step("trim", {"threshold": 10})
    elif threshold.value is not False:
        yield Step("trim", {"threshold": read_number(threshold, 0, 255)})


def _blur(given: Given) -> Iterator[Step]:
    yield Step("blur", read_number(given, 0.3, 200))


def _sharpen(given: Given) -> Iterator[Step]:
    told = {"sigma": given}
    if isinstance(given.value, Mapping):
        told = read_fields(given, ("sigma", "amount"), "sigma and amount")
    elif given.value is True or given.value is None:
        told = {}
    elif given.value is False:
        return
    sigma = read_number(told["sigma"], 0.3, 20) if "sigma" in told else 1
    amount = read_number(told["amount"], 0, 10) if "amount" in told else 1
    yield Step("sharpen", {"sigma": sigma, "amount": amount})


def _tone(kind: str) -> Callable[[Given], Iterator[Step]]:
    def read(given: Given) -> Iterator[Step]:
        percent = read_number(given, -100, 100)
        if percent:
            yield Step(kind, percent)

    return read


_WATERMARK = ("text", "asset", "position", "opacity", "scale", "tile", "colour", "color")


def _watermark(given: Given) -> Iterator[Step]:
    told = {"text": given}
    if not isinstance(given.value, str):
        told = read_fields(given, _WATERMARK, "text or asset, position, opacity, scale, tile")
    if ("text" in told) == ("asset" in told):
        raise given.refuse("either a text or an asset")
    if "asset" in told:
        if {"colour", "color"} & told.keys():
            raise given.refuse("no colour beside an asset")
        mark: dict[str, object] = {"text": None, "asset": _asset(told["asset"])}
    else:
        text = read_text(told["text"], "the text of the watermark", TEXT_LENGTH_MAX)
        mark = {"text": text, "source": None}
    yield Step("watermark", mark | _placing(told))


def _asset(given: Given) -> str:
    """An asset's number or identifier, as text."""
    if isinstance(given.value, int) and not isinstance(given.value, bool):
        return str(read_whole(given, 1, 2**63 - 1))
    return read_text(given, "the id of an asset", TEXT_LENGTH_MAX)


def _placing(told: Mapping[str, Given]) -> dict[str, object]:
    colour = told.get("colour") or told.get("color")
    return {
        "position": read_word(told["position"], _COMPASS) if "position" in told else "south-east",
        "opacity": read_number(told["opacity"], 0.01, 1) if "opacity" in told else 0.5,
        "scale": read_number(told["scale"], 0.01, 1) if "scale" in told else 0.25,
        "tile": read_flag(told["tile"]) if "tile" in told else False,
        "colour": read_colour(colour) if colour else "#ffffffff",
    }


READERS: Mapping[str, Callable[[Given], Iterator[Step]]] = {
    "resize": _resize,
    "width": _width,
    "height": _height,
    "crop": _crop,
    "ratio": _ratio,
    "rotate": _rotate,
    "flip": _flip,
    "trim": _trim,
    "blur": _blur,
    "sharpen": _sharpen,
    "brightness": _tone("brightness"),
    "contrast": _tone("contrast"),
    "saturation": _tone("saturation"),
    "watermark": _watermark,
}
"""Type as the contract writes it -> its reader."""

BY_OBJECT = frozenset({"resize", "crop", "trim", "sharpen", "watermark"})
"""Types whose value may be an object with fields of its own."""
