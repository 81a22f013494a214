"""A picture while it is worked on: its frames, and which kind of colours they hold."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pyvips

GRAY, RGB, CMYK = "gray", "rgb", "cmyk"
_COLOURS = {GRAY: 1, RGB: 3, CMYK: 4}
_INTERPRETATIONS = {
    (GRAY, 8): "b-w",
    (GRAY, 16): "grey16",
    (RGB, 8): "srgb",
    (RGB, 16): "rgb16",
    (CMYK, 8): "cmyk",
    (CMYK, 16): "cmyk",
}
PROFILE = "icc-profile-data"


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame, or those of an animation: all of one size, one colour model and one depth.

    Profile and metadata ride on the frames (libvips' fields). `delays_ms` belong to the frames;
    `loop` 0 is forever. `stored`: its size as shown, before the decoder made it smaller for the
    first resize; `vector`: that resize may enlarge it for nothing. `in_memory`: may be read in
    any order.
    """

    frames: tuple[pyvips.Image, ...]
    model: str
    delays_ms: tuple[int, ...] = field(default=())
    loop: int = 0
    vector: bool = False
    stored: tuple[int, int] | None = None
    in_memory: bool = False

    @property
    def first(self) -> pyvips.Image:
        """The only frame of a still; what decisions are taken on."""
        return self.frames[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.first.width, self.first.height

    @property
    def bits(self) -> int:
        """8 or 16 a channel."""
        return bits_of(self.first)

    @property
    def alpha(self) -> bool:
        """Whether it has a channel of transparency, always the last one."""
        return has_alpha(self.first, self.model)

    @property
    def profile(self) -> bytes | None:
        """The ICC profile that its numbers are meant by; None: sRGB, its gray, any CMYK."""
        return profile_of(self.first)

    def each(self, change: Callable[[pyvips.Image], pyvips.Image]) -> "Picture":
        """Every frame changed alike."""
        return replace(self, frames=tuple(change(frame) for frame in self.frames))

    def as_model(self, model: str, change: Callable[[pyvips.Image], pyvips.Image]) -> "Picture":
        """Every frame changed into another colour model."""
        return replace(self.each(change), model=model)

    def settled(self) -> "Picture":
        """In memory: what reads it in any order or more than once may do so now."""
        return replace(self.each(lambda frame: frame.copy_memory()), in_memory=True)


def bits_of(image: pyvips.Image) -> int:
    """8 or 16 a channel."""
    return 16 if image.format == "ushort" else 8


def full(image: pyvips.Image) -> int:
    """The value of a channel that is wholly on."""
    return 65535 if image.format == "ushort" else 255


def colours(model: str) -> int:
    """How many channels of colour the model has."""
    return _COLOURS[model]


def has_alpha(image: pyvips.Image, model: str) -> bool:
    """Whether there is a channel after those of colour."""
    return bool(image.bands > _COLOURS[model])


def profile_of(image: pyvips.Image) -> bytes | None:
    """The ICC profile that rides on it."""
    return bytes(image.get(PROFILE)) if image.get_typeof(PROFILE) else None


def split(image: pyvips.Image, model: str) -> tuple[pyvips.Image, pyvips.Image | None]:
    """Its channels of colour, and that of transparency."""
    count = _COLOURS[model]
    if image.bands == count:
        return image, None
    # Where two meet, libvips gives the result the fields of both: alpha brings no profile.
    return image.extract_band(0, n=count), without_colour(image.extract_band(count))


def join(colour: pyvips.Image, alpha: pyvips.Image | None) -> pyvips.Image:
    """The reverse of `split`; the fields of `colour` stay."""
    return colour if alpha is None else colour.bandjoin(alpha)


def with_alpha(image: pyvips.Image, model: str) -> pyvips.Image:
    """With an opaque channel of transparency where there is none."""
    return image if has_alpha(image, model) else image.bandjoin(full(image))


def typed(image: pyvips.Image, model: str, bits: int) -> pyvips.Image:
    """As numbers of this depth, named for what they are: clipped, rounded to the nearest."""
    form = "ushort" if bits == 16 else "uchar"
    if image.format in ("float", "double"):
        image = image.rint()
    cast = image if image.format == form else image.cast(form)
    return cast.copy(interpretation=_INTERPRETATIONS[model, bits])


def without_colour(image: pyvips.Image) -> pyvips.Image:
    """A copy without a profile."""
    copy = image.copy()
    if copy.get_typeof(PROFILE):
        copy.remove(PROFILE)
    return copy
