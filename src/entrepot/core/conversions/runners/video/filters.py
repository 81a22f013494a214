"""Filters of ffmpeg for the operations of a recipe, with the size after each one known.

Every picture is first brought to upright, square pixels and BT.709, so that what players guess
of an untagged file is right, and colours that we draw are the ones that were asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Step
from entrepot.core.conversions.runners.image.sizes import (
    check_pixels,
    part,
    place,
    resized,
    visible,
)
from entrepot.core.conversions.runners.video.source import Picture

_SCALING = "flags=lanczos+accurate_rnd+full_chroma_int+bitexact"
_TURNS = {90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}
# From here on an untagged picture is taken for BT.709, below for BT.601, as players do.
_HIGH_DEFINITION = 720
_WHITE = "#ffffffff"


@dataclass(slots=True)
class Drawing:
    """A filter graph in the making: `filters` run on, `width` x `height` is what they give."""

    width: int
    height: int
    format: str  # of the pixels while at work
    limits: Limits
    background: str  # as ffmpeg says colours
    filters: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)  # finished pieces, each with its labels
    label: str = "0"
    names: int = 0

    def add(self, *filters: str) -> None:
        """Filters of one input and one output."""
        self.filters.extend(filters)

    def measure(self, width: int, height: int) -> None:
        """The size from here on. Refused where it is too large."""
        check_pixels(width, height, self.limits)
        self.width, self.height = width, height

    def close(self) -> str:
        """Ends the piece that runs on, and names its output."""
        self.names += 1
        name = f"v{self.names}"
        self.done.append(f"[{self.label}]{','.join(self.filters) or 'null'}[{name}]")
        self.filters, self.label = [], name
        return name

    def overlay(self, lower: str, upper: str) -> None:
        """Lays the output `upper` over `lower`, from the top left."""
        self.names += 1
        name = f"v{self.names}"
        pixels = "rgb" if self.format == "bgra" else "gbrp"
        self.done.append(f"[{lower}][{upper}]overlay=format={pixels}:eof_action=repeat[{name}]")
        self.label = name

    @property
    def text(self) -> str:
        """The whole graph, for -filter_complex; its output is `label`."""
        return ";".join(self.done)


def begin(
    picture: Picture,
    *,
    steps: Sequence[Step],
    clear: bool,
    background: str | None,
    fps: float | None,
    limits: Limits,
) -> Drawing:
    """The picture upright, square and in known colours; `clear`: it may stay see-through."""
    drawing = Drawing(
        width=picture.width,
        height=picture.height,
        format="bgra" if clear else _working_format(steps),
        limits=limits,
        background=_colour(background, clear=clear),
        label=f"0:{picture.index}",
    )
    if fps is not None and (picture.fps is None or fps < picture.fps):
        drawing.add(f"fps=fps={fps:.6g}")
    if picture.bright_transfer is not None:
        drawing.add(*_darken(picture.bright_transfer))
        matrix = "bt709"
    else:
        high = picture.height >= _HIGH_DEFINITION or picture.width >= _HIGH_DEFINITION * 16 // 9
        matrix = "auto" if picture.matrix_known else "bt709" if high else "smpte170m"
    drawing.add(
        f"scale=w={picture.width}:h={picture.height}:in_color_matrix={matrix}"
        f":out_color_matrix=bt709:out_range=tv:{_SCALING}",
        "setsar=1",
    )
    if picture.has_alpha and not clear:
        _flatten(drawing)
    drawing.add(f"format={drawing.format}")
    return drawing


def _working_format(steps: Sequence[Step]) -> str:
    """Half the colours are enough, unless something is cut or placed at odd pixels."""
    if any(step.type == "watermark" for step in steps):
        return "gbrp"
    cutting = any(
        step.type == "crop" or (step.type == "resize" and step.value.get("fit") in ("cover", "pad"))
        for step in steps
    )
    return "yuv444p" if cutting else "yuv420p"


def _darken(transfer: str) -> list[str]:
    """High dynamic range to the range of a screen."""
    return [
        f"zscale=tin={transfer}:min=bt2020nc:pin=bt2020:t=linear:npl=100",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=tv",
        "format=yuv444p",
    ]


def _flatten(drawing: Drawing) -> None:
    """What is see-through becomes the background."""
    drawing.add("format=gbrap", "split")
    drawing.done.append(f"[{drawing.label}]{','.join(drawing.filters)}[below][above]")
    drawing.done.append(f"[below]drawbox=c={drawing.background}:t=fill:replace=1[filled]")
    drawing.done.append("[filled][above]overlay=format=gbrp[flat]")
    drawing.filters, drawing.label = [], "flat"


def draw(
    drawing: Drawing, steps: Sequence[Step], watermark: Callable[[Drawing, Step], str]
) -> None:
    """All operations in their order. `watermark` gives the input that is to be laid over."""
    for step in steps:
        if step.type == "watermark":
            upper = watermark(drawing, step)
            drawing.overlay(drawing.close(), upper)
        else:
            _OPERATIONS[step.type](drawing, step.value)


def finish(drawing: Drawing, *, clear: bool) -> str:
    """Even sides, and BT.709 written down; gives the label of the output."""
    wide, high = max(2, drawing.width & ~1), max(2, drawing.height & ~1)
    if drawing.width < 2 or drawing.height < 2:
        drawing.add(f"scale=w={wide}:h={high}:{_SCALING}")
    elif (wide, high) != (drawing.width, drawing.height):
        drawing.add(f"crop=w={wide}:h={high}:x=0:y=0")
    drawing.measure(wide, high)
    if not clear:
        drawing.add(
            f"scale=out_color_matrix=bt709:out_range=tv:{_SCALING}",
            "format=yuv420p",
            "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709",
        )
    return drawing.close()


def _resize(drawing: Drawing, value: Any) -> None:
    plan = resized(drawing.width, drawing.height, value)
    if (plan.width, plan.height) != (drawing.width, drawing.height):
        drawing.measure(plan.width, plan.height)
        drawing.add(f"scale=w={plan.width}:h={plan.height}:{_SCALING}", "setsar=1")
    if plan.cut is not None:
        box = place((plan.width, plan.height), plan.cut, "centre")
        _cut(drawing, box.left, box.top, box.width, box.height)
    elif plan.canvas is not None:
        box = place(plan.canvas, (plan.width, plan.height), "centre")
        wide, high = plan.canvas
        drawing.measure(wide, high)
        drawing.add(f"pad=w={wide}:h={high}:x={box.left}:y={box.top}:color={drawing.background}")


def _crop(drawing: Drawing, value: Any) -> None:
    sides = (drawing.width, drawing.height)
    if value["kind"] == "custom":
        box = visible(*sides, value)
    else:
        box = place(sides, part(*sides, value), value["gravity"])
    _cut(drawing, box.left, box.top, box.width, box.height)


def _cut(drawing: Drawing, left: int, top: int, width: int, height: int) -> None:
    if (width, height) != (drawing.width, drawing.height):
        drawing.measure(width, height)
        drawing.add(f"crop=w={width}:h={height}:x={left}:y={top}")


def _rotate(drawing: Drawing, value: Any) -> None:
    drawing.add(_TURNS[int(value)])
    if value != 180:
        drawing.measure(drawing.height, drawing.width)


def _flip(drawing: Drawing, value: Any) -> None:
    drawing.add("hflip" if value == "h" else "vflip")


_OPERATIONS: dict[str, Callable[[Drawing, Any], None]] = {
    "resize": _resize,
    "crop": _crop,
    "rotate": _rotate,
    "flip": _flip,
}


def _colour(background: str | None, *, clear: bool) -> str:
    """`#rrggbbaa` in ffmpeg's words; where nothing can be see-through, laid on white."""
    if background is None and clear:
        return "0x00000000"
    red, green, blue, alpha = bytes.fromhex((background or _WHITE).removeprefix("#"))
    if clear:
        return f"0x{red:02x}{green:02x}{blue:02x}{alpha:02x}"
    mixed = [round((part * alpha + 255 * (255 - alpha)) / 255) for part in (red, green, blue)]
    return "0x" + bytes(mixed).hex()
